//! Opens files, folders and addresses with the user's own programs.
//!
//! Faces share it. It knows nothing of services, and what was opened is none of its business afterwards.

mod opener;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

pub use opener::{Opener, Program, find_opener};

use std::path::PathBuf;

/// Something that the user's opener opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file or folder, absolute.
    Path(PathBuf),
    /// An http or https address.
    Url(String),
}

impl Target {
    /// The address `url`, if it is one that a browser is for.
    pub fn page(url: &str) -> Option<Self> {
        let is_page = url.starts_with("http://") || url.starts_with("https://");
        is_page.then(|| Self::Url(url.to_owned()))
    }
}
