//! `p0 mcp`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::runs::{RunBegun, RunRequest},
    model::{
        permission::{Grounds, Permissions},
        workflow::Rights,
    },
    service::{config::env, problem::Problem},
    surface::{
        client::Client,
        handover::hand_over,
        local::Session,
        mcp::{AttemptTools, Policy, Reach, ToolService, UserTools, serve},
        session,
    },
};
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// Serve the tracker to an agent or assistant, as tools of the Model Context Protocol on standard input and output
///
/// Inside an attempt these are the tools of its role, through its own socket. Outside they are the words of this
/// command line, for a person's assistant.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is answered to an agent that asks before it uses a tool, where no rule decides
    #[arg(long, value_enum, default_value_t, value_name = "P")]
    permissions: Word,
}

/// What is done about requests that no rule decides, on the command line.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Word {
    /// They are allowed: the sandbox is the fence
    #[default]
    Allow,
    /// A person is asked
    Ask,
    /// They are denied
    Deny,
}

impl Args {
    /// What an attempt's requests are answered by; its folders are those it was given.
    fn policy(&self) -> Policy {
        let folder = |name: &str| PathBuf::from(env::var(name).unwrap_or_else(|| "/nonexistent".into()));
        Policy {
            grounds: Grounds { worktree: folder("P0_WORKTREE"), home: folder("HOME"), temp: folder("TMPDIR") },
            permissions: match self.permissions {
                Word::Allow => Permissions::Allow,
                Word::Ask => Permissions::Ask,
                Word::Deny => Permissions::Deny,
            },
        }
    }
}

/// The rights of the attempt's role, as the engine told them when it began.
fn rights() -> Option<Rights> {
    env::var("P0_RIGHTS").and_then(|word| serde_json::from_value(word.into()).ok())
}

/// Serves it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let filter = EnvFilter::try_new(env::var("P0_LOG").unwrap_or_else(|| "error".to_owned()));
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("error")))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let tools = match session::attempt_client()? {
        Some(attempt_socket) => {
            ToolService::Attempt(AttemptTools::new(attempt_socket).with_policy(args.policy()).with_rights(rights()))
        }
        None => {
            let reach = Box::new(Holder { data_dir: context.data_dir()? });
            ToolService::Person(UserTools::new(reach, context.project()?))
        }
    };
    serve(tools).await?;
    Ok(0)
}

/// The way to whoever holds a data directory.
struct Holder {
    data_dir: PathBuf,
}

impl Reach for Holder {
    fn open(&self) -> BoxFuture<'_, Result<(Client, BoxFuture<'static, ()>), Problem>> {
        Box::pin(async {
            let session = Session::open(&self.data_dir).await?;
            let client = session.client.clone();
            let let_go: BoxFuture<'static, ()> = Box::pin(session.close());
            Ok((client, let_go))
        })
    }

    fn hand_over<'a>(&'a self, wanted: &'a RunRequest) -> BoxFuture<'a, Result<(Client, RunBegun), Problem>> {
        Box::pin(hand_over(&self.data_dir, wanted))
    }
}
