//! One tolerant reader for what other programs write: agents' messages, the events of their command-line programs, ACP
//! and MCP. It takes what can be meant in one way only for what it means, and says of everything else why it cannot be
//! read. What seems to be meant as a message (`seem`, `untyped`) is not passed over.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `lines` | the objects in lines of output: behind other text, several in a line, one over several lines |
//! | `clean` | a line as text: no terminal sequences, no bytes that are no UTF-8 |
//! | `object` | where an object ends; half surrogate pairs and control characters in its strings |
//! | `lead` | whether an object behind other text is what its line says |
//! | `lenient` | objects in the notation of other languages, to find out what they were meant as |
//! | `seem` | whether text that is no JSON was meant as a message, and as which |
//! | `untyped` | what an object without a message's `type` was meant as, or holds |
//! | `message` | from an object to a message of the protocol |
//! | `check` | fields against their schema: what they mean, what is wrong with which |
//! | `words` | synonyms, and the nearest known word to a mistyped one |
//! | `form` | the JSON schema of a message or of a tool's arguments, plain enough for every client |
//!
//! Pure: bytes and values in, values and sentences out. What is never in it: input and output, and any decision about
//! what follows from an unreadable message.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a test may stop at the first surprise and may make its own world"
    )
)]
mod check;
mod clean;
mod form;
mod lead;
mod lenient;
mod lines;
mod message;
mod object;
mod seem;
mod untyped;
mod words;

#[cfg(test)]
mod corpus;

pub use check::check;
pub use form::{Form, of, of_message};
pub use lines::{Fragment, LineReader, Piece, Source};
pub use message::{Reading, Unreadable, read_message};
pub use object::Unambiguous;

/// Whether a line of an agent's output may be a message, whole or broken. Cheap for lines that are none.
#[must_use]
pub fn may_be_message(line: &[u8]) -> bool {
    if !seem::hints(line) {
        return false;
    }
    let mut reader = LineReader::new(Source::Agent);
    let (found, open) = (reader.line(1, line), reader.end());
    found.iter().chain(&open).any(|piece| match piece {
        Piece::Object(value) => read_message(value) != Reading::Log,
        Piece::Unreadable(_) => true,
    })
}
