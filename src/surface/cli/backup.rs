//! `p0 backup` and `p0 restore`.
use super::{audit::anchor::outside, context::Context, outcome::Outcome};
use crate::{
    engine::backup::{self, BackupError},
    journal,
    service::{
        background::blocking,
        problem::{Kind, Problem},
    },
    surface::{ui, whole_file::WholeFile},
};
use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

/// Write the data directory into one file
///
/// Consistent at one event, also while an engine is at work, which is not held up. In the file: the log, the blobs that
/// it names, imported runs, and what attempts have committed. Not in it: worktrees (what was at work begins again) and
/// the repositories of people, where landed and parked work is. It is a tar archive, compressed with zstd.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The file
    file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Put a backup in the place of the data directory
///
/// Everything is checked first; what was there is kept beside it, and what its agents were still doing is ended. Refused
/// while somebody holds the directory.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// What `p0 backup` wrote
    file: PathBuf,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Backs up.
pub(super) async fn backup(args: &BackupArgs, context: &Context) -> Outcome {
    let data_dir = context.data_dir()?;
    let (file, force) = (args.file.clone(), args.force);
    outside(&file, &data_dir, "what takes the log takes its backup too")?;
    let done = blocking(move || {
        let mut out = BufWriter::new(WholeFile::begin(&file, force)?);
        let done = backup::write(&data_dir, &mut out, &file).map_err(problem)?;
        out.flush().map_err(|e| Problem::io("writing", &file, &e))?;
        let whole = out.into_inner().map_err(|e| Problem::io("writing", &file, e.error()))?;
        whole.finish()?;
        Ok(done)
    });
    let done = done.await?;
    if args.json {
        ui::json(&done)?;
    } else {
        ui::line(&format!("events  {}", done.seq));
        ui::line(&format!("head    {}", done.head));
        ui::line(&format!("files   {}, {} of them blobs", done.files, done.blobs));
    }
    Ok(0)
}

/// Restores.
pub(super) async fn restore(args: &RestoreArgs, context: &Context) -> Outcome {
    let data_dir = context.data_dir()?;
    if !args.file.exists() {
        return Err(Problem::new(Kind::NotFound, format!("there is no {}", args.file.display())));
    }
    let file = args.file.clone();
    let done = blocking(move || backup::restore(&file, &data_dir).map_err(problem)).await?;
    if args.json {
        ui::json(&done)?;
    } else {
        ui::line(&format!("events  {} in {} frames, {} blobs, all as written", done.seq, done.frames, done.blobs));
        ui::line(&format!("head    {}", done.head));
        if !done.ended.is_empty() {
            ui::line(&format!("ended   what was at work in the directory before: {}", done.ended.join(", ")));
        }
        if let Some(kept) = &done.kept {
            ui::line(&format!("before  what was there is kept in {}", kept.display()));
        }
    }
    Ok(0)
}

fn problem(e: BackupError) -> Problem {
    match e {
        BackupError::Bad { .. } => Problem::new(Kind::Diverged, e).hint("nothing was replaced; use another backup"),
        BackupError::Disk(journal::Error::Locked { .. }) => {
            Problem::new(Kind::Store, e).hint("stop it first; nothing was replaced")
        }
        BackupError::Disk(journal::Error::BlobMissing { .. } | journal::Error::BlobDamaged { .. }) => {
            Problem::new(Kind::Store, e).hint(
                "put the file back from an earlier backup (`tar --zstd -xf BACKUP` unpacks it), and look again with \
                 `p0 audit verify`; no backup was written",
            )
        }
        BackupError::Unfit(_) => Problem::new(Kind::Store, e).hint(
            "an imported run can be imported again (`p0 audit import`), an archive whose frames are still in the log is \
             written anew by `p0 gc`; what is left comes from an earlier backup (`tar --zstd -xf BACKUP` unpacks it); no \
             backup was written",
        ),
        BackupError::MountPoint(path) => {
            let hint = format!(
                "restore into a folder in it (--data-dir {}/p0) and use that from then on; nothing was replaced",
                path.display()
            );
            Problem::new(Kind::Refused, BackupError::MountPoint(path)).hint(hint)
        }
        BackupError::AtWork(_) => {
            Problem::new(Kind::General, e).hint("end these processes and try again; nothing was replaced")
        }
        BackupError::Disk(_) => Problem::new(Kind::Store, e),
        BackupError::Io { .. } => Problem::new(Kind::General, e),
    }
}
