//! What happened to one milestone or ticket, found by index: looking costs what is shown, not the whole log.
use super::handle::{Handle, ReadError, records_in};
use crate::{
    journal::Error,
    model::{
        Time,
        id::{MilestoneId, TicketId},
        record::Record,
    },
};

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Of a milestone, and so of all its runs.
    Milestone(MilestoneId),
    /// Of every command that touched a ticket of this milestone.
    Ticket(MilestoneId, TicketId),
}

/// Events in order.
pub type Records = Box<dyn Iterator<Item = Result<Record, ReadError>> + Send>;

impl Handle {
    /// The events of the frames about `subject`, in order, and the event up to which that is all of them. Other events
    /// of the same frames are among them.
    pub fn history(&self, subject: &Subject) -> (Records, u64) {
        let log = &self.shared.log;
        // Asked before the index is: what comes in between is then beyond it.
        let covered = log.last_seq().min(*self.shared.head.borrow());
        let frames = match subject {
            Subject::Milestone(id) => log.frames_of_stream(id.0),
            Subject::Ticket(milestone, id) => log.frames_of_ticket(milestone.0, &id.to_string()),
        };
        let within =
            records_in(frames).take_while(move |record| record.as_ref().map_or(true, |record| record.seq <= covered));
        (Box::new(within), covered)
    }

    /// The last event before a moment. The log is in the order of time, so halving finds it. Frames whose archive is lost
    /// are passed over: only who wants to see them needs it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn last_before(&self, at: Time) -> Result<u64, ReadError> {
        let (mut low, mut high) = (0, *self.shared.head.borrow());
        while low < high {
            let middle = low + (high - low) / 2;
            let mut frames = self.shared.log.frames_from(middle + 1)?;
            let next = frames.find(|frame| !matches!(frame, Err(Error::Archive { .. })));
            match next.transpose()? {
                Some(frame) if chrono::DateTime::from_timestamp_millis(frame.at_ms).is_some_and(|then| then < at) => {
                    low = frame.last_seq();
                }
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// The sequence number and hash of the log's last durable frame: what is noted elsewhere as an anchor.
    pub fn anchor(&self) -> (u64, String) {
        let head = self.shared.log.head();
        (head.next_seq.saturating_sub(1), head.hash.to_string())
    }
}
