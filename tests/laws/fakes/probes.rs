//! The port `Probes`: asks the scripted children, or the stranger on the port.

use std::time::Duration;

use pilotlight::domain::{Check, Event, Outcome, ProbeOrder};
use pilotlight::engine::ports::Probes;

use super::{Due, Machine, Patience};

/// How long the quickest answer takes.
const QUICK: Duration = Duration::from_millis(2);

impl Probes for Machine {
    fn probe(&mut self, order: ProbeOrder) {
        if !self.probing.insert((order.run.clone(), order.index)) {
            // That has the answer of the probe under way.
            return;
        }
        let timeout = order.probe.timeout;
        let span = QUICK.saturating_add(self.behaviour(&order.id).slowness);
        let patience = if span > timeout { Patience::Ends } else { Patience::Lasts };
        self.later(span.min(timeout), Due::Answer(order, patience));
    }
}

impl Machine {
    pub(super) fn answer(&mut self, order: ProbeOrder, patience: Patience) {
        self.probing.remove(&(order.run.clone(), order.index));
        let outcome = match patience {
            Patience::Lasts => self.outcome(&order),
            Patience::Ends => Outcome::Fail(format!("no answer within {} ms", order.probe.timeout.as_millis())),
        };
        self.tell(Event::Probed { run: order.run, index: order.index, outcome });
    }

    fn outcome(&self, order: &ProbeOrder) -> Outcome {
        let refused = Outcome::Fail("connection refused".to_owned());
        if let Some(child) = self.children.get(&order.run) {
            let behaviour = self.behaviour(&order.id);
            let answers = child.main && self.now.since(child.since) >= behaviour.warm_up;
            return if answers { behaviour.health } else { refused };
        }
        match port(&order.probe.check).and_then(|port| self.strangers.get(&port)) {
            Some(true) => Outcome::Pass,
            Some(false) | None => refused,
        }
    }
}

/// The port that is asked.
fn port(check: &Check) -> Option<u16> {
    match check {
        Check::Http { url, .. } => reqwest::Url::parse(url).ok()?.port_or_known_default(),
        Check::Tcp { port, .. } => Some(*port),
        Check::Unix { .. } | Check::Exec { .. } | Check::Log { .. } | Check::File { .. } => None,
    }
}
