//! What the user wishes of a stranger on a service's own port: that it becomes the service's run, or that it ends.
//!
//! Only the process is meant that the user was shown and has said yes to: its number and its start go with the wish,
//! are compared with who has the port now, and are proven once more by whoever takes it in hand. Nothing else is ever
//! asked or killed. Whoever wishes is answered once it is certain what has come of it.

use std::sync::Arc;

use super::Supervisor;
use super::commands::goal;
use super::meter::Meter;
use super::phase::{Attempt, Life, Phase, Shared, Stranger};
use super::unit::{Orders, Unit};
use crate::domain::{
    Accepted, Aim, Answer, Effect, Kind, Moment, PortHolder, ProcessId, Refusal, RunId, ServiceId, Spawn, TakeOrder,
};

/// The wishes that have not been answered yet.
#[derive(Clone, Debug, Default)]
pub struct Takes(Vec<Take>);

#[derive(Clone, Debug)]
struct Take {
    ticket: u64,
    id: ServiceId,
    who: ProcessId,
    purpose: Purpose,
    stage: Stage,
}

/// What a stranger is taken in hand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be the service's run.
    Adopt,
    /// To be ended.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The port is being looked at anew, or nobody has come to it yet.
    Wished,
    /// It is being taken, as this run.
    Ordered(RunId),
    /// It is ours, and is ending.
    Ending(RunId),
}

impl Takes {
    /// Whether the stranger on the port of `id` is being dealt with.
    fn has(&self, id: &ServiceId) -> bool {
        self.0.iter().any(|take| take.id == *id)
    }

    fn remove(&mut self, stage: &Stage) -> Option<Take> {
        let at = self.0.iter().position(|take| take.stage == *stage)?;
        Some(self.0.swap_remove(at))
    }
}

impl Supervisor {
    /// Takes the wish of `ticket` about the stranger `who` on the port of `id`; the answer comes later.
    ///
    /// # Errors
    /// If there is no such stranger.
    pub(super) fn wish_for_stranger(
        &mut self,
        ticket: u64,
        id: ServiceId,
        who: ProcessId,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        if self.closing.is_some() {
            return Err(Refusal::Impossible("the agent is ending".to_owned()));
        }
        let unit = self.known(&id)?;
        let stranger = unit.phase.stranger().ok_or_else(|| nobody(&id))?;
        match unit.service.kind {
            Kind::Process(_) => check(&stranger.holder, who)?,
            Kind::External | Kind::Detached | Kind::Settings => return Err(nobody(&id)),
        }
        if self.takes.has(&id) {
            return Err(Refusal::Impossible(format!("the stranger on the port of {id} is being dealt with already")));
        }
        self.takes.0.push(Take { ticket, id, who, purpose, stage: Stage::Wished });
        Ok(())
    }

    /// Orders what can be ordered now, and refuses what has become impossible.
    pub(super) fn order_takes(&mut self) {
        for at in (0..self.takes.0.len()).rev() {
            if self.takes.0[at].stage != Stage::Wished {
                continue;
            }
            let (id, who) = (self.takes.0[at].id.clone(), self.takes.0[at].who);
            let run = self.ids.fresh();
            let unit = self.fleet.units.get_mut(&id);
            match unit.map_or(Err(nobody(&id)), |unit| hand_over(unit, who, &run)) {
                // Its port is being looked at: what is found decides.
                Ok(None) => {}
                Ok(Some((spawn, port))) => {
                    self.takes.0[at].stage = Stage::Ordered(run.clone());
                    let spawn_hash = (self.takes.0[at].purpose == Purpose::Adopt).then(|| spawn.hash());
                    let order = TakeOrder { id: id.clone(), run, stranger: who, port, spawn_hash };
                    self.effects.push(Effect::Take(order));
                    self.has_changed(id);
                }
                Err(refusal) => {
                    let take = self.takes.0.remove(at);
                    self.effects.push(Effect::Answer { ticket: take.ticket, answer: Err(refusal) });
                }
            }
        }
    }

    /// The stranger of `run` is in our hands.
    pub(super) fn taken(&mut self, now: Moment, run: &RunId) {
        let Some(mut take) = self.takes.remove(&Stage::Ordered(run.clone())) else { return };
        let id = take.id.clone();
        let Some(unit) = self.fleet.units.get_mut(&id) else { return };
        let Phase::Spawning(attempt) = std::mem::replace(&mut unit.phase, Phase::Idle) else { return };
        let Attempt { spawn, stranger: Some(stranger), .. } = *attempt else { return };
        let mut orders = Orders { effects: &mut self.effects, generation: self.generation };
        let command = stranger.holder.command.as_deref().unwrap_or("of unknown command");
        let who = format!("pid {} ({command})", take.who.pid);
        match take.purpose {
            Purpose::Adopt => {
                unit.record("adopted", Some(run), format!("{who} is taken over"), &mut orders);
                let accepted = Accepted {
                    aims: vec![Aim { id: id.clone(), goal: goal(unit), not_run: None }],
                    remarks: rivals(&stranger.holder).into_iter().collect(),
                    forecast: None,
                };
                unit.take_over(now, run, &spawn, *stranger);
                unit.probe_due(now, &mut orders);
                self.effects.push(Effect::Answer { ticket: take.ticket, answer: Ok(accepted) });
            }
            Purpose::End => {
                unit.record("stopping", Some(run), format!("{who}, on its port, is asked to end"), &mut orders);
                let patience = unit.service.stop.timeout;
                self.strays.end_stranger(now, id.clone(), run.clone(), patience, &mut self.effects);
                take.stage = Stage::Ending(run.clone());
                self.takes.0.push(take);
            }
        }
        self.has_changed(id);
    }

    /// The stranger of `run` is left alone, because of `error`.
    pub(super) fn not_taken(&mut self, now: Moment, run: &RunId, error: String) {
        let Some(take) = self.takes.remove(&Stage::Ordered(run.clone())) else { return };
        self.effects.push(Effect::Answer { ticket: take.ticket, answer: Err(Refusal::Impossible(error)) });
        let Some(unit) = self.fleet.units.get_mut(&take.id) else { return };
        if let Phase::Spawning(attempt) = std::mem::replace(&mut unit.phase, Phase::Idle)
            && let Some(stranger) = attempt.stranger
        {
            // Who has the port now is looked at once more.
            unit.phase = Phase::Foreign(Box::new(Stranger { recheck: now, ..*stranger }));
        }
        self.has_changed(take.id);
    }

    /// Nothing of `run` is left, or it could not even be killed: then these are left.
    pub(super) fn stranger_ended(&mut self, run: &RunId, survivors: &[u32]) {
        let Some(take) = self.takes.remove(&Stage::Ending(run.clone())) else { return };
        let answer: Answer = if survivors.is_empty() {
            let remarks = vec![format!("pid {} has ended", take.who.pid)];
            Ok(Accepted { remarks, ..Accepted::default() })
        } else {
            let pids = survivors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            Err(Refusal::Impossible(format!("can't be killed: pid {pids}")))
        };
        self.effects.push(Effect::Answer { ticket: take.ticket, answer });
        self.has_changed(take.id);
    }

    fn has_changed(&mut self, id: ServiceId) {
        if let Some(unit) = self.fleet.units.get(&id) {
            self.agenda.note(&id, &unit.phase);
        }
        self.unplanned.add_all();
        self.dirty.insert(id);
    }
}

impl Unit {
    /// Goes on with a stranger as its own run, whose health is known already.
    fn take_over(&mut self, now: Moment, run: &RunId, spawn: &Spawn, stranger: Stranger) {
        self.start_afresh();
        let mut board = stranger.board;
        // Answers that are awaited come under another name.
        board.replace(&self.service.probes, now);
        self.phase = Phase::Up(Box::new(Life {
            run: run.clone(),
            pid: stranger.holder.pid().unwrap_or_default(),
            started: stranger.holder.since.unwrap_or(now),
            adopted: true,
            // Whatever it was begun as: from now on it counts as what the definition spawns.
            spawn_hash: Some(spawn.hash()),
            spawn: None,
            shared: Shared::default(),
            fresh_until: None,
            board,
            meter: Meter::new(self.service.limits.memory, now),
        }));
    }
}

/// Hands the stranger `who` over from its port to the run `run`: what the definition spawns, and the port. `None` as
/// long as it is not known who has the port now.
fn hand_over(unit: &mut Unit, who: ProcessId, run: &RunId) -> Result<Option<(Arc<Spawn>, u16)>, Refusal> {
    let Some(spawn) = unit.spawn().cloned() else { return Err(nobody(&unit.service.id)) };
    match std::mem::replace(&mut unit.phase, Phase::Idle) {
        Phase::Foreign(stranger) => {
            let port = stranger.holder.port;
            let checked = check(&stranger.holder, who);
            unit.phase = match &checked {
                Ok(()) => {
                    let (run, spawn, stranger) = (run.clone(), Arc::clone(&spawn), Some(stranger));
                    // What comes before a start is no part of this.
                    Phase::Spawning(Box::new(Attempt { run, spawn, steps: Vec::new(), done: 0, stranger }))
                }
                Err(_) => Phase::Foreign(stranger),
            };
            checked.map(|()| Some((spawn, port)))
        }
        Phase::Spawning(attempt) if attempt.stranger.is_some() => {
            unit.phase = Phase::Spawning(attempt);
            Ok(None)
        }
        other => {
            unit.phase = other;
            Err(nobody(&unit.service.id))
        }
    }
}

/// Whether `holder` is the process `who`, and nobody's of ours.
fn check(holder: &PortHolder, who: ProcessId) -> Result<(), Refusal> {
    let impossible = |text: String| Err(Refusal::Impossible(text));
    match (&holder.service, holder.process) {
        (Some(service), _) => impossible(format!("{holder}: it is no stranger (`pilotlight stop {service}` ends it)")),
        (None, None) => impossible(format!("{holder}, which can't be told apart from others and is left alone")),
        (None, Some(process)) if process != who => {
            impossible(format!("it is another process by now, and was left alone: {holder}"))
        }
        (None, Some(_)) => Ok(()),
    }
}

fn nobody(id: &ServiceId) -> Refusal {
    Refusal::Impossible(format!("no stranger is on the port of {id}"))
}

/// Who else may want to decide over the life of what is taken over.
fn rivals(holder: &PortHolder) -> Option<String> {
    let dir = holder.earlier.as_ref()?.elsewhere.as_ref()?;
    Some(format!("the agent with the state in {} has begun it, and may end it", dir.display()))
}
