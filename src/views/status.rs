//! One run as the document that `p0 status --json` prints.
use super::{
    approvals::{self, ApprovalDoc},
    retrying::Retrying,
};
use p0_model::{
    Time,
    aggregate::Aggregate,
    attempt::{Attempt, Phase, Usage},
    id::{AgentName, CommitId, RunId, TicketId},
    not_ready::NotReady,
    run::{Run, RunState, RunWord},
    ticket::{BlockedOn, Status, Ticket},
    tolerant::known,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many work items stand where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketCounts {
    /// Nobody works on them.
    pub open: u32,
    /// Somebody does.
    pub in_progress: u32,
    /// Finished.
    pub done: u32,
    /// Not going on without help.
    pub blocked: u32,
}

/// Where the time went, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeSpent {
    /// From the run's start to its end, or to now.
    pub wall_s: f64,
    /// Agents' programs, added up.
    pub agent_s: f64,
    /// Merging, gates and landing, added up.
    pub integration_s: f64,
    /// `agent_s / wall_s`: what working side by side gained.
    pub speedup: f64,
}

/// An item that does not move, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The item.
    pub ticket: TicketId,
    /// In a sentence.
    pub why: String,
    /// The same as a code with its parameters; null from a program of an earlier version.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub cause: Option<NotReady>,
}

/// Why a run stands as it does: a `code` and its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum RunCause {
    /// It waits for a user.
    AwaitingApproval {
        /// Tickets with a question that a user has to answer.
        tickets: Vec<TicketId>,
    },
    /// It starts nothing new.
    Paused {
        /// When the pause ends by itself; null = when somebody resumes the run.
        until: Option<Time>,
        /// Whether something outside, such as a full disk, keeps the run's work from being carried out.
        held_up: bool,
        /// Agents that cannot work until a user does something.
        agents: Vec<AgentName>,
    },
    /// It cannot go on without more information.
    Stuck,
    /// Something outside the plan does not work.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl RunCause {
    /// Of a run of `state`; `None` while it is at work, and when it is done.
    fn of(state: &Aggregate, run: &Run) -> Option<RunCause> {
        let asks = |ticket: &Ticket| match &ticket.status {
            Status::Blocked(BlockedOn::NeedsInput { .. }) => ticket.deferred.is_none(),
            Status::Blocked(_) | Status::Open | Status::InProgress | Status::Done => false,
        };
        match &run.state {
            RunState::Running | RunState::Done => None,
            RunState::AwaitingApproval { .. } => {
                let tickets = state.tickets.iter().filter(|(_, ticket)| asks(ticket));
                Some(RunCause::AwaitingApproval { tickets: tickets.map(|(id, _)| id.clone()).collect() })
            }
            RunState::Paused { until, .. } => Some(RunCause::Paused {
                until: *until,
                held_up: run.is_held_up(),
                agents: run.unavailable.keys().cloned().collect(),
            }),
            RunState::Stuck { .. } => Some(RunCause::Stuck),
            RunState::Failed { .. } => Some(RunCause::Failed),
            RunState::Cancelled { .. } => Some(RunCause::Cancelled),
        }
    }
}

/// The status of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStatus {
    /// The run.
    pub run: RunId,
    /// Its milestone's key.
    pub milestone: String,
    /// Its milestone's title.
    pub title: String,
    /// The workflow's name.
    pub workflow: String,
    /// How it stands.
    #[schemars(with = "RunWord")]
    pub state: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// The same as a code with its parameters; null while it is at work, and when it is done.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub cause: Option<RunCause>,
    /// The turn of the planner, from 1.
    pub iteration: u32,
    /// The stage it is in.
    pub stage: Option<String>,
    /// The branch it lands on.
    pub branch: String,
    /// The head of that branch; null until the branch is there.
    pub commit: Option<CommitId>,
    /// The commit it began at.
    pub base: CommitId,
    /// Work items of its milestone.
    pub tickets: TicketCounts,
    /// Attempts put on record.
    pub attempts: u32,
    /// Attempts that something is still to be done about.
    pub attempts_live: u32,
    /// Merges that had conflicts.
    pub merge_conflicts: u32,
    /// Attempts that changed files which are not theirs.
    pub ownership_violations: u32,
    /// What all attempts used.
    pub usage: Usage,
    /// Where the time went.
    pub time: TimeSpent,
    /// Items that do not move.
    pub waiting: Vec<Waiting>,
    /// What its attempts ask a person, and wait for.
    #[serde(default)]
    pub approvals: Vec<ApprovalDoc>,
    /// What the engine tries again and again for it; left out when there is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retrying: Vec<Retrying>,
    /// When a pause ends by itself.
    pub paused_until: Option<Time>,
    /// When it began.
    pub started_at: Time,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// The digest of its milestone's state.
    pub digest: String,
}

impl RunStatus {
    /// The status of `run` at the moment `now`; `None` when `state` does not have it.
    pub fn of(state: &Aggregate, run: RunId, now: Time, digest: String, waiting: Vec<Waiting>) -> Option<RunStatus> {
        let found = state.runs.get(&run)?;
        let milestone = state.milestone.as_ref();
        // While a run is held up nothing is done about its attempts, but for programs that still run.
        let moves = |a: &Attempt| !found.is_held_up() || matches!(a.phase, Phase::Running { .. });
        let attempts_live = state.live_attempts().filter(|a| a.run == run && moves(a)).count();
        Some(RunStatus {
            run,
            milestone: milestone.map(|m| m.key.clone()).unwrap_or_default(),
            title: milestone.map(|m| m.title.clone()).unwrap_or_default(),
            workflow: found.workflow.name.clone(),
            state: found.state.word().to_owned(),
            reason: found.state.why().map(str::to_owned),
            cause: RunCause::of(state, found),
            iteration: found.iteration,
            stage: found.stage.as_ref().map(|s| s.name.0.clone()),
            branch: found.branch.clone(),
            commit: found.head.clone(),
            base: found.base.clone(),
            tickets: count(state),
            attempts: found.counters.attempts,
            attempts_live: u32::try_from(attempts_live).unwrap_or(u32::MAX),
            merge_conflicts: found.counters.merge_conflicts,
            ownership_violations: found.counters.ownership_violations,
            usage: found.usage,
            time: time(found.started_at, found.ended_at.unwrap_or(now), &found.spent),
            waiting,
            approvals: approvals::all(state).into_iter().filter(|a| a.run == run && a.is_open()).collect(),
            retrying: Vec::new(),
            paused_until: match &found.state {
                RunState::Paused { until, .. } => *until,
                RunState::Running
                | RunState::AwaitingApproval { .. }
                | RunState::Done
                | RunState::Stuck { .. }
                | RunState::Failed { .. }
                | RunState::Cancelled { .. } => None,
            },
            started_at: found.started_at,
            ended_at: found.ended_at,
            digest,
        })
    }

    /// Whether it will not go on by itself, and nothing of it is at work any more.
    pub fn is_at_rest(&self) -> bool {
        match self.state.as_str() {
            "running" => false,
            "paused" => self.paused_until.is_none() && self.attempts_live == 0,
            "awaiting_approval" => self.attempts_live == 0,
            _ => true,
        }
    }
}

fn count(state: &Aggregate) -> TicketCounts {
    let mut counts = TicketCounts::default();
    for ticket in state.tickets.values() {
        match ticket.status {
            Status::Open => counts.open += 1,
            Status::InProgress => counts.in_progress += 1,
            Status::Done => counts.done += 1,
            Status::Blocked(_) => counts.blocked += 1,
        }
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^52")]
fn time(from: Time, to: Time, spent: &p0_model::run::Spent) -> TimeSpent {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let wall_s = seconds(u64::try_from((to - from).num_milliseconds()).unwrap_or(0));
    let agent_s = seconds(spent.agents_ms);
    let speedup = if wall_s > 0.0 { (agent_s / wall_s * 1000.0).round() / 1000.0 } else { 0.0 };
    TimeSpent { wall_s, agent_s, integration_s: seconds(spent.integration_ms), speedup }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_samples::{aggregate, at, run_id};

    #[test]
    fn the_document_has_its_fixed_names() {
        let cause = NotReady::WaitingFor { ticket: TicketId::new("BLOG", 2), status: "in_progress".into() };
        let waiting = vec![Waiting { ticket: TicketId::new("BLOG", 3), why: cause.to_string(), cause: Some(cause) }];
        let status = RunStatus::of(&aggregate(), run_id(), at(10), "d".into(), waiting).unwrap();
        let json = serde_json::to_value(&status).unwrap();
        for name in [
            "run",
            "milestone",
            "workflow",
            "state",
            "reason",
            "iteration",
            "stage",
            "branch",
            "commit",
            "tickets",
            "attempts",
            "merge_conflicts",
            "ownership_violations",
            "usage",
            "time",
            "waiting",
            "digest",
        ] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(json["tickets"], serde_json::json!({"open": 1, "in_progress": 1, "done": 1, "blocked": 0}));
        assert_eq!(json["time"]["speedup"], 3.0);
        assert_eq!(json["waiting"][0]["ticket"], "BLOG-3");
        assert_eq!(json["waiting"][0]["why"], "waits for BLOG-2 (in_progress)");
        let cause = serde_json::json!({"code": "waiting_for", "ticket": "BLOG-2", "status": "in_progress"});
        assert_eq!(json["waiting"][0]["cause"], cause);
        assert!(!status.is_at_rest());
    }

    #[test]
    fn why_a_run_stands_so_has_a_code_with_its_parameters() {
        let mut state = aggregate();
        let cause = |state: &Aggregate| {
            let status = RunStatus::of(state, run_id(), at(1), String::new(), vec![]).unwrap();
            serde_json::to_value(status).unwrap().get("cause").cloned()
        };
        assert_eq!(cause(&state), None, "a run at work");
        let mut set = |new: RunState| {
            std::sync::Arc::make_mut(&mut state.runs[&run_id()]).state = new;
            state.clone()
        };
        let why = || "w".to_owned();
        let paused = cause(&set(RunState::Paused { why: why(), until: Some(at(60)) })).unwrap();
        let expected = serde_json::json!({"code": "paused", "until": at(60), "held_up": false, "agents": []});
        assert_eq!(paused, expected);
        let code = |state: Aggregate| cause(&state).unwrap()["code"].clone();
        assert_eq!(code(set(RunState::Stuck { why: why() })), "stuck");
        assert_eq!(code(set(RunState::Failed { why: why() })), "failed");
        assert_eq!(code(set(RunState::Cancelled { why: why() })), "cancelled");
        let mut asking = set(RunState::AwaitingApproval { why: why() });
        let on = BlockedOn::NeedsInput { question: "which?".into() };
        std::sync::Arc::make_mut(&mut asking.tickets[&TicketId::new("BLOG", 2)]).status = Status::Blocked(on);
        let expected = serde_json::json!({"code": "awaiting_approval", "tickets": ["BLOG-2"]});
        assert_eq!(cause(&asking).unwrap(), expected);
    }

    #[test]
    fn a_code_of_a_later_version_leaves_the_sentence() {
        let later = serde_json::json!({"ticket": "BLOG-3", "why": "w", "cause": {"code": "of_tomorrow", "n": 1}});
        let waiting: Waiting = serde_json::from_value(later).unwrap();
        assert_eq!((waiting.why.as_str(), waiting.cause), ("w", None));
        let earlier: Waiting = serde_json::from_value(serde_json::json!({"ticket": "BLOG-3", "why": "w"})).unwrap();
        assert_eq!(earlier.cause, None);
        let status = RunStatus::of(&aggregate(), run_id(), at(1), String::new(), vec![]).unwrap();
        let mut document = serde_json::to_value(&status).unwrap();
        document["cause"] = serde_json::json!({"code": "of_tomorrow"});
        assert_eq!(serde_json::from_value::<RunStatus>(document).unwrap(), status);
    }

    #[test]
    fn a_pause_is_at_rest_when_nothing_works_and_nothing_wakes_it() {
        let mut state = aggregate();
        let pause = |until| RunState::Paused { why: "p".into(), until };
        std::sync::Arc::make_mut(&mut state.runs[&run_id()]).state = pause(None);
        let of = |state: &Aggregate| RunStatus::of(state, run_id(), at(1), String::new(), vec![]).unwrap();
        assert!(!of(&state).is_at_rest(), "an attempt is still at work");
        state.attempts.clear();
        assert!(of(&state).is_at_rest());
        std::sync::Arc::make_mut(&mut state.runs[&run_id()]).state = pause(Some(at(60)));
        assert!(!of(&state).is_at_rest());
    }
}
