//! X servers without a screen, one for each test: GTK needs one.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running X server; killed when dropped.
pub struct Display {
    process: Child,
    /// Its name, for `DISPLAY`.
    pub name: String,
}

impl Display {
    /// Starts one with a number that is free.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one of this name, which nobody else may have.
    pub fn start_as(name: &str) -> Self {
        Self::start_with(&[name])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let mut server = Command::new("Xvfb");
        server.args(arguments).args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"]);
        // Without this it begins anew when its last client goes, and the next one to come may be thrown out by that.
        server.arg("-noreset");
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = server.spawn().expect("Xvfb is installed (package xvfb)");
        let mut number = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut number).unwrap();
        assert!(!number.is_empty(), "Xvfb has ended before it listened");
        Self { process, name: format!(":{}", number.trim()) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
