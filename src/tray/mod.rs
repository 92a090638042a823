//! The face in the desktop's panel: a light, a tooltip and a menu, on StatusNotifierItem.
//!
//! [`TrayModel`] says purely what is to be seen, [`run`] shows it and turns clicks into wishes. It decides nothing about
//! services, and keeps nothing that the snapshot does not hold but what they cost when the menu was last opened.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod bus;
#[cfg(target_os = "linux")]
mod icon;
mod model;
#[cfg(target_os = "linux")]
mod opener;
#[cfg(target_os = "linux")]
mod sni;

#[cfg(not(target_os = "linux"))]
pub use absent::{Desk, Opener, Sampler, find_opener, is_desktop, run};
#[cfg(target_os = "linux")]
pub use bus::is_desktop;
pub use model::{Choice, Cost, Costs, Item, ItemKind, Key, Part, Places, Target, TrayModel};
#[cfg(target_os = "linux")]
pub use opener::{Opener, find_opener};
#[cfg(target_os = "linux")]
pub use sni::{Desk, Sampler, run};
