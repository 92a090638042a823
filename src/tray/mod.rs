//! The face in the desktop's panel: a light, a tooltip and a menu, on StatusNotifierItem.
//!
//! [`TrayModel`] says purely what is to be seen, [`run`] shows it and turns clicks into wishes. It decides nothing about
//! services, and keeps nothing that the snapshot does not hold but what they cost when the menu was last opened.

mod bus;
mod icon;
mod model;
mod sni;

pub use bus::is_desktop;
pub use model::{Choice, Cost, Costs, Item, ItemKind, Key, Part, Places, Target, TrayModel};
pub use sni::{Desk, Sampler, run};
