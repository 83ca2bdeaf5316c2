//! Who is at work now, folded from a run's events.
use p0_model::{
    Time,
    event::{Event, events_about},
    id::{AttemptId, TicketId},
    record::Record,
};
use std::collections::BTreeMap;

/// An agent at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its role.
    pub role: String,
    /// Its ticket.
    pub ticket: Option<TicketId>,
    /// The ticket's title.
    pub title: String,
    /// Its round.
    pub round: u32,
    /// When it began.
    pub since: Time,
    /// What it is at: `starts`, `works`, `lands`, …
    pub doing: &'static str,
}

/// The live agents of a run.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    live: BTreeMap<AttemptId, Live>,
    titles: BTreeMap<TicketId, String>,
}

impl Progress {
    /// Takes in one event.
    pub fn apply(&mut self, record: &Record) {
        let Ok(draft) = record.to_draft() else { return };
        match &draft.event {
            Event::TicketCreated { ticket } | Event::FeedbackFiled { ticket } => {
                self.titles.insert(ticket.id.clone(), ticket.title.clone());
            }
            Event::TicketUpdated { changes } => {
                if let (Some(ticket), Some(title)) = (&draft.ticket, &changes.title) {
                    self.titles.insert(ticket.clone(), title.clone());
                }
            }
            Event::AttemptStarted { id, role, round, .. } => {
                let title = draft.ticket.as_ref().and_then(|t| self.titles.get(t)).cloned().unwrap_or_default();
                let live = Live {
                    role: role.0.clone(),
                    ticket: draft.ticket.clone(),
                    title,
                    round: *round,
                    since: draft.at,
                    doing: "starts",
                };
                self.live.insert(*id, live);
            }
            Event::AttemptSpawned { .. } => self.now(draft.attempt, "works"),
            Event::AttemptStopping { .. } => self.now(draft.attempt, "is ended"),
            Event::AttemptExited { .. } => self.now(draft.attempt, "is looked at"),
            Event::IntegrationQueued { .. } => self.now(draft.attempt, "waits to land"),
            Event::IntegrationMerged { .. } => self.now(draft.attempt, "is gated"),
            Event::EffectIntended { .. } => self.now(draft.attempt, "lands"),
            Event::AttemptFinished { .. } => {
                if let Some(attempt) = draft.attempt {
                    self.live.remove(&attempt);
                }
            }
            Event::TicketClaimed { .. }
            | Event::TicketReleased { .. }
            | Event::TicketRenewed {}
            | Event::TicketLeaseExpired { .. }
            | Event::TicketStatusChanged { .. }
            | Event::TicketReopened { .. }
            | Event::TicketCommented { .. }
            | Event::TicketDeferred { .. }
            | Event::TicketCompleted { .. }
            | Event::TicketBlocked { .. }
            | Event::AttemptReported { .. }
            | Event::AttemptTimedOut { .. }
            | Event::AttemptLost { .. }
            | Event::AttemptHarvested { .. }
            | Event::AttemptReleased { .. }
            | Event::IntegrationConflicted { .. }
            | Event::IntegrationLanded { .. }
            | events_about!(
                milestone run stage ownership gate verdict learning agent approval rights refusal run_file engine
            ) => {}
        }
    }

    fn now(&mut self, attempt: Option<AttemptId>, doing: &'static str) {
        if let Some(live) = attempt.and_then(|id| self.live.get_mut(&id)) {
            live.doing = doing;
        }
    }

    /// The agents at work, the oldest first.
    pub fn live(&self) -> impl Iterator<Item = &Live> {
        self.live.values()
    }
}

impl Live {
    /// One line about it at the moment `now`.
    pub fn line(&self, now: Time) -> String {
        let seconds = (now - self.since).num_seconds().max(0);
        let elapsed = format!("{}:{:02}", seconds / 60, seconds % 60);
        let ticket = self.ticket.as_ref().map(ToString::to_string).unwrap_or_default();
        let text = format!(
            "{:<10} {ticket:<10} round {} {elapsed:>6}  {:<13} {}",
            self.role, self.round, self.doing, self.title
        );
        super::timeline::one_line(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_model::{actor::Actor, attempt::Outcome, record::Draft, workflow::Rights};
    use p0_samples::{at, attempt_id};

    #[test]
    fn agents_come_and_go() {
        let mut progress = Progress::default();
        let mut seq = 0;
        let mut tell = |progress: &mut Progress, event| {
            seq += 1;
            let ticket = Some(TicketId::new("BLOG", 2));
            let attempt = Some(attempt_id());
            let draft = Draft { at: at(0), run: None, ticket, attempt, actor: Actor::Engine, event };
            progress.apply(&Record::new(seq, &draft));
        };
        let started = Event::AttemptStarted {
            id: attempt_id(),
            role: "executor".into(),
            rights: Rights::Executor,
            agent: "a".into(),
            stage: "execute".into(),
            iteration: 1,
            round: 1,
            base: "b".into(),
            feedback: vec![],
            model: None,
            resumes: None,
            carries: None,
        };
        tell(&mut progress, started);
        tell(
            &mut progress,
            Event::AttemptSpawned { pid: 1, start_ticks: 1, nonce: "n".into(), token_hash: String::new(), input: None },
        );
        let lines: Vec<String> = progress.live().map(|l| l.line(at(65))).collect();
        insta::assert_snapshot!(lines.join("\n"), @"executor   BLOG-2     round 1   1:05  works");
        tell(&mut progress, Event::AttemptFinished { outcome: Outcome::Accepted });
        assert_eq!(progress.live().count(), 0);
    }
}
