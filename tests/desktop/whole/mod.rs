//! The whole program as it was built, with real files and real processes, on a session bus of the test.

mod absence;
#[allow(dead_code, reason = "it is shared with the stories that have no desktop")]
#[path = "../../e2e/desk.rs"]
mod desk;
mod load;
mod menu;
mod notices;

use std::process::Output;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::bus::{Bus, Desktop, eventually};
use super::host::{GTK, Host, TrayItem};
use desk::{Desk, PROGRAM, free_port, is_alive};

/// A user's desk. Its work blocks, and this process is also the panel that the agent waits for: so each piece of work
/// has a thread of its own.
pub struct User {
    desk: Option<Desk>,
}

impl User {
    /// A user with an empty home, on this desktop; nothing runs yet.
    pub fn new() -> Self {
        let mut desk = Desk::new();
        desk.set("DBUS_SESSION_BUS_ADDRESS", std::env::var("DBUS_SESSION_BUS_ADDRESS").unwrap());
        if GTK {
            desk.set("DISPLAY", std::env::var("DISPLAY").expect("the supervisor sets it"));
        }
        // What the user's opener is told to open.
        desk.script("xdg-open", &format!(r#"echo "$1" >> {}"#, desk.path("opened").display()));
        Self { desk: Some(desk) }
    }

    /// A user whose agent runs with these drop-ins (name and definition), and shows a tray to `host`.
    async fn with_tray(host: &Host, drop_ins: &[(&str, Value)]) -> (Self, TrayItem) {
        let mut user = Self::new();
        for (name, definition) in drop_ins {
            user.drop_in(name, definition);
        }
        user.start_agent(&["run", "--tray"]).await;
        let item = host.item().await;
        (user, item)
    }

    /// Starts another agent, and gives the item that it has in the panel.
    async fn start_again(&mut self, host: &Host) -> TrayItem {
        let before = host.registrations();
        self.start_agent(&["run", "--tray"]).await;
        host.item_after(before).await
    }

    /// Sets a variable for everything that is started from now on.
    #[cfg(feature = "gtk-tray")]
    fn set(&mut self, name: &str, value: &str) {
        self.desk.as_mut().expect("no other work is under way").set(name, value);
    }

    fn desk(&self) -> &Desk {
        self.desk.as_ref().expect("no other work is under way")
    }

    /// Does something that may block.
    async fn does<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Desk) -> T + Send + 'static) -> T {
        let mut desk = self.desk.take().expect("no other work is under way");
        let done = spawn_blocking(move || {
            let result = work(&mut desk);
            (desk, result)
        });
        let (desk, result) = done.await.expect("the work was done");
        self.desk = Some(desk);
        result
    }

    /// Starts the agent, and waits until it answers.
    pub async fn start_agent(&mut self, arguments: &'static [&'static str]) {
        self.does(|desk| desk.start_agent_with(arguments)).await;
    }

    /// Waits until the agent has ended by itself, and gives its exit code.
    async fn agent_ends(&mut self) -> Option<i32> {
        self.does(Desk::wait_agent).await
    }

    async fn runs(&mut self, arguments: &[&str]) -> Output {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self.does(move |desk| desk.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())).await
    }

    /// Runs a command that must succeed.
    pub async fn ok(&mut self, arguments: &[&str]) {
        let output = self.runs(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Tells a playing service how to behave.
    async fn tell(&mut self, port: u16, behaviour: &str) {
        self.ok(&["demo-service", "tell", &port.to_string(), behaviour]).await;
    }

    async fn service(&mut self, id: &'static str) -> Value {
        self.does(move |desk| desk.service(id)).await
    }

    /// Waits until the main process of a service is there, and gives its pid.
    async fn process_of(&mut self, id: &'static str) -> u32 {
        eventually(id, async || self.does(move |desk| desk.pid(id)).await.filter(|pid| is_alive(*pid))).await
    }

    /// Waits until a service's `key` is `value`.
    pub async fn sees(&mut self, id: &'static str, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        eventually(&format!("{key} of {id} to be {value}"), async || {
            (self.service(id).await[key] == value).then_some(())
        })
        .await;
    }

    /// Writes or rewrites a drop-in.
    pub fn drop_in(&self, name: &str, definition: &Value) {
        self.desk().save(&format!("services.d/{name}.json"), &definition.to_string());
    }

    /// How often the agent has said something that contains `text`.
    fn heard(&self, text: &str) -> usize {
        self.desk().agent_log().lines().filter(|line| line.contains(text)).count()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.as_ref().filter(|_| std::thread::panicking()) {
            eprintln!("the agent has printed:\n{}", desk.agent_log());
        }
    }
}

/// A service that does nothing.
pub fn idle(name: &str) -> Value {
    json!({"name": name, "command": ["sleep", "100000"]})
}

/// A service that is healthy as soon as it listens, and fails when it is told to.
fn playing(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "command": [PROGRAM, "demo-service", format!("--port={port}")],
        "default_port": port,
        "health": {"http": "/health", "interval": "100ms", "timeout": "5s"},
        "auto_start": true,
    })
}

/// A started bus with a panel on it.
async fn panel(desktop: &Desktop) -> (Bus, Host) {
    let bus = desktop.start_bus();
    let host = Host::appear(bus.connect().await).await;
    (bus, host)
}
