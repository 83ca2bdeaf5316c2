//! Runs: one execution of a workflow on a milestone.
use super::{
    Time,
    attempt::Usage,
    id::{AgentName, AttemptId, CommitId, RoleName, RunId, StageName},
    settings::Settings,
    ticket::BacklogItem,
    workflow::{Choice, Workflow},
};
use chrono::TimeDelta;
use imbl::{OrdMap, OrdSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A lost attempt uses up no round: that is for crashes and stops. So many in a row are no accident; the next one counts
/// as a failed round, so that nothing goes on for ever.
pub const LOST_IN_A_ROW: u32 = 10;

/// Signals that a program does not bring about by a crash may end one attempt or gate so many times in a row without using up
/// a round; after that the program is taken to bring them about.
pub const SIGNALS_IN_A_ROW: u32 = 2;

/// How often in one run planners may put one blocked ticket back to work with a fresh set of rounds. The usual three rounds
/// become nine; a ticket that fails nine times needs a person, and every further round costs money.
pub const MOST_RENEWALS: u32 = 2;

/// An agent that fails for its own sake so many times in a row is passed over while another can play its role.
pub const TROUBLE_IN_A_ROW: u32 = 3;

/// Since rules 4, an agent whose attempts end badly so many times in a row is passed over, too: fewer than the rounds that
/// a ticket has by default, so that somebody else plays the last one.
pub const BAD_ENDS_IN_A_ROW: u32 = 2;

/// Since rules 5, the troubles of an agent's provider count half after each hour without one.
const QUIET: TimeDelta = TimeDelta::hours(1);

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunState {
    /// At work.
    Running,
    /// Waits for a person.
    AwaitingApproval {
        /// For what.
        why: String,
    },
    /// Starts nothing new.
    Paused {
        /// Why.
        why: String,
        /// Until when; `None` = until somebody resumes it.
        until: Option<Time>,
    },
    /// The spec is met, and landed.
    Done,
    /// It cannot go on without more information.
    Stuck {
        /// Why.
        why: String,
    },
    /// Something outside the plan does not work.
    Failed {
        /// Why.
        why: String,
    },
    /// Somebody ended it.
    Cancelled {
        /// Why.
        why: String,
    },
}

/// How a run stands, as documents write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunWord {
    /// At work.
    Running,
    /// Waits for a user.
    AwaitingApproval,
    /// Starts nothing new.
    Paused,
    /// The spec is met, and landed.
    Done,
    /// It cannot go on without more information.
    Stuck,
    /// Something outside the plan does not work.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl RunState {
    /// The word used in tables and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::AwaitingApproval { .. } => "awaiting_approval",
            RunState::Paused { .. } => "paused",
            RunState::Done => "done",
            RunState::Stuck { .. } => "stuck",
            RunState::Failed { .. } => "failed",
            RunState::Cancelled { .. } => "cancelled",
        }
    }

    /// Why it stands so, where there is a reason.
    pub fn why(&self) -> Option<&str> {
        match self {
            RunState::Running | RunState::Done => None,
            RunState::AwaitingApproval { why }
            | RunState::Paused { why, .. }
            | RunState::Stuck { why }
            | RunState::Failed { why }
            | RunState::Cancelled { why } => Some(why),
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        match self {
            RunState::Running | RunState::AwaitingApproval { .. } | RunState::Paused { .. } => false,
            RunState::Done | RunState::Stuck { .. } | RunState::Failed { .. } | RunState::Cancelled { .. } => true,
        }
    }
}

/// Whether a milestone is met, by a verifier, on one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it is met.
    pub met: bool,
    /// Why.
    pub rationale: String,
    /// What is missing.
    pub gaps: Vec<String>,
    /// The commit it judged; any later landing voids it.
    pub commit: CommitId,
    /// Who judged.
    pub attempt: AttemptId,
}

/// The stage a run is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtStage {
    /// Its name.
    pub name: StageName,
    /// The commit that was the head when it was entered.
    pub head: CommitId,
    /// Roles of a panel that were heard.
    pub heard: Vec<RoleName>,
    /// Failed tries of each role in this stage.
    pub failures: OrdMap<RoleName, u32>,
    /// Attempts of each role in this stage; numbers the next round.
    pub rounds: OrdMap<RoleName, u32>,
    /// Attempts of each role lost in a row; see [`LOST_IN_A_ROW`].
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub lost: OrdMap<RoleName, u32>,
    /// Why the last try of each role was refused.
    pub feedback: OrdMap<RoleName, Vec<String>>,
    /// The planner's decision, in a planning stage.
    pub decided: Option<(Choice, String)>,
}

/// A named document that an agent left for later stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its text.
    pub content: String,
    /// Who left it.
    pub attempt: AttemptId,
}

/// Counters of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Attempts put on record.
    pub attempts: u32,
    /// Merges that had conflicts.
    pub merge_conflicts: u32,
    /// Attempts that changed files which are not theirs.
    pub ownership_violations: u32,
    /// Commits that a gate refused.
    pub gate_failures: u32,
    /// Messages above an agent's rights.
    pub rights_refused: u32,
    /// Landings.
    pub landed: u32,
}

/// Milliseconds spent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// By agents' programs, added up.
    pub agents_ms: u64,
    /// By merging, gates and landing, added up.
    pub integration_ms: u64,
}

/// What an agent's provider did to it over the whole run: limits and trouble. It counts half after each clean end of an
/// attempt, and after each hour without a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderTroubles {
    /// How often, as of `since`.
    pub times: u32,
    /// The end of the last wait.
    pub since: Time,
}

impl ProviderTroubles {
    /// How often, as of `at`.
    fn times_at(self, at: Time) -> u32 {
        let quiet = (at - self.since).num_seconds().max(0) / QUIET.num_seconds();
        self.times.checked_shr(u32::try_from(quiet).unwrap_or(u32::MAX)).unwrap_or_default()
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The workflow it runs, pinned at its start.
    pub workflow: Arc<Workflow>,
    /// What decided it beside the spec, pinned at its start.
    pub settings: Arc<Settings>,
    /// The version of the rules it began under; see [`super::event::RULES`].
    #[serde(default = "first_rules", skip_serializing_if = "is_first_rules")]
    pub rules: u32,
    /// BLAKE3 of the spec it runs on.
    pub spec_hash: String,
    /// The branch it lands on.
    pub branch: String,
    /// The commit it began at.
    pub base: CommitId,
    /// The head of its branch; `None` until the branch is there.
    pub head: Option<CommitId>,
    /// How it stands.
    pub state: RunState,
    /// The iteration, from 1; 0 before the first.
    pub iteration: u32,
    /// The stage it is in.
    pub stage: Option<AtStage>,
    /// Commits on their way to the branch, first in first out.
    pub queue: imbl::Vector<AttemptId>,
    /// The last verdict.
    pub verdict: Option<Verdict>,
    /// What stood at the end of the last iteration, to see that nothing moves.
    pub signature: Option<String>,
    /// Agents that take no more work for now.
    pub limited: OrdMap<AgentName, Time>,
    /// Agents that cannot work until a person does something, and why.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub unavailable: OrdMap<AgentName, String>,
    /// Attempts of each agent that failed for the agent's own sake, in a row.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub trouble: OrdMap<AgentName, u32>,
    /// What each agent's provider did to it over the run: since rules 5.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub backoff: OrdMap<AgentName, ProviderTroubles>,
    /// Attempts of each agent that ended badly and not by the engine or for its provider, in a row: since rules 4.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub bad_ends: OrdMap<AgentName, u32>,
    /// Agents whose limit is over, until one attempt shows that it is: they get one place.
    #[serde(default, skip_serializing_if = "OrdSet::is_empty")]
    pub on_trial: OrdSet<AgentName>,
    /// While it is paused: its effects rest as well, because something outside keeps them from being carried out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held_up: bool,
    /// Programs that could not be started, in a row.
    pub start_failures: u32,
    /// What all attempts used.
    pub usage: Usage,
    /// Why more may have been used than is known: a report of usage could not be read since the run last went on. `None`
    /// = all of them could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_usage: Option<String>,
    /// Counters.
    pub counters: Counters,
    /// Time spent.
    pub spent: Spent,
    /// Documents left by agents.
    pub artifacts: OrdMap<String, Artifact>,
    /// Unfinished items of the project's other milestones when it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backlog: Vec<BacklogItem>,
    /// When it was put on record.
    pub started_at: Time,
    /// When it was over.
    pub ended_at: Option<Time>,
}

impl Run {
    /// Whether its budget is looked at while attempts are at work, and not before each alone, and gates without output
    /// fail: since rules 2.
    pub fn budget_ends_attempts(&self) -> bool {
        self.rules >= 2
    }

    /// Whether this agent fails again and again.
    pub fn keeps_failing(&self, agent: &AgentName) -> bool {
        let at_least = |times: Option<&u32>, most| times.is_some_and(|times| *times >= most);
        at_least(self.trouble.get(agent), TROUBLE_IN_A_ROW) || at_least(self.bad_ends.get(agent), BAD_ENDS_IN_A_ROW)
    }

    /// Whether bad ends count against an agent, what was changed is evidence of work, and a provider is believed no time
    /// that proved to be too short: since rules 4.
    pub fn learns_from_bad_ends(&self) -> bool {
        self.rules >= 4
    }

    /// Whether usage that cannot be read is unknown to its budget, and every refused round is told which of its messages
    /// could not be read: since rules 5.
    pub fn tells_of_unread_messages(&self) -> bool {
        self.rules >= 5
    }

    /// Whether an attempt that printed that something is in the way (a blocked status, a question, a serious finding), which
    /// its role may not say, is refused and told so, as nobody took it in: since rules 6.
    pub fn hears_trouble_from_every_role(&self) -> bool {
        self.rules >= 6
    }

    /// Whether an attempt that had no room because another one filled the disk uses up no round: since rules 5.
    pub fn spares_who_had_no_room(&self) -> bool {
        self.rules >= 5
    }

    /// Whether what a person said about an item ends only by a person's word, and a change that puts a blocked item back to
    /// work is an event of its own: since rules 5.
    pub fn keeps_a_persons_word(&self) -> bool {
        self.rules >= 5
    }

    /// Whether what p0, a signal or a lost process ended is lost and uses up no round, and trouble that is no ticket's fault
    /// (a program that is not there, a repository that was moved) pauses the run: since rules 5.
    pub fn tells_trouble_from_fault(&self) -> bool {
        self.rules >= 5
    }

    /// Whether none of its effects is to be carried out until it is resumed or ended.
    pub fn is_held_up(&self) -> bool {
        self.held_up && matches!(self.state, RunState::Paused { .. })
    }

    /// Whether what a plan lists is compared with the tree it is for, and what an attempt changed and does not land is
    /// told: since rules 5.
    pub fn compares_plans_with_trees(&self) -> bool {
        self.rules >= 5
    }

    /// Whether the waits for a provider in trouble grow over the run, and not anew after each good call: since rules 5.
    pub fn backs_off_over_the_run(&self) -> bool {
        self.rules >= 5
    }

    /// How often the agent's provider refused it or had trouble, as far as it still counts at `at`; 1 = for the first
    /// time, or never.
    pub fn troubles(&self, agent: &AgentName, at: Time) -> u32 {
        if self.backs_off_over_the_run() {
            return self.backoff.get(agent).map_or(1, |backoff| backoff.times_at(at)).max(1);
        }
        self.trouble.get(agent).copied().unwrap_or(1)
    }

    /// Counts one more of them.
    pub fn note_trouble(&mut self, agent: &AgentName, at: Time) {
        if self.backs_off_over_the_run() {
            let before = self.backoff.get(agent).map_or(0, |backoff| backoff.times_at(at));
            self.backoff.insert(agent.clone(), ProviderTroubles { times: before.saturating_add(1), since: at });
        }
    }

    /// An attempt of the agent came to a clean end: the troubles before count half.
    pub fn note_clean_end(&mut self, agent: &AgentName) {
        let Some(backoff) = self.backoff.get_mut(agent) else { return };
        backoff.times /= 2;
        if backoff.times == 0 {
            self.backoff.remove(agent);
        }
    }

    /// Whether it waits for the answers to its executors' questions: since rules 3.
    pub fn waits_for_answers(&self) -> bool {
        self.rules >= 3
    }
}

fn first_rules() -> u32 {
    1
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_first_rules(rules: &u32) -> bool {
    *rules == first_rules()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_write_the_word_of_a_state() {
        let why = || "w".to_owned();
        let states = [
            (RunState::Running, RunWord::Running),
            (RunState::AwaitingApproval { why: why() }, RunWord::AwaitingApproval),
            (RunState::Paused { why: why(), until: None }, RunWord::Paused),
            (RunState::Done, RunWord::Done),
            (RunState::Stuck { why: why() }, RunWord::Stuck),
            (RunState::Failed { why: why() }, RunWord::Failed),
            (RunState::Cancelled { why: why() }, RunWord::Cancelled),
        ];
        for (state, word) in states {
            assert_eq!(serde_json::to_value(word).unwrap(), state.word());
        }
    }
}
