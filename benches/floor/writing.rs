//! A service that writes a lot, beside the same program writing to a plain file: how long it takes, what that costs the
//! agent, and whether all of it is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::Agent;
use crate::bare::Bare;
use crate::measure::in_new_folder;
use crate::reports::Reports;
use crate::table::{line, median, value};

/// How many lines are written, each by a write of its own, as programs do that do not buffer.
const LINES: usize = 2_000_000;

/// How long a line is, with its end: 200 MB in all.
const LENGTH: usize = 100;

/// How often each side writes.
const ROUNDS: usize = 5;

/// The argument with which this program is the writer.
const ROLE: &str = "--write-lines";

/// Whether this process is to write rather than to measure.
pub fn is_writer() -> bool {
    std::env::args().any(|argument| argument == ROLE)
}

/// Writes the lines, and says on the pipe that is the last argument how many microseconds it took.
pub fn write() {
    // Past the buffer of the standard output.
    let mut out = std::fs::File::from(rustix::io::dup(rustix::stdio::stdout()).unwrap());
    let began = Instant::now();
    for number in 0..LINES {
        let text = format!("{number:<width$}\n", width = LENGTH - 1);
        out.write_all(text.as_bytes()).unwrap();
    }
    let took = began.elapsed().as_micros();
    let pipe = std::env::args().next_back().unwrap();
    let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
    writeln!(pipe, "written {took}").unwrap();
}

/// Measures both sides by turns.
pub fn measure() {
    let (mut bare, mut agent, mut own, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(in_new_folder(write_bare));
        let written = in_new_folder(write_to_log);
        agent.push(written.took);
        own.push(written.own);
        all.push(written.all);
    }
    let mb = LINES * LENGTH / 1_000_000;
    line(&format!("{mb} MB of lines written, rotated at 50 MB"), median(bare), median(agent), 1.05);
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    value("  the agent's own thread meanwhile", &ms(median(own)), "none");
    value("  the agent with what it copies", &ms(median(all)), "");
    value("  lines lost, out of order or doubled", "0", "0");
}

struct Written {
    took: Duration,
    own: Duration,
    all: Duration,
}

fn write_bare(folder: &Path) -> Duration {
    let reports = Reports::listen(folder);
    let mut bare = Bare::default();
    bare.spawn(&program(&reports), &folder.join("log"));
    let took = took(&reports);
    bare.wait();
    took
}

fn write_to_log(folder: &Path) -> Written {
    let reports = Reports::listen(folder);
    let agent = Agent::start(folder);
    let definition = json!({
        "type": "process", "command": program(&reports), "one_shot": true, "auto_start": true,
        "log": {"max_size": "50MB", "keep": 10},
    });
    // What drop-ins cost is measured elsewhere.
    let (own, all) = (agent.own_time(), agent.processor_time());
    agent.drop_in("writer", &definition);
    let took = took(&reports);
    let logs = folder.join("state/services/writer");
    agent.wait_until("the service to have ended", |services| services[0]["process"] == "completed");
    while std::fs::metadata(logs.join("output.log")).unwrap().len() > 50_000_000 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (own, all) = (agent.own_time() - own, agent.processor_time() - all);
    drop(agent);
    assert_eq!(count(&logs), LINES, "every line is there, once and in its place");
    Written { took, own, all }
}

fn program(reports: &Reports) -> [String; 4] {
    let program = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    [program, "--bench".to_owned(), ROLE.to_owned(), reports.pipe().to_str().unwrap().to_owned()]
}

fn took(reports: &Reports) -> Duration {
    // What is written into the place of a pid are microseconds.
    Duration::from_micros(reports.of("written").pid.try_into().unwrap())
}

/// How many lines follow one another from the first on, from the oldest file to the newest.
fn count(logs: &Path) -> usize {
    let rotated = (1..).map(|number| logs.join(format!("output.log.{number}"))).take_while(|path| path.exists());
    let mut files: Vec<_> = rotated.collect();
    files.reverse();
    files.push(logs.join("output.log"));
    let mut text = Vec::new();
    files.iter().for_each(|file| text.append(&mut std::fs::read(file).unwrap()));
    let numbers = BufReader::new(&*text).lines().map_while(Result::ok);
    let numbers = numbers.map(|line| line.trim().parse::<usize>().ok());
    numbers.enumerate().take_while(|(expected, number)| Some(*expected) == *number).count()
}
