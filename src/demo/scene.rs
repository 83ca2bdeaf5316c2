//! The file a playbook is written in, and which of its scenes applies. The format is described in `playbook`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A whole playbook.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Playbook {
    #[serde(default, rename = "scene")]
    scenes: Vec<Scene>,
}

/// One scene: when it applies, and what it does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Scene {
    role: Option<String>,
    ticket: Option<String>,
    ticket_title: Option<String>,
    round: Option<u64>,
    iteration: Option<u64>,
    pub(super) pause_ms: u64,
    pub(super) write: BTreeMap<String, String>,
    pub(super) append: BTreeMap<String, String>,
    pub(super) delete: Vec<String>,
    pub(super) run: Vec<Vec<String>>,
    pub(super) stderr: Option<String>,
    pub(super) say: Vec<toml::Table>,
    pub(super) otherwise: Option<Vec<toml::Table>>,
    pub(super) exit: u8,
}

impl Playbook {
    /// Reads a playbook; an error is (line from 1, what is wrong).
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            (line, error.message().to_owned())
        })
    }

    /// The first scene whose conditions all hold for this input.
    pub(super) fn scene_for(&self, input: &Value) -> Option<&Scene> {
        self.scenes.iter().find(|scene| scene.applies(input))
    }
}

impl Scene {
    fn applies(&self, input: &Value) -> bool {
        let text = |pointer: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|it| input.pointer(pointer).and_then(Value::as_str) == Some(it))
        };
        let number = |pointer: &str, wanted: Option<u64>| {
            wanted.is_none_or(|it| input.pointer(pointer).and_then(Value::as_u64) == Some(it))
        };
        text("/role", &self.role)
            && text("/ticket/id", &self.ticket)
            && text("/ticket/title", &self.ticket_title)
            && number("/round", self.round)
            && number("/iteration", self.iteration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_scene_whose_conditions_all_hold_is_played() {
        let text = r#"
            [[scene]]
            role = "executor"
            ticket_title = "API"
            round = 2
            exit = 1
            [[scene]]
            role = "executor"
            exit = 2
            [[scene]]
            exit = 3
        "#;
        let book = Playbook::parse(text).unwrap();
        let exit = |input| book.scene_for(&input).unwrap().exit;
        assert_eq!(exit(serde_json::json!({"role": "executor", "round": 2, "ticket": {"title": "API"}})), 1);
        assert_eq!(exit(serde_json::json!({"role": "executor", "round": 1, "ticket": {"title": "API"}})), 2);
        assert_eq!(exit(serde_json::json!({"role": "planner", "ticket": null})), 3);
    }

    #[test]
    fn nothing_matches_an_empty_playbook() {
        assert!(Playbook::parse("").unwrap().scene_for(&serde_json::json!({"role": "planner"})).is_none());
    }

    #[test]
    fn an_error_names_its_line() {
        let (line, what) = Playbook::parse("[[scene]]\nrole = \"planner\"\nsayy = []\n").unwrap_err();
        assert_eq!(line, 3);
        assert!(what.contains("sayy"), "{what}");
        assert_eq!(Playbook::parse("\n\nrole = ").unwrap_err().0, 3);
    }
}
