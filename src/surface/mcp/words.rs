//! The table of what a person's assistant may use.
use super::wishes::{Approvals, Audit, Deciding, Naming, OneRun, OneTicket, RunWish, Saying, Steering, Tickets};
use crate::reader::{self, Form};

/// A tool of a person's assistant.
pub(super) struct Tool {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does, when to use it, what happens then.
    pub(super) about: &'static str,
    /// Whether it only looks.
    pub(super) only_looks: bool,
    /// Whether what it does cannot be taken back.
    pub(super) destroys: bool,
    /// The form of its arguments.
    pub(super) form: fn() -> Form,
    /// What a call does.
    pub(super) does: Does,
}

/// What a call does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Does {
    /// Starts a run.
    Start,
    /// Shows how one stands.
    Status,
    /// Lists them.
    Runs,
    /// Lists work items.
    Tickets,
    /// Shows one.
    Ticket,
    /// Shows events.
    Events,
    /// Steers a run.
    Steer(Steer),
    /// Lists what waits for a person.
    Approvals,
    /// Says yes or no.
    Decide(Decision),
    /// Answers in words.
    Answer,
}

/// How a run is steered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Steer {
    /// Nothing new is started.
    Pause,
    /// It goes on.
    Resume,
    /// It is ended.
    Cancel,
}

/// What is said to an approval.
#[derive(Debug, Clone, Copy)]
pub(super) enum Decision {
    /// Yes.
    Approve,
    /// No.
    Reject,
}

/// Every tool.
pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "run_start",
        about: "Start a run of a spec, as `p0 run --detach` does: agents work in the background until it is done or \
                stuck. Give the spec's text, or the path of a Markdown file. The same spec again goes on with its \
                unfinished run. Then look with run_status now and then; a run takes minutes to hours.",
        only_looks: false,
        destroys: false,
        form: reader::of::<RunWish>,
        does: Does::Start,
    },
    Tool {
        name: "run_status",
        about: "How a run stands, as `p0 status`: state, tickets, usage, and why what waits is waiting.",
        only_looks: true,
        destroys: false,
        form: reader::of::<OneRun>,
        does: Does::Status,
    },
    Tool {
        name: "runs",
        about: "List all runs, the oldest first, as `p0 runs`.",
        only_looks: true,
        destroys: false,
        form: reader::of::<Naming>,
        does: Does::Runs,
    },
    Tool {
        name: "tickets",
        about: "List the work items of a run's milestone, as `p0 tickets`.",
        only_looks: true,
        destroys: false,
        form: reader::of::<Tickets>,
        does: Does::Tickets,
    },
    Tool {
        name: "ticket",
        about: "Show one work item with everything about it, as `p0 ticket show`: text, files, attempts, comments, why \
                it waits or is blocked.",
        only_looks: true,
        destroys: false,
        form: reader::of::<OneTicket>,
        does: Does::Ticket,
    },
    Tool {
        name: "audit_search",
        about: "Search the log of everything that happened, as `p0 audit log`: the newest events that fit all filters, \
                in the order of time.",
        only_looks: true,
        destroys: false,
        form: reader::of::<Audit>,
        does: Does::Events,
    },
    Tool {
        name: "pause",
        about: "Start nothing new in a run; what is at work goes on. `resume` lets it go on.",
        only_looks: false,
        destroys: false,
        form: reader::of::<Steering>,
        does: Does::Steer(Steer::Pause),
    },
    Tool {
        name: "resume",
        about: "Let a paused run go on, with a larger budget where it was used up.",
        only_looks: false,
        destroys: false,
        form: reader::of::<Steering>,
        does: Does::Steer(Steer::Resume),
    },
    Tool {
        name: "cancel",
        about: "End a run for good; what has landed stays, unlanded work is kept aside. Ask the person first.",
        only_looks: false,
        destroys: true,
        form: reader::of::<Steering>,
        does: Does::Steer(Steer::Cancel),
    },
    Tool {
        name: "approvals",
        about: "List what agents ask a person before they go on, as `p0 approvals`. Show it to the person; do not \
                decide for them.",
        only_looks: true,
        destroys: false,
        form: reader::of::<Approvals>,
        does: Does::Approvals,
    },
    Tool {
        name: "approve",
        about: "Allow what an agent asks for, as `p0 approve`, when the person has said so.",
        only_looks: false,
        destroys: false,
        form: reader::of::<Deciding>,
        does: Does::Decide(Decision::Approve),
    },
    Tool {
        name: "reject",
        about: "Deny what an agent asks for, as `p0 reject`; the reason is told to the agent.",
        only_looks: false,
        destroys: false,
        form: reader::of::<Deciding>,
        does: Does::Decide(Decision::Reject),
    },
    Tool {
        name: "answer",
        about: "Answer a ticket that needs input, as `p0 answer`, in the person's words: it is worked on again, and \
                the next agent reads the answer. An approval is answered with yes or no.",
        only_looks: false,
        destroys: false,
        form: reader::of::<Saying>,
        does: Does::Answer,
    },
];
