//! A way to the terminal that never holds anybody up: a thread of its own writes, and what it can't keep up with is left
//! out and counted. A terminal that has been stopped, or a session that hangs, costs the services nothing.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many pieces of text may wait to be written.
const WAITING: usize = 1024;

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// One end of the way; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Terminal {
    sender: SyncSender<Vec<u8>>,
    skipped: Arc<AtomicU64>,
}

/// Waits for the last words, once all [`Terminal`]s are gone.
#[derive(Debug)]
pub(super) struct Rest(Receiver<()>);

impl Terminal {
    /// A way to `out`.
    pub fn start(mut out: impl Write + Send + 'static) -> (Self, Rest) {
        let (sender, texts) = sync_channel::<Vec<u8>>(WAITING);
        let (done, rest) = channel();
        let skipped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&skipped);
        thread::spawn(move || {
            while let Ok(text) = texts.recv() {
                let skipped = count.swap(0, Ordering::Relaxed);
                // A terminal that has gone takes nothing more, and the agent goes on without it.
                let _ = out.write_all(&text);
                if skipped > 0 {
                    let _ = writeln!(out, "… {skipped} lines are left out here");
                }
                let _ = out.flush();
            }
            drop(done);
        });
        (Self { sender, skipped }, Rest(rest))
    }

    /// Writes `text` (whole lines), unless too much waits to be written.
    pub fn say(&self, text: Vec<u8>) {
        match self.sender.try_send(text) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Writes `text`, and waits for its turn: for threads that may.
    pub fn say_in_turn(&self, text: Vec<u8>) {
        // Without the other end there is nobody to tell.
        let _ = self.sender.send(text);
    }
}

impl Rest {
    /// Waits for what is still to be written, but not for a terminal that takes nothing.
    pub fn wait(self) {
        match self.0.recv_timeout(LAST_WORDS) {
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

impl<'a> MakeWriter<'a> for Terminal {
    type Writer = &'a Terminal;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Terminal {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.say(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes nothing until its gate is opened.
    struct Stopped(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stopped {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_that_takes_nothing_holds_nobody_up_and_says_later_what_is_missing() {
        let (open, gate) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (terminal, rest) = Terminal::start(Stopped(gate, Arc::clone(&written)));
        for at in 0..WAITING * 3 {
            terminal.say(format!("line {at}\n").into_bytes());
        }
        drop(open);
        drop(terminal);
        while !matches!(rest.0.recv(), Err(std::sync::mpsc::RecvError)) {}
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line 0\n"), "{text}");
        assert!(text.contains("lines are left out here"), "{text}");
    }
}
