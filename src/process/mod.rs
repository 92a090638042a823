//! Starts and ends processes, tells how they fare, and finds again what an earlier agent has left running.
//!
//! The way of one run: `worker` takes the order, `spawn` gives the process a session of its own and the log file as
//! its output, a record on disk (`record`) tells later agents of it, a pidfd tells of its end (`end`), one look at all
//! processes tells what is left of its tree (`tree`), and only when nothing is left the run is over (`run`). A run that
//! was found instead of spawned (`adopt`) goes the same way from there.
//!
//! What proves that a process belongs to a run: it is the process of the record (pid, start time and boot), it
//! carries the run's marker in its environment or its brand (`brand`), it is in the session of one that is proven, or it
//! descends from one.
//! Nothing else is ever signalled, but a stranger that the user has named and said yes to (`stranger`), with what is
//! known to descend from it. What a stop has left running (`spared`) is no longer of any run, although it goes on to
//! carry the marker. No signal goes to a bare number: a pidfd whose start time was checked names each
//! receiver, or the leader of its group (before Linux 6.9 a group is named by its leader's number while that lives).
//!
//! That is Linux. macOS goes the same way with other means (`macos`: a kqueue tells of ends, and orphans are not ours).
//! Windows has its own (`windows`: a Job Object holds each tree).
//!
//! It does not decide when anything starts or ends, does not restart, does not rotate logs, and probes nothing.

mod action;
#[cfg(unix)]
mod adopt;
#[cfg(unix)]
#[cfg_attr(target_os = "macos", path = "macos/brand.rs")]
mod brand;
#[cfg(unix)]
#[cfg_attr(target_os = "macos", path = "macos/detach.rs")]
mod detach;
#[cfg(unix)]
#[cfg_attr(target_os = "macos", path = "macos/end.rs")]
mod end;
#[cfg(unix)]
mod failure;
mod heap;
#[cfg(unix)]
#[cfg_attr(target_os = "macos", path = "macos/launch.rs")]
mod launch;
#[cfg(target_os = "linux")]
mod limit;
mod marker;
#[cfg(unix)]
#[cfg_attr(target_os = "macos", path = "macos/open_files.rs")]
mod open_files;
#[cfg(unix)]
mod os;
#[cfg(unix)]
mod port;
#[cfg(unix)]
#[cfg_attr(target_os = "macos", path = "macos/reap.rs")]
mod reap;
mod record;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod scanner;
#[cfg_attr(not(target_os = "linux"), path = "sockets_elsewhere.rs")]
mod sockets;
#[cfg(unix)]
mod spared;
#[cfg(unix)]
mod spawn;
#[cfg(unix)]
#[cfg_attr(target_os = "macos", path = "macos/stat.rs")]
mod stat;
#[cfg(unix)]
mod stranger;
#[cfg(unix)]
mod tree;
#[cfg(windows)]
mod windows;
#[cfg(unix)]
mod worker;

pub use action::OsActions;
#[cfg(unix)]
pub use adopt::peek;
pub use heap::share_one_heap;
#[cfg(unix)]
pub use os::OsProcesses;
pub use record::{RunEnd, RunRecord};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use spared::remembered;
#[cfg(windows)]
pub use windows::{OsProcesses, errand, peek};
