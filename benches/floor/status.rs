//! How long it takes to tell of many services, beside a request that tells nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::agent::{Agent, place, service};
use crate::measure::{in_new_folder, is_healthy};
use crate::reports::Reports;
use crate::table::{line, median};

/// How many services there are.
const SERVICES: usize = 200;

/// How often each is asked.
const ROUNDS: usize = 50;

/// Measures both by turns over the socket, then the command line beside a program that does nothing.
pub fn measure() {
    in_new_folder(|folder| {
        let reports = Reports::listen(folder);
        for index in 0..SERVICES {
            let name = format!("s{index}");
            place(folder, &name, &service(&reports.program(&name), true, 0));
        }
        let agent = Agent::start(folder);
        agent.wait_until("all services to run", |services| {
            services.len() == SERVICES && services.iter().all(is_healthy)
        });
        let socket = agent.socket();
        // Whatever the agent does once, it has done by then.
        let asked = (0..2 * ROUNDS).map(|_| (request(&socket, "/"), request(&socket, "/v1/status")));
        let (empty, full): (Vec<_>, Vec<_>) = asked.skip(ROUNDS).unzip();
        line(&format!("status of {SERVICES} over the socket, by an empty one"), median(empty), median(full), 3.0);
        let run = (0..ROUNDS).map(|_| (timed(nothing), timed(|| drop(agent.tell(&["status"])))));
        let (nothing, command): (Vec<_>, Vec<_>) = run.unzip();
        line(&format!("`pilotlight status` of {SERVICES}, by `true`"), median(nothing), median(command), 3.0);
    });
}

/// How long an answer to a GET of `path` takes, connection and all.
fn request(socket: &Path, path: &str) -> Duration {
    timed(|| {
        let mut connection = UnixStream::connect(socket).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nhost: pilotlight\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 "));
    })
}

fn nothing() {
    let output = Command::new("/bin/true").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}
