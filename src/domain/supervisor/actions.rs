//! Actions: commands beside a service that the user runs for it. They are no runs: nothing of a service's state depends
//! on them, and they end with themselves or with the agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Supervisor;
use crate::domain::{
    Accepted, ActionOrder, ActionState, Effect, Exit, LastAction, Moment, Notice, NoticeKey, Occurrence, Refusal,
    RunId, ServiceId, Spawn, Urgency,
};

/// How many run at once.
const MOST: usize = 8;

/// The actions that run, and how the last one of each service came out.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    running: BTreeMap<RunId, Running>,
    last: BTreeMap<ServiceId, LastAction>,
}

#[derive(Clone, Debug)]
struct Running {
    ticket: u64,
    id: ServiceId,
    name: String,
    is_unseen: bool,
}

impl Actions {
    /// The last action of `id`.
    pub fn last(&self, id: &ServiceId) -> Option<&LastAction> {
        self.last.get(id)
    }
}

impl Supervisor {
    /// Runs the action `name` of `id`; what has come of it is the answer to `ticket`. If it is unseen, a failure is told
    /// by a notification as well.
    ///
    /// # Errors
    /// If there is no such action, or it can't be run now.
    pub(super) fn run_action(
        &mut self,
        now: Moment,
        ticket: u64,
        id: ServiceId,
        name: String,
        is_unseen: bool,
    ) -> Result<(), Refusal> {
        self.check_startable(&id)?;
        let unit = self.known(&id)?;
        let impossible = |text: String| Err(Refusal::Impossible(text));
        let Some(action) = unit.service.actions.iter().find(|action| action.name == name) else {
            let names = unit.service.actions.iter().map(|action| action.name.as_str()).collect::<Vec<_>>();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return impossible(format!("{id} has no action {name:?}; it has: {known}"));
        };
        let Some(place) = unit.spawn() else {
            return impossible(format!("{id} has no place to run its actions in: others run it"));
        };
        if self.actions.running.values().any(|running| running.id == id && running.name == name) {
            return impossible(format!("the action {name:?} of {id} is running already"));
        }
        if self.actions.running.len() >= MOST {
            return impossible(format!("{MOST} actions are running already"));
        }
        let spawn = Arc::new(Spawn { argv: action.argv.clone(), ..Spawn::clone(place) });
        let run = self.ids.fresh_action();
        self.effects.push(Effect::RunAction(ActionOrder {
            id: id.clone(),
            run: run.clone(),
            name: name.clone(),
            spawn,
        }));
        self.note_action(&id, &run, format!("the action {name:?} is started"));
        self.actions.last.insert(id.clone(), LastAction { name: name.clone(), state: ActionState::Running, at: now });
        self.dirty.insert(id.clone());
        self.actions.running.insert(run, Running { ticket, id, name, is_unseen });
        Ok(())
    }

    /// The action that ran as `run` has ended, or could not be started; `words` is its last line or the reason.
    pub(super) fn action_ended(&mut self, now: Moment, run: &RunId, exit: Option<&Exit>, words: &str) {
        let Some(Running { ticket, id, name, is_unseen }) = self.actions.running.remove(run) else { return };
        let failure = match exit {
            Some(Exit::Code(0)) => None,
            Some(exit) if words.is_empty() => Some(exit.to_string()),
            Some(exit) => Some(format!("{exit}: {words}")),
            None => Some(words.to_owned()),
        };
        let told = match &failure {
            None => format!("the action {name:?} of {id} is done"),
            Some(failure) => format!("the action {name:?} of {id} failed: {failure}"),
        };
        self.note_action(&id, run, told.clone());
        if let Some(failure) = failure.as_ref().filter(|_| is_unseen) {
            self.tell_failure(&id, &name, failure);
        }
        let answer = match &failure {
            None => Ok(Accepted { remarks: vec![told], ..Accepted::default() }),
            Some(_) => Err(Refusal::Impossible(told)),
        };
        self.effects.push(Effect::Answer { ticket, answer });
        let state = failure.map_or(ActionState::Done, ActionState::Failed);
        self.actions.last.insert(id.clone(), LastAction { name, state, at: now });
        self.dirty.insert(id);
    }

    fn tell_failure(&mut self, id: &ServiceId, name: &str, failure: &str) {
        let Some(unit) = self.fleet.units.get(id) else { return };
        // Whoever has clicked is there: only what he has switched off himself keeps it from him.
        if self.notices.is_paused() || !unit.service.notify.enabled {
            return;
        }
        self.effects.push(Effect::Notify(Notice {
            key: NoticeKey::Action(id.clone(), name.to_owned()),
            urgency: Urgency::Normal,
            title: format!("{}: {name} failed", unit.service.display.name),
            body: failure.to_owned(),
            service: None,
        }));
    }

    fn note_action(&mut self, id: &ServiceId, run: &RunId, text: String) {
        self.effects.push(Effect::Record(Occurrence {
            kind: "action",
            generation: self.generation,
            service: Some(id.clone()),
            run: Some(run.clone()),
            text,
        }));
    }
}
