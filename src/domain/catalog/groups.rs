//! The headings: what `service_groups` declares, and what services name beside that.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::fields::Fields;
use super::report::{MOST_HINTS, Report, did_you_mean, quoted};
use crate::domain::{Entry, Group, Problem, Service, ServiceId, Value};

/// All headings in their order, and the services that they name.
#[derive(Default)]
pub(super) struct Groups {
    groups: IndexMap<String, Group>,
    members: HashMap<String, String>,
}

impl Groups {
    /// Reads the `service_groups` of all sources; `defined` are all ids.
    pub fn read<'a>(
        sources: impl IntoIterator<Item = &'a [Entry]>,
        defined: &BTreeSet<&ServiceId>,
        report: &mut Report,
    ) -> Self {
        let mut groups = Self::default();
        for entry in sources.into_iter().flatten().filter(|entry| !matches!(entry.node.value, Value::Null)) {
            groups.add(entry, defined, report);
        }
        groups
    }

    fn add(&mut self, entry: &Entry, defined: &BTreeSet<&ServiceId>, report: &mut Report) {
        let key = entry.key.to_string();
        let Some(mut fields) = Fields::object(&entry.node, &format!("service_groups.{key}"), report) else { return };
        let name = fields.word("name", report).map_or(key.clone(), |(name, _)| name.to_owned());
        let icon = fields.word("icon", report).map(|(icon, _)| icon.to_owned());
        for (count, (id, place)) in fields.texts("services", report).into_iter().enumerate() {
            if !ServiceId::new(id).is_ok_and(|id| defined.contains(&id)) {
                let mut problem = Problem::note(place, format!("there is no service {}", quoted(id)));
                if count < MOST_HINTS {
                    problem.hint = did_you_mean(id, defined.iter().map(|id| id.as_str()));
                }
                report.push(problem);
            }
            self.members.entry(id.to_owned()).or_insert_with(|| key.clone());
        }
        fields.accept(["description"]);
        fields.finish(report);
        self.groups.entry(key.clone()).or_insert(Group { key, name, icon });
    }

    /// The heading of `service`: the one that it names itself, by key or name, else the one that names it.
    pub fn heading(&mut self, service: &Service) -> Option<String> {
        let Some(own) = &service.display.group else { return self.members.get(service.id.as_str()).cloned() };
        if self.groups.contains_key(own) {
            return Some(own.clone());
        }
        if let Some(group) = self.groups.values().find(|group| group.name == *own) {
            return Some(group.key.clone());
        }
        self.groups.insert(own.clone(), Group { key: own.clone(), name: own.clone(), icon: None });
        Some(own.clone())
    }

    /// The headings.
    pub fn into_list(self) -> Vec<Group> {
        self.groups.into_values().collect()
    }
}
