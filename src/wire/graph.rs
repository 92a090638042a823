//! `graph`: who needs whom, and who talks to whom.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::word;
use crate::domain::{Kind, Light, ServiceId, ServiceView, Snapshot};

/// Everything that `graph` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The services, in the order of their sources.
    pub nodes: Vec<GraphNode>,
    /// Edges from who needs to what is needed.
    pub edges: Vec<Edge>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Its id.
    pub id: String,
    /// Its light.
    #[serde(with = "word")]
    pub light: Light,
}

/// One service that needs or uses another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Who needs.
    pub from: String,
    /// What is needed.
    pub to: String,
    /// How it is known.
    pub kind: EdgeKind,
}

/// How an edge is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// Declared, and used for the order of starting.
    DependsOn,
    /// Declared, for display only.
    Dependencies,
    /// Seen: an open connection.
    Observed,
}

impl Graph {
    /// What the services of `snapshot` declare. Names that no service has or provides are left out.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut edges = Vec::new();
        for view in snapshot.services.iter() {
            let needs = view.service.depends_on.iter().map(|needed| needed.id.to_string());
            let needs: BTreeSet<String> = needs.filter(|id| snapshot.service(id).is_some()).collect();
            let uses: BTreeSet<String> = view.service.talks_to.iter().flat_map(|name| named(name, snapshot)).collect();
            let edge = |to: String, kind| Edge { from: view.id.to_string(), to, kind };
            let uses = uses.into_iter().filter(|to| !needs.contains(to) && to != view.id.as_str());
            let uses: Vec<Edge> = uses.map(|to| edge(to, EdgeKind::Dependencies)).collect();
            edges.extend(needs.into_iter().map(|to| edge(to, EdgeKind::DependsOn)));
            edges.extend(uses);
        }
        let joined = |id: &ServiceId| edges.iter().any(|edge| edge.from == id.as_str() || edge.to == id.as_str());
        // What only exports settings is no service to look at, unless somebody names it.
        let shown = |view: &&ServiceView| view.service.kind != Kind::Settings || joined(&view.id);
        let nodes = snapshot.services.iter().map(AsRef::as_ref).filter(shown);
        let nodes = nodes.map(|view| GraphNode { id: view.id.to_string(), light: view.light }).collect();
        Self { nodes, edges }
    }
}

/// The services that `name` means: the one with this id, else all that provide it.
fn named(name: &str, snapshot: &Snapshot) -> Vec<String> {
    if snapshot.service(name).is_some() {
        return vec![name.to_owned()];
    }
    let provides = |view: &&ServiceView| view.service.display.provides.iter().any(|provided| provided == name);
    snapshot.services.iter().map(AsRef::as_ref).filter(provides).map(|view| view.id.to_string()).collect()
}
