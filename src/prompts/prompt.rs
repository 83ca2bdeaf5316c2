//! The prompt of an attempt: what it is to do, in words, for agents that read words.
//!
//! It is made of sections, in a fixed order, and has a limit (`[limits] prompt_bytes`). What does not fit is cut in this
//! order, each from its end, and the place says how much is missing: the project's context files, items of other
//! milestones, what was said about the ticket, learnings, the last verdict, what was left in the worktree, the
//! milestone's spec, the reasons of the last refusal. Never cut: the role's template and instruction, the ticket, its
//! files, its criteria, and how to speak.
use super::source::Source;
use crate::model::{
    files::Files,
    protocol::AgentInput,
    settings::AgentKind,
    ticket::{Criterion, Ticket},
    workflow::Rights,
};
use std::fmt::Write as _;

/// The templates that ship with p0, one per kind of rights.
fn template(rights: Rights) -> &'static str {
    match rights {
        Rights::Planner => include_str!("../roles/planner.md"),
        Rights::Executor => include_str!("../roles/executor.md"),
        Rights::Verifier => include_str!("../roles/verifier.md"),
        Rights::Specialist => include_str!("../roles/specialist.md"),
    }
}

/// When a section is cut, the first before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    Context,
    Backlog,
    Comments,
    Learnings,
    Verdict,
    Carried,
    Spec,
    Feedback,
    Never,
}

struct Section {
    text: String,
    cut: Cut,
}

/// The most comments that are shown; the older ones stand on the ticket.
const MOST_COMMENTS: usize = 20;

/// The prompt.
pub(super) fn prompt(source: &Source<'_>, input: &AgentInput, ticket: Option<&Ticket>) -> String {
    let mut sections = Vec::new();
    let mut add = |cut: Cut, title: &str, body: String| {
        if !body.trim().is_empty() {
            let text = if title.is_empty() { body } else { format!("# {title}\n\n{}", body.trim()) };
            sections.push(Section { text: text.trim_end().to_owned(), cut });
        }
    };
    add(Cut::Never, "", source.template.clone().unwrap_or_else(|| template(source.attempt.rights).to_owned()));
    let own = source.run.settings.roles.get(&source.attempt.role).and_then(|r| r.prompt.clone());
    add(Cut::Never, "", own.unwrap_or_default());
    add(Cut::Never, "How to speak", speech(source));
    for (path, text) in &source.context {
        add(Cut::Context, &format!("The project says in {path}"), text.clone());
    }
    let title = format!("The milestone {}: {}", input.milestone.id, input.milestone.title);
    add(Cut::Spec, &title, source.spec.clone());
    if let Some(ticket) = ticket {
        let title = format!("Your ticket {}: {}", ticket.seed.id, ticket.seed.title);
        let body = format!("{}\n\n{}", ticket.seed.body.trim(), owned(&ticket.seed.files));
        add(Cut::Never, &title, body);
        add(Cut::Never, "When it is good", criteria(ticket));
        let said = ticket.comments.iter().rev().take(MOST_COMMENTS).map(|c| format!("{}: {}", c.actor, c.text));
        add(Cut::Comments, "What was said about it, the newest first", list(said));
    }
    if let Some(verdict) = &input.verdict {
        let met = if verdict.met { "met" } else { "not met" };
        let body = format!("{}\n{}", verdict.rationale, list(verdict.gaps.iter().cloned()));
        add(Cut::Verdict, &format!("The last verdict: {met}"), body);
    }
    let backlog = input.backlog.iter().map(|b| format!("{}: {}", b.id, b.title));
    add(Cut::Backlog, "Unfinished items of other milestones", list(backlog));
    let learnings = input.learnings.iter().map(|l| format!("{}: {}", l.id, l.text));
    add(Cut::Learnings, "What was learned", list(learnings));
    add(Cut::Carried, "What stands in your worktree", carried(source));
    add(Cut::Feedback, "Why the last round was refused", list(input.feedback.iter().cloned()));
    fit(&mut sections, usize::try_from(source.run.settings.limits.prompt_bytes).unwrap_or(usize::MAX));
    let texts: Vec<&str> = sections.iter().map(|s| s.text.as_str()).collect();
    format!("{}\n", texts.join("\n\n"))
}

/// Cuts until it fits, or until nothing is left that may be cut.
fn fit(sections: &mut Vec<Section>, limit: usize) {
    const JOINT: usize = 2;
    loop {
        let size: usize = sections.iter().map(|s| s.text.len() + JOINT).sum();
        let Some(excess) = size.checked_sub(limit).filter(|excess| *excess > 0) else { return };
        // The last of those that go first: context files are named in the order of their weight.
        let next = sections.iter().enumerate().rev().filter(|(_, s)| s.cut != Cut::Never).min_by_key(|(_, s)| s.cut);
        let Some((at, section)) = next else { return };
        let note =
            |missing: usize| format!("\n[… {missing} bytes more: the prompt's limit of {limit} bytes is reached]");
        let room = section.text.len().saturating_sub(excess + note(section.text.len()).len());
        let end = (0..=room).rev().find(|at| section.text.is_char_boundary(*at)).unwrap_or_default();
        let heading = section.text.find('\n').unwrap_or(section.text.len());
        if end <= heading {
            sections.remove(at);
            continue;
        }
        let missing = section.text.len() - end;
        let mut text = section.text.clone();
        text.truncate(end);
        text.push_str(&note(missing));
        // Shortened once; if that was not enough, the next ones follow.
        if let Some(section) = sections.get_mut(at) {
            *section = Section { text, cut: Cut::Never };
        }
    }
}

/// How a program that is driven by an adapter says what its role may say.
fn speech(source: &Source<'_>) -> String {
    let agent = source.run.settings.agents.get(&source.attempt.agent);
    let Some(adapter) = agent.filter(|a| a.kind == AgentKind::Cli).and_then(|a| a.adapter.as_ref()) else {
        return String::new();
    };
    let (tools, line) = match source.attempt.rights {
        Rights::Planner => (
            "`plan` says all work items and the decision in one call (or `ticket`, `defer`, `decision` one by one); \
             without a decision the plan is refused",
            r#"{"type":"ticket","key":"api","title":"…","files":{"create":["…"],"modify":[]},"depends_on":[]} and {"type":"decision","decision":"continue","reason":"…"}"#,
        ),
        Rights::Executor => (
            "`ticket_status` says how your ticket stands, `request_files` asks for one file more, `question` asks what \
             only a person can answer, `learning` says what you wish you had known",
            r#"{"type":"status","status":"done","reason":"…"}"#,
        ),
        Rights::Verifier => (
            "`verdict` says whether the milestone is met, exactly once; without it you were not heard",
            r#"{"type":"verdict","met":false,"rationale":"…","gaps":["…"]}"#,
        ),
        Rights::Specialist => (
            "`feedback` files one finding; call it once for each",
            r#"{"type":"feedback","title":"…","body":"…","priority":"high","files":["…"]}"#,
        ),
    };
    let mut text =
        format!("Use the tools of the MCP server `p0`: {tools}. What you only write in your answer is not heard.");
    if adapter.says_in_text {
        text = format!(
            "Where you have the tools of the MCP server `p0`, use them: {tools}. Otherwise end your answer with lines that \
             are JSON objects, one in a line, such as {line}."
        );
    }
    text
}

/// What an earlier attempt left, and that a conversation goes on.
fn carried(source: &Source<'_>) -> String {
    let mut text = String::new();
    if source.attempt.talk.resumes.is_some() {
        text.push_str("This goes on with your earlier conversation. ");
    }
    if source.carried.is_empty() {
        if source.attempt.talk.carries.is_some() {
            text.push_str("What you left there did not fit the new base: the worktree is clean, begin anew.");
        } else if source.attempt.talk.resumes.is_some() {
            text.push_str("The worktree is clean: nothing that you changed before stands in it.");
        }
        return text;
    }
    text.push_str("It holds what an earlier attempt left unfinished; look at it (`git diff`) before you go on:\n");
    text.push_str(&list(source.carried.iter().map(|path| format!("`{path}`"))));
    text
}

fn owned(files: &Files) -> String {
    let mut text = String::from("You may create and modify only these files; anything else is refused:");
    for (what, paths) in [("create", &files.create), ("modify", &files.modify)] {
        for path in paths {
            let _ = write!(text, "\n- {what} `{path}`");
        }
    }
    text
}

fn criteria(ticket: &Ticket) -> String {
    let Some(contract) = &ticket.seed.contract else { return String::new() };
    list(contract.acceptance_criteria.iter().map(|c| match c {
        Criterion::Text(text) | Criterion::Checked { text, command: None } => text.clone(),
        Criterion::Checked { text, command: Some(command) } => format!("{text} (checked by `{}`)", command.join(" ")),
    }))
}

fn list(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str, cut: Cut) -> Section {
        Section { text: text.to_owned(), cut }
    }

    fn cut_to(limit: usize) -> Vec<String> {
        let long = |title: &str| format!("# {title}\n\n{}", "é".repeat(500));
        let mut sections = vec![
            section("template", Cut::Never),
            section(&long("context a"), Cut::Context),
            section(&long("context b"), Cut::Context),
            section(&long("spec"), Cut::Spec),
            section("ticket", Cut::Never),
            section(&long("feedback"), Cut::Feedback),
        ];
        fit(&mut sections, limit);
        sections.into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn what_fits_is_whole() {
        assert_eq!(cut_to(10_000).len(), 6);
        assert!(cut_to(10_000).iter().all(|text| !text.contains("limit")));
    }

    #[test]
    fn context_goes_first_the_last_file_before_the_others() {
        let texts = cut_to(3_900);
        assert!(texts[1].ends_with('é') && texts[2].contains("bytes more"), "{texts:?}");
        let texts = cut_to(2_500);
        assert!(texts.iter().all(|text| !text.starts_with("# context b")), "{texts:?}");
        assert!(texts.iter().any(|text| text.starts_with("# feedback") && text.ends_with('é')));
    }

    #[test]
    fn the_ticket_stays_whatever_the_limit_is() {
        assert_eq!(cut_to(10), ["template", "ticket"]);
    }

    #[test]
    fn every_limit_is_kept_where_it_can_be() {
        for limit in 20..4_500 {
            let size: usize = cut_to(limit).iter().map(|text| text.len() + 2).sum();
            assert!(size <= limit, "{size} > {limit}");
        }
    }
}
