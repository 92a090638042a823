//! How far a file is to be trusted: what it says is run in the user's name.

/// The verdict on a file.
#[derive(Debug)]
#[cfg_attr(not(unix), expect(dead_code, reason = "there files have no modes to be judged by"))]
pub enum Trust {
    /// Only the user (and root) can have written it.
    Full,
    /// Its group may write as well: worth knowing, but common.
    GroupMayWrite,
    /// Others can have written it: nothing of it is used.
    None {
        /// Why.
        why: String,
        /// What to do about it.
        hint: &'static str,
    },
}
