//! A run in one file, for exports and archives: everything that is needed to live it again elsewhere, and to check that
//! it is what was written. A zstd stream of JSON lines, so that `zstd -dc FILE | jq` reads it without p0.
//!
//! ```text
//! {"p0run":{"version":1,"run":…,"stream":…,"first_seq":…,"last_seq":…,"head":…}}
//! {"frame":{"first_seq":…, … ,"prev_hash":…,"hash":…,"payload":{…}}}     one per frame of the milestone, from its first
//!                                                                       to the run's last
//! {"blob":{"hash":…,"size":…,"offset":0,"text":"…"}}                    the blobs that those frames name, in the order in
//!                                                                       which they name them, in parts
//! {"end":{"frames":…,"events":…,"blobs":…,"blake3":…}}                  the hash of every byte before this line
//! ```
//! A frame's payload stands there as the very bytes that were hashed; where those are no single line of JSON, they stand
//! beside it in base64 as `bytes`, and `payload` is for people. Writing is deterministic: the same frames give the same
//! file. Reading checks everything as it goes, and takes no more memory than one line.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `form` | the lines |
//! | `write`, `read` | the two directions |
//! | `named` | which blobs a payload names |
//! | `base64` | bytes as text |

mod base64;
mod form;
mod named;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use form::Header;
pub use named::blobs_named;
pub use read::{Counts, Entry, FileFrames, RunFileError, RunReader, check, looks_like};
pub use write::{Source, StreamFrames, Written, write};

/// The extension of run files.
pub const EXTENSION: &str = "p0run";

/// Gives the JSON of a frame's payload when the payload is in another form; none when it cannot be read.
pub type Readable = fn(&crate::Frame) -> Option<String>;
