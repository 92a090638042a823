//! Where the session bus is, and waiting until one may be there. It speaks to no bus.

use std::env;
use std::ffi::OsString;
use std::future::pending;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::Notify;
use zbus::Address;
use zbus::address::Transport;
use zbus::address::transport::UnixSocket;

/// The first pause after a bus that should be there did not answer; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Whether somebody listens where the session bus is to be.
pub(super) fn is_there() -> bool {
    // A bus that was killed has left its socket behind.
    let listens = |socket: &Path| UnixStream::connect(socket).is_ok();
    has_session_bus(&|name| env::var_os(name), &listens, rustix::process::geteuid().as_raw())
}

/// Whether the bus that the environment names (else the one in the runtime directory of `user`) listens at its socket.
/// Of one without a socket file that can't be told: then it is believed.
fn has_session_bus(var: &dyn Fn(&str) -> Option<OsString>, listens: &dyn Fn(&Path) -> bool, user: u32) -> bool {
    if let Some(address) = var("DBUS_SESSION_BUS_ADDRESS").filter(|address| !address.is_empty()) {
        let address = address.to_str().and_then(|address| address.parse::<Address>().ok());
        return address.is_some_and(|address| socket(&address).is_none_or(|path| listens(&path)));
    }
    let runtime = var("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    listens(&runtime.unwrap_or_else(|| format!("/run/user/{user}").into()).join("bus"))
}

/// Waits for a bus, by events where there is a socket file to wait for.
pub struct Arrival {
    pause: Duration,
}

impl Arrival {
    /// Nothing has been tried yet.
    pub fn new() -> Self {
        Self { pause: FIRST_PAUSE }
    }

    /// After a failed attempt: returns when it is worth another.
    pub async fn wait(&mut self) {
        let Ok(address) = Address::session() else {
            // The environment of a process does not change: it will never be a better one.
            return pending().await;
        };
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        let Some(path) = socket(&address) else {
            return tokio::time::sleep(pause).await;
        };
        let touched = Arc::new(Notify::new());
        let watcher = watch(&path, Arc::clone(&touched));
        // Looked at only after the watch is set: what appears before is seen here, what appears later is told.
        let is_there = path.exists();
        let event_only = watcher.is_some() && !is_there;
        tokio::select! {
            () = touched.notified() => self.pause = FIRST_PAUSE,
            () = tokio::time::sleep(pause), if !event_only => {}
        }
    }
}

/// Tells `touched` when something happens to `path`, or to the folder that has to be there before it can.
fn watch(path: &Path, touched: Arc<Notify>) -> Option<::notify::RecommendedWatcher> {
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir())?;
    // The next name on the way from the folder to the socket; its neighbours are not our business.
    let name = path.strip_prefix(folder).ok()?.components().next()?;
    let expected = folder.join(name);
    let mut watcher = ::notify::recommended_watcher(move |event: ::notify::Result<::notify::Event>| {
        let tell = match event {
            Ok(event) => !matches!(event.kind, EventKind::Access(_)) && event.paths.contains(&expected),
            Err(_) => true,
        };
        if tell {
            touched.notify_one();
        }
    })
    .ok()?;
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

/// The socket file of `address`, if it has one.
fn socket(address: &Address) -> Option<PathBuf> {
    // Only Unix sockets have files, and of these not the abstract ones; zbus keeps both enums open.
    match address.transport() {
        Transport::Unix(unix) => match unix.path() {
            UnixSocket::File(path) => Some(path.clone()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_desktop_where_the_bus_that_is_named_listens() {
        type Case = (&'static [(&'static str, &'static str)], &'static [&'static str], bool);
        let cases: [Case; 8] = [
            (&[], &[], false),
            (&[], &["/run/user/7/bus"], true),
            (&[("XDG_RUNTIME_DIR", "/r")], &["/run/user/7/bus"], false),
            (&[("XDG_RUNTIME_DIR", "/r")], &["/r/bus"], true),
            (&[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/tmp/b")], &["/run/user/7/bus"], false),
            (
                &[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/tmp/b,guid=0123456789abcdef0123456789abcdef")],
                &["/tmp/b"],
                true,
            ),
            (&[("DBUS_SESSION_BUS_ADDRESS", "unix:abstract=b")], &[], true),
            (&[("DBUS_SESSION_BUS_ADDRESS", "nonsense")], &["/run/user/7/bus"], false),
        ];
        for (vars, files, desktop) in cases {
            let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            let listens = |path: &Path| files.iter().any(|file| Path::new(file) == path);
            assert_eq!(has_session_bus(&var, &listens, 7), desktop, "{vars:?} {files:?}");
        }
    }
}
