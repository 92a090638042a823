//! The face in the desktop's panel: a light, a tooltip and a menu.
//!
//! [`TrayModel`] says purely what is to be seen; a shell shows it and turns clicks into wishes: on Linux one on
//! StatusNotifierItem, elsewhere (and there with the feature `gtk-tray`) one on the system's own tray. It decides nothing
//! about services, and keeps nothing that the snapshot does not hold but what they cost when the menu was last opened.

#[cfg(target_os = "linux")]
mod bus;
mod icon;
mod model;
#[cfg(any(not(target_os = "linux"), feature = "gtk-tray"))]
mod native;
#[cfg(all(target_os = "linux", not(feature = "gtk-tray")))]
mod sni;
mod stage;

pub use model::{Choice, Cost, Costs, Item, ItemKind, Key, Part, Places, Target, TrayModel};
#[cfg(any(not(target_os = "linux"), feature = "gtk-tray"))]
pub use native::{Stand, host, obstacle, serve};
#[cfg(all(target_os = "linux", not(feature = "gtk-tray")))]
pub use sni::{Stand, host, obstacle, run};
pub use stage::{Desk, Sampler};
