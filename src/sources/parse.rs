//! Text becomes a [`Node`]: strict JSON, every value with its place, every mistake with its line and a hint.
//!
//! Only the grammar is judged here. A key that stands twice is kept twice: whether that is a mistake is for those to
//! say who know what the object means.

use std::sync::Arc;

use jsonc_parser::ast;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::domain::{Entry, Node, Place, Problem, Value};

/// The largest source that is read, in bytes. Nobody writes one by hand, and a file that was put in the folder by
/// mistake must not cost the agent hundreds of megabytes.
pub const MAX_SOURCE: usize = 4 << 20;

/// Takes `text`, which users know as `name`, as one JSON value.
///
/// A byte-order mark is passed over. Text that holds nothing but white space is an error like any other here.
pub fn parse(name: &Arc<str>, text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_SOURCE {
        return Err(too_large(name));
    }
    let text = without_mark(text);
    let slip = first_slip(text);
    match (parse_to_ast(text, &CollectOptions::default(), &strict()), slip) {
        (Ok(parsed), None) => match parsed.value {
            Some(value) => Ok(Converter { scout: Scout::new(name, text) }.node(value)),
            None => Err(Problem::error(&Place::whole(name), "the file is empty")),
        },
        (Err(error), Some(slip)) if error.range().start < slip.at => Err(describe(name, text, &error)),
        (_, Some(slip)) => Err(slip.into_problem(name, text)),
        (Err(error), None) => Err(describe(name, text, &error)),
    }
}

/// The same for the bytes of a file; what is not UTF-8 is an error at the first byte that is wrong.
pub fn parse_bytes(name: &Arc<str>, bytes: Vec<u8>) -> Result<(Node, Arc<str>), Problem> {
    let text = decode(name, bytes)?;
    let node = parse(name, &text)?;
    Ok((node, text.into()))
}

/// The bytes of a file as text, or an error at the first byte that is not UTF-8.
pub fn decode(name: &Arc<str>, bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.len() > MAX_SOURCE {
        return Err(too_large(name));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let place = Scout::new(name, without_mark(&String::from_utf8_lossy(&bytes[..valid]))).end();
        let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let hint = if utf16 { "it looks like UTF-16; save it as UTF-8" } else { "save the file as UTF-8" };
        let problem = Problem::error(&place, format!("the byte 0x{:02x} is not valid UTF-8", bytes[valid])).hint(hint);
        if utf16 { problem } else { problem.excerpt_at(&String::from_utf8_lossy(bytes), valid) }
    })
}

/// Whether `text` says nothing at all, as a file does that is about to be written.
pub fn is_blank(text: &str) -> bool {
    without_mark(text).trim().is_empty()
}

/// The error for a source above [`MAX_SOURCE`].
pub fn too_large(name: &Arc<str>) -> Problem {
    Problem::error(&Place::whole(name), format!("the file is larger than {} MiB", MAX_SOURCE >> 20))
        .hint("a source holds definitions only; move everything else elsewhere")
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Turns byte offsets into places. Offsets must not fall, so that all of a file costs one pass over it.
struct Scout<'t> {
    file: &'t Arc<str>,
    text: &'t str,
    offset: usize,
    line: u32,
    column: u32,
}

impl<'t> Scout<'t> {
    fn new(file: &'t Arc<str>, text: &'t str) -> Self {
        Self { file, text, offset: 0, line: 1, column: 1 }
    }

    fn place(&mut self, offset: usize) -> Place {
        let passed = self.text.get(self.offset..offset).unwrap_or_default();
        for c in passed.chars() {
            if c == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.offset += passed.len();
        Place { file: Arc::clone(self.file), line: self.line, column: self.column }
    }

    fn end(mut self) -> Place {
        self.place(self.text.len())
    }
}

struct Converter<'t> {
    scout: Scout<'t>,
}

impl Converter<'_> {
    fn node(&mut self, value: ast::Value<'_>) -> Node {
        let place = self.scout.place(start_of(&value));
        let value = match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
            ast::Value::NumberLit(literal) => Value::Number(literal.value.into()),
            ast::Value::StringLit(literal) => Value::Text(literal.value.into()),
            ast::Value::Array(array) => Value::List(array.elements.into_iter().map(|item| self.node(item)).collect()),
            ast::Value::Object(object) => {
                Value::Map(object.properties.into_iter().map(|property| self.entry(property)).collect())
            }
        };
        Node { place, value }
    }

    fn entry(&mut self, property: ast::ObjectProp<'_>) -> Entry {
        let key_place = self.scout.place(property.range.start);
        Entry { key: property.name.as_str().into(), key_place, node: self.node(property.value) }
    }
}

fn start_of(value: &ast::Value<'_>) -> usize {
    match value {
        ast::Value::NullKeyword(it) => it.range.start,
        ast::Value::BooleanLit(it) => it.range.start,
        ast::Value::NumberLit(it) => it.range.start,
        ast::Value::StringLit(it) => it.range.start,
        ast::Value::Array(it) => it.range.start,
        ast::Value::Object(it) => it.range.start,
    }
}

/// What the parser lets pass although JSON does not.
struct Slip {
    at: usize,
    message: String,
    hint: &'static str,
}

impl Slip {
    fn into_problem(self, name: &Arc<str>, text: &str) -> Problem {
        problem_at(name, text, self.at, self.message, self.hint)
    }
}

/// The first control character within text, or character outside of text that JSON has no use for. The parser takes
/// line breaks in text, so that a forgotten quote would be blamed on a place far behind it.
fn first_slip(text: &str) -> Option<Slip> {
    let mut opened = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (opened, c) {
            (None, '"') => opened = Some(at),
            (Some(_), '"') => opened = None,
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(start), '\n' | '\r') => {
                let message = "the text that begins here is not closed on its line".to_owned();
                return Some(Slip { at: start, message, hint: "add the missing \", or write a line break as \\n" });
            }
            (Some(_), '\0'..='\u{1f}') => {
                let message = format!("a control character (U+{:04X}) stands in a text", u32::from(c));
                return Some(Slip { at, message, hint: "write it as an escape: a tab is \\t" });
            }
            (None, '“' | '”' | '„' | '‟' | '«' | '»' | '‘' | '’') => {
                let message = format!("'{c}' is not a quote that JSON knows");
                return Some(Slip { at, message, hint: "use the straight quote \"" });
            }
            (None, c) if !c.is_ascii() || (c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t')) => {
                let message = if c.is_whitespace() || c.is_control() || c == '\u{feff}' {
                    format!("an invisible character (U+{:04X}) stands here", u32::from(c))
                } else {
                    format!("'{c}' is not expected here")
                };
                return Some(Slip { at, message, hint: "delete it, or put it within quotes" });
            }
            (Some(_) | None, _) => {}
        }
    }
    None
}

/// What the parser found, in our words, and at the place where a person would look.
fn describe(name: &Arc<str>, text: &str, error: &ParseError) -> Problem {
    use ParseErrorKind as Kind;
    let found = error.range().start;
    // What is missing at the end of the file is missing behind its last word, not on an empty line below.
    let at = if text.get(found..).is_some_and(|rest| rest.trim().is_empty()) { text.trim_end().len() } else { found };
    let (message, hint) = match error.kind() {
        Kind::CommentsNotAllowed | Kind::UnterminatedCommentBlock => {
            ("comments are not part of JSON", "delete it; a \"description\" can say the same")
        }
        Kind::TrailingCommasNotAllowed => ("a comma stands before a closing bracket", "delete the comma"),
        Kind::ExpectedComma if begins_with_zero(text, at) => ("a number begins with 0", "delete the leading 0"),
        Kind::ExpectedComma => ("a comma is missing here", "put a comma between the two values"),
        Kind::SingleQuotedStringsNotAllowed => ("text stands in single quotes", "use double quotes"),
        Kind::ExpectedStringObjectProperty => ("a key is not in quotes", "put the key in double quotes"),
        Kind::ExpectedColonAfterObjectKey => ("a key is not followed by a colon", "write \"key\": value"),
        Kind::ExpectedObjectValue => ("the file ends where a value is expected", "complete it"),
        Kind::HexadecimalNumbersNotAllowed => ("hexadecimal numbers are not part of JSON", "write it in decimal"),
        Kind::UnaryPlusNumbersNotAllowed => ("a number begins with +", "delete the +"),
        Kind::BareDecimalPointNumbersNotAllowed => {
            ("a number begins or ends with a decimal point", "write digits on both sides of the point")
        }
        Kind::NonFiniteNumbersNotAllowed => ("Infinity and NaN are not part of JSON", "use a number"),
        Kind::ExpectedDigit
        | Kind::ExpectedDigitFollowingNegativeSign
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral => {
            ("a number is not complete", "write it as 1, -1, 1.5 or 1e9")
        }
        Kind::MultipleRootJsonValues => (
            "something follows after the end of the value",
            "a file holds one value; several go into a list: [ … , … ]",
        ),
        Kind::UnterminatedArray => ("the list that begins here is not closed", "add the missing ]"),
        Kind::UnterminatedObject => ("the object that begins here is not closed", "add the missing }"),
        Kind::UnexpectedCloseBrace => {
            ("a } closes nothing here", "a value is missing, a ] is expected, or it is one } too many")
        }
        Kind::UnexpectedCloseBracket => {
            ("a ] closes nothing here", "a value is missing, a } is expected, or it is one ] too many")
        }
        Kind::UnexpectedComma => ("a comma stands where a value is expected", "delete it, or add the missing value"),
        Kind::UnexpectedColon => ("a colon stands where a value is expected", "delete it, or add the missing value"),
        Kind::UnexpectedTokenInObject => {
            ("a key or } is expected here", "an object is written {\"key\": value, \"key\": value}")
        }
        Kind::UnexpectedWord | Kind::UnexpectedToken => {
            ("this is not a JSON value", "put text in double quotes; the only words are true, false and null")
        }
        Kind::NestingDepthExceeded => ("values are nested too deeply", "no source needs more than a few levels"),
        Kind::String(kind) => return problem_at(name, text, at, string_message(kind), "write a backslash as \\\\"),
    };
    problem_at(name, text, at, message.to_owned(), hint)
}

fn string_message(kind: &jsonc_parser::ParseStringErrorKind) -> String {
    use jsonc_parser::ParseStringErrorKind as Kind;
    match kind {
        Kind::UnterminatedStringLiteral => "the text that begins here is not closed",
        Kind::ExpectedFourHexDigits => "\\u is not followed by four hexadecimal digits",
        Kind::InvalidUnicodeEscapeSequence(_) => "the escape stands for no character: half of a surrogate pair",
        Kind::InvalidEscapeInSingleQuoteString
        | Kind::InvalidEscapeInDoubleQuoteString
        | Kind::ExpectedTwoHexDigits
        | Kind::InvalidEscape => "a backslash is followed by something that is no escape",
    }
    .to_owned()
}

fn begins_with_zero(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    at > 0
        && bytes.get(at - 1) == Some(&b'0')
        && bytes.get(at).is_some_and(u8::is_ascii_digit)
        && (at < 2 || !matches!(bytes[at - 2], b'0'..=b'9' | b'.'))
}

fn problem_at(name: &Arc<str>, text: &str, at: usize, message: String, hint: &str) -> Problem {
    let place = Scout::new(name, text).place(at);
    Problem::error(&place, message).hint(hint).excerpt_at(text, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> Arc<str> {
        "services.json".into()
    }

    fn broken(text: &str) -> (u32, u32, String) {
        let problem = parse(&name(), text).expect_err(text);
        let place = problem.place.expect("has a place");
        assert!(problem.hint.is_some(), "{text}");
        assert_eq!(problem.excerpt.as_deref(), text.lines().nth(place.line as usize - 1), "{text}");
        (place.line, place.column, problem.message)
    }

    fn to_serde(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => serde_json::from_str(value).unwrap(),
            Value::Text(value) => value.to_string().into(),
            Value::List(items) => items.iter().map(to_serde).collect(),
            Value::Map(entries) => entries.iter().map(|entry| (entry.key.to_string(), to_serde(&entry.node))).collect(),
        }
    }

    #[test]
    fn every_key_and_value_knows_its_line_and_column_in_characters() {
        let text = "\u{feff}{\n  \"ä\": [1, \"ö\", null],\r\n\t\"b\": {\"c\": true}\n}";
        let node = parse(&name(), text).unwrap();
        let seen = |place: &Place| (place.line, place.column);
        assert_eq!(seen(&node.place), (1, 1));
        let [a, b] = node.entries() else { panic!("two keys") };
        assert_eq!((seen(&a.key_place), seen(&a.node.place)), ((2, 3), (2, 8)));
        let Value::List(items) = &a.node.value else { panic!("a list") };
        assert_eq!(items.iter().map(|item| seen(&item.place)).collect::<Vec<_>>(), [(2, 9), (2, 12), (2, 17)]);
        assert_eq!((seen(&b.key_place), seen(&b.node.place)), ((3, 2), (3, 7)));
        assert_eq!(seen(&b.node.entries()[0].node.place), (3, 13));
    }

    #[test]
    fn a_key_that_stands_twice_is_kept_twice() {
        let node = parse(&name(), "{\"a\": 1,\n \"a\": 2}").unwrap();
        assert_eq!(node.entries().iter().map(|entry| entry.key_place.line).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn every_mistake_is_told_at_its_place_and_in_plain_words() {
        for (text, line, column, message) in [
            ("{\n  \"a\": 1,\n}", 2, 9, "a comma stands before a closing bracket"),
            ("{\n  \"a\": 1\n  \"b\": 2\n}", 2, 9, "a comma is missing here"),
            ("{\"a\": 1} // x", 1, 10, "comments are not part of JSON"),
            ("{\"a\": 'x'}", 1, 7, "text stands in single quotes"),
            ("{a: 1}", 1, 2, "a key is not in quotes"),
            ("{\"port\": 08}", 1, 11, "a number begins with 0"),
            ("{\"port\": 0x10}", 1, 10, "hexadecimal numbers are not part of JSON"),
            ("[1, 2", 1, 1, "the list that begins here is not closed"),
            ("{\"a\": [\n1]", 1, 1, "the object that begins here is not closed"),
            ("{\"a\": \"x,\n \"b\": 2}", 1, 7, "the text that begins here is not closed on its line"),
            ("{\"a\": \"x\ty\"}", 1, 9, "a control character (U+0009) stands in a text"),
            ("{“a”: 1}", 1, 2, "'“' is not a quote that JSON knows"),
            ("{\u{a0}\"a\": 1}", 1, 2, "an invisible character (U+00A0) stands here"),
            ("{\"a\": True}", 1, 7, "this is not a JSON value"),
            ("{\"a\": \"C:\\dev\"}", 1, 10, "a backslash is followed by something that is no escape"),
            ("{\"a\": \"\\ud800\"}", 1, 8, "the escape stands for no character: half of a surrogate pair"),
            ("{} {}", 1, 4, "something follows after the end of the value"),
            ("[1,,2]", 1, 4, "a comma stands where a value is expected"),
            ("{\"a\"", 1, 5, "a key is not followed by a colon"),
        ] {
            assert_eq!(broken(text), (line, column, message.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_earlier_mistake_is_told_before_a_later_one() {
        assert_eq!(broken("{\"a\": 1, }\n \u{a0}").2, "a comma stands before a closing bracket");
        assert_eq!(broken("{\u{a0}\"a\": 1, }").2, "an invisible character (U+00A0) stands here");
    }

    #[test]
    fn nesting_without_end_is_an_error_on_a_small_stack_too() {
        for text in ["[".repeat(1 << 20), "{\"a\":".repeat(100_000), "[".repeat(500) + &"]".repeat(500)] {
            let parsing = std::thread::Builder::new().stack_size(2 << 20);
            let result = parsing.spawn(move || parse(&name(), &text).map(drop)).unwrap().join().unwrap();
            if let Err(problem) = result {
                assert_eq!(problem.message, "values are nested too deeply");
            }
        }
    }

    #[test]
    fn the_first_byte_that_is_not_utf8_is_named() {
        let problem = parse_bytes(&name(), b"{\n \"\xc3\xa4\": \"\xff\"}\n".to_vec()).unwrap_err();
        assert_eq!(problem.place.map(|place| (place.line, place.column)), Some((2, 8)));
        assert_eq!(problem.message, "the byte 0xff is not valid UTF-8");
        assert_eq!(problem.excerpt.as_deref(), Some(" \"ä\": \"\u{fffd}\"}"));
        let problem = parse_bytes(&name(), b"\xff\xfe{\0}\0".to_vec()).unwrap_err();
        assert_eq!(problem.hint.as_deref(), Some("it looks like UTF-16; save it as UTF-8"));
    }

    #[test]
    fn blank_is_neither_an_object_nor_a_list() {
        for text in ["", " \n\t", "\u{feff}", "\u{feff}\r\n"] {
            assert!(is_blank(text), "{text:?}");
            assert!(parse(&name(), text).is_err(), "{text:?}");
        }
        assert!(!is_blank("{}") && !is_blank("[]") && !is_blank("0"));
    }

    #[test]
    fn a_file_above_the_limit_is_refused_and_one_below_costs_one_pass() {
        let item = "\"ä\",";
        let items = MAX_SOURCE / item.len() - 2;
        let one_line = format!("[{}\"z\"]", item.repeat(items));
        let node = parse(&name(), &one_line).unwrap();
        let Value::List(found) = &node.value else { panic!("a list") };
        assert_eq!(found.last().map(|last| last.place.column), Some(2 + 4 * items as u32));
        let problem = parse(&name(), &" ".repeat(MAX_SOURCE + 1)).unwrap_err();
        assert_eq!(problem.message, "the file is larger than 4 MiB");
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            (-1e9..1e9_f64).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|entries| entries.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_as_it_reads_it(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            // Read back, since the shortest spelling of a float is not always read as the same float.
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(to_serde(&parse(&name(), &text).unwrap()), expected);
        }

        #[test]
        fn whatever_serde_json_refuses_is_refused(text in "[\\[\\]{}:,\"'0-2.eE+x\\\\/*un tfrs\n\t\u{a0}\u{b}-]{0,12}") {
            let ours = parse(&name(), &text).is_ok();
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // Numbers that don't fit into a float are read by us as written.
            let theirs = theirs.map(drop).or_else(|e| if e.to_string().contains("out of range") { Ok(()) } else { Err(e) });
            prop_assert_eq!(ours, theirs.is_ok(), "{:?} {:?}", text, theirs);
        }

        #[test]
        fn a_cut_or_garbled_file_never_panics(value in json(), cut in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = serde_json::to_vec_pretty(&value).unwrap();
            let at = cut.index(bytes.len());
            bytes[at] = byte;
            let _ = parse_bytes(&name(), bytes.clone());
            bytes.truncate(at);
            let _ = parse_bytes(&name(), bytes);
        }
    }
}
