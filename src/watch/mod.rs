//! Tells when what was read may read differently now, by watching folders (never files, which editors replace).
//!
//! It reads no source and judges none. It says "look again" too often rather than too seldom, but never because of
//! looking.

mod files;
mod folders;
mod interest;
mod poll;
mod touches;
mod trail;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "other.rs"]
mod platform;

pub use files::FileWatch;
pub use folders::FolderWatch;

#[cfg(test)]
#[cfg(unix)]
mod tests;
