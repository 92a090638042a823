//! The laws of the port `Probes`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotlight::domain::{Check, Event, Outcome, Probe, ProbeOrder, RunId, RunIds, ServiceId, Spawn, SpawnOrder};
use pilotlight::engine::ports::{Probes, Processes};
use pilotlight::probe::NetProbes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use crate::fakes::Behaviour;
use crate::time::{DEADLINE, Made};

/// Longer than any answer takes.
const GENEROUS: Duration = Duration::from_secs(60);
/// A timeout that is to end.
const SHORT: Duration = Duration::from_millis(50);

/// What is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// A run that works.
    Works,
    /// A run that says of itself that it is degraded: "slow".
    Degraded,
    /// A run that answers with 503.
    Broken,
    /// A run that does not listen.
    Refuses,
    /// A run that takes the question and never answers.
    Silent,
    /// A port on which somebody listens who is no run of ours.
    Stranger,
    /// A port on which nobody listens, and no run of ours.
    Nobody,
}

/// Services and their probes. What waits, waits with a generous deadline and then panics.
trait World {
    /// An order for probe 0 of a new service.
    fn order(&mut self, service: Service, timeout: Duration) -> ProbeOrder;
    /// Gives the order.
    fn probe(&mut self, order: ProbeOrder);
    /// Waits for the next answer.
    fn next(&mut self) -> (RunId, usize, Outcome);
    /// How much time has passed.
    fn age(&self) -> Duration;
}

held_by! {
    made_up: MadeUp::new(), real: Real::new();
    [
        what_is_found_is_told_as_it_is,
        what_never_answers_fails_once_its_time_is_over,
        each_answer_names_the_run_and_the_probe_that_it_is_of,
        a_probe_under_way_is_not_begun_again,
        a_probe_that_was_answered_can_be_ordered_again,
    ]
}

fn what_is_found_is_told_as_it_is(world: &mut dyn World) {
    let fail = |text: &str| Outcome::Fail(text.to_owned());
    for (service, outcome) in [
        (Service::Works, Outcome::Pass),
        (Service::Degraded, Outcome::Degraded("slow".to_owned())),
        (Service::Broken, fail("answered 503")),
        (Service::Refuses, fail("connection refused")),
        (Service::Stranger, Outcome::Pass),
        (Service::Nobody, fail("connection refused")),
    ] {
        let order = world.order(service, GENEROUS);
        world.probe(order.clone());
        assert_eq!(world.next(), (order.run, 0, outcome), "{service:?}");
    }
}

fn what_never_answers_fails_once_its_time_is_over(world: &mut dyn World) {
    let order = world.order(Service::Silent, SHORT);
    let before = world.age();
    world.probe(order.clone());
    assert_eq!(world.next(), (order.run, 0, Outcome::Fail("no answer within 50 ms".to_owned())));
    let passed = world.age() - before;
    assert!((SHORT..GENEROUS).contains(&passed), "{passed:?}");
}

fn each_answer_names_the_run_and_the_probe_that_it_is_of(world: &mut dyn World) {
    let services = [(Service::Silent, 2), (Service::Works, 1), (Service::Broken, 0), (Service::Works, 7)];
    let orders = services.map(|(service, index)| {
        let timeout = if service == Service::Silent { SHORT } else { GENEROUS };
        ProbeOrder { index, ..world.order(service, timeout) }
    });
    let keys = orders.each_ref().map(|order| (order.run.clone(), order.index));
    let expected: BTreeMap<_, _> = keys.into_iter().zip(services.map(|(service, _)| service)).collect();
    for order in orders {
        world.probe(order);
    }
    let mut told = BTreeMap::new();
    while told.len() < expected.len() {
        let (run, index, outcome) = world.next();
        let service = match outcome {
            Outcome::Pass => Service::Works,
            Outcome::Degraded(_) => Service::Degraded,
            Outcome::Fail(text) if text == "answered 503" => Service::Broken,
            Outcome::Fail(_) => Service::Silent,
        };
        assert_eq!(told.insert((run, index), service), None);
    }
    assert_eq!(told, expected);
}

fn a_probe_under_way_is_not_begun_again(world: &mut dyn World) {
    let order = world.order(Service::Silent, SHORT);
    world.probe(order.clone());
    world.probe(order.clone());
    // Another one of the same run is.
    world.probe(ProbeOrder { index: 1, ..order.clone() });
    let mut told = [world.next(), world.next()].map(|(run, index, _)| (run, index));
    told.sort();
    assert_eq!(told, [(order.run.clone(), 0), (order.run, 1)]);
    let last = world.order(Service::Works, GENEROUS);
    world.probe(last.clone());
    assert_eq!(world.next(), (last.run, 0, Outcome::Pass));
}

fn a_probe_that_was_answered_can_be_ordered_again(world: &mut dyn World) {
    let order = world.order(Service::Works, GENEROUS);
    for _ in 0..3 {
        world.probe(order.clone());
        assert_eq!(world.next(), (order.run.clone(), 0, Outcome::Pass));
    }
}

fn order_of(ids: &mut RunIds, check: Check, timeout: Duration) -> ProbeOrder {
    let run = ids.fresh();
    let probe =
        Probe { check, interval: GENEROUS, timeout, healthy_after: 1, unhealthy_after: 1, grace: Duration::ZERO };
    let id = ServiceId::new(&format!("s-{run}")).unwrap();
    ProbeOrder { id, run, index: 0, probe: Arc::new(probe), spawn: None }
}

fn answer(event: Event) -> (RunId, usize, Outcome) {
    match event {
        Event::Probed { run, index, outcome } => (run, index, outcome),
        other => panic!("{other:?}"),
    }
}

/// Scripted children of the made-up machine.
struct MadeUp {
    made: Made,
    ids: RunIds,
    port: u16,
}

impl MadeUp {
    fn new() -> Self {
        Self { made: Made::new(), ids: RunIds::new("t"), port: 5000 }
    }
}

impl World for MadeUp {
    fn order(&mut self, service: Service, timeout: Duration) -> ProbeOrder {
        self.port += 1;
        let check = match service {
            Service::Stranger | Service::Nobody => Check::Tcp { host: "localhost".to_owned(), port: self.port },
            Service::Works | Service::Degraded | Service::Broken | Service::Refuses | Service::Silent => {
                Check::Http { url: format!("http://localhost:{}/", self.port), status: vec![(200, 299)], body: None }
            }
        };
        let order = order_of(&mut self.ids, check, timeout);
        let normal = Behaviour::default();
        let behaviour = match service {
            Service::Works => normal,
            Service::Degraded => Behaviour { health: Outcome::Degraded("slow".to_owned()), ..normal },
            Service::Broken => Behaviour { health: Outcome::Fail("answered 503".to_owned()), ..normal },
            Service::Refuses => Behaviour { warm_up: GENEROUS, ..normal },
            Service::Silent => Behaviour { slowness: Duration::MAX, ..normal },
            Service::Stranger => {
                self.made.machine.strangers.insert(self.port, true);
                return order;
            }
            Service::Nobody => return order,
        };
        self.made.machine.behaviours.insert(order.id.clone(), behaviour);
        let argv = vec!["x".to_owned()];
        let spawn = Spawn { argv, cwd: "/p".into(), env: BTreeMap::new(), shared_env: Arc::default() };
        let (id, run) = (order.id.clone(), order.run.clone());
        self.made.machine.spawn(SpawnOrder { id, run, spawn: Arc::new(spawn), port: Some(self.port) });
        assert!(matches!(self.made.next(), Event::Spawned { .. }));
        order
    }

    fn probe(&mut self, order: ProbeOrder) {
        self.made.machine.probe(order);
    }

    fn next(&mut self) -> (RunId, usize, Outcome) {
        answer(self.made.next())
    }

    fn age(&self) -> Duration {
        self.made.machine.now.since_zero()
    }
}

/// Servers on the loopback address.
struct Real {
    probes: NetProbes,
    answers: mpsc::UnboundedReceiver<Event>,
    ids: RunIds,
    began: Instant,
    /// What is bound and does not accept.
    silent: Vec<TcpListener>,
    /// What is bound and does not listen, so that nobody else does.
    deaf: Vec<TcpSocket>,
    runtime: tokio::runtime::Runtime,
}

impl Real {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (inbox, answers) = mpsc::unbounded_channel();
        Self {
            probes: NetProbes::new(inbox, Arc::new(|_, _| Err(std::io::ErrorKind::NotFound.into()))),
            answers,
            ids: RunIds::new("t"),
            began: Instant::now(),
            silent: Vec::new(),
            deaf: Vec::new(),
            runtime,
        }
    }

    /// Answers every connection with `response`, on the port that it returns.
    fn serve(&self, response: &'static str) -> u16 {
        let listener = self.runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        self.runtime.spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(connection.read_u8().await.unwrap());
                }
                connection.write_all(response.as_bytes()).await.unwrap();
            }
        });
        port
    }

    /// A port on which somebody listens and does nothing more.
    fn listened(&mut self) -> u16 {
        let listener = self.runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        self.silent.push(listener);
        port
    }

    /// A port on which nobody listens.
    fn unheard(&mut self) -> u16 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        self.deaf.push(socket);
        port
    }
}

impl World for Real {
    fn order(&mut self, service: Service, timeout: Duration) -> ProbeOrder {
        let http =
            |port| Check::Http { url: format!("http://127.0.0.1:{port}/"), status: vec![(200, 299)], body: None };
        let tcp = |port| Check::Tcp { host: "127.0.0.1".to_owned(), port };
        let check = match service {
            Service::Works => http(self.serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")),
            Service::Degraded => http(self.serve(concat!(
                "HTTP/1.1 200 OK\r\ncontent-length: 41\r\n\r\n",
                r#"{"status": "degraded", "message": "slow"}"#
            ))),
            Service::Broken => http(self.serve("HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n")),
            Service::Refuses => http(self.unheard()),
            Service::Silent => http(self.listened()),
            Service::Stranger => tcp(self.listened()),
            Service::Nobody => tcp(self.unheard()),
        };
        order_of(&mut self.ids, check, timeout)
    }

    fn probe(&mut self, order: ProbeOrder) {
        let _within = self.runtime.enter();
        self.probes.probe(order);
    }

    fn next(&mut self) -> (RunId, usize, Outcome) {
        let next = async { tokio::time::timeout(DEADLINE, self.answers.recv()).await };
        answer(self.runtime.block_on(next).expect("no answer came").unwrap())
    }

    fn age(&self) -> Duration {
        self.began.elapsed()
    }
}
