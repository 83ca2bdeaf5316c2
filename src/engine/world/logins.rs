//! The person's logins in the homes of attempts: handed over, and taken back where a program renewed them.
use super::{
    World,
    error::{Error, Refusal},
};
use crate::{
    driver::write_private,
    model::{adapter::Adapter, attempt::Attempt, run::Run},
};
use base64::Engine as _;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What was handed over, in the attempt's directory, where no agent can write: file and fingerprint.
const LOGINS: &str = "logins.json";

/// The largest credential file that is copied, in bytes.
const MAX_LOGIN_BYTES: u64 = 1024 * 1024;

impl World {
    /// Copies the person's logins and settings of the agent's program into the attempt's home.
    pub(super) fn hand_over_logins(&self, attempt: &Attempt, adapter: &Adapter, home: &Path) -> Result<(), Error> {
        let Some(person) = self.person_home() else { return Ok(()) };
        let mut handed = BTreeMap::new();
        for file in &adapter.login.files {
            hand_over(&person.join(file), &place(home, file)?)?;
            handed.extend(fingerprint(&person.join(file)).map(|hash| (file.clone(), hash)));
        }
        let record = self.attempt_dir(attempt.id).join(LOGINS);
        let text = serde_json::to_vec(&handed)?;
        write_private(&record, &text).map_err(Error::at(&record))?;
        // The person's own, whatever an earlier attempt made of them.
        for file in adapter.login.config.iter().filter(|file| person.join(file).is_file()) {
            copy_private(&real(&person.join(file))?, &place(home, file)?)?;
        }
        Ok(())
    }

    /// Takes back logins that a program renewed: some providers void the old one with it. Only over a file that is as
    /// it was handed over, and only what [`renews`] it: the agent could have written anything there. Credentials alone:
    /// settings can name commands, which would then run as the person.
    pub(super) fn take_back_logins(&self, run: &Run, attempt: &Attempt) {
        let adapter = run.settings.agents.get(&attempt.agent).and_then(|agent| agent.adapter.as_deref());
        let (Some(adapter), Some(person)) = (adapter, self.person_home()) else { return };
        let Ok(home) = self.home_of(attempt) else { return };
        let handed = std::fs::read(self.attempt_dir(attempt.id).join(LOGINS)).unwrap_or_default();
        let handed: BTreeMap<String, String> = serde_json::from_slice(&handed).unwrap_or_default();
        for file in &adapter.login.files {
            let Ok(ours) = place(&home, file) else { continue };
            let theirs = person.join(file);
            let theirs = real(&theirs).unwrap_or(theirs);
            if is_newer(&ours, &theirs)
                && handed.get(file).is_some_and(|hash| fingerprint(&theirs).as_ref() == Some(hash))
                && is_renewal(&theirs, &ours)
                && let Err(why) = keep(&theirs).and_then(|()| copy_private(&ours, &theirs))
            {
                tracing::warn!(
                    "the login in {} was renewed by an agent and could not be kept: {why}",
                    theirs.display()
                );
            }
        }
    }

    fn person_home(&self) -> Option<PathBuf> {
        let home = self.options.environment.person.iter().find(|(name, _)| name == "HOME");
        home.map(|(_, home)| PathBuf::from(home))
    }
}

/// Keeps a login beside itself, as it was before an agent's took its place.
fn keep(login: &Path) -> Result<(), Error> {
    let mut name = login.file_name().unwrap_or_default().to_owned();
    name.push(".before-p0");
    copy_private(login, &login.with_file_name(name))
}

/// BLAKE3 of a file that is there, hexadecimal.
fn fingerprint(path: &Path) -> Option<String> {
    std::fs::read(path).ok().map(|content| blake3::hash(&content).to_hex().to_string())
}

fn is_renewal(old: &Path, new: &Path) -> bool {
    let read = |path: &Path| -> Option<Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
    match (read(old), read(new)) {
        (Some(old), Some(new)) => renews(&old, &new),
        _ => false,
    }
}

/// Whether `new` is the login `old` with fresh tokens: the same form, and other values only where tokens and their times
/// stand. Another account, or an empty file, is none; a token that tells whose it is must tell the same, and be no older.
fn renews(old: &Value, new: &Value) -> bool {
    const FRESH: &[&str] = &["token", "expir", "refresh"];
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.len() == new.len()
                && old.iter().all(|(key, before)| {
                    let Some(after) = new.get(key) else { return false };
                    let key = key.to_lowercase();
                    let fresh = FRESH.iter().any(|word| key.contains(word));
                    let same_kind = std::mem::discriminant(before) == std::mem::discriminant(after);
                    let leaf = !before.is_object() && !before.is_array();
                    let fits = || *after != Value::String(String::new()) && is_same_holder(before, after);
                    (fresh && leaf && same_kind && fits()) || renews(before, after)
                })
        }
        (old, new) => old == new,
    }
}

/// Whether a token that is a JWT comes from the same issuer for the same holder, and is no older than the one before.
fn is_same_holder(before: &Value, after: &Value) -> bool {
    let Some(before) = claims(before) else { return true };
    let Some(after) = claims(after) else { return false };
    let same = |name: &str| before.get(name) == after.get(name);
    let moment = |claims: &Value| claims.get("iat").or_else(|| claims.get("exp")).and_then(Value::as_f64);
    let is_older = matches!((moment(&before), moment(&after)), (Some(before), Some(after)) if after < before);
    same("iss") && same("sub") && same("email") && !is_older
}

/// What a JWT says. Nobody's word is taken for it: its signature is its issuer's business.
fn claims(token: &Value) -> Option<Value> {
    let mut parts = token.as_str()?.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object)
}

/// Copies a login into the attempt's home, unless the one there is newer: a program may have renewed it.
fn hand_over(from: &Path, to: &Path) -> Result<(), Error> {
    if !from.is_file() || is_newer(to, from) {
        return Ok(());
    }
    copy_private(&real(from)?, to)
}

/// The person's own file, where they keep it: many keep their settings elsewhere and link to them.
fn real(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(Error::at(path))
}

/// A file's place in an attempt's home. Folders on the way that an agent made links of are links no more: nothing is
/// read or written outside of the home.
fn place(home: &Path, file: &str) -> Result<PathBuf, Error> {
    let mut at = home.to_owned();
    for part in Path::new(file).parent().into_iter().flat_map(Path::components) {
        at.push(part);
        if std::fs::symlink_metadata(&at).is_ok_and(|meta| !meta.is_dir()) {
            std::fs::remove_file(&at).map_err(Error::at(&at))?;
        }
    }
    Ok(home.join(file))
}

/// Whether `a` is a plain file that was written after `b` was, and says something else.
fn is_newer(a: &Path, b: &Path) -> bool {
    let written = |path: &Path| -> Option<SystemTime> {
        let meta = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        meta.modified().ok()
    };
    match (written(a), written(b)) {
        (Some(a_at), Some(b_at)) => a_at > b_at && std::fs::read(a).ok() != std::fs::read(b).ok(),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Copies a small file, readable by its owner only, and in one step: nobody sees half of it, and no link that an
/// agent left at its place is followed.
fn copy_private(from: &Path, to: &Path) -> Result<(), Error> {
    let meta = std::fs::symlink_metadata(from).map_err(Error::at(from))?;
    if !meta.is_file() || meta.len() > MAX_LOGIN_BYTES {
        return Err(Refusal::NoLogin { path: from.to_owned(), most: MAX_LOGIN_BYTES }.into());
    }
    let content = std::fs::read(from).map_err(Error::at(from))?;
    let staged = to.with_extension("p0-new");
    write_private(&staged, &content).map_err(Error::at(&staged))?;
    std::fs::rename(&staged, to).map_err(Error::at(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

    #[test]
    fn a_login_is_handed_over_and_a_renewed_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (person, home) = (dir.path().join("me/.x/auth"), dir.path().join("home/.x/auth"));
        hand_over(&person, &home).unwrap();
        assert!(!home.exists(), "no login, nothing to hand over");
        fs::create_dir_all(person.parent().unwrap()).unwrap();
        fs::write(&person, "first").unwrap();
        hand_over(&person, &home).unwrap();
        assert_eq!(fs::read_to_string(&home).unwrap(), "first");
        assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&home, "renewed").unwrap();
        let later = fs::metadata(&person).unwrap().modified().unwrap() + Duration::from_secs(5);
        fs::File::options().write(true).open(&home).unwrap().set_modified(later).unwrap();
        hand_over(&person, &home).unwrap();
        assert_eq!(fs::read_to_string(&home).unwrap(), "renewed");
        assert!(is_newer(&home, &person) && !is_newer(&person, &home));
    }

    #[test]
    fn what_is_taken_back_names_no_command() {
        for name in Adapter::builtin_names() {
            let adapter = Adapter::builtin(name).unwrap();
            for file in &adapter.login.files {
                assert!(!file.contains("config") && !file.contains("settings"), "{name} takes back {file}");
            }
        }
    }

    #[test]
    fn a_folder_that_an_agent_made_a_link_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (home, elsewhere) = (dir.path().join("home"), dir.path().join("elsewhere"));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        let person = dir.path().join("auth");
        fs::write(&person, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.join(".x")).unwrap();
        hand_over(&person, &place(&home, ".x/auth").unwrap()).unwrap();
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "written through the link");
        assert_eq!(fs::read_to_string(home.join(".x/auth")).unwrap(), "mine");
    }

    #[test]
    fn a_link_of_the_persons_own_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("kept"), "mine").unwrap();
        std::os::unix::fs::symlink(dir.path().join("kept"), dir.path().join("auth")).unwrap();
        hand_over(&dir.path().join("auth"), &dir.path().join("home/auth")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("home/auth")).unwrap(), "mine");
    }

    #[test]
    fn only_fresh_tokens_renew_a_login() {
        let old = serde_json::json!({"tokens":{"access_token":"a","account_id":"me"},"last_refresh":"1","mode":"x"});
        let with = |change: fn(&mut Value)| {
            let mut new = old.clone();
            change(&mut new);
            renews(&old, &new)
        };
        assert!(with(|v| v["tokens"]["access_token"] = "b".into()));
        assert!(with(|v| v["last_refresh"] = "2".into()));
        assert!(!with(|v| v["tokens"]["account_id"] = "somebody".into()));
        assert!(!with(|v| v["tokens"]["access_token"] = "".into()));
        assert!(!with(|v| v["tokens"] = serde_json::json!({})));
        assert!(!with(|v| v["more"] = "x".into()));
        assert!(!renews(&old, &serde_json::json!({})));
    }

    #[test]
    fn a_token_that_tells_whose_it_is_stays_with_its_holder() {
        let token = |claims: Value| {
            let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
            serde_json::json!({ "id_token": format!("e30.{claims}.signature") })
        };
        let old = token(serde_json::json!({"iss":"i","sub":"me","iat":5}));
        assert!(renews(&old, &token(serde_json::json!({"iss":"i","sub":"me","iat":6}))));
        assert!(!renews(&old, &token(serde_json::json!({"iss":"i","sub":"another","iat":6}))));
        assert!(!renews(&old, &token(serde_json::json!({"iss":"i","sub":"me","iat":4}))));
        assert!(!renews(&old, &serde_json::json!({"id_token":"ATTACKER"})));
    }

    #[test]
    fn a_link_in_the_place_of_a_login_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        let (link, to) = (dir.path().join("link"), dir.path().join("to"));
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(copy_private(&link, &to).is_err(), "not read through");
        fs::write(&to, "old").unwrap();
        copy_private(&to, &link).unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret", "not written through");
    }
}
