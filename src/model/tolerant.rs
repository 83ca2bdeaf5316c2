//! Reading what a later version wrote.
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A reason, where this version knows its code; `None` where it does not: beside each stands a sentence that says what
/// there is to say. For `#[serde(deserialize_with)]`.
pub fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}
