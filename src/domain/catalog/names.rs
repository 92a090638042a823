//! Finds out what every name comes to: ports, base URLs and settings of all services, `.env`, the agent's environment.
//!
//! Each is worked out when it is first asked for, because they may refer to one another; a loop is an error of the
//! services in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::expand::{Failure, Meaning, Name, expand, explain, remark_on_braces};
use super::exposed::{Exposed, Placed, SettingValue};
use super::in_use::{Export, Held, Rank};
use super::reading::Surroundings;
use super::report::{Report, quoted};
use crate::domain::{Node, Place, Problem, ServiceId};

/// Whose names count.
#[derive(Clone, Copy)]
pub(super) enum Member<'a> {
    /// A service as its source defines it now.
    Present(&'a Exposed),
    /// The last good definition of one.
    Held(&'a Held),
}

/// What names come to.
pub(super) struct Names<'a> {
    members: Vec<(&'a ServiceId, Member<'a>)>,
    claims: HashMap<&'a str, Vec<Claim<'a>>>,
    dotenv: HashMap<&'a str, (&'a str, u32)>,
    environment: &'a BTreeMap<String, String>,
    known: HashMap<(usize, Quantity), Slot<'a>>,
    open: Vec<(usize, Quantity)>,
    reports: Vec<Report>,
    /// How many loops and endless chains have been reported.
    told: usize,
    /// What names other than their own members have asked for, and were told.
    asked: Vec<(String, Option<String>)>,
    /// What all services give to all, if that is known already.
    settled: Option<&'a BTreeMap<String, String>>,
}

/// What a member was told by [`Names`] since [`Names::begin_answers`]: all that it depends on beside its own definition
/// and the surroundings, once [`Names::shared`] has worked out everything that others can see.
#[derive(Debug)]
pub(super) struct Answers {
    /// What it gives to all services comes to this; others may have a say in it.
    claimed: Vec<Option<SettingValue>>,
    /// Names that are not its own.
    asked: Vec<(String, Option<String>)>,
}

/// What gives the value of a port, a base URL or a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Giver<'a> {
    /// What is written there.
    Place(&'a Place),
    /// The value of this key, which the service or its type has.
    Key(&'static str),
    /// The default of this setting.
    Setting(&'a str),
    /// A variable of the agent's environment.
    Environment,
    /// Nothing: it is so unless something else is said.
    Default,
}

/// Who gives a variable to all services.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sharer<'a> {
    /// A setting of that name.
    Setting(&'a str),
    /// What is written there.
    Place(&'a Place),
    /// The `.env` beside the main file, in this line.
    Dotenv(u32),
}

/// Something that can have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Quantity {
    Port,
    Url,
    Setting(usize),
    Listed(usize),
    /// An export of a last good definition.
    Held(usize),
}

#[derive(Clone)]
enum Slot<'a> {
    Open,
    Known(Option<Worked<'a>>),
}

/// A value, and what gives it.
type Worked<'a> = (SettingValue, Giver<'a>);

/// A service's claim on the name of a variable.
#[derive(Clone, Copy)]
struct Claim<'a> {
    rank: Rank,
    member: usize,
    quantity: Quantity,
    place: Option<&'a Place>,
}

/// How far names may refer to names that refer to names.
const DEEPEST: usize = 64;

impl<'a> Names<'a> {
    /// The names that `members` and `surroundings` give.
    pub fn of(members: Vec<(&'a ServiceId, Member<'a>)>, surroundings: &'a Surroundings) -> Self {
        let mut claims: HashMap<&str, Vec<Claim<'_>>> = HashMap::new();
        for (member, (_, what)) in members.iter().enumerate() {
            for (name, claim) in claims_of(member, *what) {
                claims.entry(name).or_default().push(claim);
            }
        }
        claims.values_mut().for_each(|claims| claims.sort_by_key(|claim| claim.rank));
        Self {
            reports: members.iter().map(|(id, _)| Report::of(id)).collect(),
            members,
            claims,
            dotenv: surroundings.dotenv.iter().map(|(name, value, line)| (&**name, (&**value, *line))).collect(),
            environment: &surroundings.environment,
            known: HashMap::new(),
            open: Vec::new(),
            told: 0,
            asked: Vec::new(),
            settled: None,
        }
    }

    /// The names of service `id` alone, where it is known already what it and all others give to all: `shared`.
    pub fn settled(
        id: &'a ServiceId,
        exposed: &'a Exposed,
        surroundings: &'a Surroundings,
        shared: &'a BTreeMap<String, String>,
    ) -> Self {
        Self { settled: Some(shared), ..Self::of(vec![(id, Member::Present(exposed))], surroundings) }
    }

    /// The own port of a member.
    pub fn port(&mut self, member: usize) -> Option<u16> {
        self.value(member, Quantity::Port).and_then(|port| port.variable().parse().ok())
    }

    /// The base URL of a member.
    pub fn url(&mut self, member: usize) -> Option<String> {
        self.value(member, Quantity::Url).map(|url| url.variable())
    }

    /// The value of a member's setting, by its index.
    pub fn setting(&mut self, member: usize, index: usize) -> Option<SettingValue> {
        self.value(member, Quantity::Setting(index))
    }

    /// What gives a member's port.
    pub fn giver_of_port(&mut self, member: usize) -> Option<Giver<'a>> {
        self.worked(member, Quantity::Port).map(|(_, giver)| giver)
    }

    /// What gives a member's base URL.
    pub fn giver_of_url(&mut self, member: usize) -> Option<Giver<'a>> {
        self.worked(member, Quantity::Url).map(|(_, giver)| giver)
    }

    /// What gives a member's setting, by its index.
    pub fn giver_of_setting(&mut self, member: usize, index: usize) -> Option<Giver<'a>> {
        self.worked(member, Quantity::Setting(index)).map(|(_, giver)| giver)
    }

    /// The last good definition, if that is what a member is.
    pub fn held(&self, member: usize) -> Option<&'a Held> {
        match self.members[member].1 {
            Member::Held(held) => Some(held),
            Member::Present(_) => None,
        }
    }

    /// Who gives the variable `name` to all services.
    pub fn sharer_of(&mut self, name: &str) -> Option<Sharer<'a>> {
        for claim in self.claims.get(name).cloned().unwrap_or_default() {
            if self.value(claim.member, claim.quantity).is_none() {
                continue;
            }
            let (_, what) = self.members[claim.member];
            return Some(match (claim.quantity, what, claim.place) {
                (Quantity::Setting(index), Member::Present(exposed), _) => {
                    Sharer::Setting(&exposed.settings[index].key)
                }
                (_, _, Some(place)) => Sharer::Place(place),
                (_, Member::Held(held), None) => Sharer::Place(&held.service.place),
                // Every claim of a definition has its place.
                (_, Member::Present(_), None) => continue,
            });
        }
        self.dotenv.get(name).map(|(_, line)| Sharer::Dotenv(*line))
    }

    /// The port that an entry of a member's `ports` comes to, by its index.
    pub fn listed(&mut self, member: usize, index: usize) -> Option<u16> {
        self.value(member, Quantity::Listed(index)).and_then(|port| port.variable().parse().ok())
    }

    /// `text` of a member, expanded; `None` after a warning at `place` if it comes to nothing.
    pub fn expand(
        &mut self,
        member: usize,
        text: &str,
        (place, what): (&Place, &str),
        report: &mut Report,
    ) -> Option<String> {
        remark_on_braces(text, false, place, report);
        let expanded = self.expanded(member, text, false);
        expanded.map_err(|failure| explain(&failure, place, what, report)).ok()
    }

    /// `text` that a probe of a member asks with, also with `{port}`: `meaning` says what a name becomes, by what is known
    /// of it here.
    pub fn expand_question(
        &mut self,
        member: usize,
        text: &str,
        mut meaning: impl FnMut(Name<'_>, Option<String>) -> Meaning,
    ) -> Result<String, Failure> {
        self.expanded_by(text, true, |names, name| {
            let known = match name {
                Name::Variable(name) | Name::Optional(name) => names.lookup(member, name),
                Name::Port => names.value(member, Quantity::Port).map(|port| port.variable()),
            };
            meaning(name, known)
        })
    }

    /// Whether `text` of a member would become another one if it were expanded.
    pub fn would_change(&mut self, member: usize, text: &str) -> bool {
        // What has a `$$` was written by somebody who knows what is expanded.
        text.contains('$')
            && !text.contains("$$")
            && self.expanded(member, text, false).is_ok_and(|expanded| expanded != text)
    }

    /// All exports with `.env` below them. Says of each export that loses against another's that it does.
    pub fn shared(&mut self) -> BTreeMap<String, String> {
        let mut shared: BTreeMap<String, String> =
            self.dotenv.iter().map(|(name, (value, _))| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut names: Vec<_> = self.claims.keys().copied().collect();
        names.sort_unstable();
        for name in names {
            let claims = self.claims.get(name).cloned().unwrap_or_default();
            let mut winner: Option<(usize, String)> = None;
            for claim in claims {
                let Some(value) = self.value(claim.member, claim.quantity).map(|value| value.variable()) else {
                    continue;
                };
                match (&winner, claim.place) {
                    (None, _) => {
                        shared.insert(name.to_owned(), value.clone());
                        winner = Some((claim.member, value));
                    }
                    (Some((first, its)), Some(place)) if *first != claim.member || *its != value => {
                        let other = if *first == claim.member {
                            "by this service in another way".to_owned()
                        } else {
                            format!("by {}", quoted(self.members[*first].0.as_str()))
                        };
                        let message = format!("{} is exported {other} as well, and that value counts", quoted(name));
                        self.reports[claim.member].note(place, message);
                    }
                    (Some(_), _) => {}
                }
            }
        }
        shared
    }

    /// What a member exports.
    pub fn exports(&mut self, member: usize) -> Vec<Export> {
        let claims = claims_of(member, self.members[member].1);
        let export = |(name, claim): (&str, Claim<'_>)| {
            let value = self.value(member, claim.quantity)?.variable();
            Some(Export { name: name.into(), rank: claim.rank, value })
        };
        claims.into_iter().filter_map(export).collect()
    }

    /// Takes what was found to be wrong with the names of a member since it was last asked.
    pub fn take_problems(&mut self, member: usize) -> Vec<Problem> {
        std::mem::take(&mut self.reports[member].problems)
    }

    /// From now on one member alone will ask.
    pub fn begin_answers(&mut self) {
        self.asked.clear();
    }

    /// What that member was told.
    pub fn answers(&mut self, member: usize) -> Answers {
        Answers { claimed: self.claimed(member), asked: std::mem::take(&mut self.asked) }
    }

    /// Whether a member with the same definition would be told the same again.
    pub fn still_answer(&mut self, member: usize, answers: &Answers) -> bool {
        let Answers { claimed, asked } = answers;
        self.claimed(member) == *claimed && asked.iter().all(|(name, told)| self.lookup_outside(name) == *told)
    }

    fn claimed(&mut self, member: usize) -> Vec<Option<SettingValue>> {
        let claims = claims_of(member, self.members[member].1);
        claims.into_iter().map(|(_, claim)| self.value(member, claim.quantity)).collect()
    }

    fn expanded(&mut self, member: usize, text: &str, braces: bool) -> Result<String, Failure> {
        self.expanded_by(text, braces, |names, name| match name {
            Name::Variable(name) | Name::Optional(name) => names.lookup(member, name).into(),
            Name::Port => names.value(member, Quantity::Port).map(|port| port.variable()).into(),
        })
    }

    fn expanded_by(
        &mut self,
        text: &str,
        braces: bool,
        mut meaning: impl FnMut(&mut Self, Name<'_>) -> Meaning,
    ) -> Result<String, Failure> {
        let told = self.told;
        let expanded = expand(text, braces, |name| meaning(self, name));
        expanded.map_err(|failure| if self.told > told { Failure::Told } else { failure })
    }

    /// What `name` stands for in the definition of `member`: its own names come first.
    fn lookup(&mut self, member: usize, name: &str) -> Option<String> {
        if let Member::Present(exposed) = self.members[member].1 {
            let is = |placed: &Option<Placed>| placed.as_ref().is_some_and(|(own, _)| &**own == name);
            let own = if name == "PORT" || is(&exposed.port_env) {
                Some(Quantity::Port)
            } else if is(&exposed.base_url_env) {
                Some(Quantity::Url)
            } else {
                exposed.settings.iter().position(|setting| is(&setting.env_export)).map(Quantity::Setting)
            };
            if let Some(value) = own.and_then(|own| self.value(member, own)) {
                return Some(value.variable());
            }
        }
        let told = self.lookup_outside(name);
        self.asked.push((name.to_owned(), told.clone()));
        told
    }

    /// What `name` stands for in a definition to which it does not belong.
    fn lookup_outside(&mut self, name: &str) -> Option<String> {
        if let Some(shared) = self.settled {
            return shared.get(name).or_else(|| self.environment.get(name)).cloned();
        }
        let claim_at = |names: &Self, at: usize| names.claims.get(name).and_then(|claims| claims.get(at)).copied();
        let mut at = 0;
        while let Some(claim) = claim_at(self, at) {
            if let Some(value) = self.value(claim.member, claim.quantity) {
                return Some(value.variable());
            }
            at += 1;
        }
        self.dotenv.get(name).map(|(value, _)| (*value).to_owned()).or_else(|| self.environment.get(name).cloned())
    }

    /// Works out a quantity, or remembers it.
    fn value(&mut self, member: usize, quantity: Quantity) -> Option<SettingValue> {
        match self.known.get(&(member, quantity)) {
            Some(Slot::Known(worked)) => return worked.as_ref().map(|(value, _)| value.clone()),
            Some(Slot::Open) => {
                self.report_loop(member, quantity);
                return None;
            }
            None => {}
        }
        let exposed = match self.members[member].1 {
            Member::Present(exposed) => exposed,
            Member::Held(held) => {
                let Quantity::Held(index) = quantity else { return None };
                return held.exports.get(index).map(|export| SettingValue::Text(export.value.clone()));
            }
        };
        if self.open.len() == DEEPEST {
            self.told += 1;
            let (asking, its) = *self.open.last()?;
            if let Some(place) = self.place_of(asking, its) {
                let message = format!("this refers to others through more than {DEEPEST} steps");
                self.reports[asking].error(&place, message);
            }
            return None;
        }
        self.known.insert((member, quantity), Slot::Open);
        self.open.push((member, quantity));
        let mut report = std::mem::take(&mut self.reports[member]);
        let worked = match quantity {
            Quantity::Port => self.work_out_port(member, exposed, &mut report),
            Quantity::Url => self.work_out_url(member, exposed, &mut report),
            Quantity::Setting(index) => self.work_out_setting(member, exposed, index, &mut report),
            Quantity::Listed(index) => {
                let listed = &exposed.ports[index];
                let port = self.inherited_port(listed.env.as_ref(), &mut report);
                let default = || Some((SettingValue::of_port(listed.default_port?), Giver::Key("ports")));
                port.map(|port| (SettingValue::of_port(port), Giver::Environment)).or_else(default)
            }
            Quantity::Held(_) => None,
        };
        // Reports of the same member may have come in meanwhile, from a loop.
        let meanwhile = std::mem::replace(&mut self.reports[member], report);
        meanwhile.problems.into_iter().for_each(|problem| self.reports[member].push(problem));
        self.open.pop();
        let value = worked.as_ref().map(|(value, _)| value.clone());
        self.known.insert((member, quantity), Slot::Known(worked));
        value
    }

    fn work_out_port(&mut self, member: usize, exposed: &'a Exposed, report: &mut Report) -> Option<Worked<'a>> {
        if let Some(node) = exposed.given("port")
            && let Some(value) = self.given(member, node, "values.port", report)
        {
            return Some((value.as_port(&node.place, "values.port", report)?, Giver::Place(&node.place)));
        }
        if let Some(port) = self.inherited_port(exposed.port_env.as_ref(), report) {
            return Some((SettingValue::of_port(port), Giver::Environment));
        }
        if let Some(node) = exposed.setting("port").and_then(|setting| setting.default.as_ref())
            && let Some(value) = SettingValue::of(node, ",", &mut |text| Some(text.to_owned()))
        {
            let port = value.as_port(&node.place, "the default of the setting \"port\"", report)?;
            return Some((port, Giver::Setting("port")));
        }
        if let Some((name, place)) = &exposed.port_env
            && let Some((text, line)) = self.dotenv.get(&**name)
            && text.trim().parse().ok() != exposed.default_port
        {
            let message = format!("no port is taken from .env, where {} stands in line {line}", quoted(name));
            report
                .push(Problem::note(place, message).hint("give it as \"default_port\", or in the agent's environment"));
        }
        Some((SettingValue::of_port(exposed.default_port?), Giver::Key("default_port")))
    }

    fn work_out_url(&mut self, member: usize, exposed: &'a Exposed, report: &mut Report) -> Option<Worked<'a>> {
        if let Some(node) = exposed.given("base_url")
            && let Some(value) = self.given(member, node, "values.base_url", report)
        {
            return Some((value, Giver::Place(&node.place)));
        }
        if let Some(node) = exposed.setting("base_url").and_then(|setting| setting.default.as_ref())
            && let Some(value) = SettingValue::of(node, ",", &mut |text| Some(text.to_owned()))
        {
            return Some((value, Giver::Setting("base_url")));
        }
        if let Some((text, place)) = &exposed.base_url {
            remark_on_braces(text, true, place, report);
            let expanded = self.expanded(member, text, true);
            let url = expanded.map_err(|failure| explain(&failure, place, "base_url", report)).ok()?;
            return (!url.is_empty()).then_some((SettingValue::Text(url), Giver::Key("base_url")));
        }
        let port = self.value(member, Quantity::Port)?.variable();
        Some((SettingValue::Text(format!("http://localhost:{port}")), Giver::Default))
    }

    fn work_out_setting(
        &mut self,
        member: usize,
        exposed: &'a Exposed,
        index: usize,
        report: &mut Report,
    ) -> Option<Worked<'a>> {
        let setting = &exposed.settings[index];
        let effective = match &*setting.key {
            "port" => Some(Quantity::Port),
            "base_url" => Some(Quantity::Url),
            _ => None,
        };
        if let Some(effective) = effective.and_then(|effective| self.worked(member, effective)) {
            return Some(effective);
        }
        match exposed.given(&setting.key) {
            Some(node) => {
                let mut text_of = |text: &str| self.expand(member, text, (&node.place, &setting.key), report);
                let value = SettingValue::of(node, &setting.separator, &mut text_of)?;
                Some((value, Giver::Place(&node.place)))
            }
            None => {
                let default = setting.default.as_ref()?;
                let value = SettingValue::of(default, &setting.separator, &mut |text| Some(text.to_owned()))?;
                Some((value, Giver::Setting(&setting.key)))
            }
        }
    }

    /// A quantity with what gives it; that of a last good definition is not known any more.
    fn worked(&mut self, member: usize, quantity: Quantity) -> Option<Worked<'a>> {
        self.value(member, quantity)?;
        match self.known.get(&(member, quantity)) {
            Some(Slot::Known(worked)) => worked.clone(),
            Some(Slot::Open) | None => None,
        }
    }

    fn given(&mut self, member: usize, node: &Node, what: &str, report: &mut Report) -> Option<SettingValue> {
        SettingValue::of(node, ",", &mut |text| self.expand(member, text, (&node.place, what), report))
    }

    /// The port that the agent's own environment gives by the name of a variable.
    fn inherited_port(&self, name: Option<&Placed>, report: &mut Report) -> Option<u16> {
        let (name, place) = name?;
        let text = self.environment.get(&**name).filter(|text| !text.is_empty())?;
        let port = text.trim().parse().ok().filter(|port| *port != 0);
        if port.is_none() {
            let message =
                format!("{} is no port in the environment and does not count: {}", quoted(name), quoted(text));
            report.warning(place, message);
        }
        port
    }

    /// An error for every service of the loop that closes with this quantity.
    fn report_loop(&mut self, member: usize, quantity: Quantity) {
        let Some(start) = self.open.iter().position(|open| *open == (member, quantity)) else { return };
        self.told += 1;
        let circle: Vec<_> = self.open[start..].to_vec();
        let mut words: Vec<_> = circle.iter().map(|(member, quantity)| self.describe(*member, *quantity)).collect();
        words.push(self.describe(member, quantity));
        let message = format!("this refers to itself: {}", words.join(" → "));
        let mut told: Vec<usize> = Vec::new();
        for (member, quantity) in circle {
            if let Some(place) = self.place_of(member, quantity).filter(|_| !told.contains(&member)) {
                told.push(member);
                self.reports[member].error(&place, message.clone());
            }
        }
    }

    fn describe(&self, member: usize, quantity: Quantity) -> String {
        let (id, what) = &self.members[member];
        let what = match (quantity, what) {
            (Quantity::Port, _) => "port",
            (Quantity::Url, _) => "base_url",
            (Quantity::Setting(index), Member::Present(exposed)) => &exposed.settings[index].key,
            (Quantity::Setting(_) | Quantity::Listed(_) | Quantity::Held(_), _) => "export",
        };
        format!("{what} of {id}")
    }

    /// Where a quantity is written that refers to others.
    fn place_of(&self, member: usize, quantity: Quantity) -> Option<Place> {
        let Member::Present(exposed) = self.members[member].1 else { return None };
        let given = |key: &str| exposed.given(key).map(|node| node.place.clone());
        match quantity {
            Quantity::Port => given("port"),
            Quantity::Url => given("base_url").or_else(|| exposed.base_url.as_ref().map(|(_, place)| place.clone())),
            Quantity::Setting(index) => given(&exposed.settings[index].key),
            Quantity::Listed(_) | Quantity::Held(_) => None,
        }
    }
}

/// The variables that a member claims, in their order.
fn claims_of<'a>(member: usize, what: Member<'a>) -> Vec<(&'a str, Claim<'a>)> {
    let claim = |rank, quantity, place| Claim { rank, member, quantity, place };
    let exposed = match what {
        Member::Present(exposed) => exposed,
        Member::Held(held) => {
            let claims = held.exports.iter().enumerate();
            return claims
                .map(|(index, export)| (&*export.name, claim(export.rank, Quantity::Held(index), None)))
                .collect();
        }
    };
    let own = [(&exposed.port_env, Quantity::Port), (&exposed.base_url_env, Quantity::Url)];
    let own = own.into_iter().map(|(placed, quantity)| (placed, Rank::Own, quantity));
    let listed = exposed.ports.iter().enumerate();
    let listed = listed.map(|(index, port)| (&port.env, Rank::Named, Quantity::Listed(index)));
    let settings = exposed.settings.iter().enumerate();
    let settings = settings.map(|(index, setting)| (&setting.env_export, Rank::Named, Quantity::Setting(index)));
    own.chain(listed)
        .chain(settings)
        .filter_map(|(placed, rank, quantity)| {
            let (name, place) = placed.as_ref()?;
            Some((&**name, claim(rank, quantity, Some(place))))
        })
        .collect()
}

/// The environment that all services get, shared by them.
pub(super) type Shared = Arc<BTreeMap<String, String>>;
