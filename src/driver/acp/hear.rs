//! What the agent tells while it works: `session/update`.
use super::{Inner, Shared, mode};
use crate::{
    driver::{provider_error::Classes, rules::Rules},
    model::adapter::Scope,
    system::clock,
};
use serde_json::Value;
use std::collections::HashMap;

/// Tool calls whose description is remembered; older ones are forgotten one by one.
const REMEMBERED: usize = 4_096;

/// What was heard of tool calls.
#[derive(Default)]
pub(super) struct Ear {
    /// The agent tells an earlier conversation again: nothing of it is new.
    pub(super) replaying: bool,
    /// It has its prompt: what it does from now on is its work.
    pub(super) prompted: bool,
    /// The last tool that it was refused.
    pub(super) refused: Option<String>,
    calls: HashMap<String, Value>,
}

impl Ear {
    /// What is known of the tool call that `told` is about: what was told of it before, with `told` laid over it.
    pub(super) fn known(&self, told: &Value) -> Value {
        let before = told.get("toolCallId").and_then(Value::as_str).and_then(|id| self.calls.get(id));
        let mut known = before.cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        if let (Some(known), Some(told)) = (known.as_object_mut(), told.as_object()) {
            for (key, value) in told.iter().filter(|(_, value)| !value.is_null()) {
                known.insert(key.clone(), value.clone());
            }
        }
        known
    }

    /// Remembers a tool call; answers whether it is a new one.
    fn remember(&mut self, told: &Value) -> bool {
        let Some(id) = told.get("toolCallId").and_then(Value::as_str) else { return true };
        let known = self.known(told);
        if self.calls.len() >= REMEMBERED && !self.calls.contains_key(id) {
            let oldest = self.calls.keys().next().cloned();
            oldest.map(|oldest| self.calls.remove(&oldest));
        }
        // The words of a call's result may be long, and nobody asks for them again.
        let mut slim = known;
        if let Some(map) = slim.as_object_mut() {
            map.remove("rawOutput");
        }
        self.calls.insert(id.to_owned(), slim).is_none()
    }
}

impl Shared {
    /// Takes the parameters of one `session/update` in. A session that has to ask, and that the agent puts into a mode
    /// that does not, is ended.
    pub(super) fn update(&self, params: &Value, cost_scope: Scope) {
        let Some(update) = params.get("update") else { return };
        let begun = {
            let mut inner = self.inner();
            inner.mode.read_update(update);
            if inner.ear.replaying {
                return;
            }
            inner.update(update, cost_scope, &self.rules, &self.classes);
            inner.ear.prompted
        };
        if begun && let Some(provider_error) = mode::refusal(self) {
            self.inner().broke = Some(provider_error);
            self.over.send_replace(true);
        }
    }
}

impl Inner {
    fn update(&mut self, update: &Value, cost_scope: Scope, rules: &Rules, classes: &Classes) {
        match update.get("sessionUpdate").and_then(Value::as_str) {
            Some("agent_message_chunk") => {
                if let Some(text) = update.pointer("/content/text").and_then(Value::as_str) {
                    self.heard.add_words(text, true);
                }
            }
            Some("agent_thought_chunk" | "plan") => self.heard.shows_work(),
            // A call may be told of by its updates alone.
            Some("tool_call" | "tool_call_update") => {
                let is_new = self.ear.remember(update);
                if is_new && let Some(line) = self.heard.tool_called() {
                    self.out.say(&line);
                }
            }
            Some("usage_update") => {
                let is_dollars = update.pointer("/cost/currency").and_then(Value::as_str).is_none_or(|c| c == "USD");
                if let Some(usd) = update.pointer("/cost/amount").and_then(Value::as_f64).filter(|_| is_dollars) {
                    self.heard.usage_meter.add_cost(cost_scope, usd);
                }
            }
            _ => {}
        }
        let effect = rules.take(update, &mut self.heard, clock::now());
        effect.lines.iter().for_each(|line| self.out.say(line));
        match &effect.notice {
            Some(notice) => self.log.line(notice, classes),
            None => self.log.progress(),
        }
        self.usage_log.read(&mut self.heard.usage_meter);
        if let Some(line) = self.heard.usage_meter.grown_usage_line() {
            self.out.say(&line);
        }
    }
}
