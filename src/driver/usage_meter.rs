//! What an attempt used and did, whatever way its program counts.
use super::file::Resume;
use crate::model::adapter::Scope;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cached: u64,
}

impl Tokens {
    fn plus(self, other: Tokens) -> Tokens {
        Tokens {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached: self.cached.saturating_add(other.cached),
        }
    }

    fn minus(self, other: Tokens) -> Tokens {
        Tokens {
            input: self.input.saturating_sub(other.input),
            output: self.output.saturating_sub(other.output),
            cached: self.cached.saturating_sub(other.cached),
        }
    }
}

/// A number of one kind: what a report of a larger scope said, and what was added since.
#[derive(Debug, Clone, Copy, Default)]
struct Sum<T> {
    reported: Option<T>,
    added: T,
}

/// One attempt's account.
#[derive(Debug)]
pub(super) struct UsageMeter {
    /// Where the conversation stood when it was resumed.
    base: Resume,
    resumed: bool,
    session: Option<String>,
    told_session: bool,
    model: Option<String>,
    tokens: Sum<Tokens>,
    cost: Sum<f64>,
    knows_cost: bool,
    /// What a try before this conversation used; in no report of this one.
    carried: Tokens,
    carried_cost: f64,
    /// What is in `tokens.added` of messages that may be reported again.
    messages: HashMap<String, Tokens>,
    tool_calls: u64,
    turns: u64,
    last_usage: Option<Value>,
    /// Whatever was used is told at once.
    tells_all: bool,
}

impl UsageMeter {
    /// A new account; `resume` when a conversation goes on.
    pub(super) fn new(model: Option<String>, resume: Option<&Resume>) -> Self {
        Self {
            base: resume.cloned().unwrap_or_default(),
            resumed: resume.is_some(),
            session: None,
            told_session: false,
            model,
            tokens: Sum::default(),
            cost: Sum::default(),
            knows_cost: false,
            carried: Tokens::default(),
            carried_cost: 0.0,
            messages: HashMap::new(),
            tool_calls: 0,
            turns: 0,
            last_usage: None,
            tells_all: false,
        }
    }

    /// There is a budget: the least that was used is told at once.
    pub(super) fn tell_all(&mut self) {
        self.tells_all = true;
    }

    /// The conversation could not be resumed: what comes is a new one. What was used so far still counts.
    pub(super) fn begin_anew(&mut self) {
        (self.carried, self.carried_cost) = (self.used(), self.spent());
        self.tokens = Sum::default();
        self.cost = Sum::default();
        self.messages.clear();
        self.turns = 0;
        self.base = Resume::default();
        self.resumed = false;
        self.session = None;
        self.told_session = false;
    }

    /// The conversation's id.
    pub(super) fn set_session(&mut self, id: &str) {
        if !id.is_empty() && self.session.as_deref() != Some(id) {
            self.session = Some(id.to_owned());
            self.told_session = false;
        }
    }

    /// The conversation's id, once it is known.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The model's name, when the configuration named none.
    pub(super) fn set_model(&mut self, name: &str) {
        if self.model.is_none() && !name.is_empty() {
            self.model = Some(name.to_owned());
        }
    }

    pub(super) fn tool_called(&mut self) {
        self.tool_calls += 1;
    }

    pub(super) fn turn_ended(&mut self) {
        self.turns += 1;
    }

    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    pub(super) fn tool_calls(&self) -> u64 {
        self.tool_calls
    }

    /// Tokens of `scope`; `id` names the message they belong to.
    pub(super) fn add_tokens(&mut self, scope: Scope, tokens: Tokens, id: Option<&str>) {
        match scope {
            Scope::Message => {
                let before = id.and_then(|id| self.messages.insert(id.to_owned(), tokens)).unwrap_or_default();
                self.tokens.added = self.tokens.added.minus(before).plus(tokens);
            }
            Scope::Run => self.report_tokens(tokens),
            Scope::Session => {
                let base = Tokens {
                    input: self.base.input_tokens,
                    output: self.base.output_tokens,
                    cached: self.base.cached_tokens,
                };
                // Less than there was: the program counts anew, whatever it was thought to do.
                let anew = tokens.input < base.input || tokens.output < base.output;
                self.report_tokens(if anew { tokens } else { tokens.minus(base) });
            }
        }
    }

    fn report_tokens(&mut self, tokens: Tokens) {
        self.messages.clear();
        self.tokens = Sum { reported: Some(tokens), added: Tokens::default() };
    }

    /// Dollars of `scope`.
    pub(super) fn add_cost(&mut self, scope: Scope, usd: f64) {
        if !usd.is_finite() || usd < 0.0 {
            return;
        }
        self.knows_cost = true;
        match scope {
            Scope::Message => self.cost.added += usd,
            Scope::Run => self.cost = Sum { reported: Some(usd), added: 0.0 },
            Scope::Session => {
                let base = self.base.cost_usd;
                let own = if usd < base { usd } else { usd - base };
                self.cost = Sum { reported: Some(own), added: 0.0 };
            }
        }
    }

    /// What this attempt used so far.
    fn used(&self) -> Tokens {
        let mut used = self.carried.plus(self.tokens.reported.unwrap_or_default()).plus(self.tokens.added);
        used.cached = used.cached.min(used.input);
        used
    }

    /// Whether anything is known to have been used in this attempt.
    pub(super) fn has_used_something(&self) -> bool {
        self.used() != Tokens::default() || self.spent() > 0.0
    }

    fn spent(&self) -> f64 {
        rounded(self.carried_cost + self.cost.reported.unwrap_or_default() + self.cost.added)
    }

    /// The `usage` line in the middle of a turn: when a quarter more was used than was told. So a budget sees a long
    /// turn grow, and what a killed attempt used is known within a quarter, in few lines.
    pub(super) fn grown_usage_line(&mut self) -> Option<Value> {
        if self.tells_all {
            return self.usage_line(false);
        }
        let told = |key: &str| self.last_usage.as_ref().and_then(|line| line.get(key)?.as_u64()).unwrap_or_default();
        let used = self.used();
        let grown = |now: u64, before: u64| now > before.saturating_add(before / 4);
        let enough = grown(used.input, told("input_tokens")) || grown(used.output, told("output_tokens"));
        if enough { self.usage_line(false) } else { None }
    }

    /// The `usage` line, when it says something that the last one did not. `last`: nothing more will be used.
    pub(super) fn usage_line(&mut self, last: bool) -> Option<Value> {
        let used = self.used();
        if used == Tokens::default() && self.spent() == 0.0 {
            return None;
        }
        let mut line = json!({
            "type": "usage",
            "model": self.model,
            "input_tokens": used.input,
            "output_tokens": used.output,
            "cached_tokens": used.cached,
            "total": true,
        });
        if self.knows_cost {
            line["cost_usd"] = json!(self.spent());
        }
        if self.last_usage.as_ref() == Some(&line) {
            return None;
        }
        self.last_usage = Some(line.clone());
        if last {
            line["last"] = json!(true);
        }
        Some(line)
    }

    /// The `session` line, once its id is known and again when asked for at the `end`.
    pub(super) fn session_line(&mut self, end: bool) -> Option<Value> {
        let session = self.session.clone()?;
        if self.told_session && !end {
            return None;
        }
        self.told_session = true;
        let used = self.used().minus(self.carried);
        Some(json!({
            "type": "session",
            "session": session,
            "resumed": self.resumed,
            "input_tokens": self.base.input_tokens + used.input,
            "output_tokens": self.base.output_tokens + used.output,
            "cached_tokens": self.base.cached_tokens + used.cached,
            "cost_usd": rounded(self.base.cost_usd + self.spent() - self.carried_cost),
        }))
    }

    /// The `activity` line.
    pub(super) fn activity_line(&self) -> Value {
        json!({ "type": "activity", "tool_calls": self.tool_calls, "turns": self.turns })
    }
}

/// Sums of dollars in binary: what is below a millionth of a cent is no money.
fn rounded(usd: f64) -> f64 {
    ((usd * 1e8).round() / 1e8).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: u64, output: u64, cached: u64) -> Tokens {
        Tokens { input, output, cached }
    }

    fn resumed() -> UsageMeter {
        let base =
            Resume { session: "s".into(), input_tokens: 100, output_tokens: 10, cached_tokens: 5, cost_usd: 0.02 };
        UsageMeter::new(None, Some(&base))
    }

    #[test]
    fn a_cumulative_report_is_told_without_what_was_there_before() {
        let mut usage_meter = resumed();
        usage_meter.add_tokens(Scope::Session, tokens(250, 30, 15), None);
        usage_meter.add_cost(Scope::Session, 0.05);
        let line = usage_meter.usage_line(false).unwrap();
        assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&json!(150), &json!(20)));
        assert_eq!((&line["cached_tokens"], &line["cost_usd"]), (&json!(10), &json!(0.03)));
        assert_eq!(usage_meter.usage_line(false), None);
        usage_meter.set_session("s");
        let line = usage_meter.session_line(true).unwrap();
        assert_eq!((&line["input_tokens"], &line["cost_usd"]), (&json!(250), &json!(0.05)));
    }

    #[test]
    fn a_program_that_counts_anew_is_believed() {
        let mut usage_meter = resumed();
        usage_meter.add_tokens(Scope::Session, tokens(40, 3, 0), None);
        assert_eq!(usage_meter.used(), tokens(40, 3, 0));
        usage_meter.add_cost(Scope::Session, 0.01);
        assert_eq!(usage_meter.spent(), 0.01);
    }

    #[test]
    fn messages_are_added_once_and_replaced_by_the_run_s_total() {
        let mut usage_meter = resumed();
        usage_meter.add_tokens(Scope::Message, tokens(10, 1, 0), Some("a"));
        usage_meter.add_tokens(Scope::Message, tokens(10, 4, 0), Some("a"));
        usage_meter.add_tokens(Scope::Message, tokens(20, 2, 9), Some("b"));
        usage_meter.add_tokens(Scope::Message, tokens(1, 1, 0), None);
        assert_eq!(usage_meter.used(), tokens(31, 7, 9));
        usage_meter.add_tokens(Scope::Run, tokens(35, 8, 9), None);
        assert_eq!(usage_meter.used(), tokens(35, 8, 9));
        usage_meter.add_tokens(Scope::Message, tokens(5, 1, 0), Some("c"));
        assert_eq!(usage_meter.used(), tokens(40, 9, 9));
    }

    #[test]
    fn a_long_turn_is_told_of_as_it_grows() {
        let mut usage_meter = UsageMeter::new(None, None);
        let mut told = 0;
        for _ in 0..1000 {
            usage_meter.add_tokens(Scope::Message, tokens(1000, 10, 0), None);
            told += u64::from(usage_meter.grown_usage_line().is_some());
        }
        assert!((20..40).contains(&told), "{told}");
        assert_eq!(usage_meter.usage_line(false).unwrap()["input_tokens"], json!(1_000_000));
    }

    #[test]
    fn with_a_budget_everything_is_told_at_once() {
        let mut usage_meter = UsageMeter::new(None, None);
        usage_meter.tell_all();
        for n in 1..20 {
            usage_meter.add_tokens(Scope::Message, tokens(1000, 10, 0), None);
            let told = usage_meter.grown_usage_line().unwrap();
            assert_eq!((&told["input_tokens"], told.get("last")), (&json!(n * 1000), None));
        }
        usage_meter.add_cost(Scope::Run, 0.5);
        assert_eq!(usage_meter.grown_usage_line().unwrap()["cost_usd"], json!(0.5));
        usage_meter.add_cost(Scope::Run, 0.6);
        assert_eq!(usage_meter.usage_line(true).unwrap()["last"], json!(true));
        assert_eq!(usage_meter.usage_line(true), None, "nothing new");
    }

    #[test]
    fn what_a_failed_resumption_used_still_counts() {
        let mut usage_meter = resumed();
        usage_meter.set_session("s");
        usage_meter.add_tokens(Scope::Run, tokens(7, 1, 0), None);
        usage_meter.begin_anew();
        usage_meter.set_session("t");
        usage_meter.add_tokens(Scope::Message, tokens(10, 1, 0), None);
        assert_eq!(usage_meter.used(), tokens(17, 2, 0));
        assert_eq!(usage_meter.session_line(false).unwrap()["resumed"], json!(false));
    }

    #[test]
    fn nothing_known_is_nothing_said() {
        let mut usage_meter = UsageMeter::new(None, None);
        assert_eq!((usage_meter.usage_line(false), usage_meter.session_line(true)), (None, None));
        usage_meter.add_cost(Scope::Run, f64::NAN);
        assert_eq!(usage_meter.usage_line(false), None);
    }
}
