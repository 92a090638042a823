//! The floor: what the bare system takes for the same outcome.

use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::process::{Pid, Signal, kill_process};

/// Programs started by hand; killed when dropped.
#[derive(Default)]
pub struct Bare {
    children: Vec<Child>,
}

impl Bare {
    /// Starts `program`, with its output going to a file as the agent does it.
    pub fn spawn(&mut self, program: &[String], log: &Path) {
        let output = std::fs::File::options().append(true).create(true).open(log).unwrap();
        let child = Command::new(&program[0])
            .args(&program[1..])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        self.children.push(child);
    }

    /// Waits for the child `pid` to end, and starts `program` in its place.
    pub fn replace(&mut self, pid: i32, program: &[String], log: &Path) {
        let index = self.children.iter().position(|child| i64::from(child.id()) == i64::from(pid)).unwrap();
        self.children.swap_remove(index).wait().unwrap();
        self.spawn(program, log);
    }

    /// Waits until all have ended by themselves.
    pub fn wait(&mut self) {
        for mut child in self.children.drain(..) {
            child.wait().unwrap();
        }
    }

    /// Asks all to end, and waits until they have.
    pub fn stop(&mut self) {
        for child in &self.children {
            kill_process(Pid::from_child(child), Signal::TERM).unwrap();
        }
        self.wait();
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Fails when it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Calls `react` in a thread of its own on each of the next `count` files that are moved into `folder`.
pub fn on_files(
    folder: &Path,
    count: usize,
    mut react: impl FnMut(usize) + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let watch = inotify::init(CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, folder, WatchFlags::MOVED_TO).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&watch, &mut buffer);
        for index in 0..count {
            reader.next().unwrap();
            react(index);
        }
    })
}
