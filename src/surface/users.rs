//! The users of this machine: who asks, by the user id of the process at the other end of a Unix socket.
use crate::service::{config::env, principal::Principal};
use std::{fs, path::PathBuf};

/// The users by their ids.
///
/// Names come from `/etc/passwd` alone: a directory service may take seconds to answer, and every request waits for its
/// caller's name.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    own_uid: u32,
    own_name: String,
    passwd: PathBuf,
}

impl Users {
    /// As this process sees them; its own user has the name that the environment says.
    pub(crate) fn of_this_process() -> Users {
        Users {
            own_uid: rustix::process::geteuid().as_raw(),
            own_name: env::user(),
            passwd: PathBuf::from("/etc/passwd"),
        }
    }

    /// The user that this process works for.
    pub(crate) fn own(&self) -> Principal {
        Principal::User(self.own_name.clone())
    }

    /// The user with this id; one without a name is `uid-N`.
    pub(crate) fn with_id(&self, uid: u32) -> Principal {
        if uid == self.own_uid {
            return self.own();
        }
        // A file that cannot be read names nobody.
        let text = fs::read(&self.passwd).unwrap_or_default();
        let name = name_in(&String::from_utf8_lossy(&text), uid);
        Principal::User(name.unwrap_or_else(|| format!("uid-{uid}")))
    }
}

/// The first name with this id in the text of a passwd file.
fn name_in(text: &str, uid: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_the_name_that_is_known_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let passwd = dir.path().join("passwd");
        let lines = "# users\nroot:x:0:0:root:/root:/bin/sh\nshort\n:x:7:7::/:\nada:x:1001:100:Ada:/home/ada:/bin/sh\n\
                     eve:x:1001:100::/:\nbad:x:no:1::/:\n";
        fs::write(&passwd, lines).unwrap();
        let mut users = Users { own_uid: 1000, own_name: "me".into(), passwd };
        let name = |users: &Users, uid| users.with_id(uid).name();
        assert_eq!(name(&users, 1000), "me", "the own user is who the environment says");
        assert_eq!(name(&users, 0), "root");
        assert_eq!(name(&users, 1001), "ada");
        assert_eq!(name(&users, 7), "uid-7", "a user without a name");
        assert_eq!(name(&users, 4_294_967_294), "uid-4294967294");
        users.passwd = dir.path().join("none");
        assert_eq!(name(&users, 0), "uid-0");
        assert_eq!(users.own(), Principal::User("me".into()));
    }
}
