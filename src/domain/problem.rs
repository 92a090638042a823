//! What is wrong with a source or a service, where, and what to do about it.

use std::fmt;
use std::sync::Arc;

use super::id::ServiceId;
use super::secrets::masked_line;

/// So many lines around one may tell that something in it is secret.
pub(in crate::domain) const NEIGHBOURS: usize = 3;

/// How bad a [`Problem`] is; ordered from the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something of a source is not in use.
    Error,
    /// In use, but hardly as meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word that users and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A place in a source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, relative to the main file's folder, absolute outside it.
    pub file: Arc<str>,
    /// From 1; 0 means the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0 means the file as a whole.
    pub column: u32,
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}:{}", self.file, self.line, self.column) }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One thing that is wrong, in a form that every face can show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` for what lies in no file.
    pub place: Option<Place>,
    /// The service that it costs something, if it is one.
    pub service: Option<ServiceId>,
    /// What is wrong: a lowercase sentence without a full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The offending line as it stands in the file, without its end; stars stand for what is secret.
    pub excerpt: Option<String>,
    /// Whether a further source could put it right: a name that is not defined here, say.
    pub for_want_of_a_source: bool,
}

impl Problem {
    /// A problem at `place`.
    pub fn at(severity: Severity, place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity,
            place: Some(place.clone()),
            service: None,
            message: message.into(),
            hint: None,
            excerpt: None,
            for_want_of_a_source: false,
        }
    }

    /// An error at `place`.
    pub fn error(place: &Place, message: impl Into<String>) -> Self {
        Self::at(Severity::Error, place, message)
    }

    /// A warning at `place`.
    pub fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self::at(Severity::Warning, place, message)
    }

    /// A note at `place`.
    pub fn note(place: &Place, message: impl Into<String>) -> Self {
        Self::at(Severity::Note, place, message)
    }

    /// A warning that lies in no file: what is kept of `service` is not as it should be.
    pub fn of_service(service: &ServiceId, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            place: None,
            service: Some(service.clone()),
            message: message.into(),
            hint: None,
            excerpt: None,
            for_want_of_a_source: false,
        }
    }

    /// The same, of `service`.
    #[must_use]
    pub fn of(mut self, service: &ServiceId) -> Self {
        self.service = Some(service.clone());
        self
    }

    /// The same, with the offending line, as it stands in the file but for what is secret by its form; what comes after its
    /// 500th character helps nobody.
    #[must_use]
    pub fn excerpt(self, line: &str) -> Self {
        self.excerpt_at(line, 0)
    }

    /// The same, with the line of `text` that byte `at` lies in: its neighbours may tell that something in it is secret.
    #[must_use]
    pub fn excerpt_at(mut self, text: &str, at: usize) -> Self {
        let at = text.floor_char_boundary(at);
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let end = start + text[start..end].trim_end_matches('\r').len();
        let before = text[..start].rmatch_indices('\n').nth(NEIGHBOURS).map_or(0, |(newline, _)| newline + 1);
        let after = text[end..].match_indices('\n').nth(NEIGHBOURS).map_or(text.len(), |(newline, _)| end + newline);
        let line = masked_line(&text[before..after], start - before..end - before);
        self.excerpt = Some(match line.char_indices().nth(500) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.into_owned(),
        });
        self
    }

    /// The same, with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
