//! What a person's assistant may use: the words of the command line, for the same socket.
use super::{
    added::without_added,
    answer::Answer,
    wishes::{Approvals, Audit, Deciding, OneRun, OneTicket, RunWish, Saying, Steering, Tickets},
    words::{self, Decision, Does, Steer},
};
use crate::{
    contract::{
        approvals::{ApprovalQuery, ApprovalReason},
        endpoints::{
            Approve, CancelRun, GetRun, GetTicket, ListApprovals, ListRuns, ListTickets, PauseRun, Reject, ResumeRun,
            StartRun, StreamEvents,
        },
        events::EventQuery,
        runs::{BegunHow, RunBegun, RunRequest, SteerRequest},
        tickets::TicketQuery,
    },
    model::{config::Overrides, record::Record},
    reader::check,
    service::{
        principal::Principal,
        problem::{Kind, Problem},
        spec_file::read_spec,
        start,
    },
    surface::{
        answering::{self, Answered},
        client::Client,
        ui,
    },
    views::{
        status::RunStatus,
        tickets::TicketFull,
        timeline::{audit_line, one_line},
    },
};
use axum::{Extension, Router};
use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

/// Events shown when nobody says how many, and at the most.
const EVENTS: (usize, usize) = (50, 1000);

/// A way to the holder of a data directory, found anew for every call: a tool service that waits keeps the directory from nobody.
pub(crate) trait Reach: Send + Sync {
    /// A client for one call, and what lets go of the engine afterwards.
    fn open(&self) -> BoxFuture<'_, Result<(Client, BoxFuture<'static, ()>), Problem>>;
    /// Hands a run to the holder, which is started when there is none.
    fn hand_over<'a>(&'a self, wanted: &'a RunRequest) -> BoxFuture<'a, Result<(Client, RunBegun), Problem>>;
}

/// How a tool service comes to an engine.
enum Way {
    /// By the holder of a data directory.
    Reach(Box<dyn Reach>),
    /// The engine of this process, for the user whose request it is.
    Here(Router),
}

/// Where a person's calls are answered.
pub(crate) struct UserTools {
    way: Way,
    /// Where paths begin and whose repository is meant, when it is known.
    project: Option<PathBuf>,
}

impl UserTools {
    /// For a person in this folder.
    pub(crate) fn new(reach: Box<dyn Reach>, project: PathBuf) -> UserTools {
        UserTools { way: Way::Reach(reach), project: Some(project) }
    }

    /// Over the engine of this process: each call is its caller's, of whom nothing but the name is known.
    pub(crate) fn here(routes: Router) -> UserTools {
        UserTools { way: Way::Here(routes), project: None }
    }

    /// Answers a call; `caller` is the user whose request it came with, where it came with one.
    pub(super) async fn call(&self, name: &str, arguments: Map<String, Value>, caller: Option<Principal>) -> Answer {
        let Some(tool) = words::TOOLS.iter().find(|tool| tool.name == name) else {
            let names = words::TOOLS.iter().map(|t| t.name).collect::<Vec<_>>().join(", ");
            return Answer::failed(format!("there is no tool '{name}'; there are: {names}"));
        };
        let form = (tool.form)();
        let arguments = match check(&form, without_added(&form, pairs_listed(arguments))) {
            Ok(arguments) => arguments,
            Err(why) => return Answer::failed(format!("nothing was done; call {name} again:\n{why}")),
        };
        let target = match (&self.way, caller) {
            (Way::Reach(reach), _) => Target::Holder(&**reach),
            (Way::Here(routes), Some(caller)) => Target::Here(Client::Local(routes.clone().layer(Extension(caller)))),
            (Way::Here(_), None) => return Problem::new(Kind::Refused, "it is not known who asks").into(),
        };
        let call = ToolCall { target, project: self.project.as_deref() };
        call.answer(tool.does, arguments).await.unwrap_or_else(Answer::from)
    }
}

/// Where the requests of one call go.
enum Target<'a> {
    /// To the holder of a data directory.
    Holder(&'a dyn Reach),
    /// To the engine of this process, as the caller.
    Here(Client),
}

/// One call of a tool.
struct ToolCall<'a> {
    target: Target<'a>,
    project: Option<&'a Path>,
}

impl ToolCall<'_> {
    async fn answer(&self, does: Does, arguments: Map<String, Value>) -> Result<Answer, Problem> {
        match does {
            Does::Start => self.start(read(arguments)?).await,
            Does::Status => {
                let wish: OneRun = read(arguments)?;
                let call = GetRun::at(named(wish.run.as_deref()));
                let status = self.ask(|client| async move { client.get(call).await }).await?;
                Ok(shown(status_text(&status), &status))
            }
            Does::Runs => {
                let rows = self.ask(|client| async move { client.get(ListRuns::at()).await }).await?;
                Ok(shown(counted(rows.len(), "run"), &json!({ "runs": rows })))
            }
            Does::Tickets => {
                let wish: Tickets = read(arguments)?;
                let all = wish.all.then(|| "true".to_owned());
                let call = ListTickets::at().query(&TicketQuery { run: wish.run, all, ..TicketQuery::default() });
                let rows = self.ask(|client| async move { client.get(call).await }).await?;
                Ok(shown(counted(rows.len(), "ticket"), &json!({ "tickets": rows })))
            }
            Does::Ticket => {
                let wish: OneTicket = read(arguments)?;
                let ticket = self.ticket(&wish.ticket).await?;
                let row = &ticket.row;
                Ok(shown(format!("{} is {}: {}", row.id, row.status, one_line(&row.title)), &ticket))
            }
            Does::Events => self.events(read(arguments)?).await,
            Does::Approvals => self.approvals(read(arguments)?).await,
            Does::Decide(decision) => self.decide(decision, read(arguments)?).await,
            Does::Answer => self.give(read(arguments)?).await,
            Does::Steer(how) => {
                let wish: Steering = read(arguments)?;
                let run = named(wish.run.as_deref()).to_owned();
                let (budget_usd, budget_tokens) = (wish.budget_usd, wish.budget_tokens);
                let steer = SteerRequest { why: wish.reason, budget_usd, budget_tokens };
                let work = |client: Client| async move {
                    match how {
                        Steer::Pause => client.post(PauseRun::at(&run), &steer).await,
                        Steer::Resume => client.post(ResumeRun::at(&run), &steer).await,
                        Steer::Cancel => client.post(CancelRun::at(&run), &steer).await,
                    }
                };
                let status = self.ask(work).await?;
                Ok(shown(status_text(&status), &status))
            }
        }
    }

    async fn approvals(&self, wish: Approvals) -> Result<Answer, Problem> {
        let which = ApprovalQuery { run: wish.run, all: wish.all.then(|| "true".to_owned()) };
        let call = ListApprovals::at().query(&which);
        let rows = self.ask(|client| async move { client.get(call).await }).await?;
        Ok(shown(counted(rows.len(), "approval"), &json!({ "approvals": rows })))
    }

    async fn decide(&self, decision: Decision, wish: Deciding) -> Result<Answer, Problem> {
        let reason = ApprovalReason { why: wish.reason };
        let decide = |client: Client| async move {
            match decision {
                Decision::Approve => client.post(Approve::at(&wish.id), &reason).await,
                Decision::Reject => client.post(Reject::at(&wish.id), &reason).await,
            }
        };
        let doc = self.ask(decide).await?;
        Ok(shown(format!("{} is {}", doc.id, doc.state), &doc))
    }

    async fn give(&self, wish: Saying) -> Result<Answer, Problem> {
        let given = self.ask(|client| async move { answering::give(&client, &wish.id, &wish.text).await }).await?;
        match given {
            Answered::Approval(doc) => Ok(shown(format!("{} is {}", doc.id, doc.state), &doc)),
            Answered::Ticket(ticket) => {
                let row = &ticket.row;
                Ok(shown(format!("{} is {}; the next round has the answer", row.id, row.status), &ticket))
            }
        }
    }

    async fn ticket(&self, name: &str) -> Result<TicketFull, Problem> {
        let call = GetTicket::at(name);
        self.ask(|client| async move { client.get(call).await }).await
    }

    /// Makes requests with an engine, and lets go of it afterwards.
    async fn ask<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        match &self.target {
            Target::Here(client) => work(client.clone()).await,
            Target::Holder(reach) => {
                let (client, let_go) = reach.open().await?;
                let result = work(client).await;
                let_go.await;
                result
            }
        }
    }

    async fn start(&self, wish: RunWish) -> Result<Answer, Problem> {
        let wanted = self.wanted(wish)?;
        for who in start::check(&wanted)? {
            ui::warn(&who);
        }
        let (client, begun) = match &self.target {
            Target::Here(client) => (client.clone(), client.post(StartRun::at(), &wanted).await?),
            Target::Holder(reach) => reach.hand_over(&wanted).await?,
        };
        let status = client.get(GetRun::at(begun.run)).await?;
        let how = match begun.how {
            BegunHow::Started => format!("run {} has begun; {} does the work", begun.run, begun.holder),
            BegunHow::Attached => format!("run {} of this spec is unfinished; it goes on", begun.run),
            BegunHow::AlreadyDone => format!("the spec is done already, by run {}", begun.run),
        };
        let notes = [begun.of_the_earlier(), begun.left_out(&wanted)].into_iter().flatten();
        let text = std::iter::once(how).chain(notes).collect::<Vec<_>>().join("\n");
        Ok(shown(text, &status))
    }

    fn wanted(&self, wish: RunWish) -> Result<RunRequest, Problem> {
        let usage = |text: &str| Problem::new(Kind::Usage, text);
        let given = wish.project.map(PathBuf::from);
        let project = match (given, self.project) {
            (Some(path), Some(own)) => own.join(path),
            (Some(path), None) => path,
            (None, Some(own)) => own.to_path_buf(),
            (None, None) => return Err(usage("`project` is missing; give the absolute path of the repository")),
        };
        if !project.is_absolute() {
            return Err(usage("`project` must be an absolute path"));
        }
        let is_name = |text: &str| text.ends_with(".md") && !text.contains(char::is_whitespace);
        if let Some(text) = wish.spec.as_deref().map(str::trim).filter(|text| is_name(text)) {
            return Err(usage(&format!(
                "`spec` is the spec's text, and '{text}' is the name of a file: give it as `path`"
            )));
        }
        let spec = match (wish.spec, wish.path) {
            (Some(text), None) => text,
            (None, Some(path)) => read_spec(Some(&project.join(path)), &project)?,
            (None, None) => read_spec(None, &project)?,
            (Some(_), Some(_)) => return Err(usage("give the spec's text in `spec`, or its file in `path`, not both")),
        };
        let agents = wish.agents.iter().map(|text| start::role_and_agent(text));
        let agents = agents.collect::<Result<_, _>>().map_err(|why| usage(&format!("`agents`: {why}")))?;
        Ok(RunRequest {
            project,
            spec,
            workflow: wish.workflow,
            overrides: Overrides {
                agents,
                max_parallel: wish.max_parallel,
                max_iterations: wish.max_iterations,
                budget_usd: wish.budget_usd,
                budget_tokens: wish.budget_tokens,
            },
            base: wish.base,
        })
    }

    async fn events(&self, wish: Audit) -> Result<Answer, Problem> {
        let limit = wish.limit.map_or(EVENTS.0, |limit| limit as usize).clamp(1, EVENTS.1);
        let query = EventQuery {
            since: wish.since,
            until: wish.until,
            run: wish.run,
            ticket: wish.ticket,
            actor: wish.actor,
            kind: wish.kind,
            ..EventQuery::default()
        };
        let (events, left_out) = self.ask(|client| async move { newest(&client, &query, limit).await }).await?;
        let mut lines: Vec<String> = events.iter().map(audit_line).collect();
        if left_out > 0 {
            lines.insert(0, format!("({left_out} earlier ones fit as well)"));
        }
        if lines.is_empty() {
            lines.push("no event fits".into());
        }
        Ok(shown(lines.join("\n"), &json!({ "events": events, "left_out": left_out })))
    }
}

/// The newest events, and how many earlier ones there are.
async fn newest(client: &Client, query: &EventQuery, limit: usize) -> Result<(Vec<Record>, usize), Problem> {
    let mut lines = client.lines(StreamEvents::at().query(query)).await?;
    let (mut kept, mut left_out) = (VecDeque::new(), 0);
    while let Some(line) = lines.next().await? {
        let Ok(record) = serde_json::from_slice::<Record>(&line) else { continue };
        kept.push_back(record);
        if kept.len() > limit {
            kept.pop_front();
            left_out += 1;
        }
    }
    Ok((kept.into(), left_out))
}

/// The arguments with an object in `agents` (role to agent) as the list that the form asks for. Some clients tell their
/// model that an object without named fields takes nothing, so the form has none.
fn pairs_listed(mut arguments: Map<String, Value>) -> Map<String, Value> {
    if let Some(agents) = arguments.get_mut("agents")
        && let Some(pairs) = agents.as_object()
    {
        let pair = |(role, agent): (&String, &Value)| format!("{role}={}", agent.as_str().unwrap_or_default());
        *agents = pairs.iter().map(pair).collect();
    }
    arguments
}

fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(arguments.into())
        .map_err(|e| Problem::new(Kind::Usage, format!("the arguments cannot be read: {e}")))
}

/// The run that is meant.
fn named(run: Option<&str>) -> &str {
    run.unwrap_or("@last")
}

fn shown(text: String, document: &impl Serialize) -> Answer {
    match serde_json::to_value(document) {
        Ok(data) => Answer { text, data: Some(data), failed: false },
        Err(e) => Answer::failed(format!("the answer cannot be written down: {e}")),
    }
}

fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn status_text(status: &RunStatus) -> String {
    let reason = status.reason.as_deref().map(|r| format!(": {}", one_line(r))).unwrap_or_default();
    let tickets = &status.tickets;
    let mut text = format!(
        "run {} of {} ({}) is {}{reason}; tickets: {} open, {} in progress, {} done, {} blocked",
        status.run,
        status.milestone,
        one_line(&status.title),
        status.state,
        tickets.open,
        tickets.in_progress,
        tickets.done,
        tickets.blocked
    );
    for waiting in &status.waiting {
        text.push_str(&format!("\nwaiting: {}: {}", waiting.ticket, one_line(&waiting.why)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_may_be_an_object_or_a_list() {
        let tool = words::TOOLS.iter().find(|tool| tool.name == "run_start").unwrap();
        let read_agents = |agents: Value| {
            let arguments = Map::from_iter([("agents".to_owned(), agents)]);
            let wish: RunWish = read(check(&(tool.form)(), pairs_listed(arguments)).unwrap()).unwrap();
            wish.agents
        };
        for agents in [json!({"executor": "codex"}), json!(["executor=codex"]), json!("executor=codex")] {
            assert_eq!(read_agents(agents), ["executor=codex"]);
        }
        assert!(read_agents(Value::Null).is_empty());
    }
}
