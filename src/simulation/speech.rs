//! How what an agent means to say reaches the rules.
use super::random::Random;
use p0_model::{attempt::Said, protocol::Message};
use serde_json::Value;

/// What is heard of what an agent says.
pub struct Spoken {
    /// What waits for the attempt's end.
    pub staged: Vec<Said>,
    /// Why a message could not be read, each in a sentence.
    pub misread: Vec<String>,
    /// What is taken at once, with its line and its part of that line.
    pub at_once: Vec<((u64, u32), Message)>,
    /// Whether something that its work is judged by was not heard as it was meant.
    pub lost: bool,
}

/// How an agent's messages are heard: from a seed and what it means to say.
pub type Speech = fn(Random, &[Value]) -> Spoken;

/// Every message is heard as it was meant.
pub(super) fn clearly(_: Random, meant: &[Value]) -> Spoken {
    let read = |value: &Value| serde_json::from_value::<Message>(value.clone()).unwrap();
    let said = (1..).zip(meant).map(|(line, value)| Said { line, message: read(value) });
    let (staged, at_once): (Vec<Said>, Vec<Said>) = said.partition(|said| said.message.is_staged());
    let at_once = at_once.into_iter().map(|said| ((said.line, 0), said.message)).collect();
    Spoken { staged, misread: Vec::new(), at_once, lost: false }
}
