//! What services have written: reading it back, following it, when it was written, and how much of it is kept.
//!
//! A service writes into its log file itself; nothing here stands between. Reading needs no agent, only the files.
//!
//! `disk` is the port: it keeps the time `index`, and has logs rotated that have become too long (`keeper` notices,
//! `pace` says when to look, `rotate` does it). `files` makes one row of bytes of what is kept, on which `lines` and
//! `tail` stand, and on these `read` and `follow`. How lines are shown is not decided here: the faces put names, colours
//! and JSON around them.

mod disk;
mod files;
mod follow;
mod index;
#[cfg(target_os = "linux")]
mod keeper;
#[cfg(target_os = "linux")]
#[path = "keeping/linux.rs"]
mod keeping;
#[cfg(not(target_os = "linux"))]
#[path = "keeping/other.rs"]
mod keeping;
mod lines;
mod new_lines;
#[cfg(target_os = "linux")]
mod pace;
mod pieces;
mod read;
#[cfg(target_os = "linux")]
mod rotate;
mod since;
mod stamp;
#[cfg(target_os = "linux")]
#[path = "system/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "system/other.rs"]
mod system;
mod tail;
mod times;
#[cfg(any(test, not(target_os = "linux")))]
mod whole;

pub use disk::DiskLogs;
pub use follow::{Follower, Remote};
pub use lines::{Ending, MAX_LINE, last_lines};
pub use new_lines::NewLines;
pub use read::{LogLine, Query, Reading, follow, read};
pub use since::parse_since;
