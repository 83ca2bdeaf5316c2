//! The 32-byte BLAKE3 hash that links frames and names blobs.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Up to this length a hash before and a body are put together.
const SHORT_BYTES: usize = 1024;

/// A BLAKE3 hash. Printed, parsed and serialised as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// The text given for a hash is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a hash: expected 64 hex digits")]
pub struct NotAHash {
    /// What was given.
    pub text: String,
}

impl Hash {
    /// What the first frame of a log has as the hash before it: all zero.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Hash {
        Hash(bytes)
    }

    /// The BLAKE3 hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(*blake3::hash(bytes).as_bytes())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of a frame: BLAKE3 over the hash before it and its own body.
    pub(crate) fn chained(prev: &Hash, body: &[u8]) -> Hash {
        // Most frames are short: put together they are hashed at once, without the state of a hasher, which is larger
        // than they are.
        let mut together = [0; SHORT_BYTES];
        let length = prev.0.len() + body.len();
        if length <= SHORT_BYTES {
            together[..prev.0.len()].copy_from_slice(&prev.0);
            together[prev.0.len()..length].copy_from_slice(body);
            return Hash::of(&together[..length]);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&prev.0);
        hasher.update(body);
        Hash(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Hash, NotAHash> {
        blake3::Hash::from_hex(text).map(|h| Hash(*h.as_bytes())).map_err(|_| NotAHash { text: text.to_owned() })
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses() {
        let hash = Hash::of(b"p0");
        assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
        assert_eq!(hash.to_string().len(), 64);
        assert!("xyz".parse::<Hash>().is_err());
    }
}
