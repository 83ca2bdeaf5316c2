//! The bytes of a frame's payload: a command and the events it was decided into. Nothing in here decides or folds.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `payload` | both forms, and what is read of them |
//! | `packed` | reading the envelopes of the packed form by hand |
mod packed;
pub mod payload;
