//! A seal by which a file that was damaged is told from one that says something else. It keeps nobody out.

use crate::domain::Fnv1a;

/// The seal of `content`: 16 hexadecimal digits, the same in every build.
pub fn seal(content: &[u8]) -> String {
    format!("{:016x}", Fnv1a::of(content))
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
