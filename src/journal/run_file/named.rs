//! Which blobs a payload names.

use crate::{BlobRef, Hash};

const HASH: &str = r#""hash":""#;
const SIZE: &str = r#"","size":"#;
const DIGITS: usize = 64;

/// The blobs that the JSON of a payload names, in order, each as often as it is named. A blob is named as
/// `"hash":"<64 hex digits>","size":<number>`; a text inside a JSON string cannot look so, because its quotes are
/// escaped there.
pub fn blobs_named(json: &str) -> impl Iterator<Item = BlobRef> + '_ {
    json.match_indices(HASH).filter_map(|(at, found)| {
        let rest = &json[at + found.len()..];
        let hash: Hash = rest.get(..DIGITS)?.parse().ok()?;
        let number = rest.get(DIGITS..)?.strip_prefix(SIZE)?;
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        Some(BlobRef { hash, size: number[..digits].parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_count() {
        let hash = Hash::of(b"x");
        let inner = serde_json::json!({"hash": hash.to_string(), "size": 7}).to_string();
        let whole = serde_json::json!({
            "said": inner,
            "hash": "short",
            "patch": {"hash": hash.to_string(), "size": 12},
            "other": {"hash": hash.to_string()},
        });
        let found: Vec<BlobRef> = blobs_named(&whole.to_string()).collect();
        assert_eq!(found, [BlobRef { hash, size: 12 }]);
        assert_eq!(blobs_named("\"hash\":\"").count(), 0);
    }
}
