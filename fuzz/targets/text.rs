//! What services say, on its way to a terminal or a notification: nothing of it steers, nothing that can be read is lost.
//!
//! The bytes are what a service has written.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pilotlight::cli::{LogForm, LogPrinter};
use pilotlight::domain::{Notice, NoticeKey, ServiceId, Urgency, secrets, text};
use pilotlight::engine::StateDir;
use pilotlight::logs::{LogLine, MAX_LINE, Query, last_lines, read};
use pilotlight::notify::{Message, markup};

fuzz_target!(|data: &[u8]| {
    let said = String::from_utf8_lossy(data);
    cleaned(&said);
    in_a_notification(&said);
    in_a_log(data);
});

fn cleaned(said: &str) {
    let plain = text::plain(said);
    assert!(plain.chars().all(|c| c == '\t' || is_harmless(c)), "{plain:?}");
    assert_eq!(text::plain(&plain), plain, "cleaned twice");
    assert!(is_part(&plain, said), "{plain:?} was not said");
    // What is not seen goes as well; of these letters none is.
    let is_seen = |c: char| c == '\t' || is_harmless(c) && c <= '\u{2ff}' && c != '\u{ad}';
    if said.chars().all(is_seen) {
        assert_eq!(plain, said, "harmless as it was");
    }
    let lines = text::plain_lines(said);
    assert!(lines.chars().all(|c| c == '\t' || c == '\n' || is_harmless(c)), "{lines:?}");
    assert_eq!(text::plain_lines(&lines), lines, "cleaned twice");
    assert!(is_part(&lines, said), "{lines:?} was not said");
    for most in [0, 1, 20] {
        for line in [text::plain_line(said, most), text::first_line(said, most), text::last_line(said, most)] {
            assert!(line.chars().count() <= most, "{line:?} is longer than {most}");
            assert!(line.chars().all(|c| c == '\t' || is_harmless(c)), "{line:?}");
        }
    }
    let masked = secrets::masked_line(&plain, 0..plain.len());
    assert!(masked.chars().all(|c| c == '\t' || is_harmless(c)), "{masked:?}");
}

fn in_a_notification(said: &str) {
    let notice = Notice {
        key: NoticeKey::Sources,
        urgency: Urgency::Normal,
        title: said.to_owned(),
        body: said.to_owned(),
        service: None,
    };
    let message = Message::of(&notice, true);
    assert!(message.title.chars().all(|c| c == '\t' || is_harmless(c)), "{:?}", message.title);
    assert!(message.body.chars().all(|c| c == '\t' || c == '\n' || is_harmless(c)), "{:?}", message.body);
    assert!(message.title.chars().count() <= 120 && message.body.chars().count() <= 8 * 201, "{message:?}");
    let marked = markup(&message.body);
    assert!(!marked.contains(['<', '>']), "{marked:?}");
    let read = marked.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    assert_eq!(read, message.body, "what is read is what was said");
}

fn in_a_log(data: &[u8]) {
    let (dir, id) = log();
    std::fs::write(dir.log(id), data).unwrap();
    let lines: Vec<LogLine> = read(dir, &[id.clone()], &Query::default()).unwrap().map(Result::unwrap).collect();
    let expected = data.split_inclusive(|byte| *byte == b'\n').count();
    assert_eq!(lines.len(), expected, "a line for each line");
    let printer = |form| LogPrinter::new(&[id.clone()], form);
    let mut raw = Vec::new();
    for line in &lines {
        assert!(line.bytes.len() <= MAX_LINE);
        let shown = printed(&printer(LogForm::Text), line);
        let only = shown.strip_suffix('\n').unwrap();
        assert!(only.chars().all(|c| c == '\t' || is_harmless(c)), "{only:?}");
        let json: serde_json::Value = serde_json::from_str(&printed(&printer(LogForm::Json), line)).unwrap();
        assert_eq!(json["text"].as_str(), Some(only));
        let named = anstream_stripped(&printed(&printer(LogForm::Named), line));
        assert_eq!(named, format!("web | {only}\n"));
        printer(LogForm::Raw).print(&mut raw, line).unwrap();
    }
    if lines.iter().all(|line| !line.cut) {
        assert_eq!(raw, data, "raw is what was written");
    }
    let last = last_lines(dir, id, 3).unwrap();
    assert_eq!(last.len(), expected.min(3));
    assert!(last.iter().all(|line| line.chars().all(|c| c == '\t' || is_harmless(c))), "{last:?}");
}

fn printed(printer: &LogPrinter, line: &LogLine) -> String {
    let mut out = Vec::new();
    printer.print(&mut out, line).unwrap();
    String::from_utf8(out).unwrap()
}

/// Without our own colours, the only sequences that may be there.
fn anstream_stripped(text: &str) -> String {
    static COLOUR: OnceLock<regex::Regex> = OnceLock::new();
    COLOUR.get_or_init(|| regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap()).replace_all(text, "").into_owned()
}

/// Not written with what is under test: neither a control character, nor a break of lines, nor a mark that reorders.
fn is_harmless(c: char) -> bool {
    let control = matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !(control || breaks || reorders)
}

/// Whether `shown` is `said` with parts left out, but that a break may have become a space or a line feed.
fn is_part(shown: &str, said: &str) -> bool {
    let mut said = said.chars();
    shown.chars().all(|c| said.any(|other| other == c || matches!(c, ' ' | '\n') && !is_harmless(other)))
}

fn log() -> &'static (StateDir, ServiceId) {
    static LOG: OnceLock<(StateDir, ServiceId)> = OnceLock::new();
    LOG.get_or_init(|| {
        let root: PathBuf = tempfile::tempdir().unwrap().keep();
        let (dir, id) = (StateDir::new(root), ServiceId::new("web").unwrap());
        std::fs::create_dir_all(dir.service(&id)).unwrap();
        (dir, id)
    })
}
