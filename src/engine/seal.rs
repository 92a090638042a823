//! A seal by which a file that was damaged is told from one that says something else. It keeps nobody out.

/// The seal of `content`: 16 hexadecimal digits, the same in every build (64-bit FNV-1a).
pub fn seal(content: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", content.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_breaks_it() {
        let content = b"what was written";
        for bit in 0..content.len() * 8 {
            let mut damaged = content.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(seal(&damaged), seal(content));
        }
        assert_eq!(seal(b""), "cbf29ce484222325");
    }
}
