//! The table of what an attempt may use.
use super::permission::Asked;
use crate::{
    model::{
        protocol::{Message, Proposal},
        workflow::{Choice, Rights},
    },
    reader::{self, Form},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A tool of an attempt.
pub(super) struct Tool {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does, when to use it, what happens then.
    pub(super) about: &'static str,
    /// The rights it takes; `None` = every role has them.
    pub(super) rights: Option<Rights>,
    /// What a call does.
    pub(super) does: Does,
}

/// What a call does.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Says one message, the one with this `type` word.
    Say(&'static str),
    /// Says several: a plan.
    Plan,
    /// Looks at the items of the milestone.
    ReadTickets,
    /// Looks at one.
    ReadTicket,
    /// Searches.
    Search,
    /// Answers a request for permission.
    Permission,
}

/// Which items.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Wish {
    /// Only those with this status.
    pub(super) status: Option<String>,
    /// Only those of this kind.
    pub(super) kind: Option<String>,
    /// With their whole texts and comments; without, one row each.
    pub(super) full: bool,
}

/// Which item.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OneTicket {
    /// Its id, such as BLOG-2; @mine is your own ticket.
    pub(super) ticket: String,
}

/// What to look for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Search {
    /// A few words; a text that has more of them, and rarer ones, comes first.
    pub(super) query: String,
    /// How many to show at the most; 8 when left out.
    #[serde(default)]
    pub(super) limit: Option<u32>,
}

/// An item that is put off.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PutOff {
    /// The item's id.
    ticket: String,
    /// Why it can wait.
    reason: String,
}

/// A whole plan.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WholePlan {
    /// New and changed items. A new one needs a title and its files; a changed one names its id.
    #[serde(default)]
    tickets: Vec<Proposal>,
    /// Items that are not for now.
    #[serde(default)]
    defer: Vec<PutOff>,
    /// The ids of the learnings worth keeping; the others are dropped. Leave it out to keep all.
    #[serde(default)]
    curate: Option<Vec<String>>,
    /// What happens next. Exactly one per attempt.
    decision: Choice,
    /// Why.
    reason: String,
}

impl WholePlan {
    fn messages(self) -> Vec<Message> {
        let mut said: Vec<Message> = self.tickets.into_iter().map(Message::Ticket).collect();
        said.extend(self.defer.into_iter().map(|d| Message::Defer { ticket: d.ticket, reason: d.reason }));
        said.extend(self.curate.map(|keep| Message::Curate { keep }));
        said.push(Message::Decision { decision: self.decision, reason: self.reason });
        said
    }
}

impl Tool {
    /// The form of its arguments.
    pub(super) fn form(&self) -> Form {
        match self.does {
            Does::Say(word) => narrowed(word, reader::of_message(word)),
            Does::Plan => reader::of::<WholePlan>(),
            Does::ReadTickets => of_words(reader::of::<Wish>()),
            Does::ReadTicket => reader::of::<OneTicket>(),
            Does::Search => reader::of::<Search>(),
            Does::Permission => reader::of::<Asked>(),
        }
    }

    /// Whether it only looks.
    pub(super) fn only_looks(&self) -> bool {
        match self.does {
            Does::ReadTickets | Does::ReadTicket | Does::Search => true,
            Does::Say(_) | Does::Plan | Does::Permission => false,
        }
    }

    /// What it says with these arguments, which fit its form.
    ///
    /// # Errors
    /// What is wrong with them all the same.
    pub(super) fn messages(&self, mut arguments: Map<String, Value>) -> Result<Vec<Message>, String> {
        let read = |e: serde_json::Error| format!("the arguments cannot be read: {e}");
        match self.does {
            Does::Say(word) => {
                arguments.insert("type".into(), word.into());
                let message = serde_json::from_value(arguments.into()).map_err(read)?;
                match &message {
                    Message::RequestFiles { create, modify, .. }
                        if create.iter().chain(modify).all(|p| p.is_empty()) =>
                    {
                        Err("no file is named; list them in `create` or `modify`".to_owned())
                    }
                    _ => Ok(vec![message]),
                }
            }
            Does::Plan => serde_json::from_value(arguments.into()).map(WholePlan::messages).map_err(read),
            Does::ReadTickets | Does::ReadTicket | Does::Search | Does::Permission => Ok(Vec::new()),
        }
    }
}

/// What the type of a message lets pass, and nobody can mean.
fn narrowed(word: &str, mut form: Form) -> Form {
    let mut set = |field: &str, name: &str, value: Value| {
        if let Some(Value::Object(of)) = form.get_mut("properties").and_then(|all| all.get_mut(field)) {
            of.insert(name.into(), value);
        }
    };
    match word {
        "confidence" => {
            set("value", "minimum", 0.into());
            set("value", "maximum", 100.into());
        }
        "comment" | "learning" | "question" => set("text", "minLength", 1.into()),
        "feedback" => set("title", "minLength", 1.into()),
        "subtask" => {
            set("title", "minLength", 1.into());
            form.insert("required".into(), json!(["title"]));
        }
        _ => {}
    }
    form
}

/// The words that items can be chosen by.
fn of_words(mut form: Form) -> Form {
    for (field, words) in [
        ("status", json!(["open", "in_progress", "done", "blocked"])),
        ("kind", json!(["task", "fix", "feedback", "subtask"])),
    ] {
        if let Some(Value::Object(of)) = form.get_mut("properties").and_then(|all| all.get_mut(field)) {
            of.insert("enum".into(), words);
        }
    }
    form
}

/// The tool of this name.
pub(super) fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// The tools of a role with these rights.
pub(super) fn of(rights: Rights) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| tool.rights.is_none_or(|needed| needed == rights))
}

/// Every tool.
pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "plan",
        about: "Hand in the whole plan in one call: new and changed tickets, what is put off, and the decision. Use it \
                once, at the end of planning. Tickets refer to each other by `key`; every ticket lists the files it \
                will create and modify, and a file belongs to at most one live ticket. Answer every open finding with \
                a ticket of kind fix that closes it, or put it off. Everything is applied together when you end \
                cleanly, or refused together with the reasons, which the next planner reads.",
        rights: Some(Rights::Planner),
        does: Does::Plan,
    },
    Tool {
        name: "ticket",
        about: "Propose one new ticket, or change one by its `id`. Use `plan` to hand in several with the decision. \
                It waits for your clean end and is applied together with the rest of your plan; it cannot be taken \
                back.",
        rights: Some(Rights::Planner),
        does: Does::Say("ticket"),
    },
    Tool {
        name: "defer",
        about: "Put an existing item off, with a reason. High priority cannot be put off. Waits for your clean end.",
        rights: Some(Rights::Planner),
        does: Does::Say("defer"),
    },
    Tool {
        name: "decision",
        about: "Decide what happens next: continue (there is work to do), done (the verifier says that the milestone \
                is met), stuck (it cannot be met as things are). Exactly one per attempt; a `plan` has one in it. \
                Waits for your clean end.",
        rights: Some(Rights::Planner),
        does: Does::Say("decision"),
    },
    Tool {
        name: "curate",
        about: "Keep these learnings and drop all others, so that later agents read what is worth reading. Waits for \
                your clean end.",
        rights: Some(Rights::Planner),
        does: Does::Say("curate"),
    },
    Tool {
        name: "ticket_status",
        about: "Say how your own ticket stands: in_progress when you begin, done when you believe that it is finished, \
                blocked (with the reason) when you cannot go on. On record at once. Done is no proof: the work counts \
                when it has landed, after the gates.",
        rights: Some(Rights::Executor),
        does: Does::Say("status"),
    },
    Tool {
        name: "subtask",
        about: "Split a part of your own ticket off as a ticket of its own; it has your files unless it names others. \
                Use it when the ticket is too large for one attempt. Waits for your clean end.",
        rights: Some(Rights::Executor),
        does: Does::Say("subtask"),
    },
    Tool {
        name: "request_files",
        about: "Ask for files that your ticket does not own, before you create or change them: a change to a file that \
                is not yours refuses the whole attempt. The answer is in the result: granted, or which ticket owns \
                the file. A folder ends in /.",
        rights: Some(Rights::Executor),
        does: Does::Say("request_files"),
    },
    Tool {
        name: "verdict",
        about: "Judge whether the milestone is met: met or not, why, and every gap. Exactly one per attempt, at the \
                end of your checks; it cannot be taken back. Waits for your clean end.",
        rights: Some(Rights::Verifier),
        does: Does::Say("verdict"),
    },
    Tool {
        name: "feedback",
        about: "File one finding: a title of one line, what is wrong and how to see it, a priority, and the files it \
                is about. One call per finding. Waits for your clean end; the planner then answers it with a fix or \
                puts it off.",
        rights: Some(Rights::Specialist),
        does: Does::Say("feedback"),
    },
    Tool {
        name: "comment",
        about: "Say something on your own ticket that others should read there: what you found, chose, left out. On \
                record at once.",
        rights: None,
        does: Does::Say("comment"),
    },
    Tool {
        name: "learning",
        about: "Record what you wish you had known when you began, for the agents that come after you: one fact or \
                trap per call, in a sentence or two. On record at once.",
        rights: None,
        does: Does::Say("learning"),
    },
    Tool {
        name: "checklist",
        about: "Set down the steps of your work and which are done; call it again with the whole list as you go. An \
                entry that is open at your end refuses the attempt.",
        rights: None,
        does: Does::Say("checklist"),
    },
    Tool {
        name: "confidence",
        about: "Say how sure you are that your work is right, from 0 to 100. On record at once.",
        rights: None,
        does: Does::Say("confidence"),
    },
    Tool {
        name: "artifact",
        about: "Hand a document to later stages under a name (spec, plan, review). On record at once; the last one of \
                a name counts.",
        rights: None,
        does: Does::Say("artifact"),
    },
    Tool {
        name: "question",
        about: "Ask what only a person can answer, when you cannot go on without it. The answer does not come now: \
                say what you need, end, and the ticket waits for it.",
        rights: Some(Rights::Executor),
        does: Does::Say("question"),
    },
    Tool {
        name: "memory_search",
        about: "Search what this milestone has learned and written down: learnings, tickets, comments. Use it before \
                you begin, and when something surprises you.",
        rights: None,
        does: Does::Search,
    },
    Tool {
        name: "read_tickets",
        about: "List the work items of the milestone as JSON: ids, titles, status, files, what waits for what.",
        rights: None,
        does: Does::ReadTickets,
    },
    Tool {
        name: "read_ticket",
        about: "Read one work item as JSON with everything about it: text, contract, comments, attempts, why it waits.",
        rights: None,
        does: Does::ReadTicket,
    },
    Tool {
        name: "permission_prompt",
        about: "For the program that runs you, never for you: it asks here before it lets you use a tool.",
        rights: None,
        does: Does::Permission,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::rights::may_say, model::event::RULES};

    const ALL: [Rights; 4] = [Rights::Planner, Rights::Executor, Rights::Verifier, Rights::Specialist];

    /// Arguments that fit the form of a tool.
    fn sample(tool: &Tool) -> Map<String, Value> {
        let text = match tool.name {
            "plan" => {
                r#"{"tickets":[{"title":"t"}],"defer":[{"ticket":"A-1","reason":"r"}],"curate":[],"decision":"continue","reason":"r"}"#
            }
            "ticket" | "subtask" | "feedback" => r#"{"title":"t"}"#,
            "defer" => r#"{"ticket":"A-1","reason":"r"}"#,
            "decision" => r#"{"decision":"done"}"#,
            "curate" => r#"{"keep":[]}"#,
            "ticket_status" => r#"{"status":"done"}"#,
            "verdict" => r#"{"met":true}"#,
            "comment" | "learning" | "question" => r#"{"text":"t"}"#,
            "checklist" => r#"{"items":[]}"#,
            "confidence" => r#"{"value":50}"#,
            "request_files" => r#"{"create":["f"]}"#,
            "artifact" => r#"{"name":"n","content":"c"}"#,
            "memory_search" => r#"{"query":"q"}"#,
            "read_ticket" => r#"{"ticket":"A-1"}"#,
            "permission_prompt" => r#"{"tool_name":"Bash"}"#,
            _ => "{}",
        };
        serde_json::from_str(text).unwrap()
    }

    /// Every role against every tool, and no tool is listed that the kernel would refuse, or the other way round.
    #[test]
    fn every_role_and_every_tool() {
        let mut table = String::new();
        for tool in TOOLS {
            let arguments = reader::check(&tool.form(), sample(tool)).unwrap();
            let messages = tool.messages(arguments).unwrap();
            for rights in ALL {
                let listed = of(rights).any(|t| t.name == tool.name);
                let allowed = messages.iter().all(|m| may_say(rights, RULES, m).is_ok());
                assert_eq!(listed, allowed, "{} for {rights:?}", tool.name);
                table.push(if listed { 'x' } else { '.' });
            }
            table.push_str(&format!(" {}\n", tool.name));
        }
        insta::assert_snapshot!(table, @r"
        x... plan
        x... ticket
        x... defer
        x... decision
        x... curate
        .x.. ticket_status
        .x.. subtask
        .x.. request_files
        ..x. verdict
        ...x feedback
        xxxx comment
        xxxx learning
        xxxx checklist
        xxxx confidence
        xxxx artifact
        .x.. question
        xxxx memory_search
        xxxx read_tickets
        xxxx read_ticket
        xxxx permission_prompt
        ");
    }

    #[test]
    fn what_says_nothing_is_not_said() {
        let said = |name: &str, text: &str| {
            let tool = find(name).unwrap();
            let arguments = reader::check(&tool.form(), serde_json::from_str(text).unwrap());
            arguments.and_then(|arguments| tool.messages(arguments)).unwrap_err()
        };
        assert_eq!(said("question", r#"{"text":" "}"#), "`text` must not be empty");
        assert_eq!(said("comment", r#"{"text":""}"#), "`text` must not be empty");
        assert_eq!(said("request_files", r#"{"reason":"r"}"#), "no file is named; list them in `create` or `modify`");
        assert!(said("subtask", "{}").starts_with("`title` is missing"));
        assert!(
            said("read_tickets", r#"{"status":"flying"}"#).contains("must be one of open, in_progress, done, blocked")
        );
    }

    #[test]
    fn clients_can_read_every_tool() {
        for tool in TOOLS {
            let name = tool.name;
            assert!(name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
            let form = Value::Object(tool.form());
            assert_eq!(form["type"], "object", "{name}");
            let text = form.to_string();
            for word in ["$ref", "$defs", "$schema", "\"null\"", "oneOf", "allOf"] {
                assert!(!text.contains(word), "{name} has {word}: {text}");
            }
            assert!(form.get("anyOf").is_none(), "{name}");
        }
    }
}
