//! Answering whatever has an id: a question of an attempt with yes or no, a ticket with words.
use super::client::Client;
use crate::{
    contract::{
        approvals::{ApprovalReason, TicketAnswer},
        endpoints::{AnswerTicket, Approve, Reject},
    },
    service::problem::{Kind, Problem},
    views::{approvals::ApprovalDoc, tickets::TicketFull},
};

/// What an answer came to.
pub(crate) enum Answered {
    /// Of a question of an attempt.
    Approval(ApprovalDoc),
    /// Of a ticket, which is open again.
    Ticket(TicketFull),
}

/// Gives an answer to whatever has this id.
pub(crate) async fn give(client: &Client, id: &str, text: &str) -> Result<Answered, Problem> {
    if !is_approval(id) {
        let answer = TicketAnswer { text: text.to_owned() };
        return Ok(Answered::Ticket(client.post(AnswerTicket::at(id), &answer).await?));
    }
    let (first, rest) = text.trim().split_once(|c: char| !c.is_alphanumeric()).unwrap_or((text.trim(), ""));
    let allowed = match first.to_lowercase().as_str() {
        "yes" | "y" | "allow" | "approve" | "ok" => true,
        "no" | "n" | "deny" | "reject" => false,
        _ => {
            return Err(Problem::new(Kind::Usage, format!("{id} asks for yes or no"))
                .hint("begin the answer with yes or no; the rest is the reason"));
        }
    };
    let reason = ApprovalReason { why: Some(rest.trim().to_owned()).filter(|reason| !reason.is_empty()) };
    let answered = match allowed {
        true => client.post(Approve::at(id), &reason).await?,
        false => client.post(Reject::at(id), &reason).await?,
    };
    Ok(Answered::Approval(answered))
}

/// Whether an id is one of a question (`BLOG-A1`); those of tickets end in numbers.
fn is_approval(id: &str) -> bool {
    id.to_uppercase().rsplit_once("-A").is_some_and(|(key, number)| !key.is_empty() && number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_tickets() {
        assert!(is_approval("BLOG-A1") && is_approval("blog-a12") && is_approval("A-A1"));
        assert!(!is_approval("BLOG-1") && !is_approval("A-1") && !is_approval("BLOG-2.1") && !is_approval("-A1"));
    }
}
