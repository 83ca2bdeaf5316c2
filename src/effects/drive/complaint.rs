//! What an error means: its class, its status, and when it may be tried again.
use crate::model::{
    Time,
    adapter::{ErrorClass, ErrorRule},
};
use chrono::{Local, NaiveTime, TimeZone};
use regex_lite::{Captures, Regex};
use serde_json::{Value, json};

/// Bytes of an error's words that are told on.
const TOLD: usize = 2_000;
/// Where a number is an HTTP status: after "status", "HTTP" or, written as a field, "code"; before "status code"; after
/// "error", when what follows is no count of something.
const STATUS: &str = concat!(
    r#"(?i:\b|_)(?i:status)(?i:[ _-]?code)?["']?\s*(?i:was|is|of)?[:=(]*\s*["']?([45]\d\d)\b"#,
    r#"|\b(?i:https?)(?:/\d(?:\.\d)?)?[:=(]*\s+([45]\d\d)\b"#,
    r#"|\b(?i:code)["']?\s*[:=]\s*["']?([45]\d\d)\b"#,
    r#"|\b([45]\d\d) (?i:status code)\b"#,
    r#"|\b(?i:error)["']?[:=(]*\s*([45]\d\d)(?:$|\s*$|\s*[^\w\s]|\s+[A-Z])"#,
);
/// A wait beyond this (in seconds) is a misread number.
const LONGEST_WAIT: u64 = 40 * 24 * 3600;

/// An error as the program put it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Complaint {
    pub(super) text: String,
    pub(super) status: Option<u16>,
    pub(super) retry_after_s: Option<u64>,
    /// Its class, when the program says it.
    pub(super) class: Option<ErrorClass>,
}

impl Complaint {
    /// Words alone.
    pub(super) fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// An error that is understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub(super) class: ErrorClass,
    pub(super) text: String,
    pub(super) status: Option<u16>,
    pub(super) retry_after_s: Option<u64>,
}

impl Failure {
    /// The protocol line.
    pub(super) fn line(&self) -> Value {
        if self.class == ErrorClass::RateLimited {
            return json!({ "type": "rate_limited", "retry_after_s": self.retry_after_s });
        }
        json!({
            "type": "failed",
            "class": self.class.word(),
            "text": self.text,
            "status": self.status,
            "retry_after_s": self.retry_after_s,
        })
    }
}

/// A table's `[[errors]]`, ready for use.
#[derive(Debug)]
pub(super) struct Classes {
    rules: Vec<(ErrorRule, Option<Regex>)>,
    status: Option<Regex>,
}

impl Classes {
    /// Of these rules. What is no regular expression was refused when the table was read.
    pub(super) fn new(rules: &[ErrorRule]) -> Self {
        let compiled = |rule: &ErrorRule| (rule.clone(), rule.text.as_deref().and_then(|text| Regex::new(text).ok()));
        Self { rules: rules.iter().map(compiled).collect(), status: Regex::new(STATUS).ok() }
    }

    /// What `complaint` means.
    pub(super) fn understand(&self, complaint: &Complaint, now: Time) -> Failure {
        let text = shortened(&complaint.text);
        let status = complaint.status.or_else(|| self.status_in(&text));
        let mut failure = Failure { class: ErrorClass::Other, text, status, retry_after_s: complaint.retry_after_s };
        let mut fitting = self.rules.iter().filter_map(|(rule, regex)| {
            let found = regex.as_ref().and_then(|regex| regex.captures(&complaint.text));
            let fits = found.is_some() || status.is_some_and(|status| rule.status.contains(&status));
            (fits && complaint.class.is_none_or(|class| class == rule.class)).then_some((rule, found))
        });
        if let Some((rule, found)) = fitting.next() {
            failure.class = rule.class;
            failure.retry_after_s = failure.retry_after_s.or_else(|| found.and_then(|found| wait(&found, now)));
        }
        if let Some(class) = complaint.class {
            failure.class = class;
        }
        failure
    }

    fn status_in(&self, text: &str) -> Option<u16> {
        let found = self.status.as_ref()?.captures(text)?;
        found.iter().skip(1).flatten().next()?.as_str().parse().ok()
    }

    /// The rule with a consequence (`fatal`, `give_up_after`) that a line of log fits, its place, and the words of the
    /// line that are the error: the rule's group `words`, or all of it.
    pub(super) fn consequence(&self, line: &str) -> Option<(usize, &ErrorRule, String)> {
        let mut mattering = self.rules.iter().enumerate().filter(|(_, (rule, _))| rule.fatal || rule.give_up_after > 0);
        mattering.find_map(|(at, (rule, regex))| {
            let found = regex.as_ref()?.captures(line)?;
            Some((at, rule, found.name("words").map_or(line, |words| words.as_str()).to_owned()))
        })
    }
}

/// The end of a text is where the error is; the middle of a long one is left out.
fn shortened(text: &str) -> String {
    let text = text.trim();
    if text.len() <= TOLD {
        return text.to_owned();
    }
    let (mut head, mut tail) = (TOLD / 2, text.len() - TOLD / 2);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{} … {}", &text[..head], &text[tail..])
}

/// When it may be tried again, as the named groups of a rule say, in seconds from `now`.
fn wait(found: &Captures<'_>, now: Time) -> Option<u64> {
    let number = |name: &str| found.name(name).and_then(|group| group.as_str().parse::<f64>().ok());
    let from_now = [("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)]
        .into_iter()
        .filter_map(|(name, seconds)| Some(number(name)? * seconds))
        .reduce(|sum, part| sum + part);
    let seconds = match (from_now, number("epoch"), found.name("clock")) {
        (Some(seconds), _, _) => seconds.ceil(),
        (None, Some(epoch), _) => return until(epoch, now),
        (None, None, Some(clock)) => return until_clock(clock.as_str(), now),
        (None, None, None) => return None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float to an integer saturates")]
    let seconds = seconds as u64;
    (seconds <= LONGEST_WAIT).then_some(seconds)
}

/// Seconds until a moment since 1970, given in seconds or milliseconds.
pub(super) fn until(epoch: f64, now: Time) -> Option<u64> {
    let epoch = if epoch > 1e11 { epoch / 1000.0 } else { epoch };
    #[expect(clippy::cast_possible_truncation, reason = "a float to an integer saturates")]
    let seconds = (epoch.ceil() as i64).saturating_sub(now.timestamp());
    let seconds = u64::try_from(seconds.max(0)).ok()?;
    (seconds <= LONGEST_WAIT).then_some(seconds)
}

/// Seconds until a clock shows `3pm`, `3:20 pm` or `15:20` the next time, in the local time zone.
fn until_clock(text: &str, now: Time) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, half) = match text.strip_suffix("pm").map(|rest| (rest, 12)) {
        Some(pm) => (pm.0, Some(pm.1)),
        None => text.strip_suffix("am").map_or((text.as_str(), None), |rest| (rest, Some(0))),
    };
    let (hour, minute) = digits.trim().split_once(':').unwrap_or((digits.trim(), "0"));
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = half.map_or(hour, |half| hour % 12 + half);
    let local = now.with_timezone(&Local);
    let at = local.date_naive().and_time(NaiveTime::from_hms_opt(hour, minute, 0)?);
    let today = Local.from_local_datetime(&at).earliest()?;
    let wait = (today - local).num_seconds();
    u64::try_from(if wait < 0 { wait + 86_400 } else { wait }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::adapter::Adapter;

    fn now() -> Time {
        chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn understood(table: &str, text: &str, status: Option<u16>) -> (ErrorClass, Option<u64>) {
        let classes = Classes::new(&Adapter::builtin(table).unwrap().errors);
        let failure = classes.understand(&Complaint { text: text.into(), status, ..Complaint::default() }, now());
        (failure.class, failure.retry_after_s)
    }

    #[test]
    fn texts_of_real_programs_are_understood() {
        use ErrorClass::*;
        let cases = [
            ("codex", "unexpected status 401 Unauthorized: Missing bearer authentication", None, Auth, None),
            ("codex", "exceeded retry limit, last status: 429 Too Many Requests", None, RateLimited, None),
            (
                "codex",
                "We're currently experiencing high demand, which may cause temporary errors.",
                None,
                Overloaded,
                None,
            ),
            (
                "codex",
                "You've hit your usage limit. Upgrade to Pro or try again in 1 day 2 hours 3 minutes.",
                None,
                RateLimited,
                Some(93_780),
            ),
            ("codex", "Rate limit reached for gpt-5. Please try again in 1.898s.", None, RateLimited, Some(2)),
            ("codex", "Your input exceeds the context window of this model.", None, Context, None),
            ("codex", "Missing environment variable: `SCRIPTED_KEY`.", None, Auth, None),
            ("codex", "thread/resume failed: no rollout found for thread id 0", None, ResumeFailed, None),
            ("claude", "API Error: 401 {\"type\":\"error\"}", Some(401), Auth, None),
            ("claude", "Invalid API key · Please run /login", None, Auth, None),
            ("claude", "Claude AI usage limit reached|1800000600", None, RateLimited, Some(600)),
            ("claude", "API Error: 529 Overloaded", Some(529), Overloaded, None),
            ("claude", "Prompt is too long", Some(400), Context, None),
            ("claude", "No conversation found with session ID: 0", None, ResumeFailed, None),
            ("claude", "Credit balance is too low", Some(400), RateLimited, None),
            ("gemini", "Quota exceeded for metric x. Please retry in 42.5s.", Some(429), RateLimited, Some(43)),
            ("gemini", "gemini ended with 41: Invalid auth method selected.", None, Auth, None),
            ("gemini", "models/none is not found for API version v1beta", Some(404), Refused, None),
            ("opencode", "Internal error: no key {\"errorName\":\"ProviderAuthError\"}", None, Auth, None),
            ("opencode-acp", "Internal error: scripted error 401 {\"errorName\":\"APIError\"}", None, Auth, None),
            ("opencode", "something odd happened", None, Other, None),
            ("opencode", "Service Unavailable, retry after 5 seconds", Some(503), Overloaded, None),
        ];
        for (table, text, status, class, wait) in cases {
            assert_eq!(understood(table, text, status), (class, wait), "{table}: {text}");
        }
    }

    #[test]
    fn a_number_is_a_status_only_where_one_stands() {
        let classes = Classes::new(&[]);
        let statuses = [
            ("unexpected status 401 Unauthorized", 401),
            ("exceeded retry limit, last status: 429 Too Many Requests", 429),
            ("HTTP 500", 500),
            ("HTTP/1.1 503 x", 503),
            ("API Error: 401 {\"type\":\"error\"}", 401),
            ("Error: 401 Incorrect key", 401),
            ("Error: 401 ", 401),
            ("{\"error\":{\"code\":429,\"message\":\"x\"}}", 429),
            ("{\"error_status\": \"529\"}", 529),
            ("statusCode=402", 402),
            ("failed with status code of 500", 500),
            ("500 status code (no body)", 500),
        ];
        for (text, status) in statuses {
            assert_eq!(classes.status_in(text), Some(status), "{text}");
        }
        for text in [
            "error at line 500",
            "src/main.rs:401:5",
            "error: 500 warnings emitted",
            "code 429 lines long",
            "took 503 ms",
            "process 401 ended",
            "exit code 4290",
            "https://x/500",
            "error TS2500: 401 is no name",
        ] {
            assert_eq!(classes.status_in(text), None, "{text}");
            assert_eq!(understood("codex", text, None).0, ErrorClass::Other, "{text}");
        }
    }

    #[test]
    fn a_clock_names_its_next_time() {
        let noon = Local.with_ymd_and_hms(2027, 3, 1, 12, 0, 0).unwrap().with_timezone(&chrono::Utc);
        assert_eq!(until_clock("3pm", noon), Some(3 * 3600));
        assert_eq!(until_clock("3:30 PM", noon), Some(3 * 3600 + 1800));
        assert_eq!(until_clock("12am", noon), Some(12 * 3600));
        assert_eq!(until_clock("11:00", noon), Some(23 * 3600));
        assert_eq!(until_clock("25:00", noon), None);
    }

    #[test]
    fn absurd_waits_are_no_waits() {
        assert_eq!(until(9e9, now()), None);
        assert_eq!(until(1.0, now()), Some(0));
        assert_eq!(until(1_800_000_001_500.0, now()), Some(2));
    }

    #[test]
    fn a_long_text_keeps_its_ends() {
        let text = format!("head {} tail", "é".repeat(5_000));
        let short = shortened(&text);
        assert!(short.len() < TOLD + 20 && short.starts_with("head") && short.ends_with("tail"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_understood_somehow(text: String, status: Option<u16>) {
            understood("acp", &text, status);
        }
    }
}
