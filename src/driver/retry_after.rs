//! When something that was refused may be tried again, as programs and providers tell it.
use crate::model::Time;
use chrono::{DateTime, Local, NaiveDateTime, NaiveTime, TimeZone, Utc};
use regex_lite::{Captures, Regex};
use serde_json::Value;

/// A wait beyond this (in seconds) is a misread number.
const LONGEST_WAIT: u64 = 40 * 24 * 3600;
/// A clock that shows this much less than now (in seconds) means the moment that just passed, and not tomorrow's.
const JUST_PAST: i64 = 15 * 60;
/// How deep a time may stand in the data of an error.
const DEEPEST: usize = 4;
/// What a time to try again follows.
const BEFORE: &str = r"(?i)try(?:ing)? again|retry(?:ing)?|resets?|available|wait|back";
/// From there to the first number.
const FILL: &str = r"(?is)^[^\n\d]{0,40}?";
const MOMENT: &str = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(Z|UTC|GMT|[+-]\d\d:?\d\d)?";
const CLOCK: &str = r"(\d{1,2}:\d\d(?: ?[ap]m)?|\d{1,2} ?[ap]m)(?:[^\d:]|$)";
const PART: &str = concat!(
    r"(?i)^(?:,|\s|and\b)*(\d+(?:\.\d+)?) ?",
    r"(d|days?|h|hours?|hrs?|m|minutes?|mins?|s|seconds?|secs?|ms|milliseconds?)\b"
);
const AFTER: &str = r#"(?i)^[-_ ]?after[-_ ]?(ms|s|sec|seconds)?["']?\s*[:=]?\s*["']?(\d+(?:\.\d+)?)"#;

/// When it may be tried again, as the named groups of a rule say, in seconds from `now`.
pub(super) fn in_groups(found: &Captures<'_>, now: Time) -> Option<u64> {
    let number = |name: &str| found.name(name).and_then(|group| group.as_str().parse::<f64>().ok());
    let from_now = [("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)]
        .into_iter()
        .filter_map(|(name, seconds)| Some(number(name)? * seconds))
        .reduce(|sum, part| sum + part);
    match (from_now, number("epoch"), found.name("clock")) {
        (Some(seconds), _, _) => of_seconds(seconds),
        (None, Some(epoch), _) => until(epoch, now),
        (None, None, Some(clock)) => until_clock(clock.as_str(), now),
        (None, None, None) => None,
    }
}

/// When it may be tried again, as the words of an error say: a moment, a clock, or how long from now.
pub(super) fn in_words(text: &str, now: Time) -> Option<u64> {
    let read = |pattern: &str| Regex::new(&format!("{FILL}{pattern}")).ok();
    let (retry_after, clock, number) = (read(MOMENT)?, read(CLOCK)?, read(r"(\d)")?);
    let (before, after) = (Regex::new(BEFORE).ok()?, Regex::new(AFTER).ok()?);
    before.find_iter(text).find_map(|it| {
        let rest = &text[it.end()..];
        // The first number after the words decides: what stands behind it is about something else.
        if let Some(found) = retry_after.captures(rest) {
            return until_moment(found.get(0)?.as_str().trim_start_matches(|c: char| !c.is_ascii_digit()), now);
        }
        if let Some(found) = clock.captures(rest) {
            return until_clock(found.get(1)?.as_str(), now);
        }
        let at = number.captures(rest)?.get(1)?.start();
        duration(&rest[at..]).or_else(|| {
            let found = after.captures(rest)?;
            let each =
                if found.get(1).is_some_and(|unit| unit.as_str().eq_ignore_ascii_case("ms")) { 0.001 } else { 1.0 };
            of_seconds(found.get(2)?.as_str().parse::<f64>().ok()? * each)
        })
    })
}

/// When it may be tried again, as the data of an error says under the names that are usual for it.
pub(super) fn in_data(data: &Value, now: Time) -> Option<u64> {
    fn look(value: &Value, now: Time, depth: usize) -> Option<u64> {
        let below: Box<dyn Iterator<Item = &Value>> = match value {
            Value::Object(map) => {
                if let Some(found) = map.iter().find_map(|(name, value)| named(name, value, now)) {
                    return Some(found);
                }
                Box::new(map.values())
            }
            Value::Array(list) => Box::new(list.iter()),
            _ => return None,
        };
        if depth == 0 { None } else { below.into_iter().find_map(|value| look(value, now, depth - 1)) }
    }
    look(data, now, DEEPEST)
}

fn named(name: &str, value: &Value, now: Time) -> Option<u64> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let number = number_of(value);
    let text = value.as_str().unwrap_or_default();
    match name.as_str() {
        "retryafterms" => of_seconds(number? / 1000.0),
        "retryafter" | "retryafters" | "retryaftersec" | "retryafterseconds" => match number {
            Some(seconds) => of_seconds(seconds),
            None => until_moment(text, now).or_else(|| duration(text)),
        },
        "reset" | "resets" | "resetat" | "resetsat" | "ratelimitreset" | "xratelimitreset" => match number {
            // Some name a moment, and some how long it takes.
            Some(number) if number < 1e9 => of_seconds(number),
            Some(epoch) => until(epoch, now),
            None => until_moment(text, now).or_else(|| duration(text)),
        },
        _ => None,
    }
}

fn number_of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// `2 hours`, `1h 30m`, `42.5s` at the beginning of a text.
fn duration(mut text: &str) -> Option<u64> {
    let part = Regex::new(PART).ok()?;
    let mut sum = None;
    while let Some(found) = part.captures(text) {
        let unit = found.get(2)?.as_str().to_ascii_lowercase();
        let each = match unit.as_bytes() {
            [b'd', ..] => 86_400.0,
            [b'h', ..] => 3_600.0,
            [b's', ..] => 1.0,
            b"ms" => 0.001,
            [b'm', b'i', b'l', ..] => 0.001,
            _ => 60.0,
        };
        sum = Some(sum.unwrap_or(0.0) + found.get(1)?.as_str().parse::<f64>().ok()? * each);
        text = &text[found.get(0)?.end()..];
    }
    of_seconds(sum?)
}

fn of_seconds(seconds: f64) -> Option<u64> {
    if seconds < 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float to an integer saturates")]
    let seconds = seconds.ceil() as u64;
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

/// Seconds until a moment as RFC 3339 or a mail writes it; without a zone it is universal time.
pub(super) fn until_moment(text: &str, now: Time) -> Option<u64> {
    let text = text.trim();
    let at = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text)).ok();
    let at = at.map(|at| at.with_timezone(&Utc)).or_else(|| {
        let found = Regex::new(&format!("(?i)^{MOMENT}")).ok()?.captures(text)?;
        let (date, zone) = (found.get(1)?.as_str().replace(['T', 't'], " "), found.get(2).map(|it| it.as_str()));
        let date = if date.matches(':').count() == 1 { format!("{date}:00") } else { date };
        let shift = zone.filter(|zone| zone.starts_with(['+', '-'])).unwrap_or("+00:00");
        let date = NaiveDateTime::parse_from_str(&date, "%Y-%m-%d %H:%M:%S%.f").ok()?;
        let whole = format!("{} {shift}", date.format("%Y-%m-%d %H:%M:%S"));
        Some(DateTime::parse_from_str(&whole, "%Y-%m-%d %H:%M:%S %z").ok()?.with_timezone(&Utc))
    })?;
    let seconds = u64::try_from((at - now).num_seconds().max(0)).ok()?;
    (seconds <= LONGEST_WAIT).then_some(seconds)
}

/// Seconds until a clock shows `3pm`, `3:20 pm` or `15:20` the next time, in the local time zone. A number alone is no
/// clock.
fn until_clock(text: &str, now: Time) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, half) = match text.strip_suffix("pm").map(|rest| (rest, 12)) {
        Some(pm) => (pm.0, Some(pm.1)),
        None => text.strip_suffix("am").map_or((text.as_str(), None), |rest| (rest, Some(0))),
    };
    let (hour, minute) = match digits.trim().split_once(':') {
        Some(both) => both,
        None if half.is_some() => (digits.trim(), "0"),
        None => return None,
    };
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = half.map_or(hour, |half| hour % 12 + half);
    let local = now.with_timezone(&Local);
    let at = local.date_naive().and_time(NaiveTime::from_hms_opt(hour, minute, 0)?);
    let today = Local.from_local_datetime(&at).earliest()?;
    let wait = (today - local).num_seconds();
    u64::try_from(if wait < -JUST_PAST { wait + 86_400 } else { wait.max(0) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Time {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn noon() -> Time {
        Local.with_ymd_and_hms(2027, 3, 1, 12, 0, 0).unwrap().with_timezone(&Utc)
    }

    #[test]
    fn a_clock_names_its_next_time() {
        assert_eq!(until_clock("3pm", noon()), Some(3 * 3600));
        assert_eq!(until_clock("3:30 PM", noon()), Some(3 * 3600 + 1800));
        assert_eq!(until_clock("12am", noon()), Some(12 * 3600));
        assert_eq!(until_clock("11:00", noon()), Some(23 * 3600));
        assert_eq!(until_clock("11:50", noon()), Some(0), "that was just now");
        assert_eq!(until_clock("25:00", noon()), None);
        assert_eq!(until_clock("20", noon()), None);
    }

    #[test]
    fn absurd_waits_are_no_waits() {
        assert_eq!(until(9e9, now()), None);
        assert_eq!(until(1.0, now()), Some(0));
        assert_eq!(until(1_800_000_001_500.0, now()), Some(2));
    }

    #[test]
    fn words_tell_when() {
        // 2027-01-15T08:00:00Z.
        let cases = [
            ("Try again at 2027-01-15T09:00:00Z", Some(3600)),
            ("Try again at 2027-01-15 08:30 UTC.", Some(1800)),
            ("limit resets 2027-01-15T09:00:00.5+01:00", Some(0)),
            ("Retry-After: 120", Some(120)),
            (r#"{"retry_after_ms": 1500}"#, Some(2)),
            ("Try again in 2 hours", Some(7200)),
            ("please wait 1h 30m and 5 seconds", Some(5405)),
            ("it is back in 20 minutes", Some(1200)),
            ("retry after 250 ms", Some(1)),
            ("resets Jan 23 at 9am", None),
            ("try again 3 times", None),
            ("in 20 minutes", None),
            ("back to 100 percent, wait", None),
        ];
        for (text, wait) in cases {
            assert_eq!(in_words(text, now()), wait, "{text}");
        }
        assert_eq!(in_words("your limit resets at 13:00", noon()), Some(3600));
        assert_eq!(in_words("available again after 1:30pm.", noon()), Some(5400));
    }

    #[test]
    fn data_tells_when() {
        let cases = [
            (json!({"retryAfter": 30}), Some(30)),
            (json!({"retry_after": "12"}), Some(12)),
            (json!({"retry_after_s": 7.5}), Some(8)),
            (json!({"retry_after_ms": 1500}), Some(2)),
            (json!({"error": {"resetsAt": 1_800_000_060}}), Some(60)),
            (json!({"reset_at": "2027-01-15T08:01:00Z"}), Some(60)),
            (json!([{"reset": 45}]), Some(45)),
            (json!({"headers": {"retry-after": "Fri, 15 Jan 2027 08:02:00 GMT"}}), Some(120)),
            (json!({"reset": true, "preset": 5}), None),
            (json!("retry later"), None),
        ];
        for (data, wait) in cases {
            assert_eq!(in_data(&data, now()), wait, "{data}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_somehow(text: String) {
            in_words(&format!("retry {text}"), now());
            until_moment(&text, now());
        }
    }
}
