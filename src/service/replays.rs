//! Runs lived again, as documents: of the engine's log or of a file, the same.
use super::{
    names::Point,
    problem::{Kind, Problem},
};
use crate::{
    contract::records::{DivergenceDoc, ReplayDoc},
    engine::{
        handle::{ReadError, Until},
        replay,
    },
    model::{
        id::RunId,
        record::{FramePayload, Record},
    },
    system::clock,
    views::diff::{self, Difference},
};
use serde_json::Value;

/// What of a replay is wanted beside the state.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// Up to where.
    pub(crate) until: Option<Until>,
    /// The events.
    pub(crate) records: bool,
    /// The commands with their events.
    pub(crate) steps: bool,
}

/// Lives a run again.
pub(crate) fn replayed(
    run: RunId,
    frames: impl Iterator<Item = Result<FramePayload, ReadError>>,
    wanted: Wanted,
) -> Result<ReplayDoc, Problem> {
    let (mut steps, mut records) = (Vec::new(), Vec::new());
    let watched = frames.inspect(|frame| {
        let Ok(frame) = frame else { return };
        if wanted.steps {
            steps.push(frame.clone());
        }
        if wanted.records {
            records.extend(frame.events.iter().cloned());
        }
    });
    let began = clock::monotonic();
    let replayed = replay::replay(watched, wanted.until)?;
    let wall_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let last = replayed.until;
    for step in &mut steps {
        step.events.retain(|record| record.seq <= last);
    }
    steps.retain(|step| !step.events.is_empty());
    records.retain(|record: &Record| record.seq <= last);
    Ok(ReplayDoc {
        run,
        events: replayed.events,
        until: last,
        verified: replayed.divergence.is_none(),
        divergence: replayed.divergence.map(|it| DivergenceDoc {
            seq: it.seq,
            recorded: it.recorded,
            decided: it.decided,
        }),
        digest: replayed.digest,
        state: serde_json::to_value(&*replayed.state).map_err(|e| Problem::general(&e))?,
        wall_us,
        records: wanted.records.then_some(records),
        steps: wanted.steps.then_some(steps),
    })
}

/// What differs between the states at two points. `frames` gives the run's frames, twice.
pub(crate) fn differences<F>(
    frames: impl Fn() -> Result<F, Problem>,
    (from, to): (Point, Point),
) -> Result<Vec<Difference>, Problem>
where
    F: Iterator<Item = Result<FramePayload, ReadError>>,
{
    let at = |point: Point| -> Result<Value, Problem> {
        let state = replay::replay(frames()?, Some(until(point)))?.state;
        serde_json::to_value(&*state).map_err(|e| Problem::general(&e))
    };
    Ok(diff::between(&at(from)?, &at(to)?))
}

/// A point as a replay takes it.
pub(crate) fn until(point: Point) -> Until {
    match point {
        Point::Seq(seq) => Until::Seq(seq),
        Point::At(at) => Until::At(at),
    }
}

/// Reads `A..B`.
pub(crate) fn span(text: &str) -> Result<(Point, Point), Problem> {
    let Some((from, to)) = text.split_once("..") else {
        return Err(Problem::new(Kind::Usage, format!("'{text}' is no span of the log"))
            .hint("write two sequence numbers or times with two dots between them, such as 12..40"));
    };
    let point = super::names::point;
    Ok((point(from)?, point(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_ends() {
        assert_eq!(span("3..17").unwrap(), (Point::Seq(3), Point::Seq(17)));
        assert!(matches!(span("2026-01-31T10:00:00Z..20").unwrap(), (Point::At(_), Point::Seq(20))));
        for bad in ["3", "3..", "..", "a..b"] {
            assert_eq!(span(bad).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }
}
