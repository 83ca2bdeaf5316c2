//! What an attempt is given to read: one JSON object, its prompt included.
use super::{prompt, source::Source};
use crate::{
    model::{
        aggregate::{Aggregate, Learning},
        attempt::Attempt,
        id::LearningId,
        protocol::{AgentInput, LearningInput, MilestoneInput, PROTOCOL, VerdictInput},
        ticket::Ticket,
        workflow::Rights,
    },
    views::tickets::{TicketDoc, TicketFull},
};
use serde_json::Value;

/// The input of an attempt.
pub(crate) fn input(source: &Source<'_>) -> AgentInput {
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
    input.prompt = prompt::prompt(source, &input, ticket.map(AsRef::as_ref));
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
