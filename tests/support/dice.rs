//! Numbers that look random, and are the same for the same seed.

/// SplitMix64, from a seed.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// The place of one of `count` things.
    #[allow(dead_code, reason = "not all who share it choose among things")]
    pub fn among(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("it is less than a usize")
    }
}
