//! What the fuzzer feeds (`scripts/fuzz`): decoders of what may come from outside. They must end, without a panic and
//! without taking more memory than the input is worth.
use crate::{engine, journal};

/// A frame, alone and among others.
pub fn frame(bytes: &[u8]) {
    journal::fuzz_frames(bytes);
}

/// The payload of a frame: its events and its command.
pub fn event(bytes: &[u8]) {
    engine::fuzz_payload(bytes);
}
