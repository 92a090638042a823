//! An engine that only says what it is told to say, and notes what is wished.

use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::{Command, Snapshot};
use pilotlight::engine::{Clock, Handle, Request, StateDir};
use pilotlight::tray::{Desk, Places};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The engine's side of a [`Handle`].
pub struct Engine {
    /// The faces' side.
    pub handle: Handle,
    snapshots: watch::Sender<Arc<Snapshot>>,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Engine {
    /// An engine that has published `snapshot`.
    pub fn showing(snapshot: Snapshot) -> Self {
        let (requests, received) = mpsc::unbounded_channel();
        let (snapshots, published) = watch::channel(Arc::new(snapshot));
        let handle = Handle::new(requests, published, Clock::start(Duration::from_secs(60)));
        Self { handle, snapshots, requests: received }
    }

    /// Publishes `snapshot`, with the next revision.
    pub fn publish(&self, snapshot: Snapshot) {
        let revision = self.snapshots.borrow().revision + 1;
        self.snapshots.send(Arc::new(Snapshot { revision, ..snapshot })).expect("the engine holds a receiver itself");
    }

    /// The next wish.
    pub async fn wish(&mut self) -> Command {
        self.requests.recv().await.expect("the engine holds a sender itself").command
    }

    /// Whether nothing has been wished that has not been asked for.
    pub fn nothing_wished(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }

    /// Shows the tray, with a desk that opens nothing.
    pub fn tray(&self) -> JoinHandle<()> {
        self.tray_on(desk())
    }

    /// Shows the tray with `desk`.
    pub fn tray_on(&self, desk: Desk) -> JoinHandle<()> {
        #[cfg(not(feature = "gtk-tray"))]
        return tokio::task::spawn_local(pilotlight::tray::run(self.handle.clone(), desk));
        #[cfg(feature = "gtk-tray")]
        {
            let (handle, runtime) = (self.handle.clone(), tokio::runtime::Handle::current());
            tokio::task::spawn_blocking(move || pilotlight::tray::serve(handle, desk, &runtime))
        }
    }

    /// Ends: all receivers are told that nothing more comes.
    pub fn end(self) {}
}

/// A desk that opens nothing and samples nothing.
pub fn desk() -> Desk {
    let places = Places {
        sources: "/project".into(),
        drop_ins: "/project/services.d".into(),
        state: StateDir::new("/state"),
        opener: false,
    };
    let runtime_folder = std::env::var_os("XDG_RUNTIME_DIR").expect("the supervisor sets it");
    let pictures = std::path::Path::new(&runtime_folder).join("pictures");
    Desk { places, opener: None, sampler: None, is_there: Arc::default(), pictures }
}
