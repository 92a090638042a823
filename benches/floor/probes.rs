//! What it costs to ask many services how they are, beside the least that asks the same servers the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::agent::{Agent, place};
use crate::measure::{in_new_folder, is_healthy};
use crate::table::line;

/// How many services there are, each with a server of its own that is asked.
const SERVICES: usize = 1000;

/// How often each is asked.
const INTERVAL: Duration = Duration::from_secs(2);

/// For how many intervals it is measured.
const INTERVALS: u32 = 10;

/// What the floor asks; the agent's question has a few headers more.
const QUESTION: &[u8] = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// What every server answers.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// Measures the processor time of the same number of probes on both sides.
pub fn measure() {
    let servers = Servers::start();
    let (agent, probes) = in_new_folder(|folder| {
        for (index, port) in servers.ports.iter().enumerate() {
            place(folder, &format!("s{index}"), &service(*port));
        }
        let agent = Agent::start(folder);
        agent.wait_until("all services to be healthy", |services| {
            services.len() == SERVICES && services.iter().all(is_healthy)
        });
        // By then the first, shorter intervals are over.
        std::thread::sleep(2 * INTERVAL);
        let (before, asked) = (agent.processor_time(), servers.answered());
        std::thread::sleep(INTERVALS * INTERVAL);
        (agent.processor_time() - before, servers.answered() - asked)
    });
    let expected = SERVICES * INTERVALS as usize;
    assert!(probes.abs_diff(expected) < expected / 20, "{probes} probes where {expected} were due");
    let before = thread_time();
    for probe in 0..probes {
        ask(servers.ports[probe % SERVICES]);
    }
    let bare = thread_time() - before;
    line(&format!("processor time of {probes} HTTP probes"), bare, agent, 2.0);
}

fn service(port: u16) -> Value {
    json!({
        "type": "process",
        "command": ["sleep", "100000"],
        "auto_start": true,
        "health": {"http": format!("http://127.0.0.1:{port}/health"), "interval": INTERVAL.as_secs()},
    })
}

fn ask(port: u16) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.write_all(QUESTION).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Servers in a thread of their own, which answer as fast as anything can.
struct Servers {
    ports: Vec<u16>,
    answered: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Servers {
    fn start() -> Self {
        let answered = std::sync::Arc::default();
        let (sender, ports) = std::sync::mpsc::channel();
        let count = std::sync::Arc::clone(&answered);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, async {
                for _ in 0..SERVICES {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    sender.send(listener.local_addr().unwrap().port()).unwrap();
                    tokio::task::spawn_local(serve(listener, std::sync::Arc::clone(&count)));
                }
                drop(sender);
                std::future::pending::<()>().await;
            });
        });
        Self { ports: ports.iter().collect(), answered }
    }

    fn answered(&self) -> usize {
        self.answered.load(std::sync::atomic::Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, answered: std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut question = [0; 1024];
        // Who hangs up before has asked nothing.
        if connection.read(&mut question).await.is_ok_and(|read| read > 0) && connection.write_all(ANSWER).await.is_ok()
        {
            answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
