//! The named pipe through which every started program says that it runs, and when that was heard.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// More than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Hears what the programs report.
pub struct Reports {
    pipe: PathBuf,
    heard: Receiver<Report>,
}

/// One program's first instruction.
pub struct Report {
    /// When it was heard.
    pub at: Instant,
    /// What the program calls itself.
    pub name: String,
    /// Its pid.
    pub pid: i32,
}

impl Reports {
    /// Opens a pipe in `folder`, and listens.
    pub fn listen(folder: &Path) -> Self {
        let pipe = folder.join("reports");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // Open for both, so that it never comes to its end, and no writer waits for a reader.
        let reader = BufReader::new(File::options().read(true).write(true).open(&pipe).unwrap());
        let (sender, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let at = Instant::now();
                let (name, pid) = line.split_once(' ').unwrap();
                let report = Report { at, name: name.to_owned(), pid: pid.parse().unwrap() };
                if sender.send(report).is_err() {
                    return;
                }
            }
        });
        Self { pipe, heard }
    }

    /// The pipe, for programs that report by themselves.
    pub fn pipe(&self) -> &Path {
        &self.pipe
    }

    /// The program that reports as `name`, and stays.
    pub fn program(&self, name: &str) -> [String; 3] {
        let script = format!("echo {name} $$ >'{}'; exec sleep 100000", self.pipe.display());
        ["/bin/sh".to_owned(), "-c".to_owned(), script]
    }

    /// Waits for the report of `name`, and passes over others.
    pub fn of(&self, name: &str) -> Report {
        loop {
            let report = self.heard.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{name} did not report"));
            if report.name == name {
                return report;
            }
        }
    }

    /// Waits for `count` reports, whoever they are of.
    pub fn any(&self, count: usize) -> Vec<Report> {
        (0..count).map(|_| self.heard.recv_timeout(DEADLINE).expect("all programs report")).collect()
    }
}
