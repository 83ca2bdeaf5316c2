//! One tolerant reader for what other programs write: agents' messages, the events of their command-line programs, ACP
//! and MCP. It takes what can be meant in one way only for what it means, and says of everything else why it cannot be
//! read. Nothing that was meant as a message is passed over.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `form` | the JSON schema of a message or of a tool's arguments, plain enough for every client |
//! | `check` | a value against its schema: what can be mended, what is wrong in which field |
//!
//! Pure: bytes and values in, values and sentences out. What is never in it: input and output, and any decision about
//! what follows from an unreadable message.
mod check;
mod form;

pub use check::check;
pub use form::{Form, of, of_message};
