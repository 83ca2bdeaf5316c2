//! Work items and workflows as graphs, in the languages of Graphviz (DOT) and Mermaid.
use p0_model::{
    aggregate::Aggregate,
    ticket::{Status, Ticket},
    workflow::{Choice, Goal, When, Workflow},
};
use std::fmt::Write;

/// The language of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

struct Node {
    id: String,
    label: String,
    colour: Option<&'static str>,
}

struct Edge {
    from: String,
    to: String,
    label: String,
}

/// The items of a milestone, each after what it depends on, coloured by status.
pub fn of_tickets(state: &Aggregate, language: Language) -> String {
    let nodes = state.tickets.values().map(|ticket| Node {
        id: ticket.seed.id.to_string(),
        label: format!("{} {}", ticket.seed.id, short(&ticket.seed.title)),
        colour: Some(colour(ticket)),
    });
    let edges = state.tickets.values().flat_map(|ticket| {
        let to = ticket.seed.id.to_string();
        let needs = ticket.seed.depends_on.iter().map({
            let to = to.clone();
            move |from| Edge { from: from.to_string(), to: to.clone(), label: String::new() }
        });
        let part = ticket.seed.parent.iter().map(move |whole| Edge {
            from: to.clone(),
            to: whole.to_string(),
            label: "part of".into(),
        });
        needs.chain(part)
    });
    draw(&nodes.collect::<Vec<_>>(), &edges.collect::<Vec<_>>(), language)
}

/// The stages of a workflow and where each leads.
pub fn of_workflow(workflow: &Workflow, language: Language) -> String {
    let mut nodes: Vec<Node> = workflow
        .stages
        .iter()
        .map(|stage| Node { id: stage.name.0.clone(), label: stage.name.0.clone(), colour: None })
        .collect();
    let mut edges = Vec::new();
    for stage in &workflow.stages {
        for exit in &stage.exits {
            let when = when(exit.when);
            let (to, label) = match &exit.goal {
                Goal::Stage(to) => (to.0.clone(), when.to_owned()),
                Goal::NextIteration(to) => (to.0.clone(), format!("{when}, next iteration")),
                Goal::Done { otherwise } => {
                    let label = format!("{when}, not yet proven");
                    edges.push(Edge { from: stage.name.0.clone(), to: otherwise.0.clone(), label });
                    ("DONE".to_owned(), when.to_owned())
                }
                Goal::Stuck => ("STUCK".to_owned(), when.to_owned()),
            };
            edges.push(Edge { from: stage.name.0.clone(), to, label });
        }
    }
    for (end, colour) in [("DONE", "palegreen"), ("STUCK", "lightsalmon")] {
        if edges.iter().any(|edge| edge.to == end) {
            nodes.push(Node { id: end.into(), label: end.into(), colour: Some(colour) });
        }
    }
    draw(&nodes, &edges, language)
}

fn when(when: When) -> &'static str {
    match when {
        When::Decided(Choice::Continue) => "CONTINUE",
        When::Decided(Choice::Done) => "DONE",
        When::Decided(Choice::Stuck) => "STUCK",
        When::Finished => "finished",
    }
}

fn colour(ticket: &Ticket) -> &'static str {
    match ticket.status {
        Status::Open if ticket.deferred.is_some() => "gray90",
        Status::Open => "white",
        Status::InProgress => "lightskyblue",
        Status::Done => "palegreen",
        Status::Blocked(_) => "lightsalmon",
    }
}

fn short(title: &str) -> String {
    let mut text: String = title.chars().take(40).collect();
    if text.len() < title.len() {
        text.push('…');
    }
    text
}

fn draw(nodes: &[Node], edges: &[Edge], language: Language) -> String {
    let mut out = String::new();
    let drawn = match language {
        Language::Dot => dot(&mut out, nodes, edges),
        Language::Mermaid => mermaid(&mut out, nodes, edges),
    };
    drawn.expect("writing to a String cannot fail");
    out
}

fn dot(out: &mut String, nodes: &[Node], edges: &[Edge]) -> std::fmt::Result {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    writeln!(out, "digraph p0 {{\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=white];")?;
    for node in nodes {
        write!(out, "  {} [label={}", quoted(&node.id), quoted(&node.label))?;
        if let Some(colour) = node.colour {
            write!(out, ", fillcolor={colour}")?;
        }
        writeln!(out, "];")?;
    }
    for edge in edges {
        write!(out, "  {} -> {}", quoted(&edge.from), quoted(&edge.to))?;
        if !edge.label.is_empty() {
            write!(out, " [label={}]", quoted(&edge.label))?;
        }
        writeln!(out, ";")?;
    }
    writeln!(out, "}}")
}

fn mermaid(out: &mut String, nodes: &[Node], edges: &[Edge]) -> std::fmt::Result {
    let name = |id: &str| -> String {
        let safe: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("n_{safe}")
    };
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "#quot;"));
    writeln!(out, "flowchart LR")?;
    for node in nodes {
        writeln!(out, "  {}[{}]", name(&node.id), quoted(&node.label))?;
    }
    for edge in edges {
        let label = if edge.label.is_empty() { String::new() } else { format!("|{}|", quoted(&edge.label)) };
        writeln!(out, "  {} -->{label} {}", name(&edge.from), name(&edge.to))?;
    }
    for node in nodes {
        if let Some(colour) = node.colour {
            writeln!(out, "  style {} fill:{}", name(&node.id), css(colour))?;
        }
    }
    Ok(())
}

/// Graphviz and CSS share these names but one.
fn css(colour: &str) -> &str {
    if colour == "gray90" { "gainsboro" } else { colour }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_model::workflow::builtin;
    use p0_samples::aggregate;

    #[test]
    fn tickets_in_dot() {
        insta::assert_snapshot!(of_tickets(&aggregate(), Language::Dot), @r#"
        digraph p0 {
          rankdir=LR;
          node [shape=box, style="rounded,filled", fillcolor=white];
          "BLOG-1" [label="BLOG-1 item \"1\"", fillcolor=palegreen];
          "BLOG-2" [label="BLOG-2 item \"2\"", fillcolor=lightskyblue];
          "BLOG-3" [label="BLOG-3 item \"3\"", fillcolor=white];
          "BLOG-1" -> "BLOG-2";
          "BLOG-2" -> "BLOG-3";
        }
        "#);
    }

    #[test]
    fn a_workflow_in_mermaid() {
        insta::assert_snapshot!(of_workflow(&builtin::ralph(), Language::Mermaid), @r#"
        flowchart LR
          n_plan["plan"]
          n_execute["execute"]
          n_judge["judge"]
          n_DONE["DONE"]
          n_STUCK["STUCK"]
          n_plan -->|"CONTINUE"| n_execute
          n_plan -->|"DONE, not yet proven"| n_judge
          n_plan -->|"DONE"| n_DONE
          n_plan -->|"STUCK"| n_STUCK
          n_execute -->|"finished"| n_judge
          n_judge -->|"finished, next iteration"| n_plan
          style n_DONE fill:palegreen
          style n_STUCK fill:lightsalmon
        "#);
    }
}
