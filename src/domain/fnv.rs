//! A checksum that is the same in every build, as `std`'s hashers are not.

/// 64-bit FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>).
#[derive(Clone, Copy, Debug)]
pub struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut sum = Self::default();
        sum.write(bytes);
        sum.sum()
    }

    /// Adds `bytes`.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Adds a number, so that what is counted by it can't be taken for something else.
    pub fn write_count(&mut self, count: usize) {
        self.write(&(count as u64).to_le_bytes());
    }

    /// Adds a text with its length.
    pub fn write_text(&mut self, text: &str) {
        self.write_count(text.len());
        self.write(text.as_bytes());
    }

    /// The sum of all that was added.
    pub fn sum(self) -> u64 {
        self.0
    }
}
