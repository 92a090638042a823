//! The views of all units in their order, and what they come to: the worst light and how many are healthy. What has not
//! changed is shared with the picture before.

use crate::domain::{Light, Roll, ServiceView};
use std::sync::Arc;

/// All views.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    views: Roll<ServiceView>,
    tally: Tally,
}

/// How many of those that are wanted and counted show each light, by its number.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tally([usize; Light::ALL.len()]);

impl Gallery {
    /// The views of all units, in their order.
    pub fn of(views: impl IntoIterator<Item = Arc<ServiceView>>) -> Self {
        let views: Roll<ServiceView> = views.into_iter().collect();
        let mut tally = Tally::default();
        views.iter().for_each(|view| tally.count(view));
        Self { views, tally }
    }

    /// Puts `view` in the place of the one of the same unit; `false` if there is none.
    pub fn replace(&mut self, view: Arc<ServiceView>) -> bool {
        let Some(before) = self.views.get(&view.id) else { return false };
        self.tally.discount(before);
        self.tally.count(&view);
        self.views.replace(view)
    }

    /// All of them.
    pub fn views(&self) -> &Roll<ServiceView> {
        &self.views
    }

    /// The worst light of those that are wanted.
    pub fn light(&self) -> Light {
        let shown = Light::ALL.into_iter().filter(|light| self.tally.0[*light as usize] > 0);
        shown.max().unwrap_or(Light::Gray)
    }

    /// "3 of 4 healthy".
    pub fn summary(&self) -> String {
        match self.tally.0.iter().sum() {
            0 => "nothing wanted".to_owned(),
            count => format!("{} of {count} healthy", self.tally.0[Light::Green as usize]),
        }
    }
}

impl Tally {
    fn count(&mut self, view: &ServiceView) {
        if view.wanted && view.counted {
            self.0[view.light as usize] += 1;
        }
    }

    fn discount(&mut self, view: &ServiceView) {
        if view.wanted && view.counted {
            self.0[view.light as usize] -= 1;
        }
    }
}
