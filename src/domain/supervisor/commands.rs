//! Wishes of the user: what each changes, and what it answers. A wish is refused whole or taken whole.

use std::time::Duration;

use super::Supervisor;
use super::fleet::is_counted;
use super::foreign::Purpose;
use super::phase::Phase;
use super::unit::Unit;
use crate::domain::catalog::Reading;
use crate::domain::{
    Accepted, Aim, Answer, Command, Effect, Goal, Kind, Moment, Proposal, Refusal, RunId, Selection, ServiceId,
    Shutdown,
};

impl Supervisor {
    /// Takes a wish, or says why not. `None`: what has come of the wish of `ticket` is answered later.
    pub(super) fn command(&mut self, now: Moment, ticket: u64, command: Command) -> Option<Answer> {
        if self.closing.is_some() && !matches!(command, Command::Shutdown(_)) {
            return Some(Err(Refusal::Impossible("the agent is ending".to_owned())));
        }
        self.unplanned.add_all();
        let answer = match command {
            Command::Start(selection) => self.start(&selection),
            Command::Stop(selection) => self.stop(&selection),
            Command::Restart(selection) => self.restart(&selection),
            Command::Reset(selection) => self.reset(&selection),
            Command::Read | Command::Reload => {
                self.read_sources("asked to".to_owned());
                self.reads.await_next(ticket, command == Command::Reload);
                return None;
            }
            Command::Adopt { id, stranger } => {
                return self.wish_for_stranger(ticket, id, stranger, Purpose::Adopt).err().map(Err);
            }
            Command::StopStranger { id, stranger } => {
                return self.wish_for_stranger(ticket, id, stranger, Purpose::End).err().map(Err);
            }
            Command::RunAction { id, name, is_unseen } => {
                return self.run_action(now, ticket, id, name, is_unseen).err().map(Err);
            }
            Command::Plan(Proposal(reading)) => {
                let forecast = self.forecast(now, Reading::clone(&reading));
                Ok(Accepted { forecast: Some(forecast), ..Accepted::default() })
            }
            Command::PauseNotifications(paused) => {
                self.notices.pause(paused);
                self.redraw = true;
                Ok(Accepted::default())
            }
            Command::Mute { id, span } => self.mute(now, &id, span),
            Command::Shutdown(shutdown) => {
                self.shut_down(shutdown);
                Ok(Accepted::default())
            }
        };
        Some(answer)
    }

    fn mute(&mut self, now: Moment, id: &ServiceId, span: Duration) -> Answer {
        self.known(id)?;
        self.notices.mute(id, now + span);
        Ok(Accepted::default())
    }

    fn start(&mut self, selection: &Selection) -> Answer {
        let ids = self.select(selection)?;
        let named = matches!(selection, Selection::Ids(_));
        let mut accepted = Accepted::default();
        for id in &ids {
            self.check_startable(id)?;
        }
        for id in &ids {
            self.wish(id, true);
            self.wake_needs(id, &mut accepted);
            if let Some(unit) = self.fleet.units.get_mut(id) {
                // What has completed runs again only if it is meant by name.
                if named || unit.phase != Phase::Completed {
                    unit.start_afresh();
                }
                accepted.aims.push(Aim { id: id.clone(), goal: goal(unit), not_run: None });
            }
        }
        self.pass_over(selection, &mut accepted);
        self.tell_what_waits(&ids, &mut accepted);
        self.save_intent();
        Ok(accepted)
    }

    fn stop(&mut self, selection: &Selection) -> Answer {
        let ids = self.select(selection)?;
        let mut accepted = Accepted::default();
        for id in &ids {
            self.check_ours(id)?;
        }
        for id in &ids {
            for dependent in self.fleet.needed_by(id) {
                let lives = self.fleet.units.get(&dependent).is_some_and(Unit::is_live);
                if lives && !ids.contains(&dependent) && !accepted.aims.iter().any(|aim| aim.id == dependent) {
                    accepted.remarks.push(format!("{dependent} stops first: it needs {id}"));
                    accepted.aims.push(aim_stopped(&dependent));
                }
            }
        }
        for id in &ids {
            self.wish(id, false);
            if let Some(unit) = self.fleet.units.get_mut(id) {
                unit.brought_by = None;
            }
            accepted.aims.push(aim_stopped(id));
        }
        self.pass_over(selection, &mut accepted);
        self.save_intent();
        Ok(accepted)
    }

    fn restart(&mut self, selection: &Selection) -> Answer {
        let ids = self.select(selection)?;
        for id in &ids {
            self.check_startable(id)?;
        }
        let mut accepted = Accepted::default();
        for id in &ids {
            let is_wanted = self.fleet.units.get(id).is_some_and(|unit| unit.verdict.is_wanted());
            if !is_wanted {
                // To restart what is stopped is to start it.
                self.wish(id, true);
            }
            self.wake_needs(id, &mut accepted);
            self.touched.forgive(id);
            if let Some(unit) = self.fleet.units.get_mut(id) {
                unit.start_afresh();
                unit.again = unit.is_live();
                accepted.aims.push(Aim { id: id.clone(), goal: goal(unit), not_run: run_of(unit) });
            }
        }
        for id in &ids {
            self.notices.asked(id);
        }
        self.pass_over(selection, &mut accepted);
        self.tell_what_waits(&ids, &mut accepted);
        self.save_intent();
        Ok(accepted)
    }

    fn reset(&mut self, selection: &Selection) -> Answer {
        for id in self.select(selection)? {
            self.intent.remove(&id);
            if let Some(unit) = self.fleet.units.get_mut(&id) {
                unit.brought_by = None;
            }
            self.notices.asked(&id);
            self.dirty.insert(id);
        }
        self.save_intent();
        Ok(Accepted::default())
    }

    fn shut_down(&mut self, shutdown: Shutdown) {
        if self.closing == Some(Shutdown::Keep) {
            // Who was told to leave the services running does so, however often it is told to end.
            self.is_hasty |= shutdown == Shutdown::Now;
        } else if self.closing.is_none() || shutdown == Shutdown::Now {
            self.closing = Some(shutdown);
            self.redraw = true;
            self.record("shutdown", "the agent ends".to_owned());
        }
    }

    /// Which services are meant: only those that this version runs, where the selection does not name them.
    fn select(&self, selection: &Selection) -> Result<Vec<ServiceId>, Refusal> {
        let counted = || self.fleet.counted().filter(|(_, unit)| !unit.removed && unit.service.enabled);
        match selection {
            Selection::All => Ok(counted().map(|(id, _)| id.clone()).collect()),
            Selection::Group(name) => {
                let key = self.group_key(name);
                if !self.fleet.units.values().any(|unit| belongs(unit, key)) {
                    return Err(Refusal::NoSuchGroup(name.clone()));
                }
                Ok(counted().filter(|(_, unit)| belongs(unit, key)).map(|(id, _)| id.clone()).collect())
            }
            Selection::Ids(ids) => {
                for id in ids {
                    self.known(id)?;
                }
                let mut ids = ids.clone();
                ids.dedup();
                Ok(ids)
            }
        }
    }

    /// The key of the group that is called `name`, by its key or by what people see.
    fn group_key<'a>(&'a self, name: &'a str) -> &'a str {
        let group = self.catalog.groups.iter().find(|group| group.key == name || group.name == name);
        group.map_or(name, |group| group.key.as_str())
    }

    pub(super) fn known(&self, id: &ServiceId) -> Result<&Unit, Refusal> {
        self.fleet.units.get(id).filter(|unit| !unit.removed).ok_or_else(|| {
            let known = self.fleet.units.keys().map(ServiceId::as_str);
            let similar = known.map(|known| (strsim::damerau_levenshtein(known, id.as_str()), known)).min();
            let similar = similar.filter(|(distance, known)| *distance <= known.len().max(3) / 3);
            Refusal::NoSuchService { id: id.to_string(), similar: similar.map(|(_, known)| known.to_owned()) }
        })
    }

    fn check_ours(&self, id: &ServiceId) -> Result<(), Refusal> {
        let unit = self.known(id)?;
        match unit.service.kind {
            Kind::Process(_) | Kind::External => Ok(()),
            Kind::Detached => {
                let type_name = &unit.service.type_name;
                Err(Refusal::Impossible(format!("{id} is not run by this version: its type is {type_name}")))
            }
            Kind::Settings => Err(Refusal::Impossible(format!("{id} has nothing to run: it only exports settings"))),
        }
    }

    pub(super) fn check_startable(&self, id: &ServiceId) -> Result<(), Refusal> {
        self.check_ours(id)?;
        let unit = self.known(id)?;
        if unit.service.enabled {
            return Ok(());
        }
        let place = unit.service.disabled_at.as_ref().unwrap_or(&unit.service.place);
        Err(Refusal::Impossible(format!("{id} is disabled in {place}")))
    }

    fn wish(&mut self, id: &ServiceId, on: bool) {
        self.intent.insert(id.clone(), on);
        self.notices.asked(id);
        self.dirty.insert(id.clone());
    }

    /// An explicit start also starts what the service needs, even what the user had stopped.
    fn wake_needs(&mut self, id: &ServiceId, accepted: &mut Accepted) {
        for needed in self.fleet.needs_of(id) {
            if self.intent.get(&needed) == Some(&false) {
                self.intent.remove(&needed);
                self.dirty.insert(needed.clone());
                accepted.remarks.push(format!("{needed}, which the user had stopped, starts as well: {id} needs it"));
            }
            let Some(unit) = self.fleet.units.get_mut(&needed) else { continue };
            if !is_counted(unit) {
                let remark = format!("{needed} is not run by this version; it is taken to be there");
                if !accepted.remarks.contains(&remark) {
                    accepted.remarks.push(remark);
                }
            }
            // What has failed is tried again for whoever needs it; what has completed stays so.
            if matches!(unit.phase, Phase::Failed(_)) {
                unit.start_afresh();
            }
        }
    }

    /// Says what of all, or of a group, a wish leaves out.
    fn pass_over(&self, selection: &Selection, accepted: &mut Accepted) {
        let group = match selection {
            // Who is named is not passed over, but refused.
            Selection::Ids(_) => return,
            Selection::All => None,
            Selection::Group(name) => Some(self.group_key(name)),
        };
        for (id, unit) in &self.fleet.units {
            let is_meant = !unit.removed && group.is_none_or(|key| belongs(unit, key));
            if is_meant && matches!(unit.service.kind, Kind::Detached) {
                let remark =
                    format!("{id} is passed over: its type {} is not run by this version", unit.service.type_name);
                accepted.remarks.push(remark);
            }
        }
    }

    fn save_intent(&mut self) {
        self.effects.push(Effect::SaveIntent(self.intent.clone()));
    }
}

pub(super) fn goal(unit: &Unit) -> Goal {
    if unit.service.one_shot { Goal::Completed } else { Goal::Healthy }
}

/// Whether `unit` stands under the heading of `key`.
fn belongs(unit: &Unit, key: &str) -> bool {
    unit.service.display.group.as_deref() == Some(key)
}

fn aim_stopped(id: &ServiceId) -> Aim {
    Aim { id: id.clone(), goal: Goal::Stopped, not_run: None }
}

fn run_of(unit: &Unit) -> Option<RunId> {
    match &unit.phase {
        Phase::Up(life) => Some(life.run.clone()),
        Phase::Stopping(ending) => Some(ending.run.clone()),
        Phase::Spawning(_)
        | Phase::Preparing(_)
        | Phase::Prepared(_)
        | Phase::Idle
        | Phase::Rested
        | Phase::Completed
        | Phase::Failed(_)
        | Phase::Backoff(_)
        | Phase::Foreign(_)
        | Phase::Watching(..) => None,
    }
}
