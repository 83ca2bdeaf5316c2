//! The real rules against a simulated world, from a seed: crashes at every boundary, and the outcome must equal that of
//! the undisturbed run. Nothing sleeps; a seed that fails is a test case for ever.
#![allow(clippy::unwrap_used, reason = "only tests use it: they stop at the first surprise")]
mod random;
mod speech;

pub use random::Random;
pub use speech::{Speech, Spoken};

use p0_kernel::{decide, digest, evolve, invariants, outstanding};
use p0_model::{
    actor::Actor,
    aggregate::Aggregate,
    attempt::{ChangeKind, Ending, ExitReport, Harvest, Outcome, PathChange},
    command::{Action, Command, GateReport, LandingReport, MergeReport, StartRun},
    config::{Config, Overrides},
    effect::{Effect, Timer},
    event::RULES,
    id::{AttemptId, BlobId, CommitId, MilestoneId, TicketId},
    record::Draft,
    run::RunState,
    ticket::{Kind, Status},
    workflow::{Rights, builtin},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq)]
enum Process {
    Waiting,
    Ended,
}

/// What survives a crash of the engine.
struct World {
    seed: u64,
    speech: Speech,
    /// Attempts of which something was not heard as it was meant.
    lost: BTreeSet<AttemptId>,
    processes: BTreeMap<AttemptId, Process>,
    ran: BTreeMap<AttemptId, u32>,
    branch: Option<CommitId>,
    landed: Vec<String>,
}

/// What a crash loses: everything that is not in the log.
struct Engine {
    state: Aggregate,
    in_flight: Vec<Effect>,
}

/// An engine that decides by the real rules, and the world that it acts on.
pub struct Simulation {
    rules: u32,
    world: World,
    engine: Engine,
    log: Vec<(Command, Vec<Draft>)>,
    random: Random,
    clock: i64,
    /// One crash in so many steps; 0 = never.
    crashes: u64,
}

impl Simulation {
    fn new(seed: u64, schedule: u64, crashes: u64) -> Self {
        let world = World {
            seed,
            speech: speech::clearly,
            lost: BTreeSet::new(),
            processes: BTreeMap::new(),
            ran: BTreeMap::new(),
            branch: None,
            landed: Vec::new(),
        };
        let engine = Engine { state: Aggregate::default(), in_flight: Vec::new() };
        Simulation { rules: 1, world, engine, log: Vec::new(), random: Random::new(schedule), clock: 0, crashes }
    }

    /// Runs one to its end with agents that are heard so, under the rules of now, with a crash in so many steps (0 = none);
    /// answers how the run ended.
    pub fn heard(seed: u64, crashes: u64, speech: Speech) -> RunState {
        let mut simulation = Simulation::new(seed, seed, crashes);
        simulation.rules = RULES;
        simulation.world.speech = speech;
        simulation.run();
        simulation.check();
        simulation.engine.state.last_run().unwrap().state.clone()
    }

    fn submit(&mut self, action: Action) {
        self.clock += 1;
        let at = chrono::DateTime::from_timestamp_millis(1_700_000_000_000 + self.clock).unwrap();
        let bytes = Random::of(self.random.roll(u64::MAX), "seed").roll(u64::MAX).to_le_bytes();
        let mut seed = [0u8; 16];
        seed[..8].copy_from_slice(&bytes);
        seed[8..].copy_from_slice(&(self.clock as u64).to_le_bytes());
        let command = Command { at, seed: uuid::Uuid::from_bytes(seed), actor: Actor::Engine, action };
        if let Ok(decision) = decide(&self.engine.state, &command) {
            let mut folded = self.engine.state.clone();
            for draft in &decision.events {
                evolve(&mut folded, draft);
            }
            assert_eq!(folded, decision.state, "folding the events gives the decided state");
            assert_eq!(invariants::broken(&decision.state), Vec::<String>::new(), "after {:?}", command.action);
            if !decision.events.is_empty() {
                self.log.push((command, decision.events));
            }
            self.engine.state = decision.state;
        }
        let wanted = outstanding(&self.engine.state);
        self.engine.in_flight.retain(|e| wanted.contains(e));
        for effect in wanted {
            if !self.engine.in_flight.contains(&effect) {
                self.engine.in_flight.push(effect);
            }
        }
    }

    /// The engine dies; a new one folds the log and asks what should be in flight. Supervisors that were not let go
    /// end with it.
    fn crash(&mut self) {
        let mut state = Aggregate::default();
        for draft in self.log.iter().flat_map(|(_, events)| events) {
            evolve(&mut state, draft);
        }
        self.world.processes.retain(|_, p| *p != Process::Waiting);
        let in_flight = outstanding(&state).into_iter().collect();
        self.engine = Engine { state, in_flight };
    }

    fn run(&mut self) {
        self.submit(Action::StartRun(Box::new(start(self.rules))));
        for _ in 0..20_000 {
            if self.engine.in_flight.is_empty() {
                return;
            }
            if self.crashes > 0 && self.random.roll(self.crashes) == 0 {
                self.crash();
                continue;
            }
            let pick = self.random.roll(self.engine.in_flight.len() as u64) as usize;
            let effect = self.engine.in_flight[pick].clone();
            let report = self.perform(&effect);
            // Dead between the deed and its report.
            if self.crashes > 0 && self.random.roll(self.crashes) == 0 {
                self.crash();
                continue;
            }
            if let Some(report) = report {
                self.submit(report);
            }
        }
        panic!("the run does not come to an end: {:?}", self.engine.in_flight);
    }

    fn perform(&mut self, effect: &Effect) -> Option<Action> {
        let state = self.engine.state.clone();
        Some(match effect {
            Effect::OpenRun { run } => {
                let head = self.world.branch.get_or_insert(CommitId("base".into())).clone();
                Action::RunOpened { run: *run, head }
            }
            Effect::SpawnAttempt { attempt } => {
                self.world.processes.insert(*attempt, Process::Waiting);
                Action::AttemptSpawned {
                    attempt: *attempt,
                    pid: 1,
                    start_ticks: 1,
                    nonce: String::new(),
                    token_hash: String::new(),
                    input: None,
                }
            }
            Effect::WatchAttempt { attempt } => match self.world.processes.get(attempt) {
                Some(Process::Waiting) => {
                    *self.world.ran.entry(*attempt).or_default() += 1;
                    self.world.processes.insert(*attempt, Process::Ended);
                    self.ended(&state, *attempt)
                }
                Some(Process::Ended) => self.ended(&state, *attempt),
                None => Action::AttemptNeverRan { attempt: *attempt },
            },
            Effect::StopAttempt { .. } => return None,
            Effect::HarvestAttempt { attempt } => {
                let harvest = self.harvest(&state, *attempt);
                Action::AttemptHarvested { attempt: *attempt, harvest: Box::new(harvest) }
            }
            Effect::ReleaseAttempt { attempt } => Action::AttemptReleased { attempt: *attempt, parked: None },
            Effect::Merge { attempt, onto } => {
                let title = title(&state, *attempt);
                let candidate = CommitId(format!("{}+{title}", onto.0));
                Action::Merged { attempt: *attempt, onto: onto.clone(), merge: MergeReport::Clean { candidate } }
            }
            Effect::Gate { attempt, candidate } => {
                let a = &state.attempts[attempt];
                let fails =
                    Random::of(self.world.seed, &format!("gate {} {}", title(&state, *attempt), a.round)).roll(4) == 0;
                let report = GateReport {
                    gate: vec!["test".into()],
                    passed: !fails,
                    how: "exited".into(),
                    tail: String::new(),
                    output: Some(BlobId { hash: "output".into(), size: 0 }),
                    wall_ms: 1,
                    end: None,
                };
                Action::Gated { attempt: *attempt, candidate: candidate.clone(), gates: vec![report] }
            }
            Effect::Land { attempt, onto, candidate } => {
                if self.world.branch.as_ref() == Some(onto) {
                    self.world.branch = Some(candidate.clone());
                    self.world.landed.push(title(&state, *attempt));
                }
                assert_eq!(self.world.branch.as_ref(), Some(candidate), "nobody else moves the branch");
                let landing = LandingReport::Landed;
                Action::Landed { attempt: *attempt, candidate: candidate.clone(), landing, wall_ms: 1, note: None }
            }
            Effect::Wait { timer } => {
                assert!(matches!(timer, Timer::AgentLimit { .. }), "no other timer is armed here");
                Action::TimerFired { timer: timer.clone() }
            }
        })
    }

    fn ended(&mut self, state: &Aggregate, id: AttemptId) -> Action {
        let attempt = &state.attempts[&id];
        let mut code = 0;
        let said: Vec<Value> = match attempt.rights {
            Rights::Planner => self.plan(state, attempt.iteration, attempt.round),
            Rights::Executor => {
                let fate = Random::of(self.world.seed, &format!("exit {} {}", title(state, id), attempt.round)).roll(8);
                code = i32::from(fate == 0);
                if fate == 1 { vec![json!({"type":"status","status":"blocked","reason":"cannot"})] } else { Vec::new() }
            }
            Rights::Verifier => {
                let open = state.tickets.values().any(|t| t.seed.kind != Kind::Feedback && t.status != Status::Done);
                vec![json!({"type":"verdict","met": !open,"rationale":"looked"})]
            }
            Rights::Specialist => {
                if attempt.iteration == 1 && Random::of(self.world.seed, "finding").roll(2) == 0 {
                    vec![json!({"type":"feedback","title":"a finding","priority":"high","files":["f1"]})]
                } else {
                    Vec::new()
                }
            }
        };
        let spoken = (self.world.speech)(Random::of(self.world.seed, &format!("speech {id}")), &said);
        if spoken.lost {
            self.world.lost.insert(id);
        }
        for ((line, part), message) in spoken.at_once {
            self.submit(Action::AttemptSaid { attempt: id, line, part, message, paths: Vec::new() });
        }
        let report = ExitReport {
            ending: Ending::Exited { code },
            wall_ms: 1,
            transcript: None,
            staged: spoken.staged,
            malformed_lines: 0,
            misread: spoken.misread,
            notes: Vec::new(),
            stdout_bytes: 0,
            truncated: false,
            orphans: 0,
            stderr_tail: String::new(),
            denied: Vec::new(),
            redacted: Vec::new(),
            confined: None,
        };
        Action::AttemptExited { attempt: id, report: Box::new(report) }
    }

    fn plan(&self, state: &Aggregate, iteration: u32, round: u32) -> Vec<Value> {
        let mut random = Random::of(self.world.seed, "plan");
        if iteration == 1 {
            let count = 1 + random.roll(6);
            let cyclic = round == 1 && random.roll(4) == 0;
            let mut lines: Vec<Value> = (1..=count)
                .map(|n| {
                    let mut needs: Vec<String> =
                        (1..n).filter(|_| random.roll(3) == 0).map(|m| format!("k{m}")).collect();
                    if cyclic {
                        needs.push(format!("k{n}"));
                    }
                    json!({"type":"ticket","key":format!("k{n}"),"title":format!("t{n}"),"depends_on":needs,
                           "files":{"create":[format!("f{n}")]}})
                })
                .collect();
            lines.push(json!({"type":"decision","decision":"continue"}));
            return lines;
        }
        let open: Vec<&TicketId> = state
            .tickets
            .iter()
            .filter(|(_, t)| t.seed.kind == Kind::Feedback && t.status != Status::Done)
            .map(|(id, _)| id)
            .collect();
        let mended = state.tickets.values().any(|t| t.seed.kind == Kind::Fix);
        if let (Some(finding), false) = (open.first(), mended) {
            return vec![
                json!({"type":"ticket","title":"fix","kind":"fix","closes":[finding.to_string()]}),
                json!({"type":"decision","decision":"continue"}),
            ];
        }
        let decision = if state.tickets.values().any(|t| t.is_live_work()) { "continue" } else { "done" };
        vec![json!({"type":"decision","decision":decision,"reason":"as it stands"})]
    }

    fn harvest(&self, state: &Aggregate, id: AttemptId) -> Harvest {
        let attempt = &state.attempts[&id];
        let mut harvest = Harvest {
            commit: None,
            tree: String::new(),
            changes: Vec::new(),
            dropped: Vec::new(),
            conflict_markers: Vec::new(),
            untracked_repos: Vec::new(),
            patch: None,
            paths: Vec::new(),
            left_out: Vec::new(),
        };
        if attempt.rights != Rights::Executor || !self.world.ran.contains_key(&id) {
            return harvest;
        }
        let title = title(state, id);
        let own = attempt.ticket.as_ref().and_then(|t| state.tickets[t].seed.files.all().next().map(str::to_owned));
        let mut change = |path: String| {
            harvest.changes.push(PathChange { path, kind: ChangeKind::Added, symlink_escapes: false });
        };
        match Random::of(self.world.seed, &format!("work {title} {}", attempt.round)).roll(6) {
            0 => return harvest,
            1 => {
                change(own.unwrap_or_default());
                change("not-mine".into());
            }
            _ => change(own.unwrap_or_default()),
        }
        harvest.commit = Some(CommitId(format!("{id}")));
        harvest
    }

    #[cfg(test)]
    /// What a person would compare: the end, every item with its status, and what landed.
    fn outcome(&self) -> (String, BTreeSet<(String, &'static str)>, BTreeSet<String>) {
        let state = &self.engine.state;
        let run = state.last_run().unwrap();
        let items = state.tickets.values().map(|t| (t.seed.title.clone(), t.status.word())).collect();
        let landed: BTreeSet<String> = self.world.landed.iter().cloned().collect();
        assert_eq!(landed.len(), self.world.landed.len(), "something landed twice: {:?}", self.world.landed);
        (run.state.word().to_owned(), items, landed)
    }

    fn check(&self) {
        let state = &self.engine.state;
        assert!(state.last_run().unwrap().state.is_over());
        assert_eq!(state.live_attempts().count(), 0, "nothing is left alive");
        assert!(self.world.ran.values().all(|n| *n == 1), "no attempt runs twice");
        for id in &self.world.lost {
            let outcome = state.attempts[id].outcome();
            assert_ne!(outcome, Some(&Outcome::Accepted), "{id} was taken although not all it said was read");
        }
        let mut again = Aggregate::default();
        for (command, events) in &self.log {
            let decision = decide(&again, command).unwrap();
            assert_eq!(&decision.events, events, "the same decision on replay");
            again = decision.state;
        }
        assert_eq!(digest(&again), digest(state));
    }
}

fn title(state: &Aggregate, id: AttemptId) -> String {
    state.attempts[&id].ticket.as_ref().map(|t| state.tickets[t].seed.title.clone()).unwrap_or_default()
}

fn start(rules: u32) -> StartRun {
    let config = Config::parse(
        "[agents.a]\nkind='command'\ncommand=['x']\n[specialists.s]\n[gates]\ncommands=[['test']]\n",
        std::path::Path::new("config.toml"),
    )
    .unwrap();
    let workflow = builtin::ralph();
    let settings = config.resolve(&workflow, std::path::Path::new("/"), &Overrides::default()).unwrap();
    StartRun {
        milestone: MilestoneId(uuid::Uuid::from_u128(1)),
        key: "SIM".into(),
        title: "Simulation".into(),
        spec: BlobId { hash: "h".into(), size: 1 },
        project: "/".into(),
        base: CommitId("base".into()),
        base_is_explicit: false,
        workflow,
        settings,
        rules,
        p0: "test".into(),
        backlog: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn crashes_change_nothing(seed in any::<u64>(), schedule in any::<u64>(), crashes in 2u64..40, rules in prop::sample::select(vec![1, RULES])) {
            let mut calm = Simulation::new(seed, schedule, 0);
            calm.rules = rules;
            calm.run();
            calm.check();
            let mut rough = Simulation::new(seed, schedule.wrapping_add(1), crashes);
            rough.rules = rules;
            rough.run();
            rough.check();
            prop_assert_eq!(calm.outcome(), rough.outcome());
        }
    }

    #[test]
    fn the_simulation_reaches_every_end_it_should() {
        let ends: BTreeSet<String> = (0..200)
            .map(|seed| {
                let mut simulation = Simulation::new(seed, seed, 0);
                simulation.run();
                let run = simulation.engine.state.last_run().unwrap();
                assert!(matches!(run.state, RunState::Done | RunState::Stuck { .. }), "{:?}", run.state);
                run.state.word().to_owned()
            })
            .collect();
        assert_eq!(ends, BTreeSet::from(["done".to_owned(), "stuck".to_owned()]));
    }
}
