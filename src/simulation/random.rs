//! Choices from a seed.
/// A small generator of choices (SplitMix64): the same seed gives the same choices on every machine.
pub struct Random(u64);

impl Random {
    /// The choices that begin with this number.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number, from 0 to `sides` - 1.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// The choices for one purpose: from the run's seed and the purpose's name.
    #[must_use]
    pub fn of(seed: u64, text: &str) -> Random {
        let hash = blake3::hash(format!("{seed}/{text}").as_bytes());
        Random(u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()))
    }
}
