//! What an error means: its class, its status, and when it may be tried again.
use super::retry_after;
use crate::model::{
    Time,
    adapter::{ErrorClass, ErrorRule},
};
use regex_lite::Regex;
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

/// An error as the program put it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ProviderError {
    pub(super) text: String,
    pub(super) status: Option<u16>,
    pub(super) retry_after_s: Option<u64>,
    /// Its class, when the program says it.
    pub(super) class: Option<ErrorClass>,
    /// What it is when neither its words nor its status say more.
    pub(super) likely: Option<ErrorClass>,
}

impl ProviderError {
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
    /// Of the rules with `in_words`: what a whole message has to be.
    whole: Vec<Regex>,
    status: Option<Regex>,
}

impl Classes {
    /// Of these rules. What is no regular expression was refused when the table was read.
    pub(super) fn new(rules: &[ErrorRule]) -> Self {
        let compiled = |rule: &ErrorRule| (rule.clone(), rule.text.as_deref().and_then(|text| Regex::new(text).ok()));
        let whole = rules.iter().filter(|rule| rule.in_words).filter_map(|rule| rule.text.as_deref());
        Self {
            rules: rules.iter().map(compiled).collect(),
            whole: whole.filter_map(|text| Regex::new(&format!(r"^(?:{text})$")).ok()).collect(),
            status: Regex::new(STATUS).ok(),
        }
    }

    /// Whether the whole of an agent's message is an error by a rule with `in_words`.
    pub(super) fn is_error_in_words(&self, message: &str) -> bool {
        self.whole.iter().any(|whole| whole.is_match(message))
    }

    /// What `error` means.
    pub(super) fn understand(&self, provider_error: &ProviderError, now: Time) -> Failure {
        let text = shortened(&provider_error.text);
        let status = provider_error.status.or_else(|| self.status_in(&text));
        let mut failure =
            Failure { class: ErrorClass::Other, text, status, retry_after_s: provider_error.retry_after_s };
        let mut fitting = self.rules.iter().filter_map(|(rule, regex)| {
            let found = regex.as_ref().and_then(|regex| regex.captures(&provider_error.text));
            let fits = found.is_some() || status.is_some_and(|status| rule.status.contains(&status));
            (fits && provider_error.class.is_none_or(|class| class == rule.class)).then_some((rule, found))
        });
        if let Some((rule, found)) = fitting.next() {
            failure.class = rule.class;
            let told = || found.and_then(|found| retry_after::in_groups(&found, now));
            failure.retry_after_s = failure.retry_after_s.or_else(told);
        } else if let Some(likely) = provider_error.likely {
            failure.class = likely;
        }
        if let Some(class) = provider_error.class {
            failure.class = class;
        }
        // Servers that are down say when to try again as well, and do not know.
        if failure.class == ErrorClass::RateLimited && failure.retry_after_s.is_none() {
            failure.retry_after_s = retry_after::in_words(&provider_error.text, now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::adapter::Adapter;

    fn now() -> Time {
        chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn understood(table: &str, text: &str, status: Option<u16>) -> (ErrorClass, Option<u64>) {
        let classes = Classes::new(&Adapter::builtin(table).unwrap().errors);
        let failure =
            classes.understand(&ProviderError { text: text.into(), status, ..ProviderError::default() }, now());
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
            ("acp", "Rate limit exceeded. Try again at 2027-01-15T09:00:00Z", None, RateLimited, Some(3600)),
            ("codex", "You've hit your usage limit. Try again at 2027-01-15T09:00:00Z", None, RateLimited, Some(3600)),
            ("acp", "429 too many requests\nRetry-After: 120", None, RateLimited, Some(120)),
            ("acp", "Weekly limit reached, try again in 2 hours", None, RateLimited, Some(7200)),
            ("claude", "You've hit your limit · resets Jan 23 at 9am", None, RateLimited, None),
            ("acp", "error code invalid_api_key", None, Auth, None),
            ("acp", "the access token has expired", None, Auth, None),
            ("acp", "Token expired", None, Auth, None),
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
    fn what_an_error_likely_is_counts_last() {
        let classes = Classes::new(&Adapter::builtin("acp").unwrap().errors);
        let of = |text: &str, status| {
            let likely = Some(ErrorClass::Auth);
            classes.understand(&ProviderError { status, likely, ..ProviderError::words(text) }, now()).class
        };
        assert_eq!(of("something with your account", None), ErrorClass::Auth);
        assert_eq!(of("Rate limit exceeded", None), ErrorClass::RateLimited);
        assert_eq!(of("try later", Some(529)), ErrorClass::Overloaded);
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
