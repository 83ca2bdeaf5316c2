//! The digest of a state: equal states have equal digests, in every process that folds the same log.
use p0_model::aggregate::Aggregate;

/// BLAKE3 (hexadecimal) of the state written as JSON. Maps are ordered, so the text is the same everywhere.
pub fn digest(state: &Aggregate) -> String {
    let mut hasher = blake3::Hasher::new();
    // Writing into a hasher cannot fail, and every part of the state has a JSON form.
    if serde_json::to_writer(&mut hasher, state).is_err() {
        return String::new();
    }
    hasher.finalize().to_hex().to_string()
}
