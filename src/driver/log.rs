//! The log of the agent's program: its end is the reason of a failure that has no other, and its lines may tell of a
//! failure that nothing else tells of.
use super::provider_error::{Classes, ProviderError};
use std::collections::{BTreeMap, VecDeque};

/// Lines that are kept.
const TAIL: usize = 12;

/// What was logged so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What the program complained of that counts whatever its status.
    pub(super) provider_error: Option<ProviderError>,
    /// It complained of the same so often that it is to be ended.
    pub(super) over: bool,
    counts: BTreeMap<usize, u32>,
    tail: VecDeque<String>,
}

impl Log {
    /// Takes a line in.
    pub(super) fn line(&mut self, line: &str, classes: &Classes) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.tail.push_back(line.chars().take(500).collect());
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
        let Some((at, rule, words)) = classes.consequence(line) else { return };
        let provider_error = ProviderError { class: Some(rule.class), ..ProviderError::words(words) };
        if rule.fatal {
            self.provider_error = Some(provider_error);
            return;
        }
        let count = self.counts.entry(at).or_default();
        *count += 1;
        if *count >= rule.give_up_after {
            self.provider_error = Some(provider_error);
            self.over = true;
        }
    }

    /// The program got on with its work: it did not try the same again and again.
    pub(super) fn progress(&mut self) {
        self.counts.clear();
    }

    /// The last lines.
    pub(super) fn tail(&self) -> String {
        self.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::adapter::{ErrorClass, ErrorRule};

    fn classes() -> Classes {
        let rule = |class, text: &str, fatal, give_up_after| ErrorRule {
            class,
            status: Vec::new(),
            text: Some(text.to_owned()),
            fatal,
            give_up_after,
            in_words: false,
        };
        Classes::new(&[rule(ErrorClass::RateLimited, "429", false, 3), rule(ErrorClass::Refused, "rejected", true, 0)])
    }

    #[test]
    fn three_complaints_without_progress_are_enough() {
        let (mut log, classes) = (Log::default(), classes());
        for _ in 0..2 {
            log.line("got 429", &classes);
        }
        log.progress();
        for _ in 0..2 {
            log.line("got 429", &classes);
        }
        assert!(!log.over);
        log.line("got 429", &classes);
        assert!(log.over);
        assert_eq!(log.provider_error.unwrap().class, Some(ErrorClass::RateLimited));
    }

    #[test]
    fn a_fatal_line_counts_at_once_and_ends_nothing() {
        let (mut log, classes) = (Log::default(), classes());
        log.line("it was rejected", &classes);
        assert!(!log.over);
        assert_eq!(log.provider_error.as_ref().unwrap().class, Some(ErrorClass::Refused));
        assert_eq!(log.tail(), "it was rejected");
    }
}
