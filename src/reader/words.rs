//! Words that programs use for the protocol's own, and the nearest known word to a mistyped one.

/// What programs write, and the words of the protocol that can be meant by it: the first one that a field knows.
const SYNONYMS: &[(&str, &[&str])] = &[
    // Priorities.
    ("critical", &["high"]),
    ("urgent", &["high"]),
    ("blocker", &["high"]),
    ("severe", &["high"]),
    ("highest", &["high"]),
    ("p0", &["high"]),
    ("p1", &["high"]),
    ("normal", &["medium"]),
    ("moderate", &["medium"]),
    ("default", &["medium"]),
    ("p2", &["medium"]),
    ("minor", &["low"]),
    ("trivial", &["low"]),
    ("lowest", &["low"]),
    ("info", &["low"]),
    ("p3", &["low"]),
    // The status of a ticket, and a planner's decision.
    ("complete", &["done"]),
    ("completed", &["done"]),
    ("finished", &["done"]),
    ("success", &["done"]),
    ("succeeded", &["done"]),
    ("met", &["done"]),
    ("failed", &["blocked", "stuck"]),
    ("failure", &["blocked", "stuck"]),
    ("error", &["blocked", "stuck"]),
    ("stuck", &["blocked"]),
    ("blocked", &["stuck"]),
    ("impossible", &["blocked", "stuck"]),
    ("cannot_continue", &["blocked", "stuck"]),
    ("needs_input", &["blocked", "stuck"]),
    ("incomplete", &["blocked"]),
    ("not_done", &["blocked"]),
    ("abort", &["stuck"]),
    ("aborted", &["blocked", "stuck"]),
    ("started", &["in_progress"]),
    ("working", &["in_progress"]),
    ("running", &["in_progress"]),
    ("wip", &["in_progress"]),
    ("inprogress", &["in_progress"]),
    ("proceed", &["continue"]),
    ("go_on", &["continue"]),
    ("next", &["continue"]),
    // Kinds of work.
    ("bug", &["fix"]),
    ("bugfix", &["fix"]),
    ("bug_fix", &["fix"]),
    ("feature", &["task"]),
    ("story", &["task"]),
    ("chore", &["task"]),
    // Classes of failures.
    ("authentication", &["auth"]),
    ("unauthorized", &["auth"]),
    ("unavailable", &["overloaded"]),
    ("server_error", &["overloaded"]),
    ("context_length", &["context"]),
    ("invalid_request", &["refused"]),
    ("unknown", &["other"]),
];

/// `type` words that mean a message under another name.
const TYPES: &[(&str, &str)] = &[
    ("rate_limit", "rate_limited"),
    ("ratelimit", "rate_limited"),
    ("ratelimited", "rate_limited"),
    ("rate_limit_exceeded", "rate_limited"),
    ("rate_limit_error", "rate_limited"),
    ("sub_task", "subtask"),
    ("finding", "feedback"),
    ("requestfiles", "request_files"),
];

/// Fields that mean another one, tried where that one is absent: what programs write, and what can be meant.
const FIELDS: &[(&str, &[&str])] = &[
    ("question", &["text"]),
    ("comment", &["text"]),
    ("learning", &["text"]),
    ("message", &["text", "reason"]),
    ("content", &["text", "body"]),
    ("description", &["body", "text"]),
    ("details", &["body"]),
    ("summary", &["title"]),
    ("name", &["title"]),
    ("why", &["reason", "rationale"]),
    ("explanation", &["reason", "rationale"]),
    ("rationale", &["reason"]),
    ("reason", &["rationale", "why"]),
    ("severity", &["priority"]),
    ("missing", &["gaps"]),
    ("issues", &["gaps"]),
    ("problems", &["gaps"]),
    ("dependencies", &["depends_on"]),
    ("blocked_by", &["depends_on"]),
    ("requires", &["depends_on"]),
    ("after", &["depends_on"]),
    ("files", &["modify"]),
    ("paths", &["modify", "files"]),
    ("add", &["create"]),
    ("tasks", &["items"]),
    ("needs", &["depends_on"]),
    ("retry_after", &["retry_after_s"]),
    ("retry_after_seconds", &["retry_after_s"]),
    ("prompt_tokens", &["input_tokens"]),
    ("completion_tokens", &["output_tokens"]),
    ("cost", &["cost_usd"]),
    ("total_cost_usd", &["cost_usd"]),
];

const TRUE: &[&str] = &["true", "yes", "y", "1", "on", "done", "ok", "met"];
const FALSE: &[&str] = &["false", "no", "n", "0", "off", "open", "todo", "not_done", "not_met", "unmet"];

/// A word as the protocol writes words: lower case, `_` for what separates.
pub(super) fn normal(word: &str) -> String {
    let spelt = |c: char| if matches!(c, '-' | ' ') { '_' } else { c.to_ascii_lowercase() };
    word.trim().chars().map(spelt).collect()
}

/// `dependsOn`, `Depends-On` and `DEPENDS_ON` as the protocol writes them.
pub(super) fn snake(field: &str) -> String {
    let mut spelt = String::with_capacity(field.len() + 4);
    let mut before_small = false;
    for c in field.chars() {
        if c.is_ascii_uppercase() && before_small {
            spelt.push('_');
        }
        before_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        spelt.push(c);
    }
    normal(&spelt)
}

/// The one of `known` that `word` means: itself in any case, or by a synonym.
pub(super) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = normal(word);
    let find = |wanted: &str| known.iter().copied().find(|k| *k == wanted);
    find(&word).or_else(|| {
        let (_, words) = SYNONYMS.iter().find(|(written, _)| *written == word)?;
        words.iter().find_map(|wanted| find(wanted))
    })
}

/// The `type` word that `word` means: itself in any case, or by a synonym.
pub(super) fn meant_type<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = normal(word);
    let other = TYPES.iter().find(|(written, _)| *written == word).map(|(_, wanted)| *wanted);
    known.iter().copied().find(|k| *k == word || Some(*k) == other)
}

/// What a word means where true or false is wanted.
pub(super) fn truth(word: &str) -> Option<bool> {
    let word = normal(word);
    match (TRUE.contains(&word.as_str()), FALSE.contains(&word.as_str())) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    }
}

/// The fields that `field` can mean.
pub(super) fn field_synonyms(field: &str) -> &'static [&'static str] {
    FIELDS.iter().find(|(written, _)| *written == field).map_or(&[], |(_, meant)| meant)
}

/// The one of `known` that `word` is most likely a slip of: at most two letters apart, one where the word is short.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = normal(word);
    let slips = |known: &str| if known.len() < 6 { 1 } else { 2 };
    let apart = known.into_iter().map(|k| (strsim::osa_distance(&word, k), k)).filter(|(apart, k)| *apart <= slips(k));
    apart.min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_any_case_and_by_their_common_names() {
        let status = ["in_progress", "done", "blocked"];
        for (written, expected) in [
            ("Blocked", Some("blocked")),
            ("IN-PROGRESS", Some("in_progress")),
            ("in progress", Some("in_progress")),
            ("failed", Some("blocked")),
            ("Completed", Some("done")),
            ("stuck", Some("blocked")),
            ("perhaps", None),
        ] {
            assert_eq!(meant(written, &status), expected, "{written}");
        }
        assert_eq!(meant("failed", &["continue", "done", "stuck"]), Some("stuck"));
        assert_eq!(meant("CRITICAL", &["high", "medium", "low"]), Some("high"));
        assert_eq!(
            (truth("No"), truth("not met"), truth("YES"), truth("partly")),
            (Some(false), Some(false), Some(true), None)
        );
    }

    #[test]
    fn every_synonym_leads_to_a_word_that_is_none() {
        for (written, words) in SYNONYMS {
            assert_eq!(normal(written), *written);
            assert!(!words.contains(written), "{written}");
        }
    }

    #[test]
    fn the_nearest_word_is_a_slip_away() {
        let known = ["verdict", "ticket", "usage", "status"];
        assert_eq!(nearest("verdct", known), Some("verdict"));
        assert_eq!(nearest("veridct", known), Some("verdict"));
        assert_eq!(nearest("Usge", known), Some("usage"));
        assert_eq!((nearest("user", known), nearest("result", known), nearest("", known)), (None, None, None));
    }
}
