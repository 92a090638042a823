//! Veils all that leaves the domain for people to read: views, problems, and what is recorded, notified and answered.
//!
//! Definitions are not touched: what is run and opened is the real thing.

use super::Secrets;
use crate::domain::{ActionState, Effect, PortHolder, Problem, Refusal, ServiceView};

impl Secrets {
    /// Hides what is secret in `text`.
    pub fn veil(&self, text: &mut String) {
        if let std::borrow::Cow::Owned(shown) = self.hide(text) {
            *text = shown;
        }
    }

    /// The same in all that `view` says.
    pub fn veil_view(&self, view: &mut ServiceView) {
        let ServiceView { reason, first_cause, blocked_by, spared, foreign, last_action, .. } = view;
        match foreign {
            Some(holder) => {
                let rest = reason.strip_prefix(&holder.to_string()).map(|rest| self.hide(rest).into_owned());
                self.veil_holder(holder);
                // The reason goes on to begin with the holder, whose age is told by that.
                *reason = rest.map_or_else(|| self.hide(reason).into_owned(), |rest| holder.to_string() + &rest);
            }
            None => self.veil(reason),
        }
        first_cause.iter_mut().for_each(|cause| self.veil(cause));
        blocked_by.iter_mut().for_each(|blocker| self.veil(&mut blocker.reason));
        spared.iter_mut().for_each(|spared| self.veil(&mut spared.command));
        match last_action.as_mut().map(|last| &mut last.state) {
            Some(ActionState::Failed(error)) => self.veil(error),
            Some(ActionState::Running | ActionState::Done) | None => {}
        }
    }

    fn veil_holder(&self, holder: &mut PortHolder) {
        holder.command.iter_mut().for_each(|command| self.veil(command));
    }

    /// The same in `problem`.
    pub fn veil_problem(&self, problem: &mut Problem) {
        self.veil(&mut problem.message);
        problem.hint.iter_mut().for_each(|hint| self.veil(hint));
        if let Some(excerpt) = &mut problem.excerpt {
            *excerpt = self.hide_in_place(excerpt).into_owned();
        }
    }

    /// The same in `effect`, if it is one that people read.
    pub fn veil_effect(&self, effect: &mut Effect) {
        match effect {
            Effect::Record(occurrence) => self.veil(&mut occurrence.text),
            Effect::Notify(notice) => {
                self.veil(&mut notice.title);
                self.veil(&mut notice.body);
            }
            Effect::Answer { answer: Ok(accepted), .. } => {
                accepted.remarks.iter_mut().for_each(|remark| self.veil(remark));
            }
            Effect::Answer { answer: Err(Refusal::Impossible(why)), .. } => self.veil(why),
            Effect::Answer { answer: Err(Refusal::NoSuchService { .. } | Refusal::NoSuchGroup(_)), .. }
            | Effect::ReadSources { .. }
            | Effect::Spawn(_)
            | Effect::Take(_)
            | Effect::Ask { .. }
            | Effect::Kill { .. }
            | Effect::Probe(_)
            | Effect::Measure(_)
            | Effect::RunAction(_)
            | Effect::KeepLogs(_)
            | Effect::WatchFiles { .. }
            | Effect::SaveIntent(_)
            | Effect::TellTimeOfDay
            | Effect::Exit => {}
        }
    }
}
