//! The marker that every child carries in its environment, and by which it is known again.

/// The variable that names a process's service.
pub(super) const SERVICE: &str = "PILOTLIGHT_SERVICE";
/// The variable that names a process's run.
pub(super) const RUN: &str = "PILOTLIGHT_RUN";
/// The variable that names the state directory of a process's agent.
pub(super) const STATE_DIR: &str = "PILOTLIGHT_STATE_DIR";

/// The longest run id that is believed.
const LONGEST_RUN_ID: usize = 128;

/// Whether `text` may be a run id, wherever it comes from.
pub(super) fn is_run_id(text: &str) -> bool {
    (1..=LONGEST_RUN_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
