//! What the lines of a program mean, as its table says.
use super::{
    provider_error::{Classes, ProviderError},
    retry_after::{until, until_moment},
    usage_meter::{Tokens, UsageMeter},
};
use crate::{
    model::{
        Time,
        adapter::{Adapter, DeniedAt, ErrorAt, ErrorClass, Rule, UsageAt, at},
        protocol::Message,
    },
    reader::{Fragment, LineReader, Piece, Reading, Source, read_message},
};
use regex_lite::Regex;
use serde_json::{Map, Value, json};

/// Bytes of the agent's last message that are kept for `says_in_text`.
const KEPT_WORDS: usize = 4 * 1024 * 1024;

/// What was heard so far.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) usage_meter: UsageMeter,
    /// The program gives up, and why.
    pub(super) failure: Option<ProviderError>,
    /// What went wrong last.
    pub(super) notice: Option<ProviderError>,
    /// The agent's words since its last tool call.
    words: String,
    /// It said or thought something, or called a tool.
    worked: bool,
}

/// What a line led to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Effect {
    /// Protocol lines to be written now.
    pub(super) lines: Vec<Value>,
    /// Whether the program got on with its work.
    pub(super) progress: bool,
    /// Whether the turn is over.
    pub(super) turn: bool,
    /// What it complained of without giving up.
    pub(super) notice: Option<String>,
}

impl Heard {
    pub(super) fn new(usage_meter: UsageMeter) -> Self {
        Self { usage_meter, failure: None, notice: None, words: String::new(), worked: false }
    }

    /// Something shows that the model works.
    pub(super) fn shows_work(&mut self) {
        self.worked = true;
    }

    /// What the agent said last.
    pub(super) fn last_words(&self) -> &str {
        self.words.trim()
    }

    /// Why a turn that ended as usual was none: nothing was said, called or used in it; or what was said is an error
    /// that the table knows as one, and nothing else was done.
    pub(super) fn hollow(&self, classes: &Classes) -> Option<ProviderError> {
        if self.usage_meter.tool_calls() > 0 || self.usage_meter.has_used_something() {
            return None;
        }
        if !self.worked {
            let text = "the turn ended without a word, a call of a tool, or any use of the model";
            return Some(ProviderError { class: Some(ErrorClass::Overloaded), ..ProviderError::words(text) });
        }
        let words = self.last_words();
        classes.is_error_in_words(words).then(|| ProviderError::words(words))
    }

    /// Words of the agent; a `piece` goes on where the last ended.
    pub(super) fn add_words(&mut self, text: &str, piece: bool) {
        self.worked |= !text.trim().is_empty();
        if !piece && !self.words.is_empty() {
            self.words.push('\n');
        }
        if self.words.len() + text.len() <= KEPT_WORDS {
            self.words.push_str(text);
        }
    }

    /// A tool was called: what was said before it was not the last word. The first call is told at once: the agent
    /// works.
    pub(super) fn tool_called(&mut self) -> Option<Value> {
        self.usage_meter.tool_called();
        self.worked = true;
        self.words.clear();
        (self.usage_meter.tool_calls() == 1).then(|| self.usage_meter.activity_line())
    }

    /// What the agent's last message says in protocol objects, and which of them cannot be read. What the driver alone may
    /// say (usage, session, failures) is not among them, nor what is no message.
    pub(super) fn said_in_text(&self) -> Vec<Value> {
        let mut reader = LineReader::new(Source::Agent);
        let mut pieces = Vec::new();
        for (line, number) in self.words.split('\n').zip(1..) {
            pieces.extend(reader.line(number, line.as_bytes()));
        }
        pieces.extend(reader.end());
        pieces.into_iter().filter_map(said).collect()
    }
}

fn said(piece: Piece) -> Option<Value> {
    match piece {
        Piece::Object(value) => match read_message(&value) {
            Reading::Message { message, .. } => (!OWN_WORDS.contains(&message.word())).then_some(value),
            // The engine says why.
            Reading::Unreadable(unreadable) => {
                let what = unreadable.what.as_str();
                (Message::is_word(what) && !OWN_WORDS.contains(&what)).then_some(value)
            }
            Reading::Log => None,
        },
        // An agent's words are full of code: only what names a message was meant as one.
        Piece::Unreadable(it) if Message::is_word(&it.what) && !OWN_WORDS.contains(&it.what.as_str()) => {
            Some(it.message(&it.what))
        }
        Piece::Unreadable(_) => None,
    }
}

/// What only the driver says.
const OWN_WORDS: &[&str] =
    &["usage", "session", "failed", "rate_limited", "activity", "permission", "ask", "unreadable"];

/// A table's rules, ready for use.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<(Rule, Option<Regex>)>,
    /// The last keys of the paths that lead to numbers of usage.
    usage_keys: Vec<String>,
    /// Whether the program ends with its turn.
    one_turn: bool,
}

impl Rules {
    /// Of this table. What is no regular expression was refused when the table was read.
    pub(super) fn new(adapter: &Adapter) -> Self {
        let compiled = |rule: &Rule| (rule.clone(), rule.regex.as_deref().and_then(|text| Regex::new(text).ok()));
        let reports = adapter.rules.iter().filter_map(|rule| rule.usage.as_ref()).chain(&adapter.acp.usage);
        let paths = reports.flat_map(|at| at.input.iter().chain(&at.output).chain(&at.cached).chain(&at.cost));
        let last = |path: &String| format!("\"{}\"", path.rsplit('.').next().unwrap_or(path));
        Self {
            usage_keys: paths.map(last).collect(),
            rules: adapter.rules.iter().map(compiled).collect(),
            one_turn: adapter.needs_end,
        }
    }

    /// The protocol line about an event of the program that cannot be read: a report of usage where it has the numbers'
    /// keys.
    pub(super) fn unreadable(&self, fragment: &Fragment) -> Value {
        let tells_usage = self.usage_keys.iter().any(|key| fragment.text.contains(key.as_str()));
        fragment.message(if tells_usage { "usage" } else { "event" })
    }

    /// Takes one event in.
    pub(super) fn take(&self, event: &Value, heard: &mut Heard, now: Time) -> Effect {
        let mut effect = Effect::default();
        for (rule, regex) in &self.rules {
            if !rule.when.iter().all(|(path, expected)| expected.holds(at(event, path))) {
                continue;
            }
            let captured;
            let event = match regex {
                Some(regex) => match with_groups(event, regex) {
                    Some(found) => {
                        captured = found;
                        &captured
                    }
                    None => continue,
                },
                None => event,
            };
            if rule.ignore {
                break;
            }
            apply(rule, event, heard, &mut effect, now);
        }
        if let Some(line) = heard.usage_meter.session_line(false) {
            effect.lines.push(line);
        }
        // After every rule: the last line of a turn must say so.
        let usage_meter = &mut heard.usage_meter;
        let told = if effect.turn { usage_meter.usage_line(self.one_turn) } else { usage_meter.grown_usage_line() };
        effect.lines.extend(told);
        effect
    }
}

/// The event of a text line with the named groups of `regex` as further keys.
fn with_groups(event: &Value, regex: &Regex) -> Option<Value> {
    let line = event.get("line")?.as_str()?;
    let found = regex.captures(line)?;
    let mut map: Map<String, Value> = event.as_object()?.clone();
    for name in regex.capture_names().flatten() {
        if let Some(group) = found.name(name) {
            map.insert(name.to_owned(), json!(group.as_str()));
        }
    }
    Some(Value::Object(map))
}

fn apply(rule: &Rule, event: &Value, heard: &mut Heard, effect: &mut Effect, now: Time) {
    if let Some(id) = text_at(event, rule.session.as_deref()) {
        heard.usage_meter.set_session(id);
    }
    if let Some(name) = text_at(event, rule.model.as_deref()) {
        heard.usage_meter.set_model(name);
    }
    match &rule.each {
        None => apply_parts(rule, event, heard, effect),
        Some(path) => {
            let elements = at(event, path).and_then(Value::as_array);
            for element in elements.into_iter().flatten() {
                if rule.element.iter().all(|(path, expected)| expected.holds(at(element, path))) {
                    apply_parts(rule, element, heard, effect);
                }
            }
        }
    }
    if let Some(usage) = &rule.usage {
        effect.lines.extend(count(usage, event, &mut heard.usage_meter).as_deref().map(unread_usage));
        effect.progress = true;
    }
    if let Some(place) = &rule.notice {
        let notice = provider_error(place, event, now);
        effect.notice = Some(notice.text.clone());
        heard.notice = Some(notice);
    }
    if let Some(place) = &rule.failure {
        heard.failure = Some(provider_error(place, event, now));
    }
    if rule.turn {
        heard.usage_meter.turn_ended();
        effect.progress = true;
        effect.turn = true;
    }
}

/// What may be said of each element of an array.
fn apply_parts(rule: &Rule, event: &Value, heard: &mut Heard, effect: &mut Effect) {
    if let Some(path) = &rule.tool
        && at(event, path).is_some()
    {
        effect.lines.extend(heard.tool_called());
        effect.progress = true;
    }
    if let Some(text) = text_at(event, rule.text.as_deref()) {
        heard.add_words(text, rule.piece);
        effect.progress = true;
    }
    if let Some(place) = &rule.denied {
        effect.lines.push(denied(place, event));
    }
}

fn text_at<'a>(event: &'a Value, path: Option<&str>) -> Option<&'a str> {
    at(event, path?)?.as_str()
}

/// A text, whatever it was written as.
fn words_at(event: &Value, path: &str) -> Option<String> {
    match at(event, path)? {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Reads the numbers that `usage` names into the account; the answer is why some of them cannot be read.
#[must_use]
pub(super) fn count(usage: &UsageAt, event: &Value, usage_meter: &mut UsageMeter) -> Option<String> {
    let sum = |paths: &[String]| paths.iter().filter_map(|path| whole(at(event, path)?)).reduce(u64::saturating_add);
    let (input, output, cached) = (sum(&usage.input), sum(&usage.output), sum(&usage.cached));
    if input.is_some() || output.is_some() {
        let tokens = Tokens {
            input: input.unwrap_or_default(),
            output: output.unwrap_or_default(),
            cached: cached.unwrap_or_default(),
        };
        usage_meter.add_tokens(usage.scope, tokens, text_at(event, usage.id.as_deref()));
    }
    let cost = usage.cost.as_deref().and_then(|path| number(at(event, path)?)).filter(|usd| *usd >= 0.0);
    if let Some(usd) = cost {
        usage_meter.add_cost(usage.cost_scope.unwrap_or(usage.scope), usd);
    }
    not_counted(usage, event, (input, output))
}

/// Why a report's numbers cannot be read: one is there and is none, or none of them is where the table expects them while
/// others are.
fn not_counted(usage: &UsageAt, event: &Value, (input, output): (Option<u64>, Option<u64>)) -> Option<String> {
    let there = |path: &String| at(event, path).filter(|value| !value.is_null());
    let numbers = usage.input.iter().chain(&usage.output).chain(&usage.cached);
    let bad = numbers.clone().find(|path| there(path).is_some_and(|value| whole(value).is_none()));
    let bad_cost = || usage.cost.iter().find(|path| there(path).is_some_and(|v| number(v).is_none_or(|n| n < 0.0)));
    if let Some(path) = bad.or_else(bad_cost) {
        return Some(format!("`{path}` is no number: {}", at(event, path).unwrap_or(&Value::Null)));
    }
    let around = numbers.filter_map(|path| path.rsplit_once('.')).map(|(around, _)| around);
    let mut around = around.filter_map(|path| at(event, path).filter(|value| !value.is_null()));
    let is_of_another_form = |value: &Value| match value {
        Value::Object(fields) => {
            let counts = |part: &str| fields.iter().any(|(key, n)| n.is_number() && key.to_lowercase().contains(part));
            match (input, output) {
                (None, None) => fields.values().any(Value::is_number),
                (Some(_), None) => !usage.output.is_empty() && counts("output"),
                (None, Some(_)) => !usage.input.is_empty() && counts("input"),
                (Some(_), Some(_)) => false,
            }
        }
        _ => input.is_none() && output.is_none(),
    };
    around
        .find(|value| is_of_another_form(value))
        .map(|value| format!("it has not the numbers that are known: {value}"))
}

/// The protocol line about a report of usage that cannot be read.
pub(super) fn unread_usage(why: &str) -> Value {
    json!({ "type": "unreadable", "what": "usage", "why": why })
}

fn whole(value: &Value) -> Option<u64> {
    let number = number(value)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float to an integer saturates")]
    value.as_u64().or((number >= 0.0).then_some(number.round() as u64))
}

/// A number, or a text such as `1.2k` or `1,234`.
fn number(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.trim().replace(',', ""),
        _ => return None,
    };
    let (digits, times) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1e3),
        b'm' => (&text[..text.len() - 1], 1e6),
        _ => (text.as_str(), 1.0),
    };
    digits.parse::<f64>().ok().map(|number| number * times)
}

fn provider_error(place: &ErrorAt, event: &Value, now: Time) -> ProviderError {
    let number_at = |path: &Option<String>| path.as_deref().and_then(|path| number(at(event, path)?));
    let retry = number_at(&place.retry_after_s).filter(|s| *s >= 0.0).and_then(|s| {
        #[expect(clippy::cast_precision_loss, reason = "a moment in seconds is far below 2^53")]
        until(now.timestamp() as f64 + s, now)
    });
    let retry_after = || until_moment(text_at(event, place.reset_at.as_deref())?, now);
    ProviderError {
        text: place.text.iter().find_map(|path| words_at(event, path)).unwrap_or_default(),
        status: number_at(&place.status).and_then(|status| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
            let status = status as u16;
            (400..600).contains(&status).then_some(status)
        }),
        retry_after_s: number_at(&place.reset_at).and_then(|epoch| until(epoch, now)).or_else(retry_after).or(retry),
        class: place.class,
        likely: None,
    }
}

fn denied(place: &DeniedAt, event: &Value) -> Value {
    json!({
        "type": "permission",
        "tool": place.tool.as_deref().and_then(|path| words_at(event, path)).unwrap_or_default(),
        "target": place.target.iter().find_map(|path| words_at(event, path)).unwrap_or_default(),
        "allowed": false,
        "why": place.why.as_deref().and_then(|path| words_at(event, path))
            .unwrap_or_else(|| "refused by the program's own permissions".to_owned()),
    })
}
