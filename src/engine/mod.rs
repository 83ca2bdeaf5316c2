//! Wiring and order: turn, boot, effects, shutdown, handle. No rules in here: those are the kernel's.
//!
//! - [`start`]: opening and stopping an engine;
//! - [`handle`]: what the surface holds of it;
//! - [`reading`]: a hold on a log that nobody here holds;
//! - `turn`: the one place that decides, commits, publishes, answers and hands over effects, in this order;
//! - [`replay`]: a run lived again, every decision taken anew; `fold`: states from frames;
//! - `unique`: what only one milestone may have, decided before the turn decides a command;
//! - [`steps`]: dates that jump;
//! - `group`, `writer`: what becomes durable together, and the hand that writes it;
//! - `snapshots`, `rows`: what a start need not fold again;
//! - [`run_files`]: runs to and from files of their own; [`backup`]: all of it; [`audit`]: checking logs and files;
//! - [`history`]: one milestone or ticket, by index;
//! - [`archive`]: records of runs that are long over, in files of their own; [`gc`]: what nothing needs any more;
//! - `world`: carries effects out, and reports back with commands.
pub mod archive;
pub mod audit;
pub mod backup;
pub mod gc;
pub mod handle;
pub mod history;
pub mod reading;
pub mod replay;
pub mod run_files;
pub mod start;
pub mod steps;

mod boot;
mod error;
mod fold;
mod fork;
mod group;
mod retries;
mod rows;
mod shared;
mod snapshots;
mod turn;
mod unique;
mod world;
mod writer;

/// Reads `bytes` as the payload of a frame, in every way that it is read.
#[cfg(any(fuzzing, test))]
pub(crate) fn fuzz_payload(bytes: &[u8]) {
    let frame = crate::journal::Frame::with_payload(1, 1, bytes.to_vec());
    let _ = crate::codec::payload::decode(&frame);
    let mut state = crate::model::aggregate::Aggregate::default();
    fold::fold(&mut state, frame.view());
}
