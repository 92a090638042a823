//! Starts and ends processes, tells how they fare, and finds again what an earlier agent has left running.
//!
//! The way of one run: `worker` takes the order, `spawn` gives the process a session of its own and the log file as
//! its output, a record on disk (`record`) tells later agents of it, a pidfd tells of its end (`end`), one look at all
//! processes tells what is left of its tree (`tree`), and only when nothing is left the run is over (`run`). A run that
//! was found instead of spawned (`adopt`) goes the same way from there.
//!
//! What proves that a process belongs to a run: it is the process of the record (pid, start time and boot), it
//! carries the run's marker in its environment, it is in the session of one that is proven, or it descends from one.
//! Nothing else is ever signalled, but a stranger that the user has named and said yes to (`stranger`), with what is
//! known to descend from it. What a stop has left running (`spared`) is no longer of any run, although it goes on to
//! carry the marker. No signal goes to a bare number: a pidfd whose start time was checked names each
//! receiver, or the leader of its group (before Linux 6.9 a group is named by its leader's number while that lives).
//!
//! It does not decide when anything starts or ends, does not restart, does not rotate logs, and probes nothing.

#[cfg(target_os = "linux")]
mod action;
#[cfg(target_os = "linux")]
mod adopt;
#[cfg(target_os = "linux")]
mod end;
#[cfg(target_os = "linux")]
mod failure;
mod heap;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod os;
#[cfg(target_os = "linux")]
mod port;
#[cfg(target_os = "linux")]
mod reap;
mod record;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod scanner;
#[cfg(target_os = "linux")]
mod spared;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(target_os = "linux")]
mod stat;
#[cfg(target_os = "linux")]
mod stranger;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod worker;

#[cfg(target_os = "linux")]
pub use action::OsActions;
#[cfg(target_os = "linux")]
pub use adopt::peek;
pub use heap::share_one_heap;
#[cfg(target_os = "linux")]
pub use os::OsProcesses;
pub use record::{RunEnd, RunRecord};
