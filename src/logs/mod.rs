//! What services have written: reading it back, following it, and the index that tells when it was written.
//!
//! A service writes into its log file itself; nothing here stands between. Reading needs no agent, only the files.
//! Neither rotates logs nor decides how lines are shown: the faces put names, colours and JSON around them.

mod follow;
mod index;
mod lines;
mod read;
mod since;
mod stamp;
mod tail;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

pub use follow::{Follower, Remote};
pub use index::LogIndex;
pub use lines::{MAX_LINE, last_lines};
pub use read::{LogLine, Query, Reading, follow, read};
pub use since::parse_since;
