//! Whether what was read is taken into use at once or waits until the user applies it, and who is told when.
//!
//! With `"reload": "manual"` everything is read and judged as ever, but only the first reading and one that the user asked
//! for are taken into use; of what else differs is said that it waits. That is found out anew with each reading, by what
//! is in use: what is changed back waits no longer, and what was read in between leaves no trace. How it is taken into
//! use is not decided here.

use std::sync::Arc;

use super::Supervisor;
use crate::domain::catalog::{Reading, Role, Settled};
use crate::domain::diff::CatalogDiff;
use crate::domain::{Accepted, Catalog, Effect, Moment, ServiceId, Waiting};

/// What waits to be taken into use.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// What faces are told.
    pub waiting: Arc<Waiting>,
    /// What the catalog would become.
    catalog: Catalog,
}

/// Orders to read the sources, by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    ordered: u64,
    /// The number of the last order that has been answered.
    pub answered: u64,
    waiting: Vec<Reader>,
    /// What has been applied for those who wait, a sentence each.
    applied: Vec<String>,
}

/// Somebody who waits for the sources to be read.
#[derive(Clone, Debug)]
struct Reader {
    ticket: u64,
    /// The order that is meant.
    order: u64,
    /// Whether what is read is to be taken into use.
    applies: bool,
}

impl Supervisor {
    /// Orders the sources to be read.
    pub(super) fn read_sources(&mut self, cause: String) {
        self.reads.ordered += 1;
        self.effects.push(Effect::ReadSources { cause, order: self.reads.ordered });
    }

    /// Whoever has asked to read is answered once all sources have been read since, and each is judged.
    pub(super) fn answer_readers(&mut self) {
        let is_judged = self.ledger.next_deadline().is_none() || self.closing.is_some();
        let answered = self.reads.answered;
        let is_due = |order: u64| (order <= answered && is_judged) || self.closing.is_some();
        let mut due = self.reads.waiting.extract_if(.., |reader| is_due(reader.order)).peekable();
        if due.peek().is_none() {
            return;
        }
        let applied = std::mem::take(&mut self.reads.applied);
        self.effects.extend(due.map(|Reader { ticket, applies, .. }| {
            let remarks = if applies { applied.clone() } else { Vec::new() };
            Effect::Answer { ticket, answer: Ok(Accepted { remarks, ..Accepted::default() }) }
        }));
    }

    /// Takes what the ledger holds good now into use, or notes that it waits.
    pub(super) fn settle(&mut self, now: Moment, cause: &str) {
        let (settled, diff) = self.judge(now);
        if self.has_to_wait(&settled) && !diff.is_empty() {
            self.hold_back(settled, &diff, cause);
        } else {
            self.apply(now, settled, diff, cause);
        }
    }

    /// Takes what the ledger holds good now into use, whether or not it had to wait.
    pub(super) fn settle_and_apply(&mut self, now: Moment, cause: &str) {
        let (settled, diff) = self.judge(now);
        self.apply(now, settled, diff, cause);
    }

    /// Says of a wish for a new run of `ids` that what waits is not in it.
    pub(super) fn tell_what_waits(&self, ids: &[ServiceId], accepted: &mut Accepted) {
        let Some(Held { waiting, .. }) = &self.held else { return };
        let touched = ids.iter().filter(|id| waiting.services.contains(id));
        let touched = touched.map(ServiceId::as_str).collect::<Vec<_>>().join(", ");
        if !touched.is_empty() {
            accepted.remarks.push(format!("changes of {touched} wait to be applied: what is in use goes on to count"));
        }
    }

    /// Gives what was read to the ledger, and learns what is secret of it.
    pub(super) fn take_reading(&mut self, now: Moment, reading: Reading) {
        if self.secrets.learn_sources(&reading) {
            self.dirty.extend(self.fleet.units.keys().cloned());
            self.redraw = true;
        }
        self.ledger.take(now, reading);
    }

    /// What the ledger holds good now, and what differs from what is in use; problems are told at once.
    fn judge(&mut self, now: Moment) -> (Settled, CatalogDiff) {
        let mut settled = self.ledger.settle(now);
        if self.secrets.learn_services(&settled.resolution.catalog, &self.catalog) {
            self.dirty.extend(self.fleet.units.keys().cloned());
            self.redraw = true;
        }
        let mut problems = std::mem::take(&mut settled.resolution.problems);
        problems.iter_mut().for_each(|problem| self.secrets.known().veil_problem(problem));
        if *self.problems != *problems {
            self.problems = problems.into();
            self.redraw = true;
        }
        let diff = CatalogDiff::between(&self.catalog, &settled.resolution.catalog);
        (settled, diff)
    }

    /// Whether changes wait: what is in use says so, no main file says otherwise, and nobody has asked to apply them.
    ///
    /// Before the first reading nothing says so. What comes together with the word "manual" is still taken into
    /// use, and with "auto" all that waits is. A main file that is gone or not to be trusted says nothing.
    fn has_to_wait(&self, settled: &Settled) -> bool {
        if self.catalog.agent.applies_changes || self.reads.is_asked_to_apply() {
            return false;
        }
        let has_main = settled.basis.files.iter().any(|file| file.role == Role::Main);
        !(has_main && settled.resolution.catalog.agent.applies_changes)
    }

    fn hold_back(&mut self, settled: Settled, diff: &CatalogDiff, cause: &str) {
        self.ledger.go_on_with(&self.basis.in_use);
        let catalog = settled.resolution.catalog;
        if self.held.as_ref().is_some_and(|held| CatalogDiff::between(&held.catalog, &catalog).is_empty()) {
            return;
        }
        let waiting =
            Waiting { services: diff.services().cloned().collect(), frame: diff.frame, text: diff.describe() };
        self.record("waiting", format!("{} ({cause})", waiting.text));
        self.held = Some(Held { waiting: Arc::new(waiting), catalog });
        self.redraw = true;
    }

    fn apply(&mut self, now: Moment, settled: Settled, diff: CatalogDiff, cause: &str) {
        if self.held.take().is_some() && diff.is_empty() {
            self.record("waiting", format!("nothing any more: all is again as it is in use ({cause})"));
        }
        if !diff.is_empty() && !self.catalog.agent.applies_changes && self.reads.is_asked_to_apply() {
            self.reads.applied.push(format!("applied: {}", diff.describe()));
        }
        self.take_into_use(now, settled, diff, cause);
    }
}

impl Reads {
    /// Notes that the one with `ticket` waits for the order that was given last.
    pub fn await_next(&mut self, ticket: u64, applies: bool) {
        self.waiting.push(Reader { ticket, order: self.ordered, applies });
    }

    /// Whether what is read now is what somebody has asked to take into use.
    fn is_asked_to_apply(&self) -> bool {
        self.waiting.iter().any(|reader| reader.applies && reader.order <= self.answered)
    }
}
