//! Where there is no tray yet: the agent works without one, and says so.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::model::{Costs, Places, Target};
use crate::domain::Snapshot;
use crate::engine::Handle;

/// Opens things; returns at once, and says in the log if it could not.
pub type Opener = Arc<dyn Fn(&Target) + Send + Sync>;

/// Tells what the services cost now.
pub type Sampler = Box<dyn FnMut(&Snapshot) -> Costs + Send>;

/// What a tray would need of the world beside the engine.
pub struct Desk {
    /// Where things lie that a menu opens.
    pub places: Places,
    /// Opens them.
    pub opener: Option<Opener>,
    /// Tells costs.
    pub sampler: Option<Sampler>,
    /// Stays false.
    pub is_there: Arc<AtomicBool>,
}

/// Never: there is no desktop that this program could show itself on.
pub fn is_desktop() -> bool {
    false
}

/// None: what nothing shows, nobody opens.
pub fn find_opener(_search_path: Option<OsString>) -> Option<Opener> {
    None
}

/// Says that there is no tray, and returns.
pub async fn run(_handle: Handle, _desk: Desk) {
    tracing::warn!("no tray: this version has none on this system");
}
