//! Work items as the documents that `p0 tickets --json` and `p0 ticket show --json` print.
use p0_model::{
    Time,
    aggregate::Aggregate,
    attempt::Phase,
    command::WantedStatus,
    files::Files,
    id::{AttemptId, CommitId, RunId, TicketId},
    not_ready::NotReady,
    ticket::{Comment, Contract, Holder, Kind, Priority, Status, Ticket},
    tolerant::known,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An attempt, in a ticket's document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptDoc {
    /// Its id.
    pub id: AttemptId,
    /// Its round.
    pub round: u32,
    /// What became of it: a word, or null while it is under way.
    pub outcome: Option<String>,
    /// Its role.
    pub role: String,
    /// The agent that plays it.
    pub agent: String,
    /// Where it stands: `starting`, `running`, `exited`, `integrating`, `finished`.
    pub phase: String,
}

/// A work item, in one row of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketDoc {
    /// Its id.
    pub id: TicketId,
    /// One line.
    pub title: String,
    /// The rest, Markdown.
    pub body: String,
    /// What it is for.
    pub kind: Kind,
    /// Where it stands.
    #[schemars(with = "WantedStatus")]
    pub status: String,
    /// How much it matters.
    pub priority: Priority,
    /// The kind of finding, of feedback.
    pub category: Option<String>,
    /// The item it is a part of.
    pub parent: Option<TicketId>,
    /// Items that must be done before.
    pub depends_on: Vec<TicketId>,
    /// The files it owns.
    pub files: Files,
    /// The run it was made in.
    pub run: Option<RunId>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptDoc>,
    /// The commit it landed as.
    pub commit: Option<CommitId>,
    /// What was said about it, oldest first.
    pub comments: Vec<Comment>,
    /// Why it is blocked, if it is.
    pub blocked_reason: Option<String>,
    /// The same as the code `blocked` with its parameters.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub blocked_cause: Option<NotReady>,
    /// Why the planner put it off, if it did.
    pub deferred: Option<String>,
}

/// A claim, without what only its holder knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimDoc {
    /// `attempt` or `worker`.
    pub holder: String,
    /// The attempt's id or the worker's name.
    pub name: String,
    /// The fencing token.
    pub fence: u64,
    /// Seconds the claim lasts after a heartbeat; null for attempts, which hold it while they live.
    pub lease_s: Option<u64>,
}

/// A work item, with everything about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketFull {
    /// As in the list.
    #[serde(flatten)]
    pub row: TicketDoc,
    /// What was agreed.
    pub contract: Option<Contract>,
    /// Who holds it now.
    pub claim: Option<ClaimDoc>,
    /// Feedback that is closed when this lands.
    pub closes: Vec<TicketId>,
    /// Why the last round was refused, a sentence each.
    pub feedback: Vec<String>,
    /// Its parts.
    pub subtasks: Vec<TicketId>,
    /// Why it does not move, if it does not.
    pub waiting: Option<String>,
    /// The same as a code with its parameters.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub waiting_cause: Option<NotReady>,
}

impl TicketDoc {
    /// The document of a ticket of `state`.
    pub fn of(state: &Aggregate, ticket: &Ticket) -> TicketDoc {
        let attempts = ticket.attempts.iter().filter_map(|id| state.attempts.get(id)).map(|attempt| AttemptDoc {
            id: attempt.id,
            round: attempt.round,
            outcome: attempt.outcome().map(|o| o.word().to_owned()),
            role: attempt.role.0.clone(),
            agent: attempt.agent.0.clone(),
            phase: phase_word(&attempt.phase).to_owned(),
        });
        let blocked_on = match &ticket.status {
            Status::Blocked(on) => Some(on),
            Status::Open | Status::InProgress | Status::Done => None,
        };
        TicketDoc {
            id: ticket.seed.id.clone(),
            title: ticket.seed.title.clone(),
            body: ticket.seed.body.clone(),
            kind: ticket.seed.kind,
            status: ticket.status.word().to_owned(),
            priority: ticket.seed.priority,
            category: ticket.seed.category.clone(),
            parent: ticket.seed.parent.clone(),
            depends_on: ticket.seed.depends_on.iter().cloned().collect(),
            files: ticket.seed.files.clone(),
            run: ticket.run,
            attempts: attempts.collect(),
            commit: ticket.commit.clone(),
            comments: ticket.comments.iter().cloned().collect(),
            blocked_reason: blocked_on.map(ToString::to_string),
            blocked_cause: blocked_on.map(|on| NotReady::Blocked(on.clone())),
            deferred: ticket.deferred.clone(),
        }
    }
}

impl TicketFull {
    /// The document of a ticket of `state`; `waiting` is why it does not move.
    pub fn of(state: &Aggregate, ticket: &Ticket, waiting: Option<NotReady>) -> TicketFull {
        let parts = state.tickets.values().filter(|t| t.seed.parent.as_ref() == Some(&ticket.seed.id));
        TicketFull {
            row: TicketDoc::of(state, ticket),
            contract: ticket.seed.contract.clone(),
            claim: ticket.claim.as_ref().map(|claim| match &claim.holder {
                Holder::Attempt { attempt } => ClaimDoc {
                    holder: "attempt".into(),
                    name: attempt.to_string(),
                    fence: claim.fence.0,
                    lease_s: None,
                },
                Holder::Worker { name, lease_s, .. } => ClaimDoc {
                    holder: "worker".into(),
                    name: name.clone(),
                    fence: claim.fence.0,
                    lease_s: Some(*lease_s),
                },
            }),
            closes: ticket.seed.closes.iter().cloned().collect(),
            feedback: ticket.feedback.clone(),
            subtasks: parts.map(|t| t.seed.id.clone()).collect(),
            waiting: waiting.as_ref().map(ToString::to_string),
            waiting_cause: waiting,
        }
    }
}

/// Every item of a milestone, in the order of the ids.
pub fn all(state: &Aggregate) -> Vec<TicketDoc> {
    state.tickets.values().map(|ticket| TicketDoc::of(state, ticket)).collect()
}

/// These items of a milestone, in this order.
pub fn of(state: &Aggregate, ids: &[TicketId]) -> Vec<TicketDoc> {
    ids.iter().filter_map(|id| state.tickets.get(id)).map(|ticket| TicketDoc::of(state, ticket)).collect()
}

fn phase_word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running { .. } => "running",
        Phase::Exited { .. } => "exited",
        Phase::Integrating { .. } => "integrating",
        Phase::Finished { .. } => "finished",
    }
}

/// Whether some worker's lease is over: the next claim ends it.
pub fn has_lapsed_lease(state: &Aggregate, now: Time) -> bool {
    state.tickets.values().any(|t| match t.claim.as_ref().map(|c| &c.holder) {
        Some(Holder::Worker { expires, .. }) => *expires < now,
        Some(Holder::Attempt { .. }) | None => false,
    })
}

/// When a claim ends unless it is renewed.
pub fn expires(now: Time, lease_s: u64) -> Time {
    let lease = chrono::TimeDelta::try_seconds(i64::try_from(lease_s).unwrap_or(i64::MAX)).unwrap_or_default();
    now.checked_add_signed(lease).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_model::ticket::BlockedOn;
    use p0_samples::{aggregate, ticket};

    #[test]
    fn the_documents_have_their_fixed_names() {
        let state = aggregate();
        let rows = serde_json::to_value(all(&state)).unwrap();
        for name in [
            "id",
            "title",
            "kind",
            "status",
            "priority",
            "category",
            "parent",
            "depends_on",
            "files",
            "run",
            "attempts",
            "commit",
            "comments",
            "blocked_reason",
        ] {
            assert!(rows[0].get(name).is_some(), "{name}");
        }
        assert_eq!(rows[1]["attempts"][0]["round"], 1);
        assert_eq!(rows[1]["attempts"][0]["outcome"], serde_json::Value::Null);
        assert_eq!(rows[2]["depends_on"], serde_json::json!(["BLOG-2"]));
        let full = TicketFull::of(&state, &state.tickets[&TicketId::new("BLOG", 2)], None);
        let full = serde_json::to_value(full).unwrap();
        assert!(full.get("contract").is_some() && full.get("claim").is_some() && full["id"] == "BLOG-2");
    }

    #[test]
    fn reasons_have_a_code_beside_the_sentence() {
        let mut state = aggregate();
        let id = TicketId::new("BLOG", 3);
        let on = BlockedOn::Rounds { rounds: 3, last: vec!["no tests".into()] };
        state.tickets.insert(id.clone(), ticket(3, Status::Blocked(on.clone()), &[]).into());
        let full = TicketFull::of(&state, &state.tickets[&id], Some(NotReady::Blocked(on)));
        let full = serde_json::to_value(full).unwrap();
        let cause = serde_json::json!({"code": "blocked", "on": "rounds", "rounds": 3, "last": ["no tests"]});
        assert_eq!((&full["blocked_cause"], &full["waiting_cause"]), (&cause, &cause));
        assert_eq!(full["blocked_reason"], "failed 3 rounds: no tests");
        assert_eq!(full["waiting"], "blocked: failed 3 rounds: no tests");
    }

    #[test]
    fn items_are_shown_in_the_order_they_are_asked_for() {
        let mut state = aggregate();
        state.tickets.insert(TicketId::new("BLOG", 4), ticket(4, Status::Open, &[1]).into());
        let wanted = [TicketId::new("BLOG", 4), TicketId::new("BLOG", 99), TicketId::new("BLOG", 2)];
        let ids: Vec<String> = of(&state, &wanted).iter().map(|t| t.id.to_string()).collect();
        assert_eq!(ids, ["BLOG-4", "BLOG-2"], "and what is not there is left out");
    }
}
