//! What the tray shows at present and what clicks do, the same in every shell. It shows nothing itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::model::{Choice, Costs, Places, TrayModel};
use crate::domain::Snapshot;
use crate::engine::Handle;
use crate::open::Opener;

/// The least time between two updates of what is shown.
pub(super) const PACE: Duration = Duration::from_millis(250);
/// A sample that is younger is not taken anew, however often the menu opens.
const SAMPLE_AGE: Duration = Duration::from_secs(1);

/// Tells what the services cost now; called when the menu opens, and has to answer within some milliseconds.
pub type Sampler = Box<dyn FnMut(&Snapshot) -> Costs + Send>;

/// What the tray needs of the world beside the engine.
pub struct Desk {
    /// Where things lie that the menu opens.
    pub places: Places,
    /// Opens them, if [`Places::opener`] says so.
    pub opener: Option<Opener>,
    /// Tells costs; without one the menu shows none.
    pub sampler: Option<Sampler>,
    /// Kept true while the tray can be shown (on a bus, where trays live on buses), and false while it can't.
    pub is_there: Arc<AtomicBool>,
    /// A folder of this tray alone, for a shell that shows pictures from files. The shell makes and removes it.
    pub pictures: PathBuf,
}

/// What is shown at present.
pub(super) struct Stage {
    handle: Handle,
    opener: Option<Opener>,
    places: Places,
    model: TrayModel,
    costs: Costs,
    sampled: Option<Instant>,
    sampler: Option<Sampler>,
}

impl Stage {
    /// Shows the engine's latest snapshot.
    pub fn new(handle: Handle, places: Places, opener: Option<Opener>, sampler: Option<Sampler>) -> Self {
        let costs = Costs::new();
        let model = TrayModel::of(&handle.snapshot(), &places, &costs);
        Self { handle, opener, places, model, costs, sampled: None, sampler }
    }

    /// What is to be seen.
    pub fn model(&self) -> &TrayModel {
        &self.model
    }

    /// Takes over the engine's latest snapshot; gives what was to be seen until now, if that has changed.
    pub fn renew(&mut self) -> Option<TrayModel> {
        let snapshot = self.handle.snapshot();
        self.show(&snapshot)
    }

    /// The menu is being opened: its costs are of now. Gives what was to be seen until now, if that has changed.
    pub fn sample(&mut self) -> Option<TrayModel> {
        if self.sampled.is_some_and(|sampled| sampled.elapsed() < SAMPLE_AGE) {
            return None;
        }
        let snapshot = self.handle.snapshot();
        self.costs = self.sampler.as_mut()?(&snapshot);
        self.sampled = Some(Instant::now());
        self.show(&snapshot)
    }

    /// Does what a click does.
    pub fn perform(&self, choice: &Choice) {
        match choice {
            Choice::Wish(command) => self.handle.send(command.clone()),
            Choice::Open(target) => {
                if let Some(opener) = &self.opener {
                    opener(target);
                }
            }
        }
    }

    fn show(&mut self, snapshot: &Snapshot) -> Option<TrayModel> {
        let model = TrayModel::of(snapshot, &self.places, &self.costs);
        (model != self.model).then(|| std::mem::replace(&mut self.model, model))
    }
}
