//! Which role may say what: the roles of `model::workflow::Rights`.
use p0_model::{
    protocol::{Message, OwnStatus},
    ticket::Priority,
    workflow::Rights,
};

/// Whether a role with these rights may say this under these rules ([`p0_model::event::RULES`]); if not, why, in a
/// sentence the agent can act on.
///
/// # Errors
/// The sentence.
pub fn may_say(rights: Rights, rules: u32, message: &Message) -> Result<(), String> {
    let needed = match message {
        Message::Ticket(_) | Message::Defer { .. } | Message::Decision { .. } | Message::Curate { .. } => {
            Rights::Planner
        }
        Message::Status { .. } | Message::Subtask(_) | Message::RequestFiles { .. } => Rights::Executor,
        Message::Verdict { .. } => Rights::Verifier,
        Message::Feedback { .. } => Rights::Specialist,
        // What waits for an answer is a ticket.
        Message::Question { .. } if rules >= 3 => Rights::Executor,
        Message::Comment { .. }
        | Message::Learning { .. }
        | Message::Artifact { .. }
        | Message::Checklist { .. }
        | Message::Confidence { .. }
        | Message::Usage { .. }
        | Message::Session { .. }
        | Message::Failed { .. }
        | Message::Activity { .. }
        | Message::Permission { .. }
        | Message::Ask { .. }
        | Message::RateLimited { .. }
        | Message::Unreadable { .. }
        | Message::Question { .. } => return Ok(()),
    };
    if rights == needed {
        return Ok(());
    }
    let instead = match (message, rights) {
        (Message::Question { .. }, Rights::Planner) => ": decide 'stuck' with the question as the reason",
        (Message::Question { .. }, _) => ": put the question into your words about the work",
        _ => "",
    };
    Err(format!("'{}' is for {}; {} may not say it{instead}", message.word(), plural(needed), singular(rights)))
}

/// Whether a message says that something is in the way, so that an attempt that printed it must not be taken for a good one,
/// whether or not its role may say it: it cannot go on, it asks, it found something serious.
pub fn says_trouble(message: &Message) -> bool {
    match message {
        Message::Status { status, .. } => *status == OwnStatus::Blocked,
        Message::Feedback { priority, .. } => *priority == Priority::High,
        Message::Question { .. } => true,
        Message::Ticket(_)
        | Message::Defer { .. }
        | Message::Decision { .. }
        | Message::Curate { .. }
        | Message::Subtask(_)
        | Message::RequestFiles { .. }
        | Message::Verdict { .. }
        | Message::Comment { .. }
        | Message::Learning { .. }
        | Message::Artifact { .. }
        | Message::Checklist { .. }
        | Message::Confidence { .. }
        | Message::Usage { .. }
        | Message::Session { .. }
        | Message::Failed { .. }
        | Message::Activity { .. }
        | Message::Permission { .. }
        | Message::Ask { .. }
        | Message::RateLimited { .. }
        | Message::Unreadable { .. } => false,
    }
}

/// Whether a role with these rights may change files.
pub fn may_write_files(rights: Rights) -> bool {
    match rights {
        Rights::Executor => true,
        Rights::Planner | Rights::Verifier | Rights::Specialist => false,
    }
}

fn plural(rights: Rights) -> &'static str {
    match rights {
        Rights::Planner => "planners",
        Rights::Executor => "executors",
        Rights::Verifier => "verifiers",
        Rights::Specialist => "specialists",
    }
}

fn singular(rights: Rights) -> &'static str {
    match rights {
        Rights::Planner => "a planner",
        Rights::Executor => "an executor",
        Rights::Verifier => "a verifier",
        Rights::Specialist => "a specialist",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every role against every message, as one table.
    #[test]
    fn every_role_and_every_message() {
        let messages: Vec<Message> = [
            r#"{"type":"ticket","title":"t"}"#,
            r#"{"type":"defer","ticket":"A-1","reason":"r"}"#,
            r#"{"type":"decision","decision":"done"}"#,
            r#"{"type":"curate","keep":[]}"#,
            r#"{"type":"status","status":"done"}"#,
            r#"{"type":"subtask","title":"t"}"#,
            r#"{"type":"request_files","modify":["a"]}"#,
            r#"{"type":"verdict","met":true}"#,
            r#"{"type":"feedback","title":"t"}"#,
            r#"{"type":"comment","text":"t"}"#,
            r#"{"type":"learning","text":"t"}"#,
            r#"{"type":"artifact","name":"n","content":"c"}"#,
            r#"{"type":"checklist","items":[]}"#,
            r#"{"type":"confidence","value":1}"#,
            r#"{"type":"usage"}"#,
            r#"{"type":"session","session":"s"}"#,
            r#"{"type":"failed","class":"auth"}"#,
            r#"{"type":"activity","tool_calls":1}"#,
            r#"{"type":"permission","tool":"t","allowed":true}"#,
            r#"{"type":"ask","tool":"t"}"#,
            r#"{"type":"rate_limited"}"#,
            r#"{"type":"question","text":"t"}"#,
            r#"{"type":"unreadable","why":"w"}"#,
        ]
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
        let mut table = String::new();
        for message in &messages {
            let marks: String = [Rights::Planner, Rights::Executor, Rights::Verifier, Rights::Specialist]
                .map(|r| if may_say(r, p0_model::event::RULES, message).is_ok() { 'x' } else { '.' })
                .iter()
                .collect();
            table.push_str(&format!("{marks} {}\n", message.word()));
        }
        insta::assert_snapshot!(table, @r"
        x... ticket
        x... defer
        x... decision
        x... curate
        .x.. status
        .x.. subtask
        .x.. request_files
        ..x. verdict
        ...x feedback
        xxxx comment
        xxxx learning
        xxxx artifact
        xxxx checklist
        xxxx confidence
        xxxx usage
        xxxx session
        xxxx failed
        xxxx activity
        xxxx permission
        xxxx ask
        xxxx rate_limited
        .x.. question
        xxxx unreadable
        ");
    }
}
