//! What an attempt is given to read, and its prompt in words. Pure: files were read before.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `source` | what it is made from |
//! | `input` | the one JSON object that every agent reads |
//! | `prompt` | the same in words, within a limit |
pub(crate) mod input;
mod prompt;
pub(crate) mod source;
