//! Known secrets in the clothes that they are found in: as they are, percent-encoded as in addresses, with escapes as in JSON,
//! and in base64 as in headers.
//!
//! It finds parts of texts, and knows nothing of what is secret but the values.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The fewest bytes of a value that is looked for in base64. What is left of a shorter one could be anything.
const SHORTEST_ENCODED: usize = 6;

/// Values that are looked for, in all their clothes at once.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    values: Vec<String>,
    finder: Option<AhoCorasick>,
}

/// The rest follows from the values.
impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Wanted {
    /// Looks for `values`.
    pub fn new(values: Vec<String>) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let encoded = values.iter().flat_map(|value| in_base64(value)).collect::<Vec<_>>();
        // Small, and soon made; only what no memory holds is too much for it: then each is looked for by itself.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let finder = AhoCorasick::builder().kind(kind).build(values.iter().chain(&encoded)).ok();
        Self { values, finder }
    }

    /// The values themselves.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Where they stand in `text`; in no order, and they may overlap.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        if self.values.is_empty() {
            return Vec::new();
        }
        let mut found = self.positions(text.as_bytes());
        for (mark, read) in [('%', percent as Read), ('\\', escape)] {
            if text.contains(mark) {
                let Undressed { bytes, starts } = undress(text, read);
                found.extend(self.positions(&bytes).into_iter().map(|range| {
                    text.floor_char_boundary(starts[range.start])..text.ceil_char_boundary(starts[range.end])
                }));
            }
        }
        found
    }

    fn positions(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        match &self.finder {
            Some(finder) => finder.find_overlapping_iter(bytes).map(|found| found.range()).collect(),
            None => {
                let of = |value: &String| {
                    let windows = bytes.windows(value.len()).enumerate();
                    let found = windows.filter(|(_, window)| *window == value.as_bytes());
                    found.map(|(at, window)| at..at + window.len()).collect::<Vec<_>>()
                };
                self.values.iter().flat_map(of).collect()
            }
        }
    }
}

/// What `value` comes to in base64, in either alphabet, wherever it begins within what is encoded; without the characters
/// that its neighbours have a part in.
fn in_base64(value: &str) -> Vec<String> {
    if value.len() < SHORTEST_ENCODED {
        return Vec::new();
    }
    let mut all = Vec::new();
    for shift in 0..3 {
        let bytes = [&[0; 2][..shift], value.as_bytes()].concat();
        let own = (shift * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            let own = encoded[own.clone()].to_owned();
            if !all.contains(&own) {
                all.push(own);
            }
        }
    }
    all
}

/// A text without its clothes.
struct Undressed {
    bytes: Vec<u8>,
    /// Where each byte began, and where the last one ended.
    starts: Vec<usize>,
}

/// What stands at the beginning of a text for something else, and how many bytes it takes there.
type Read = fn(&str) -> Option<(Piece, usize)>;

enum Piece {
    Byte(u8),
    Char(char),
}

fn undress(text: &str, read: Read) -> Undressed {
    let (mut bytes, mut starts) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (piece, length) = read(&text[at..]).unwrap_or((Piece::Char(c), c.len_utf8()));
        match piece {
            Piece::Byte(byte) => bytes.push(byte),
            Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        starts.resize(bytes.len(), at);
        at += length;
    }
    starts.push(at);
    Undressed { bytes, starts }
}

/// `%2F`.
fn percent(text: &str) -> Option<(Piece, usize)> {
    let digits =
        text.strip_prefix('%')?.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    Some((Piece::Byte(u8::from_str_radix(digits, 16).ok()?), 3))
}

/// `\"`, `\n`, `\u002f`, and the pair of those that is one character.
fn escape(text: &str) -> Option<(Piece, usize)> {
    let behind = text.strip_prefix('\\')?;
    let c = match behind.chars().next()? {
        'u' => {
            let unit = |text: &str| {
                let digits = text.strip_prefix("\\u")?.get(..4)?;
                digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
            };
            let first = unit(text)?;
            let second = text.get(6..).and_then(unit);
            let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
            return match (char::from_u32(first.into()), pair) {
                (Some(c), _) => Some((Piece::Char(c), 6)),
                (None, Some(pair)) => Some((Piece::Char(pair), 12)),
                (None, None) => None,
            };
        }
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        c if c.is_ascii_punctuation() => c,
        _ => return None,
    };
    Some((Piece::Char(c), 2))
}
