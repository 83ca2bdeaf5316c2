//! The list of events as an enum, with the name of each kind in one place.

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($(#[$fdoc:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        /// One event. The kind names are fixed; see [`Event::kind`].
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", content = "data")]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $kind)] $name { $($(#[$fdoc])* $field: $type),* },)*
        }

        impl Event {
            /// The kind: `ticket.created`.
            pub fn kind(&self) -> &'static str {
                match self { $(Event::$name { .. } => $kind,)* }
            }

            /// The version of this kind's form. All are in their first.
            pub fn version(&self) -> u32 {
                1
            }

            /// Every kind this version knows, in the order of the source.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];
        }
    };
}
