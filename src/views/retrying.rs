//! What the engine tries again and again right now. It is about the present, so it is not in the log.
use super::timeline::one_line;
use p0_model::{Time, id::RunId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Work that has failed for a reason outside of it for some seconds, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retrying {
    /// The run it is for; null where it is for none.
    pub run: Option<RunId>,
    /// What is tried: a noun phrase, as `merging`.
    pub what: String,
    /// Why the last try failed.
    pub why: String,
    /// When the first try failed.
    pub since: Time,
    /// How many tries have failed.
    pub times: u32,
    /// What a person can do about it.
    pub help: String,
}

impl Retrying {
    /// One line for people.
    pub fn line(&self) -> String {
        let tries = if self.times == 1 { "1 try".to_owned() } else { format!("{} tries", self.times) };
        let since = self.since.format("%H:%M:%S UTC");
        one_line(&format!("{} failed: {}; {tries} since {since}; {}", self.what, self.why, self.help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_samples::at;

    #[test]
    fn a_line_says_what_why_how_often_since_when_and_what_helps() {
        let retrying = Retrying {
            run: None,
            what: "merging".into(),
            why: "the repository /r is not there".into(),
            since: at(3),
            times: 4,
            help: "put it back".into(),
        };
        let expected = "merging failed: the repository /r is not there; 4 tries since 22:13:23 UTC; put it back";
        assert_eq!(retrying.line(), expected);
    }
}
