//! What no log of this program says: events that contradict what came before them. [`evolve`](super::evolve()) passes over
//! them; whoever folds a log asks here first, so that a record that cannot be true is not shown as one.
use p0_model::{aggregate::Aggregate, event::Event, record::Draft, run::RunState};

/// Why this event cannot follow on this state, if it cannot.
pub fn contradicts(state: &Aggregate, draft: &Draft) -> Option<String> {
    let kind = draft.event.kind();
    // The engine's own stream belongs to no milestone.
    state.milestone.as_ref()?;
    if let Some(id) = &draft.ticket {
        let creates = matches!(draft.event, Event::TicketCreated { .. } | Event::FeedbackFiled { .. });
        match (creates, state.tickets.contains_key(id)) {
            (true, true) => return Some(format!("{kind} of {id}, which is there already")),
            (false, false) => return Some(format!("{kind} of {id}, which was never created")),
            (true, false) | (false, true) => {}
        }
    }
    let id = draft.run?;
    let Some(run) = state.runs.get(&id) else {
        let begins = matches!(draft.event, Event::RunStarted { .. });
        return (!begins).then(|| format!("{kind} of run {id}, which was never started"));
    };
    let changes_its_state = matches!(
        draft.event,
        Event::RunStarted { .. }
            | Event::RunPaused { .. }
            | Event::RunAwaitingApproval { .. }
            | Event::RunResumed {}
            | Event::RunDone { .. }
            | Event::RunStuck { .. }
            | Event::RunFailed { .. }
            | Event::RunCancelled { .. }
    );
    if changes_its_state && (run.state.is_over() || matches!(draft.event, Event::RunStarted { .. })) {
        return Some(format!("{kind} of run {id}, which is {} already", run.state.word()));
    }
    if matches!(draft.event, Event::RunResumed {}) && run.state == RunState::Running {
        return Some(format!("{kind} of run {id}, which was not held up"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_model::{actor::Actor, id::TicketId};
    use p0_samples::{aggregate, at, run_id};

    fn told(ticket: Option<u32>, run: bool, event: Event) -> Option<String> {
        let ticket = ticket.map(|n| TicketId::new("BLOG", n));
        let run = run.then(run_id);
        contradicts(&aggregate(), &Draft { at: at(9), run, ticket, attempt: None, actor: Actor::Engine, event })
    }

    #[test]
    fn what_cannot_have_happened_is_told() {
        let comment = || Event::TicketCommented { text: "x".into() };
        assert_eq!(told(Some(1), true, comment()), None);
        assert!(told(Some(99), true, comment()).unwrap().contains("never created"));
        assert_eq!(told(None, true, Event::RunPaused { why: "p".into(), until: None, held: false }), None);
        assert!(told(None, true, Event::RunResumed {}).unwrap().contains("not held up"));
        let mut over = aggregate();
        std::sync::Arc::make_mut(&mut over.runs[&run_id()]).state = RunState::Done;
        let draft =
            |event| Draft { at: at(9), run: Some(run_id()), ticket: None, attempt: None, actor: Actor::Engine, event };
        let done = Event::RunDone { commit: "0".into() };
        assert!(contradicts(&over, &draft(done)).unwrap().contains("done already"));
        let mut other = draft(Event::RunPaused { why: "p".into(), until: None, held: false });
        other.run = Some(p0_model::id::RunId(uuid::Uuid::from_u128(77)));
        assert!(contradicts(&over, &other).unwrap().contains("never started"));
    }
}
