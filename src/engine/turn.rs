//! The turn: decide, commit, publish, answer, hand over effects. Nothing else commits.
use super::{
    fold,
    handle::{Accepted, SubmitError},
    shared::Shared,
};
use crate::{
    effects::clock,
    journal::{AppendError, FrameKeys, Log, NewFrame},
    kernel::{decide, outstanding},
    model::{
        Time,
        actor::Actor,
        aggregate::Aggregate,
        command::{Action, Command},
        effect::Effect,
        id::MilestoneId,
        record::{Draft, FramePayload, Record},
        rejection::Rejection,
    },
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Commands of one group at the most: they share one fdatasync.
const GROUP: usize = 256;
/// How long an effect rests that ended and is wanted still: at first, and at the most.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// Milestones at rest that stay in memory after their last command: the next one need not fold them again.
const RESTED: usize = 8;

/// What the turn is asked to do.
pub(super) enum Ask {
    /// A command.
    Submit(Submit),
    /// An effect is over, whatever it reported.
    EffectOver(MilestoneId, Effect),
    /// Close the log and end.
    Close(oneshot::Sender<()>),
}

/// A command on its way.
pub(super) struct Submit {
    pub(super) milestone: MilestoneId,
    pub(super) actor: Actor,
    pub(super) action: Action,
    pub(super) answer: oneshot::Sender<Result<Accepted, SubmitError>>,
}

/// A change of what should be in flight.
#[derive(Debug)]
pub(super) enum Order {
    /// Begin this.
    Begin(MilestoneId, Effect),
    /// Begin this once more, after a pause: it ended, and nothing came of it.
    Again(MilestoneId, Effect, Duration),
    /// This is no longer wanted (timers).
    Drop(MilestoneId, Effect),
}

/// The engine's one writer.
pub(super) struct Turn {
    log: Log,
    live: HashMap<MilestoneId, Aggregate>,
    /// Durable states of milestones that came to rest, the latest last.
    rested: VecDeque<(MilestoneId, Aggregate)>,
    in_flight: HashMap<MilestoneId, BTreeSet<Effect>>,
    /// How long effects that ended without an outcome rested last.
    rests: HashMap<(MilestoneId, Effect), Duration>,
    last_at: Time,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    conduct: Conduct,
}

/// How a turn goes about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conduct {
    /// Whether effects are carried out.
    pub(super) active: bool,
    /// Where to die, in tests of recovery.
    pub(super) die_at: Option<u64>,
}

/// A command of the group that was decided, waiting for the disk.
struct Decided {
    milestone: MilestoneId,
    drafts: Vec<(u64, Draft)>,
    state: Aggregate,
}

type Answer = (oneshot::Sender<Result<Accepted, SubmitError>>, Result<Accepted, SubmitError>);

impl Turn {
    pub(super) fn new(
        log: Log,
        live: HashMap<MilestoneId, Aggregate>,
        last_at: Time,
        shared: Arc<Shared>,
        orders: mpsc::UnboundedSender<Order>,
        conduct: Conduct,
    ) -> Self {
        Turn {
            log,
            live,
            rested: VecDeque::new(),
            in_flight: HashMap::new(),
            rests: HashMap::new(),
            last_at,
            shared,
            orders,
            conduct,
        }
    }

    /// Runs until it is told to close, or until the log cannot be written.
    pub(super) fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let streams: Vec<MilestoneId> = self.live.keys().copied().collect();
        for stream in streams {
            self.hand_over(stream);
        }
        while let Some(first) = asks.blocking_recv() {
            let mut submits = Vec::new();
            let mut next = Some(first);
            while let Some(ask) = next.take() {
                match ask {
                    Ask::Submit(submit) => submits.push(submit),
                    Ask::EffectOver(stream, effect) => {
                        // Whatever it reported comes first: it is in this group or was in an earlier one.
                        if !submits.is_empty() && self.turn(std::mem::take(&mut submits)).is_err() {
                            return;
                        }
                        self.effect_over(stream, &effect);
                    }
                    Ask::Close(done) => {
                        if !submits.is_empty() && self.turn(submits).is_err() {
                            return;
                        }
                        return self.close(done);
                    }
                }
                if submits.len() < GROUP {
                    next = asks.try_recv().ok();
                }
            }
            if !submits.is_empty() && self.turn(submits).is_err() {
                return;
            }
        }
    }

    /// One turn: decide, commit, publish, answer, hand over effects. An error means that the log cannot be trusted to
    /// take another frame: the engine stops.
    fn turn(&mut self, submits: Vec<Submit>) -> Result<(), ()> {
        let mut frames = Vec::new();
        let mut decided = Vec::new();
        let mut answers: Vec<Answer> = Vec::new();
        let mut next_seq = self.log.next_seq();
        for submit in submits {
            let Submit { milestone, actor, action, answer } = submit;
            let result = self.decide_one(milestone, actor, action, &mut next_seq, &mut frames, &mut decided);
            answers.push((answer, result));
        }
        if !frames.is_empty() {
            match self.log.append(frames) {
                Ok(()) => self.breakpoint(),
                Err(why @ AppendError::NoRoom { .. }) => {
                    for (answer, _) in answers {
                        // A caller that went away has nothing to hear.
                        let _ = answer.send(Err(SubmitError::NoRoom(why.to_string())));
                    }
                    self.unstage(&decided);
                    return Ok(());
                }
                Err(
                    stop @ (AppendError::HeadMoved { .. } | AppendError::Invalid { .. } | AppendError::Failed { .. }),
                ) => {
                    let why = format!("the log could not be written: {stop}");
                    tracing::error!("{why}");
                    for (answer, _) in answers {
                        let _ = answer.send(Err(SubmitError::Stopped(why.clone())));
                    }
                    self.shared.fail(why);
                    return Err(());
                }
            }
        }
        let changed = self.publish(decided);
        for (answer, result) in answers {
            let _ = answer.send(result);
        }
        for stream in changed {
            self.hand_over(stream);
        }
        Ok(())
    }

    /// Recovery is tested by dying where the log is ahead of everything else.
    fn breakpoint(&self) {
        if self.conduct.die_at.is_some_and(|seq| self.log.next_seq() > seq) {
            // Nothing can be done about a kill that fails; the test that asked for it will notice.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    fn decide_one(
        &mut self,
        milestone: MilestoneId,
        actor: Actor,
        action: Action,
        next_seq: &mut u64,
        frames: &mut Vec<NewFrame>,
        decided: &mut Vec<Decided>,
    ) -> Result<Accepted, SubmitError> {
        let rejected = |why: String| SubmitError::Rejected(Rejection::Refused { why });
        let state = self.state(milestone).map_err(rejected)?;
        let at = clock::now().max(self.last_at);
        let command = Command { at, seed: Uuid::new_v4(), actor, action };
        let decision = decide(&state, &command).map_err(SubmitError::Rejected)?;
        if decision.events.is_empty() {
            return Ok(Accepted { reply: decision.reply, seq: next_seq.saturating_sub(1) });
        }
        let first_seq = *next_seq;
        let (frame, drafts) = frame(milestone, first_seq, command, decision.events).map_err(rejected)?;
        *next_seq += u64::from(frame.events);
        self.last_at = at;
        frames.push(frame);
        self.live.insert(milestone, decision.state.clone());
        decided.push(Decided { milestone, drafts, state: decision.state });
        Ok(Accepted { reply: decision.reply, seq: *next_seq - 1 })
    }

    /// The staged state of a milestone, brought back from the store when it has been at rest for a while.
    fn state(&mut self, milestone: MilestoneId) -> Result<Aggregate, String> {
        if let Some(state) = self.live.get(&milestone) {
            return Ok(state.clone());
        }
        if let Some((_, state)) = self.rested.iter().find(|(id, _)| *id == milestone) {
            return Ok(state.clone());
        }
        let state = self.shared.load(milestone).map_err(|e| e.to_string())?.unwrap_or_default();
        Ok(state)
    }

    /// Nothing of the group happened: what was staged gives way to what is durable.
    fn unstage(&mut self, decided: &[Decided]) {
        for stream in decided.iter().map(|d| d.milestone) {
            match self.shared.published(stream) {
                Some(state) => self.live.insert(stream, (*state).clone()),
                None => self.live.remove(&stream),
            };
        }
    }

    /// Moves the views, after the commit and never before.
    fn publish(&mut self, decided: Vec<Decided>) -> BTreeSet<MilestoneId> {
        let mut changed = BTreeSet::new();
        let head = self.log.next_seq().saturating_sub(1);
        for one in &decided {
            changed.insert(one.milestone);
        }
        self.shared
            .publish(head, decided.into_iter().map(|d| (d.milestone, d.drafts, d.state)), |state| !state.is_settled());
        for stream in &changed {
            self.rested.retain(|(id, _)| id != stream);
            if self.live.get(stream).is_some_and(Aggregate::is_settled)
                && let Some(state) = self.live.remove(stream)
            {
                self.rested.push_back((*stream, state));
            }
        }
        self.rested.drain(..self.rested.len().saturating_sub(RESTED));
        changed
    }

    /// Compares what the state wants in flight with what is, and orders the difference.
    fn hand_over(&mut self, stream: MilestoneId) {
        if !self.conduct.active {
            return;
        }
        let wanted = self.live.get(&stream).map(outstanding).unwrap_or_default();
        let in_flight = self.in_flight.entry(stream).or_default();
        for effect in wanted.difference(in_flight) {
            // The receiver lives as long as the engine; after that nothing is to be begun.
            let _ = self.orders.send(Order::Begin(stream, effect.clone()));
        }
        for effect in in_flight.difference(&wanted).filter(|e| matches!(e, Effect::Wait { .. })) {
            let _ = self.orders.send(Order::Drop(stream, effect.clone()));
        }
        // An effect that reported is still at work until it says that it is over; it must not begin a second time.
        in_flight.retain(|e| wanted.contains(e) || !matches!(e, Effect::Wait { .. }));
        in_flight.extend(wanted);
        if in_flight.is_empty() {
            self.in_flight.remove(&stream);
        }
    }

    /// An effect that nothing came of is still wanted: it is begun again, but not at once and not without end.
    fn effect_over(&mut self, stream: MilestoneId, effect: &Effect) {
        let key = (stream, effect.clone());
        if self.conduct.active && self.live.get(&stream).is_some_and(|state| outstanding(state).contains(effect)) {
            let pause = self.rests.get(&key).map_or(AGAIN_FIRST, |last| (*last * 2).min(AGAIN_MOST));
            self.rests.insert(key, pause);
            let _ = self.orders.send(Order::Again(stream, effect.clone(), pause));
            return;
        }
        self.rests.remove(&key);
        if let Some(in_flight) = self.in_flight.get_mut(&stream) {
            in_flight.remove(effect);
        }
        self.hand_over(stream);
    }

    fn close(self, done: oneshot::Sender<()>) {
        if let Err(e) = self.log.close() {
            tracing::error!("closing the log: {e}");
        }
        let _ = done.send(());
    }
}

/// A command and its events as a frame, with the events at their places.
fn frame(
    milestone: MilestoneId,
    first_seq: u64,
    command: Command,
    drafts: Vec<Draft>,
) -> Result<(NewFrame, Vec<(u64, Draft)>), String> {
    let at_ms = command.at.timestamp_millis();
    let drafts: Vec<(u64, Draft)> = (first_seq..).zip(drafts).collect();
    let events: Vec<Record> = drafts.iter().map(|(seq, draft)| Record::new(*seq, draft)).collect();
    let run = drafts.iter().find_map(|(_, d)| d.run);
    let tickets: BTreeSet<String> = drafts.iter().filter_map(|(_, d)| Some(d.ticket.as_ref()?.to_string())).collect();
    let payload = FramePayload { v: fold::PAYLOAD, command, events };
    let frame = NewFrame {
        first_seq,
        events: u32::try_from(drafts.len()).map_err(|e| e.to_string())?,
        at_ms,
        keys: FrameKeys { stream: milestone.0, run: run.map(|r| r.0), tickets: tickets.into_iter().collect() },
        payload: serde_json::to_vec(&payload).map_err(|e| e.to_string())?,
    };
    Ok((frame, drafts))
}
