//! Foreign text made harmless: what services, files and processes say may be shown, but may not steer a terminal.
//!
//! It neither escapes for a markup (that is each face's own business) nor judges what the text means.

use std::borrow::Cow;

/// `text` without anything that steers a terminal; a line break becomes a space, a tab stays.
///
/// Whole escape sequences go (colours, titles, cursor moves; 7-bit and 8-bit forms), then single control characters,
/// the marks that reorder what is read (bidirectional ones of all kinds) and the characters that are not seen at all, by
/// which one text passes for another or carries a second one. Joiners and variation selectors stay where scripts and
/// pictographs need them: behind what is not ASCII. Of a sequence without an end only the beginning goes, so that nothing
/// can hide the text behind it. Doing it twice changes nothing.
pub fn plain(text: &str) -> Cow<'_, str> {
    clean(text, Breaks::Joined)
}

/// Like [`plain`], but line feeds stay.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    clean(text, Breaks::Kept)
}

/// One line of at most `max_chars` characters: [`plain`], without spaces at the end, and cut with `…`.
pub fn plain_line(text: &str, max_chars: usize) -> String {
    let plain = plain(text);
    let line = plain.trim_end();
    if line.chars().nth(max_chars).is_none() {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(max_chars.saturating_sub(1)).collect();
    if max_chars > 0 {
        cut.push('…');
    }
    cut
}

/// The first line of `text` that has something to show, as [`plain_line`] without spaces around it; empty if none has.
pub fn first_line(text: &str, max_chars: usize) -> String {
    let mut lines = text.lines().map(|line| plain_line(line.trim_start(), max_chars));
    lines.find(|line| !line.trim().is_empty()).unwrap_or_default().trim_start().to_owned()
}

/// The last line of `text` that has something to show, as [`first_line`].
pub fn last_line(text: &str, max_chars: usize) -> String {
    let mut lines = text.lines().rev().map(|line| plain_line(line.trim_start(), max_chars));
    lines.find(|line| !line.trim().is_empty()).unwrap_or_default().trim_start().to_owned()
}

/// JSON that means the same as `json` and can be shown on a terminal: what [`plain`] would take out of it is written as an
/// escape, so that whoever reads it back has all of it.
///
/// `json` must be JSON, of whatever form: outside of its texts it has nothing to escape.
pub fn shown_json(json: &str) -> Cow<'_, str> {
    // The breaks that are not control characters may stand in a text of JSON as they are.
    let is_harmful = |c: char| c != '\t' && c != '\n' && c != '\r' && (steers(c) || is_break(c));
    if !json.contains(is_harmful) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmful(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Kept,
    Joined,
}

const ESC: char = '\u{1b}';
const BEL: char = '\u{7}';
const CAN: char = '\u{18}';
const SUB: char = '\u{1a}';
/// 8-bit string terminator.
const ST: char = '\u{9c}';
/// 8-bit control sequence introducer.
const CSI: char = '\u{9b}';

fn clean(text: &str, breaks: Breaks) -> Cow<'_, str> {
    // Most of what is shown is of this kind, and nothing of it needs a second look.
    let is_simple = |byte| matches!(byte, b' '..=b'~' | b'\t') || (byte == b'\n' && breaks == Breaks::Kept);
    if text.bytes().all(is_simple) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| !steers(c) && !(is_break(c) && !(c == '\n' && breaks == Breaks::Kept));
    let mut last = None;
    let Some(first) = text.find(|c| {
        !shown(c) || (joins(c) && !takes_joiner(last)) || {
            last = Some(c);
            false
        }
    }) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    // Once a string sequence has been found without an end, no later one has an end either: saves looking again.
    let mut endless = false;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        rest = match c {
            ESC => match behind.chars().next() {
                Some('[') => after_csi(&behind[1..]),
                Some(']' | 'P' | 'X' | '^' | '_') => after_string(&behind[1..], &mut endless),
                _ => after_escape(behind),
            },
            CSI => after_csi(behind),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => after_string(behind, &mut endless),
            // The end of a line with carriage return and line feed is one break.
            '\r' if behind.starts_with('\n') => behind,
            '\r' if behind.is_empty() => behind,
            _ if joins(c) && !takes_joiner(out.chars().next_back()) => behind,
            _ => {
                if shown(c) {
                    out.push(c);
                } else if is_break(c) {
                    out.push(if breaks == Breaks::Kept && c != '\r' { '\n' } else { ' ' });
                }
                behind
            }
        };
    }
    Cow::Owned(out)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether `c` may act on a terminal or on the order of reading, or is there without being seen; breaks, tabs and joiners
/// don't count.
fn steers(c: char) -> bool {
    (c.is_control() && c != '\t' && !is_break(c)) || reorders(c) || is_unseen(c)
}

fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What nobody sees and no script needs: soft hyphens, spaces without width, fillers, invisible operators, annotations,
/// and the tags that spell text out of sight.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'
            | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}'
    )
}

/// Whether `c` changes how its neighbours look, and is not seen where it has none that could look otherwise.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a joiner means something behind `before`.
fn takes_joiner(before: Option<char>) -> bool {
    before.is_some_and(|before| !before.is_ascii() && !is_break(before))
}

/// What follows a control sequence whose introducer stood before `text`.
fn after_csi(text: &str) -> &str {
    let text = text.trim_start_matches(|c| matches!(c, '\u{30}'..='\u{3f}'));
    let text = text.trim_start_matches(|c| matches!(c, '\u{20}'..='\u{2f}'));
    text.strip_prefix(|c| matches!(c, '\u{40}'..='\u{7e}')).unwrap_or(text)
}

/// What follows a two-character or designating escape sequence whose `ESC` stood before `text`.
fn after_escape(text: &str) -> &str {
    let text = text.trim_start_matches(|c| matches!(c, '\u{20}'..='\u{2f}'));
    text.strip_prefix(|c| matches!(c, '\u{30}'..='\u{7e}')).unwrap_or(text)
}

/// What follows a string (title, link, device control …) whose introducer stood before `text`.
fn after_string<'t>(text: &'t str, endless: &mut bool) -> &'t str {
    if *endless {
        return text;
    }
    let Some(end) = text.find([ESC, BEL, CAN, SUB, ST, '\n']) else {
        *endless = true;
        return text;
    };
    let behind = &text[end..];
    if behind.starts_with(['\n', ESC]) && !behind.starts_with("\u{1b}\\") {
        // Broken off by a line's end or the next sequence, which is looked at in its own right.
        return behind;
    }
    behind.strip_prefix("\u{1b}\\").or_else(|| behind.strip_prefix([BEL, CAN, SUB, ST])).unwrap_or(behind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_go_and_their_text_stays() {
        for (from, to) in [
            ("", ""),
            ("plain ä 漢 🙂\tx", "plain ä 漢 🙂\tx"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[38;2;1;2;3mred\u{1b}[K", "red"),
            ("a\u{9b}2Jb", "ab"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9d}0;t\u{9c}x", "x"),
            ("\u{1b}Pq#0\u{1b}\\x", "x"),
            ("\u{1b}(Bx\u{1b}cy\u{1b}7z", "xyz"),
            ("\u{1b}]0;no end", "0;no end"),
            ("\u{1b}[", ""),
            ("\u{1b}", ""),
            ("a\u{8}\u{8}b\u{0}\u{7f}", "ab"),
            ("evil\u{202e}txt.exe\u{2066}\u{2069}", "eviltxt.exe"),
            ("10%\r20%\r\n", "10% 20% "),
            ("line\r", "line"),
            ("a\nb\u{2028}c", "a b c"),
            ("a\u{80}\u{84}b\u{85}c", "ab c"),
            ("\u{200f}1\u{200e}2\u{61c}3", "123"),
            ("we\u{200b}b\u{2060}\u{feff}\u{ad}\u{3164}\u{115f}\u{180e}", "web"),
            ("we\u{200d}b\u{200c}\u{fe0f}\u{e0101}", "web"),
            ("ok\u{e0068}\u{e0069}\u{e007f}", "ok"),
            // What needs joiners keeps them.
            (
                "👩\u{200d}❤\u{fe0f}\u{200d}👨 \u{645}\u{6cc}\u{200c}\u{62e}",
                "👩\u{200d}❤\u{fe0f}\u{200d}👨 \u{645}\u{6cc}\u{200c}\u{62e}",
            ),
            ("\u{1b}[\u{1b}[31m1mx", "1mx"),
        ] {
            assert_eq!(plain(from), to, "{from:?}");
        }
    }

    #[test]
    fn harmless_text_is_not_copied() {
        assert!(matches!(plain("all is\twell"), Cow::Borrowed(_)));
        assert!(matches!(plain_lines("all\nis\nwell"), Cow::Borrowed(_)));
    }

    #[test]
    fn line_feeds_stay_where_they_are_asked_for() {
        assert_eq!(plain_lines("a\r\nb\u{1b}[1m\nc\r"), "a\nb\nc");
    }

    #[test]
    fn a_title_without_an_end_hides_no_later_line() {
        assert_eq!(plain_lines("\u{1b}]0;x\nsecond\n\u{7}"), "\nsecond\n");
    }

    #[test]
    fn a_long_line_is_cut_with_a_mark() {
        assert_eq!(plain_line("abcdef  ", 6), "abcdef");
        assert_eq!(plain_line("abcdefg", 6), "abcde…");
        assert_eq!(plain_line("äöüß", 3), "äö…");
        assert_eq!(plain_line("abc", 0), "");
    }

    #[test]
    fn the_first_and_last_lines_that_show_something_are_found() {
        let text = "\n \u{1b}[0m\n  one\ntwo  \n\u{1b}[31m\u{1b}[0m\n\n";
        assert_eq!(first_line(text, 80), "one");
        assert_eq!(last_line(text, 80), "two");
        assert_eq!(first_line(" \n\n", 80), "");
    }

    #[test]
    fn many_beginnings_without_an_end_take_no_quadratic_time() {
        let text = "\u{1b}]".repeat(500_000);
        let started = std::time::Instant::now();
        assert_eq!(plain(&text), "");
        assert!(started.elapsed().as_secs() < 5);
    }

    /// Text that is rich in what must go.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            (0_u32..0xa0).prop_filter_map("a character", char::from_u32).prop_map(String::from),
            proptest::sample::select(vec![
                "\u{1b}[",
                "\u{1b}]",
                "\u{1b}\\",
                "\u{7}",
                "31m",
                "\u{202e}",
                "\n",
                "\r",
                "0;",
                "\u{200d}",
                "\u{fe0f}",
                "\u{200f}",
                "é",
                "\u{e0041}"
            ])
            .prop_map(String::from),
            "[ -~]{0,8}",
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left(text in hostile()) {
            prop_assert!(plain(&text).chars().all(|c| c == '\t' || !steers(c) && !is_break(c)));
            prop_assert!(plain_lines(&text).chars().all(|c| c == '\t' || c == '\n' || !steers(c) && !is_break(c)));
        }

        #[test]
        fn no_joiner_stands_where_it_would_not_be_seen(text in hostile()) {
            let shown = plain(&text).into_owned();
            let mut before = None;
            for c in shown.chars() {
                prop_assert!(!joins(c) || takes_joiner(before), "{:?}", shown);
                before = Some(c);
            }
        }

        #[test]
        fn json_that_is_shown_means_the_same_and_steers_nothing(text in hostile()) {
            let value = serde_json::json!({ &*text: [&text, 1] });
            for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let shown = shown_json(&json);
                prop_assert!(shown.chars().all(|c| c == '\n' || !steers(c) && !is_break(c)), "{:?}", shown);
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value.clone());
            }
        }

        #[test]
        fn cleaning_twice_changes_nothing(text in hostile()) {
            let once = plain(&text).into_owned();
            prop_assert_eq!(plain(&once), &once[..]);
            let once = plain_lines(&text).into_owned();
            prop_assert_eq!(plain_lines(&once), &once[..]);
        }

        #[test]
        fn a_line_is_never_longer_than_asked(text in hostile(), max in 0_usize..20) {
            prop_assert!(plain_line(&text, max).chars().count() <= max);
        }

        #[test]
        fn printable_text_stays_as_it_is(text in "[ -~äöü漢\t]{0,60}") {
            prop_assert_eq!(plain(&text), &text[..]);
        }
    }
}
