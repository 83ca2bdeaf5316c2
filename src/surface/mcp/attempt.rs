//! The tools of one attempt: everything goes through its socket, and the socket's words come back.
use super::{
    added::without_added,
    answer::Answer,
    memory,
    own_attempt::DoorWay,
    permission::{self, Policy},
    tools::{self, Does, OneTicket, Search, Tool, Wish},
};
use crate::{
    contract::{
        attempts::AttemptNow,
        endpoints::{GetOwnAttempt, GetTicket, ListLearnings, ListTickets, RefuseTool},
    },
    model::{protocol::Message, reply::Reply, workflow::Rights},
    reader::check,
    service::problem::{Kind, Problem},
    surface::client::Client,
    views::tickets::TicketDoc,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Duration};

/// How long the list of tools waits for a socket that does not answer: programs begin without tools that come late.
const LIST_WITHIN: Duration = Duration::from_secs(1);

/// Where an attempt's calls are answered.
pub(crate) struct AttemptTools {
    attempt_socket: DoorWay,
    policy: Option<Policy>,
    rights: Option<Rights>,
}

impl AttemptTools {
    /// Over this way to the attempt's socket.
    pub(crate) fn new(client: Client) -> AttemptTools {
        AttemptTools { attempt_socket: DoorWay::new(client), policy: None, rights: None }
    }

    /// With answers to requests for permission.
    pub(crate) fn with_policy(self, policy: Policy) -> AttemptTools {
        AttemptTools { policy: Some(policy), ..self }
    }

    /// With the rights of the attempt's role, for the list of tools while the socket does not answer.
    pub(crate) fn with_rights(self, rights: Option<Rights>) -> AttemptTools {
        AttemptTools { rights, ..self }
    }

    /// The tools that the attempt may use.
    pub(super) async fn tools(&self) -> Result<Vec<&'static Tool>, Problem> {
        let Some(known) = self.rights else { return Ok(tools::of(self.now().await?.rights).collect()) };
        let asked = async { if self.attempt_socket.is_away().await { None } else { Some(self.now().await) } };
        // What the list says is what the role may use; each call is judged by the engine all the same.
        let rights = match tokio::time::timeout(LIST_WITHIN, asked).await {
            Ok(Some(now)) => now?.rights,
            Ok(None) | Err(_) => known,
        };
        Ok(tools::of(rights).collect())
    }

    /// Answers a call.
    pub(super) async fn call(&self, name: &str, arguments: Map<String, Value>) -> Answer {
        let now = match self.now().await {
            Ok(now) => now,
            Err(problem) => return problem.into(),
        };
        let Some(tool) = tools::find(name) else {
            return Answer::failed(format!("there is no tool '{name}'; there are: {}", listed(now.rights)));
        };
        if let Does::Permission = tool.does {
            return permission::answer(&self.attempt_socket, self.policy.as_ref(), arguments).await;
        }
        let allowed = tool.rights.is_none_or(|needed| needed == now.rights);
        let form = tool.form();
        let arguments = check(&form, without_added(&form, arguments));
        if !allowed {
            return self.above(tool, arguments.ok(), now.rights).await;
        }
        let arguments = match arguments {
            Ok(arguments) => arguments,
            Err(why) => return Answer::failed(format!("nothing was done; call {name} again:\n{why}")),
        };
        let answer = match tool.does {
            Does::Say(_) | Does::Plan => self.say(tool, arguments, &now).await,
            Does::ReadTickets => self.read_tickets(arguments).await,
            Does::ReadTicket => self.read_ticket(arguments).await,
            Does::Search => self.search(arguments).await,
            Does::Permission => Ok(permission::answer(&self.attempt_socket, self.policy.as_ref(), arguments).await),
        };
        answer.unwrap_or_else(Answer::from)
    }

    async fn now(&self) -> Result<AttemptNow, Problem> {
        self.attempt_socket.get(GetOwnAttempt::at()).await
    }

    /// A call of what the role may not use: said all the same, so that it is refused and recorded where that is done.
    async fn above(&self, tool: &Tool, arguments: Option<Map<String, Value>>, rights: Rights) -> Answer {
        let message = arguments.and_then(|arguments| tool.messages(arguments).ok()).and_then(|m| m.into_iter().next());
        let refused = match message {
            Some(message) => match self.attempt_socket.say(&message).await {
                Ok(Reply::Refused { why }) => why,
                Ok(_) => format!("'{}' is not for your role", tool.name),
                Err(problem) => return problem.into(),
            },
            None => match self.attempt_socket.post_at(RefuseTool::at(tool.name), &json!({})).await {
                Ok(_) => format!("'{}' is not for your role", tool.name),
                Err(problem) => problem.detail,
            },
        };
        Answer::failed(format!("refused, and recorded: {refused}. You may use: {}", listed(rights)))
    }

    async fn say(&self, tool: &Tool, arguments: Map<String, Value>, now: &AttemptNow) -> Result<Answer, Problem> {
        let messages = match tool.messages(arguments) {
            Ok(messages) => messages,
            Err(why) => return Ok(Answer::failed(format!("nothing was done; call {} again:\n{why}", tool.name))),
        };
        if let Err(why) = once(&messages, &now.staged) {
            return Ok(Answer::failed(format!("nothing was done: {why}")));
        }
        for (n, message) in messages.iter().enumerate() {
            let reply = match self.attempt_socket.say(message).await {
                Ok(reply) => reply,
                Err(problem) if n > 0 => {
                    let told = format!("{n} of {} are on record, then: {}", messages.len(), Answer::from(problem).text);
                    return Ok(Answer::failed(told));
                }
                Err(problem) => return Err(problem),
            };
            match reply {
                Reply::Refused { why } => return Ok(Answer::failed(refused(message, &why))),
                Reply::Ignored => return Ok(Answer::failed("nothing changed: this attempt is over")),
                _ => {}
            }
        }
        Ok(Answer::told(taken(tool, &messages, now)))
    }

    async fn read_tickets(&self, arguments: Map<String, Value>) -> Result<Answer, Problem> {
        let wish: Wish = read(arguments)?;
        let tickets = self.attempt_socket.get(ListTickets::at()).await?;
        let fits = |ticket: &&TicketDoc| {
            wish.status.as_ref().is_none_or(|status| *status == ticket.status)
                && wish.kind.as_ref().is_none_or(|kind| json!(ticket.kind) == json!(kind))
        };
        let shown = tickets.iter().filter(fits);
        let rows: Vec<Value> = if wish.full { shown.map(|t| json!(t)).collect() } else { shown.map(row).collect() };
        Ok(Answer::document(&json!({ "tickets": rows })))
    }

    async fn read_ticket(&self, arguments: Map<String, Value>) -> Result<Answer, Problem> {
        let one: OneTicket = read(arguments)?;
        let ticket = self.attempt_socket.document(GetTicket::at(&one.ticket)).await?;
        Ok(Answer::document(&ticket))
    }

    async fn search(&self, arguments: Map<String, Value>) -> Result<Answer, Problem> {
        let wish: Search = read(arguments)?;
        let learnings = self.attempt_socket.get(ListLearnings::at()).await?;
        let tickets = self.attempt_socket.get(ListTickets::at()).await?;
        let texts = memory::texts(&learnings, &tickets);
        let limit = wish.limit.map_or(memory::USUAL, |limit| limit as usize).clamp(1, memory::MOST);
        Ok(Answer::told(memory::told(&texts, &wish.query, limit)))
    }
}

fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(arguments.into())
        .map_err(|e| Problem::new(Kind::Usage, format!("the arguments cannot be read: {e}")))
}

/// The names of what a role may use.
fn listed(rights: Rights) -> String {
    tools::of(rights).map(|tool| tool.name).collect::<Vec<_>>().join(", ")
}

/// What may be said once only, and would refuse everything else with it if it were said twice.
fn once(messages: &[Message], staged: &[Message]) -> Result<(), String> {
    for (word, what) in [("verdict", "exactly one verdict"), ("decision", "exactly one decision")] {
        let says = |said: &[Message]| said.iter().any(|m| m.word() == word);
        if says(messages) && says(staged) {
            return Err(format!(
                "this attempt has said its {word} already, and {what} counts; go on, and end when you are finished"
            ));
        }
    }
    let mut keys = BTreeSet::new();
    let items = staged.iter().chain(messages).filter_map(|m| match m {
        Message::Ticket(proposal) => proposal.key.as_deref(),
        _ => None,
    });
    for key in items {
        if !keys.insert(key) {
            return Err(format!("the key '{key}' stands for another ticket of this plan already; choose another key"));
        }
    }
    Ok(())
}

fn refused(message: &Message, why: &str) -> String {
    let next = match message {
        Message::RequestFiles { .. } => {
            ". These files are not yours: do the work without them, or say ticket_status blocked with what you need"
        }
        _ => "",
    };
    format!("refused: {why}{next}")
}

/// What happens with what was said.
fn taken(tool: &Tool, messages: &[Message], now: &AttemptNow) -> String {
    if messages.iter().any(Message::is_staged) {
        return format!(
            "the {} is noted. It is applied at your clean end (exit 0), together with everything else you noted, or \
             refused as a whole with the reasons",
            tool.name
        );
    }
    match messages {
        [Message::RequestFiles { .. }] => "granted: the files are yours now".into(),
        [Message::Comment { .. }] if now.ticket.is_none() => {
            "on record in the log; you have no ticket of your own that would show it".into()
        }
        [Message::Question { .. }] => {
            "on record. If you cannot go on without the answer, end now without changing files: the ticket waits for \
             the answer, and the next round has it"
                .into()
        }
        [one] => format!("the {} is on record", one.word()),
        _ => "on record".into(),
    }
}

/// An item in one row: what a plan is made from, without the long texts.
fn row(ticket: &TicketDoc) -> Value {
    let mut row = json!({
        "id": ticket.id, "title": ticket.title, "kind": ticket.kind, "status": ticket.status,
        "priority": ticket.priority, "files": ticket.files,
    });
    let more = [
        ("category", json!(ticket.category)),
        ("parent", json!(ticket.parent)),
        ("depends_on", json!(ticket.depends_on)),
        ("blocked_reason", json!(ticket.blocked_reason)),
        ("deferred", json!(ticket.deferred)),
        ("commit", json!(ticket.commit)),
        ("comments", json!(ticket.comments.len())),
    ];
    for (name, value) in more {
        if !value.is_null() && value != json!([]) && value != json!(0) {
            row[name] = value;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Message {
        Message::Verdict { met: true, rationale: String::new(), gaps: Vec::new() }
    }

    #[test]
    fn what_counts_once_is_said_once() {
        assert!(once(&[verdict()], &[]).is_ok());
        assert!(once(&[verdict()], &[verdict()]).unwrap_err().contains("exactly one verdict"));
        let ticket = |key: &str| {
            Message::Ticket(crate::model::protocol::Proposal { key: Some(key.into()), ..Default::default() })
        };
        assert!(once(&[ticket("a"), ticket("b")], &[]).is_ok());
        assert!(once(&[ticket("a")], &[ticket("a")]).unwrap_err().contains("'a'"));
    }
}
