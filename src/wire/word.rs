//! The closed enums of the domain as the words that stand for them on the wire.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::domain::critical::Progress;
use crate::domain::{Does, HealthState, Light, ProcessState, Severity};

/// An enum whose every value has a word.
pub trait Word: Copy + 'static {
    /// All values.
    const ALL: &'static [Self];
    /// The word of this one.
    fn word(self) -> &'static str;
}

/// Writes the word; for `#[serde(with = "word")]`.
pub fn serialize<T: Word, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.word())
}

/// Reads the word; for `#[serde(with = "word")]`.
pub fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    let found = T::ALL.iter().copied().find(|value| value.word() == text);
    found.ok_or_else(|| D::Error::custom(format!("unknown word {text:?}")))
}

impl Word for Light {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for ProcessState {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for HealthState {
    const ALL: &'static [Self] =
        &[Self::Stopped, Self::Starting, Self::Healthy, Self::Degraded, Self::Unhealthy, Self::Unknown];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for Progress {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for Does {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Word for Severity {
    const ALL: &'static [Self] = &[Self::Error, Self::Warning, Self::Note];

    fn word(self) -> &'static str {
        self.as_str()
    }
}
