//! What an attempt is given to read: one JSON object, its prompt included.
use crate::{
    model::{
        aggregate::{Aggregate, Learning},
        attempt::Attempt,
        files::Files,
        id::LearningId,
        protocol::{AgentInput, LearningInput, MilestoneInput, PROTOCOL, VerdictInput},
        run::Run,
        ticket::Ticket,
        workflow::Rights,
    },
    views::tickets::{TicketDoc, TicketFull},
};
use serde_json::Value;
use std::fmt::Write as _;

/// The templates that ship with p0, one per kind of rights.
fn template(rights: Rights) -> &'static str {
    match rights {
        Rights::Planner => include_str!("../../roles/planner.md"),
        Rights::Executor => include_str!("../../roles/executor.md"),
        Rights::Verifier => include_str!("../../roles/verifier.md"),
        Rights::Specialist => include_str!("../../roles/specialist.md"),
    }
}

/// Everything that an attempt's input is made from.
pub(super) struct Source<'a> {
    pub(super) state: &'a Aggregate,
    pub(super) run: &'a Run,
    pub(super) attempt: &'a Attempt,
    pub(super) spec: String,
    /// `.p0/roles/<role>.md`, where the project has one.
    pub(super) template: Option<String>,
}

/// The input of an attempt.
pub(super) fn input(source: &Source<'_>) -> AgentInput {
    let Source { state, run, attempt, .. } = source;
    let ticket = attempt.ticket.as_ref().and_then(|id| state.tickets.get(id));
    let mut input = AgentInput {
        protocol: PROTOCOL,
        role: attempt.role.0.clone(),
        run: attempt.run.to_string(),
        iteration: attempt.iteration,
        attempt: attempt.id.to_string(),
        round: attempt.round,
        prompt: String::new(),
        milestone: MilestoneInput {
            id: state.milestone.as_ref().map(|m| m.key.clone()).unwrap_or_default(),
            title: state.milestone.as_ref().map(|m| m.title.clone()).unwrap_or_default(),
            body: source.spec.clone(),
        },
        ticket: ticket.map(|t| json(&TicketFull::of(state, t, None))),
        tickets: visible(state, attempt),
        backlog: if attempt.rights == Rights::Planner { run.backlog.clone() } else { Vec::new() },
        verdict: run.verdict.as_ref().map(|v| VerdictInput {
            met: v.met,
            rationale: v.rationale.clone(),
            gaps: v.gaps.clone(),
            commit: v.commit.0.clone(),
        }),
        learnings: learnings(state),
        feedback: attempt.feedback.clone(),
        files: ticket.map(|t| t.seed.files.clone()).unwrap_or_default(),
    };
    input.prompt = prompt(source, &input, ticket.map(AsRef::as_ref));
    input
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// The items a role may see: a planner all of them, an executor its own and those it depends on, the others all.
fn visible(state: &Aggregate, attempt: &Attempt) -> Vec<Value> {
    let own = attempt.ticket.as_ref().and_then(|id| state.tickets.get(id));
    let shows = |ticket: &Ticket| match attempt.rights {
        Rights::Planner | Rights::Verifier | Rights::Specialist => true,
        Rights::Executor => own.is_some_and(|own| {
            own.seed.id == ticket.seed.id
                || own.seed.depends_on.contains(&ticket.seed.id)
                || own.seed.closes.contains(&ticket.seed.id)
                || own.seed.parent.as_ref() == Some(&ticket.seed.id)
        }),
    };
    state.tickets.values().filter(|t| shows(t)).map(|t| json(&TicketDoc::of(state, t))).collect()
}

/// What was learned, but for what a curator dropped.
fn learnings(state: &Aggregate) -> Vec<LearningInput> {
    let shown =
        |(id, learning): (&LearningId, &Learning)| LearningInput { id: id.0.clone(), text: learning.text.clone() };
    state.learnings.iter().filter(|(_, l)| l.curated != Some(false)).map(shown).collect()
}

/// The prompt: the role's template, then what it is about, in words.
fn prompt(source: &Source<'_>, input: &AgentInput, ticket: Option<&Ticket>) -> String {
    let mut text = source.template.clone().unwrap_or_else(|| template(source.attempt.rights).to_owned());
    if let Some(own) = source.run.settings.roles.get(&source.attempt.role).and_then(|r| r.prompt.as_deref()) {
        let _ = write!(text, "\n\n{own}");
    }
    let _ =
        write!(text, "\n\n# The milestone {}: {}\n\n{}", input.milestone.id, input.milestone.title, source.spec.trim());
    if let Some(ticket) = ticket {
        let _ =
            write!(text, "\n\n# Your ticket {}: {}\n\n{}", ticket.seed.id, ticket.seed.title, ticket.seed.body.trim());
        let _ = write!(text, "\n\n{}", owned(&ticket.seed.files));
        criteria(&mut text, ticket);
    }
    if let Some(verdict) = &input.verdict {
        let met = if verdict.met { "met" } else { "not met" };
        let _ = write!(text, "\n\n# The last verdict: {met}\n\n{}", verdict.rationale);
        list(&mut text, &verdict.gaps);
    }
    let backlog = input.backlog.iter().map(|b| format!("{}: {}", b.id, b.title));
    section(&mut text, "Unfinished items of other milestones", backlog);
    section(&mut text, "What was learned", input.learnings.iter().map(|l| format!("{}: {}", l.id, l.text)));
    section(&mut text, "Why the last round was refused", input.feedback.iter().cloned());
    text.push('\n');
    text
}

fn owned(files: &Files) -> String {
    let mut text = String::from("You may create and modify only these files; anything else is refused:");
    for (what, paths) in [("create", &files.create), ("modify", &files.modify)] {
        for path in paths {
            let _ = write!(text, "\n- {what} `{path}`");
        }
    }
    text
}

fn criteria(text: &mut String, ticket: &Ticket) {
    use crate::model::ticket::Criterion;
    let Some(contract) = &ticket.seed.contract else { return };
    let shown = contract.acceptance_criteria.iter().map(|c| match c {
        Criterion::Text(text) => text.clone(),
        Criterion::Checked { text, command: None } => text.clone(),
        Criterion::Checked { text, command: Some(command) } => format!("{text} (checked by `{}`)", command.join(" ")),
    });
    section(text, "When it is good", shown);
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        let _ = write!(text, "\n\n# {title}\n");
        list(text, &lines);
    }
}

fn list(text: &mut String, lines: &[String]) {
    for line in lines {
        let _ = write!(text, "\n- {line}");
    }
}
