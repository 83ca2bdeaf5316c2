//! One newtype for every kind of id.
use super::text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use std::{fmt, str::FromStr, sync::Arc};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map($name)
            }
        }
    };
}

uuid_id!(
    /// A milestone, and with it the stream of frames that its aggregate is folded from.
    MilestoneId
);
impl MilestoneId {
    /// The stream of what belongs to no milestone: repairs, imports.
    pub const ENGINE: MilestoneId = MilestoneId(Uuid::nil());
}

uuid_id!(
    /// One execution of a workflow on a milestone (UUID version 7).
    RunId
);
uuid_id!(
    /// One invocation of an agent (UUID version 7).
    AttemptId
);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.to_owned())
            }
        }
    };
}

name_id!(
    /// A role as the workflow and the configuration name it: `planner`, `executor`, `security`.
    RoleName
);
name_id!(
    /// A question to a person: `BLOG-A1`.
    ApprovalId
);
name_id!(
    /// A configured agent: the `NAME` of `[agents.NAME]`.
    AgentName
);
name_id!(
    /// A stage of a workflow.
    StageName
);
name_id!(
    /// A learning: `L1`, `L2`, … within its milestone.
    LearningId
);
name_id!(
    /// A git commit, as lower-case hexadecimal.
    CommitId
);

impl CommitId {
    /// The first ten digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

/// A work item: the milestone's key and a path of numbers, `BLOG-2.3` for the third sub-task of `BLOG-2`.
///
/// The one join key across the log, the tracker, the audit and the commits. Orders by number, not by text. Cheap to
/// clone: a change of one ticket copies a node of the map with all the ids in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(Arc<Parts>);

/// Both inside the one allocation, but for paths of more than three numbers: the ids of a log are read by the million.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    key: Key,
    path: SmallVec<[u32; 3]>,
}

/// A milestone's key with zeros behind it: nearly all ids that are compared have the same one, and two of a fixed length
/// are compared without a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key([u8; KEY_CHARS]);

impl Key {
    /// Of a text that [`is_key`]; others are cut.
    fn new(text: &str) -> Key {
        let mut bytes = [0; KEY_CHARS];
        bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Key(bytes)
    }

    fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(KEY_CHARS);
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl TicketId {
    /// The `number`-th top-level item of the milestone with this key.
    pub fn new(key: &str, number: u32) -> Self {
        Self(Arc::new(Parts { key: Key::new(key), path: smallvec![number] }))
    }

    /// The `number`-th sub-task of this item.
    pub fn child(&self, number: u32) -> Self {
        let mut parts = Parts::clone(&self.0);
        parts.path.push(number);
        Self(Arc::new(parts))
    }

    /// The item of the same number in the milestone with this key.
    pub fn under(&self, key: &str) -> Self {
        Self(Arc::new(Parts { key: Key::new(key), path: self.0.path.clone() }))
    }

    /// Byte by byte: every event of every log that is folded has one or two.
    fn parse(text: &str) -> Option<TicketId> {
        let dash = text.bytes().position(|b| b == b'-')?;
        let (key, path) = (&text[..dash], text.as_bytes().get(dash + 1..)?);
        if !is_key(key) {
            return None;
        }
        let mut numbers = SmallVec::new();
        let mut number: Option<u32> = None;
        for byte in path {
            match byte {
                b'0'..=b'9' => {
                    let so_far = number.unwrap_or_default().checked_mul(10)?;
                    number = Some(so_far.checked_add(u32::from(byte - b'0'))?);
                }
                b'.' => numbers.push(number.take()?),
                _ => return None,
            }
        }
        numbers.push(number?);
        Some(Self(Arc::new(Parts { key: Key::new(key), path: numbers })))
    }

    /// The milestone's key: `BLOG` of `BLOG-2.3`.
    pub fn key(&self) -> &str {
        self.0.key.as_str()
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.key())?;
        for (i, n) in self.0.path.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{n}")?;
        }
        Ok(())
    }
}

/// A text that is not a ticket id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a ticket id (expected KEY-1 or KEY-1.2)")]
pub struct TicketIdError(String);

impl FromStr for TicketId {
    type Err = TicketIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TicketId::parse(text).ok_or_else(|| TicketIdError(text.to_owned()))
    }
}

/// The longest key of a milestone.
pub const KEY_CHARS: usize = 16;

/// Whether a text can be a milestone's key: a capital letter, then capitals and digits, [`KEY_CHARS`] at the most.
pub fn is_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_uppercase())
        && text.len() <= KEY_CHARS
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

impl Serialize for TicketId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TicketId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        text::deserialize(d, "a ticket id")
    }
}

impl JsonSchema for TicketId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TicketId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Z][A-Z0-9]{0,15}-[0-9]+([.][0-9]+)*$"})
    }
}

/// A fencing token: every claim of a milestone gets a higher one, and a write with an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// A content-addressed blob beside the log: BLAKE3 of its bytes (hexadecimal) and its size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct BlobId {
    /// BLAKE3 of the uncompressed bytes, lower-case hexadecimal.
    pub hash: String,
    /// Uncompressed size in bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_ids_read_back_and_order_by_number() {
        let two: TicketId = "BLOG-2".parse().unwrap();
        assert_eq!(two.child(3).to_string(), "BLOG-2.3");
        assert_eq!("BLOG-2.3".parse::<TicketId>().unwrap(), two.child(3));
        assert!(two < TicketId::new("BLOG", 10));
        assert!(two < two.child(1));
        for bad in [
            "",
            "BLOG",
            "BLOG-",
            "blog-1",
            "BLOG-1.",
            "BLOG-x",
            "-1",
            "1A-1",
            "BLOG-.1",
            "BLOG-1..2",
            "B-1-2",
            "B-4294967296",
        ] {
            assert!(bad.parse::<TicketId>().is_err(), "{bad}");
        }
    }
}
