//! The graph as trees, for Graphviz, and for Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{DIM, colour, mark, paint};
use crate::cli::GraphFormat;
use crate::domain::Light;
use crate::domain::text::{plain, shown_json};
use crate::wire::{Edge, EdgeKind, Graph, GraphNode};

/// `graph` in one of its forms; [`GraphFormat::Json`] is the wire's own.
pub fn render_graph(graph: &Graph, format: GraphFormat) -> String {
    match format {
        GraphFormat::Text => text(graph),
        GraphFormat::Dot => dot(graph),
        GraphFormat::Mermaid => mermaid(graph),
        GraphFormat::Json => {
            // Its maps have text for keys, and nothing in it can fail to be written.
            shown_json(&serde_json::to_string_pretty(graph).unwrap_or_default()).into_owned() + "\n"
        }
    }
}

/// Trees from those that nobody needs down to what they need.
fn text(graph: &Graph) -> String {
    let orders = |edge: &&Edge| edge.kind == EdgeKind::DependsOn && edge.from != edge.to;
    let needed: BTreeSet<&str> = graph.edges.iter().filter(orders).map(|edge| edge.to.as_str()).collect();
    let lights: BTreeMap<&str, Light> = graph.nodes.iter().map(|node| (node.id.as_str(), node.light)).collect();
    let mut tree = Tree { graph, lights, drawn: BTreeSet::new(), out: String::new() };
    let (tops, rest): (Vec<&GraphNode>, Vec<_>) =
        graph.nodes.iter().partition(|node| !needed.contains(node.id.as_str()));
    // The rest is in the trees of the tops, unless all in a circle need each other.
    for node in tops.into_iter().chain(rest.clone()) {
        if !tree.drawn.contains(node.id.as_str()) {
            tree.node(&node.id, "", "", "");
        }
    }
    if graph.edges.iter().any(|edge| edge.kind != EdgeKind::DependsOn) {
        let _ = writeln!(tree.out, "\n{}", paint(DIM, "~ talks to, without waiting for it"));
    }
    tree.out
}

struct Tree<'a> {
    graph: &'a Graph,
    lights: BTreeMap<&'a str, Light>,
    drawn: BTreeSet<&'a str>,
    out: String,
}

impl<'a> Tree<'a> {
    fn node(&mut self, id: &'a str, elbow: &str, below: &str, tie: &str) {
        let light = self.lights.get(id).copied().unwrap_or(Light::Gray);
        let name = paint(colour(light), &format!("{} {}", mark(light), plain(id)));
        let edges: Vec<_> = self.graph.edges.iter().filter(|edge| edge.from == id).collect();
        let again = !self.drawn.insert(id);
        let more = if again && !edges.is_empty() { paint(DIM, " (see above)") } else { String::new() };
        let _ = writeln!(self.out, "{elbow}{tie}{name}{more}");
        if again {
            return;
        }
        for (index, edge) in edges.iter().enumerate() {
            let last = index + 1 == edges.len();
            let (elbow, line) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let tie = if edge.kind == EdgeKind::DependsOn { "" } else { "~ " };
            self.node(&edge.to, &format!("{below}{elbow}"), &format!("{below}{line}"), tie);
        }
    }
}

fn dot(graph: &Graph) -> String {
    let quoted = |id: &str| format!("\"{}\"", plain(id).replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = "digraph services {\n  rankdir=LR;\n  node [shape=box, style=filled];\n".to_owned();
    for node in &graph.nodes {
        let _ = writeln!(out, "  {} [fillcolor=\"{}\"];", quoted(&node.id), fill(node.light));
    }
    for edge in &graph.edges {
        let style = match edge.kind {
            EdgeKind::DependsOn => "",
            EdgeKind::Dependencies => " [style=dashed]",
            EdgeKind::Observed => " [style=dotted]",
        };
        let _ = writeln!(out, "  {} -> {}{style};", quoted(&edge.from), quoted(&edge.to));
    }
    out + "}\n"
}

fn mermaid(graph: &Graph) -> String {
    // Nodes are numbered, because words like `end` mean something to Mermaid; names are labels only.
    let numbers: BTreeMap<&str, usize> =
        graph.nodes.iter().enumerate().map(|(n, node)| (node.id.as_str(), n)).collect();
    let label = |id: &str| plain(id).replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;");
    let mut out = "graph LR\n".to_owned();
    for (number, node) in graph.nodes.iter().enumerate() {
        let _ = writeln!(out, "  n{number}[\"{}\"]:::{}", label(&node.id), node.light.as_str());
    }
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (numbers.get(edge.from.as_str()), numbers.get(edge.to.as_str())) else { continue };
        let arrow = match edge.kind {
            EdgeKind::DependsOn => "-->",
            EdgeKind::Dependencies => "-.->",
            EdgeKind::Observed => "==>",
        };
        let _ = writeln!(out, "  n{from} {arrow} n{to}");
    }
    for light in Light::ALL {
        let _ = writeln!(out, "  classDef {} fill:{}", light.as_str(), fill(light));
    }
    out
}

/// A pale fill that dark text can be read on.
fn fill(light: Light) -> &'static str {
    match light {
        Light::Gray => "#e0e0e0",
        Light::Green => "#c8e6c9",
        Light::Yellow => "#ffecb3",
        Light::Red => "#ffcdd2",
    }
}
