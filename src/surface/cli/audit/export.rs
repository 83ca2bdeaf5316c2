//! `p0 audit export`.
use crate::{
    contract::endpoints::ExportRun,
    service::problem::{Kind, Problem},
    surface::{
        cli::{context::Context, outcome::Outcome},
        client::Client,
        ui::{self, To},
        whole_file::WholeFile,
    },
};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Write a run into one file that replays and verifies anywhere
///
/// The file holds the frames of the run's milestone up to the run's last, and every blob that they name, as compressed
/// lines of JSON (`zstd -dc FILE | jq`). The same run gives the same bytes.
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// The run, or the beginning of its id
    run: String,
    /// The file; - is standard output
    file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

/// Writes it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let to_stdout = args.file == Path::new("-");
    if to_stdout && ui::is_terminal(To::Out) {
        return Err(Problem::new(Kind::Usage, "a run file is no text for a terminal").hint("name a file, or a pipe"));
    }
    let mut file = if to_stdout { None } else { Some(WholeFile::begin(&args.file, args.force)?) };
    let target = args.file.clone();
    context
        .ask(|client| async move {
            let mut take = |piece: &[u8]| match &mut file {
                Some(file) => file.write_all(piece).map_err(|e| Problem::io("writing", &target, &e)),
                None => {
                    ui::raw(To::Out, piece);
                    Ok(())
                }
            };
            copy(&client, &args.run, &mut take).await?;
            file.map_or(Ok(()), WholeFile::finish)
        })
        .await?;
    Ok(0)
}

async fn copy(client: &Client, run: &str, take: &mut dyn FnMut(&[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut answer = client.lines(ExportRun::at(run)).await?;
    loop {
        match answer.piece().await {
            Ok(Some(piece)) => take(&piece)?,
            Ok(None) => return Ok(()),
            // Who broke off and still serves could not read on.
            Err(problem) if client.is_alive().await => {
                let problem = Problem::new(Kind::Store, format!("not all of the run could be read: {problem}"));
                return Err(problem.hint("see what is wrong with `p0 audit verify`"));
            }
            Err(problem) => return Err(problem),
        }
        if ui::gone() {
            return Ok(());
        }
    }
}
