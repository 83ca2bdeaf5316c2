//! `p0 graph`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{endpoints::GetRunGraph, runs::GraphQuery},
    model::workflow::builtin,
    service::problem::{Kind, Problem},
    surface::ui::{self, To},
    views::graph::{self, Language},
};

/// Draw the tickets of a run, or the stages of a workflow
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run, the beginning of its id, @last, or a workflow's name
    #[arg(value_name = "RUN|WORKFLOW", default_value = "@last")]
    name: String,
    /// The language of the drawing
    #[arg(long, value_enum, default_value = "dot")]
    format: Format,
}

/// A language, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Dot,
    Mermaid,
    Svg,
}

/// Draws it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let (language, word) = match args.format {
        Format::Dot => (Language::Dot, "dot"),
        Format::Mermaid => (Language::Mermaid, "mermaid"),
        Format::Svg => {
            return Err(Problem::new(Kind::Usage, "this version does not draw SVG itself")
                .hint(format!("let Graphviz do it: p0 graph {} --format dot | dot -Tsvg", args.name)));
        }
    };
    let text = match builtin::named(&args.name) {
        Some(workflow) => graph::of_workflow(&workflow, language),
        None => {
            let call = GetRunGraph::at(&args.name).query(&GraphQuery { format: Some(word.to_owned()) });
            let doc = context.ask(|client| async move { client.get(call).await }).await;
            let doc = doc.map_err(|problem| match problem.kind {
                Kind::NotFound => problem.hint(format!("the workflows are: {}", builtin::NAMES.join(", "))),
                _ => problem,
            })?;
            doc.graph
        }
    };
    ui::raw(To::Out, text.as_bytes());
    Ok(0)
}
