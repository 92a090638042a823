//! What the tray needs of Windows and macOS: nothing but to be asked in the right way, because it is always there.

use std::path::PathBuf;

use tao::event_loop::{EventLoop, EventLoopBuilder, EventLoopProxy};
#[cfg(target_os = "macos")]
use tao::platform::macos::{ActivationPolicy, EventLoopExtMacOS};
use tray_icon::TrayIconBuilder;
use tray_icon::menu::Menu;

use super::Word;
use super::menu::{Hiding, Seen};

/// The size of the icon in pixels; the system makes it smaller where it needs to.
pub(super) const SIDE: u32 = if cfg!(windows) { 32 } else { 64 };
/// The longest tooltip in UTF-16 code units: on Windows 128 with the zero at its end, on macOS no more than people read.
pub(super) const TOOLTIP: usize = if cfg!(windows) { 127 } else { 1000 };

/// The libraries know no hidden entries.
pub(super) const HIDING: Hiding = Hiding::Out;

/// Why there can be no tray at present, if so.
pub fn obstacle() -> Option<String> {
    None
}

/// That a tray can be shown.
pub(super) struct Ground;

impl Ground {
    /// Is there at once.
    pub fn reach(_runtime: &tokio::runtime::Handle, _pictures: PathBuf) -> Option<Self> {
        Some(Self)
    }

    /// Is never lost.
    pub fn watch(&self, _runtime: &tokio::runtime::Handle, _proxy: EventLoopProxy<Word>) {}

    /// Needs nothing more.
    pub fn dress(&self, builder: TrayIconBuilder) -> TrayIconBuilder {
        builder
    }
}

/// The event loop of a program without windows.
pub(super) fn event_loop() -> EventLoop<Word> {
    #[cfg_attr(not(target_os = "macos"), allow(unused_mut, reason = "only macOS has something to set"))]
    let mut event_loop = EventLoopBuilder::with_user_event().build();
    #[cfg(target_os = "macos")]
    {
        // Neither in the Dock nor before what the user is at.
        event_loop.set_activation_policy(ActivationPolicy::Accessory);
        event_loop.set_activate_ignoring_other_apps(false);
    }
    event_loop
}

/// Here the icon itself tells when its menu opens.
pub(super) fn tell_openings(_menu: &Menu, _proxy: &EventLoopProxy<Word>) {}

/// Here nothing is hidden.
pub(super) fn hide(_menu: &Menu, _seen: &[Seen]) {}
