//! The shell on the system's own tray, by tao and tray-icon: shows a [`TrayModel`] and turns clicks into wishes.
//!
//! Such trays belong to a process's main thread, which is theirs from the moment on that the agent shows one; the agent
//! lives on a thread of its own. What happens elsewhere comes to the main thread as a [`Word`], by the event loop.
//!
//! [`TrayModel`]: super::TrayModel

#[cfg_attr(target_os = "linux", path = "native/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "native/elsewhere.rs")]
mod ground;
mod menu;

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use tao::event::{Event, StartCause};
use tao::event_loop::{ControlFlow, EventLoopProxy};
use tao::platform::run_return::EventLoopExtRunReturn;
use tokio::sync::watch;
use tokio::time::sleep;
use tray_icon::menu::{MenuEvent, MenuId};
use tray_icon::{Icon, MouseButtonState, TrayIcon, TrayIconBuilder, TrayIconEvent};

use super::icon;
use super::model::TrayModel;
use super::stage::{Desk, PACE, Stage};
use crate::domain::{Light, Snapshot};
use crate::engine::Handle;
use ground::Ground;
use menu::ShownMenu;

pub use ground::obstacle;

/// What the icon is called where the system wants a name that no other has.
const NAME: &str = "pilotlight";
/// As much stack as a main thread usually has, in bytes: what runs on it must not notice that it is on another.
const STACK: usize = 8 * 1024 * 1024;

/// Runs `life`, the agent's, and beside it the tray if `life` shows one: the tray on this thread, which must be the main
/// thread, and `life` on another. Returns when both have ended. Without the wish for a tray, `life` is on this thread.
///
/// # Errors
/// If there can be no further thread.
pub fn host<T: Send>(wants_tray: bool, life: impl FnOnce(Stand) -> T + Send) -> io::Result<T> {
    if !wants_tray {
        return Ok(life(Stand(None)));
    }
    let (offer, shown) = sync_channel(1);
    thread::scope(|scope| {
        let agent = thread::Builder::new().name("agent".to_owned()).stack_size(STACK);
        let agent = agent.spawn_scoped(scope, || life(Stand(Some(offer))))?;
        // A life that ends without a tray has not called.
        if let Ok(Show { handle, desk, runtime }) = shown.recv() {
            serve(handle, desk, &runtime);
        }
        Ok(agent.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Where the tray can be shown, once.
pub struct Stand(Option<SyncSender<Show>>);

/// The call to show a tray.
struct Show {
    handle: Handle,
    desk: Desk,
    runtime: tokio::runtime::Handle,
}

impl Stand {
    /// Shows the tray until the engine ends, or the runtime that this is called on.
    pub fn show(self, handle: Handle, desk: Desk) {
        let show = Show { handle, desk, runtime: tokio::runtime::Handle::current() };
        if self.0.is_none_or(|offer| offer.send(show).is_err()) {
            tracing::warn!("no tray: nobody is there to show it");
        }
    }
}

/// What is told to the thread that the tray is on.
pub(super) enum Word {
    /// The tray is to be opened; anew, if it is open.
    Open,
    /// There may be something new to show.
    Renew,
    /// The menu is being opened.
    Opened,
    /// An entry was clicked.
    Clicked(MenuId),
    /// No tray can be shown any more.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only a bus can be lost"))]
    Lost(&'static str),
    /// The engine has ended.
    End,
}

/// Shows the tray on this thread until the engine or `runtime` ends, or no tray can be shown any more. Once in the life
/// of a process.
pub fn serve(handle: Handle, desk: Desk, runtime: &tokio::runtime::Handle) {
    let Desk { places, opener, sampler, is_there, pictures } = desk;
    is_there.store(false, Ordering::Relaxed);
    let Some(ground) = Ground::reach(runtime, pictures) else { return };
    let mut event_loop = ground::event_loop();
    let proxy = event_loop.create_proxy();
    listen(&proxy);
    ground.watch(runtime, proxy.clone());
    runtime.spawn(tell(handle.snapshots(), proxy.clone()));

    let mut stage = Stage::new(handle, places, opener, sampler);
    let mut shown: Option<Tray> = None;
    let mut openings = 0;
    event_loop.run_return(|event, _, flow| {
        *flow = ControlFlow::Wait;
        // tidy: of what there is of events, these three concern a tray
        let word = match event {
            Event::NewEvents(StartCause::Init) => Word::Open,
            Event::UserEvent(word) => word,
            Event::LoopDestroyed => Word::End,
            _ => return,
        };
        let changed = match (word, &mut shown) {
            (Word::Open, shown) => {
                // The old one goes before the new one comes.
                drop(shown.take());
                stage.renew();
                openings += 1;
                match Tray::open(stage.model(), &ground, &proxy, openings) {
                    Ok(tray) => {
                        *shown = Some(tray);
                        is_there.store(true, Ordering::Relaxed);
                    }
                    Err(error) => {
                        tracing::warn!("no tray: {error}");
                        *flow = ControlFlow::Exit;
                    }
                }
                false
            }
            (_, None) => false,
            (Word::Renew, Some(_)) => stage.renew().is_some(),
            (Word::Opened, Some(_)) => stage.sample().is_some(),
            (Word::Clicked(id), Some(tray)) => {
                if let Some(choice) = tray.menu.clicked(&id) {
                    stage.perform(&choice);
                }
                false
            }
            (Word::Lost(reason), Some(_)) => {
                tracing::warn!("no tray until the agent is started again: {reason}");
                *flow = ControlFlow::Exit;
                false
            }
            (Word::End, Some(_)) => {
                *flow = ControlFlow::Exit;
                false
            }
        };
        if changed
            && let Some(tray) = &mut shown
            && let Err(error) = tray.show(stage.model(), &proxy)
        {
            tracing::warn!("failed to change the tray: {error}");
        }
    });
    is_there.store(false, Ordering::Relaxed);
}

/// Lets the system's clicks come as words.
fn listen(proxy: &EventLoopProxy<Word>) {
    let (clicks, openings) = (proxy.clone(), proxy.clone());
    // Of what comes after the loop has ended, nobody needs to know.
    MenuEvent::set_event_handler(Some(move |event: MenuEvent| drop(clicks.send_event(Word::Clicked(event.id)))));
    TrayIconEvent::set_event_handler(Some(move |event| {
        if let TrayIconEvent::Click { button_state: MouseButtonState::Down, .. } = event {
            drop(openings.send_event(Word::Opened));
        }
    }));
}

/// Tells of new snapshots, at once after a rest and else at [`PACE`], and of the end.
async fn tell(mut snapshots: watch::Receiver<Arc<Snapshot>>, proxy: EventLoopProxy<Word>) {
    let _last = LastWord(proxy.clone());
    loop {
        if proxy.send_event(Word::Renew).is_err() {
            return;
        }
        sleep(PACE).await;
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Says that it is the end when it is dropped, be it because the engine has ended or because its runtime has.
struct LastWord(EventLoopProxy<Word>);

impl Drop for LastWord {
    fn drop(&mut self) {
        // A loop that has ended needs no telling.
        let _ = self.0.send_event(Word::End);
    }
}

/// What is in the panel.
struct Tray {
    icon: TrayIcon,
    menu: ShownMenu,
    light: Light,
    tooltip: String,
}

impl Tray {
    /// Opens it for the first time in this process, or for the second and so on, as `opening` says.
    fn open(model: &TrayModel, ground: &Ground, proxy: &EventLoopProxy<Word>, opening: usize) -> Result<Self, String> {
        let in_words = |error: &dyn std::error::Error| error.to_string();
        let menu = ShownMenu::new(&model.menu).map_err(|error| in_words(&error))?;
        let tooltip = tooltip(model);
        // What is left of the one before would be in the way of another of its name.
        let name = if opening == 1 { NAME.to_owned() } else { format!("{NAME}-{opening}") };
        let mut builder = TrayIconBuilder::new().with_id(name).with_tooltip(&tooltip);
        if let Some(icon) = picture(model.light) {
            builder = builder.with_icon(icon);
        }
        let builder = ground.dress(builder).with_menu(Box::new(menu.menu().clone()));
        let icon = builder.build().map_err(|error| in_words(&error))?;
        ground::tell_openings(menu.menu(), proxy);
        Ok(Self { icon, menu, light: model.light, tooltip })
    }

    /// Changes what differs. Entries stay what they are as long as the set of them is the same.
    fn show(&mut self, model: &TrayModel, proxy: &EventLoopProxy<Word>) -> Result<(), Box<dyn std::error::Error>> {
        if self.light != model.light {
            self.icon.set_icon(picture(model.light))?;
            self.light = model.light;
        }
        let tooltip = tooltip(model);
        if self.tooltip != tooltip {
            self.icon.set_tooltip(Some(&tooltip))?;
            self.tooltip = tooltip;
        }
        if self.menu.is_of(&model.menu) {
            self.menu.change(&model.menu)?;
        } else {
            self.menu = ShownMenu::new(&model.menu)?;
            self.icon.set_menu(Some(Box::new(self.menu.menu().clone())));
            ground::tell_openings(self.menu.menu(), proxy);
        }
        Ok(())
    }
}

/// The light in the size that suits the system.
fn picture(light: Light) -> Option<Icon> {
    let picture = icon::pictures(light).find(|picture| picture.side == ground::SIDE)?;
    Icon::from_rgba(picture.rgba, picture.side, picture.side).ok()
}

/// As much of heading and text as the system shows, in whole characters.
fn tooltip(model: &TrayModel) -> String {
    let whole = format!("{}: {}", model.title, model.text);
    let mut room = ground::TOOLTIP;
    let fits = |letter: &char| {
        let needed = letter.len_utf16();
        let fits = needed <= room;
        room = if fits { room - needed } else { 0 };
        fits
    };
    whole.chars().take_while(fits).collect()
}
