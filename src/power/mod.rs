//! Tells when the machine has slept, so that every budget is given anew. Nothing is polled.
//!
//! What follows from it is the supervisor's business.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod platform;

pub use platform::tell_resumes;
