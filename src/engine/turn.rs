//! The turn: decide, commit, publish, answer, hand over effects. Nothing else commits.
//!
//! Commands are decided against the **staged** state while the group before them is being written; what is published,
//! answered and handed over is **durable**. A group that finds no room takes with it what was decided upon it.
use super::{
    group::{Decided, Group, Waiting, frame},
    handle::{Accepted, ReadError, SubmitError},
    shared::Shared,
    snapshots::Snapshots,
    steps::{self, ClockWatch, Reading},
    unique,
    writer::{Writer, Written},
};
use crate::{
    journal::{AppendError, Log},
    kernel::{decide, outstanding},
    model::{
        Time,
        actor::Actor,
        aggregate::Aggregate,
        backoff::Backoff,
        command::{Action, Command},
        effect::Effect,
        id::MilestoneId,
        rejection::Rejection,
    },
    system::clock,
    views::catalog::RowError,
};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Commands of one group at the most: they share one fdatasync.
const GROUP: usize = 256;
/// How long the turn looks for the next command before it sleeps. Who works alone asks again as soon as he is answered,
/// and waking a thread takes about as long as this.
const LINGER: Duration = Duration::from_micros(50);
/// How long an effect rests that ended and is wanted still.
const RESTS: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

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
    writer: Writer,
    /// The group that is being written, if one is.
    writing: Option<Group>,
    /// What was decided since, and waits for it.
    staged: Group,
    /// Staged states of milestones that are not at rest.
    live: HashMap<MilestoneId, Aggregate>,
    in_flight: HashMap<MilestoneId, BTreeSet<Effect>>,
    /// How often in a row effects that ended without an outcome have rested.
    rests: HashMap<(MilestoneId, Effect), u32>,
    /// The number of the next event to be staged.
    next_seq: u64,
    last_at: Time,
    shared: Arc<Shared>,
    snapshots: Snapshots,
    orders: mpsc::UnboundedSender<Order>,
    conduct: Conduct,
    clocks: ClockWatch,
}

/// How a turn goes about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conduct {
    /// Whether effects are carried out.
    pub(super) active: bool,
    /// Where to die, in tests of recovery.
    pub(super) die_at: Option<u64>,
}

/// The log cannot be trusted to take another frame, and everybody has been told.
struct Broken;

impl Turn {
    pub(super) fn new(
        log: Log,
        live: HashMap<MilestoneId, Aggregate>,
        last_at: Time,
        (shared, snapshots): (Arc<Shared>, Snapshots),
        orders: mpsc::UnboundedSender<Order>,
        conduct: Conduct,
    ) -> std::io::Result<Self> {
        Ok(Turn {
            next_seq: log.next_seq(),
            writer: Writer::start(log)?,
            writing: None,
            staged: Group::default(),
            live,
            in_flight: HashMap::new(),
            rests: HashMap::new(),
            last_at,
            shared,
            snapshots,
            orders,
            conduct,
            clocks: ClockWatch::new(Reading::now()),
        })
    }

    /// Runs until it is told to close, or until the log cannot be written.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let streams: Vec<MilestoneId> = self.live.keys().copied().collect();
        for stream in streams {
            self.hand_over(stream);
        }
        let mut closing = None;
        loop {
            if self.writing.is_none() && !self.staged.is_empty() {
                // Nobody waits behind a group of one: writing it here saves two changes of threads.
                let alone = self.staged.is_single() && asks.is_empty();
                let begun = if alone { self.write_here() } else { self.write_beside() };
                if begun.is_err() {
                    return;
                }
                continue;
            }
            if self.writing.is_none() {
                if let Some(done) = closing.take() {
                    return self.close(done);
                }
                if let Some(ask) = soon(&mut asks) {
                    closing = self.take_with_others(ask, &mut asks);
                    continue;
                }
            }
            tokio::select! {
                biased;
                written = self.writer.written(), if self.writing.is_some() => {
                    if self.finish_writing(written).is_err() {
                        return;
                    }
                }
                ask = asks.recv(), if closing.is_none() && self.staged.answers() < GROUP => match ask {
                    Some(ask) => closing = self.take_with_others(ask, &mut asks),
                    None => return,
                },
            }
        }
    }

    /// [`Turn::take`], and all that waits behind it, as far as it fits into the group.
    fn take_with_others(&mut self, ask: Ask, asks: &mut mpsc::Receiver<Ask>) -> Option<oneshot::Sender<()>> {
        let mut closing = self.take(ask);
        while closing.is_none() && self.staged.answers() < GROUP {
            let Ok(ask) = asks.try_recv() else { break };
            closing = self.take(ask);
        }
        closing
    }

    /// Takes one thing in; gives back whom to tell of the end when that is what was asked.
    fn take(&mut self, ask: Ask) -> Option<oneshot::Sender<()>> {
        match ask {
            Ask::Submit(submit) => self.decide_one(submit),
            // Whatever it reported comes first: it is in the newest group, or was in an earlier one.
            Ask::EffectOver(stream, effect) => {
                if !self.staged.is_empty() {
                    self.staged.over.push((stream, effect));
                } else if let Some(writing) = &mut self.writing {
                    writing.over.push((stream, effect));
                } else {
                    self.effect_over(stream, &effect);
                }
            }
            Ask::Close(done) => return Some(done),
        }
        None
    }

    fn write_here(&mut self) -> Result<(), Broken> {
        let mut group = std::mem::take(&mut self.staged);
        let frames = std::mem::take(&mut group.frames);
        let result = self.writer.write_here(frames);
        self.finish(group, result)
    }

    fn write_beside(&mut self) -> Result<(), Broken> {
        let mut group = std::mem::take(&mut self.staged);
        if group.frames.is_empty() {
            return self.finish(group, Ok(()));
        }
        self.writer.write_beside(std::mem::take(&mut group.frames));
        self.writing = Some(group);
        Ok(())
    }

    fn finish_writing(&mut self, written: Written) -> Result<(), Broken> {
        match self.writing.take() {
            Some(group) => self.finish(group, written),
            None => Ok(()),
        }
    }

    /// What comes after the disk: publish, answer, hand over.
    fn finish(&mut self, group: Group, written: Written) -> Result<(), Broken> {
        match written {
            Ok(()) => self.breakpoint(),
            Err(why @ AppendError::NoRoom { .. }) => {
                self.refuse(group, &Arc::new(why));
                return Ok(());
            }
            Err(stop @ (AppendError::HeadMoved { .. } | AppendError::Invalid { .. } | AppendError::Failed { .. })) => {
                return Err(self.fail(group, format!("the log could not be written: {stop}")));
            }
        }
        let changed = match self.publish(group.decided) {
            Ok(changed) => changed,
            Err(why) => {
                let rest = Group { answers: group.answers, ..Group::default() };
                return Err(self.fail(rest, format!("the store could not be written: {why}")));
            }
        };
        for Waiting { answer, result } in group.answers {
            // A caller that went away has nothing to hear.
            let _ = answer.send(result);
        }
        for stream in changed {
            self.hand_over(stream);
        }
        for (stream, effect) in group.over {
            self.effect_over(stream, &effect);
        }
        Ok(())
    }

    /// There was no room for `group`: nothing of it happened, nor of what was decided upon it.
    fn refuse(&mut self, group: Group, why: &Arc<AppendError>) {
        let staged = std::mem::take(&mut self.staged);
        for group in [group, staged] {
            for stream in group.decided.iter().map(|d| d.milestone) {
                match self.shared.published(stream) {
                    Some(state) => self.live.insert(stream, (*state).clone()),
                    None => self.live.remove(&stream),
                };
            }
            for Waiting { answer, .. } in group.answers {
                let _ = answer.send(Err(SubmitError::NoRoom(why.clone())));
            }
            for (stream, effect) in group.over {
                self.effect_over(stream, &effect);
            }
        }
        self.next_seq = self.writer.next_seq();
    }

    fn fail(&mut self, group: Group, why: String) -> Broken {
        tracing::error!("{why}");
        let staged = std::mem::take(&mut self.staged);
        for Waiting { answer, .. } in group.answers.into_iter().chain(staged.answers) {
            let _ = answer.send(Err(SubmitError::Stopped(why.clone())));
        }
        self.shared.fail(why);
        Broken
    }

    /// Recovery is tested by dying where the log is ahead of everything else.
    fn breakpoint(&self) {
        if self.conduct.die_at.is_some_and(|seq| self.writer.next_seq() > seq) {
            // Nothing can be done about a kill that fails; the test that asked for it will notice.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    fn decide_one(&mut self, submit: Submit) {
        self.note_clocks();
        let Submit { milestone, actor, action, answer } = submit;
        let result = self.decided(milestone, actor, action);
        self.staged.answers.push(Waiting { answer, result });
    }

    /// Puts a jump of the clocks on record before the first command after it.
    fn note_clocks(&mut self) {
        let Some(step) = self.clocks.look(Reading::now()) else { return };
        steps::tell(&step);
        // An engine that carries nothing out writes down nothing of its own.
        if self.conduct.active
            && let Err(e) = self.decided(MilestoneId::ENGINE, Actor::Engine, Action::NoteClock { step })
        {
            tracing::warn!("putting that on record: {e}");
        }
    }

    fn decided(&mut self, milestone: MilestoneId, actor: Actor, action: Action) -> Result<Accepted, SubmitError> {
        let rejected = |why: &dyn fmt::Display| SubmitError::Rejected(Rejection::Refused { why: why.to_string() });
        let state = self.state(milestone).map_err(|e| rejected(&e))?;
        let at = clock::now().max(self.last_at);
        let command = Command { at, seed: Uuid::new_v4(), actor, action };
        let staged = self.writing.iter().chain([&self.staged]).flat_map(Group::events);
        let taken = unique::taken(&self.shared.catalog(), staged, (milestone, &state), &command.action);
        if let Some(rejection) = taken.map_err(|e| rejected(&e))? {
            return Err(SubmitError::Rejected(rejection));
        }
        let decision = decide(&state, &command).map_err(SubmitError::Rejected)?;
        if decision.events.is_empty() {
            return Ok(Accepted { reply: decision.reply, seq: self.next_seq.saturating_sub(1) });
        }
        let framed = frame(milestone, self.next_seq, &command, decision.events);
        let (frame, drafts) = framed.map_err(|e| rejected(&e))?;
        self.next_seq += u64::from(frame.events);
        self.last_at = at;
        self.staged.frames.push(frame);
        self.live.insert(milestone, decision.state.clone());
        self.staged.decided.push(Decided { milestone, drafts, state: decision.state });
        Ok(Accepted { reply: decision.reply, seq: self.next_seq - 1 })
    }

    /// The staged state of a milestone, brought back from the store when it has been at rest for a while.
    fn state(&mut self, milestone: MilestoneId) -> Result<Aggregate, ReadError> {
        if let Some(state) = self.live.get(&milestone) {
            return Ok(state.clone());
        }
        let state = self.shared.load(milestone)?;
        Ok(state.map(|state| (*state).clone()).unwrap_or_default())
    }

    /// Moves the views, after the commit and never before.
    fn publish(&mut self, decided: Vec<Decided>) -> Result<BTreeSet<MilestoneId>, RowError> {
        let changed: BTreeSet<MilestoneId> = decided.iter().map(|d| d.milestone).collect();
        let head = self.writer.next_seq().saturating_sub(1);
        self.snapshots.saw(&decided);
        self.shared.publish(head, &decided)?;
        for stream in &changed {
            // What was staged upon it may have woken it again.
            let moved_on = self.staged.decided.iter().any(|d| d.milestone == *stream);
            if !moved_on && self.live.get(stream).is_some_and(Aggregate::is_settled) {
                self.live.remove(stream);
            }
        }
        Ok(changed)
    }

    /// What the durable state of a milestone wants in flight.
    fn wanted(&self, stream: MilestoneId) -> BTreeSet<Effect> {
        self.shared.published(stream).map(|state| outstanding(&state)).unwrap_or_default()
    }

    /// Compares what the state wants in flight with what is, and orders the difference.
    fn hand_over(&mut self, stream: MilestoneId) {
        if !self.conduct.active {
            return;
        }
        let wanted = self.wanted(stream);
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
        if self.conduct.active && self.wanted(stream).contains(effect) {
            let rests = self.rests.entry(key).or_default();
            let pause = RESTS.after(*rests);
            *rests = rests.saturating_add(1);
            let _ = self.orders.send(Order::Again(stream, effect.clone(), pause));
            return;
        }
        self.rests.remove(&key);
        if let Some(in_flight) = self.in_flight.get_mut(&stream) {
            in_flight.remove(effect);
        }
        self.hand_over(stream);
    }

    fn close(mut self, done: oneshot::Sender<()>) {
        self.snapshots.finish(&self.live);
        if let Err(e) = self.shared.note_head() {
            tracing::error!("noting how far the catalog is: {e}");
        }
        if let Err(e) = self.writer.close() {
            tracing::error!("closing the log: {e}");
        }
        let _ = done.send(());
    }
}

/// What is asked within [`LINGER`]; others may use the processor meanwhile.
fn soon(asks: &mut mpsc::Receiver<Ask>) -> Option<Ask> {
    let since = clock::monotonic();
    loop {
        match asks.try_recv() {
            Ok(ask) => return Some(ask),
            Err(_) if since.elapsed() >= LINGER => return None,
            Err(_) => std::thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests;
