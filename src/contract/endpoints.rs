//! Every endpoint of the HTTP API, in one table: the server's routes, the client and the command line take paths and types
//! from here, and `GET /api/v1/openapi.json` is made from it.
//!
//! To add an endpoint: add it here, serve it in `surface::routes` (or `surface::socket`), write `schemas/` again.
use super::{
    approvals::{ApprovalQuery, ApprovalReason, ApprovalWait, TicketAnswer},
    attempts::{AttemptNow, SayQuery},
    claims::{ClaimGranted, ClaimRequest, ClaimToken},
    endpoint::{Call, Caller, Endpoint, Entry, Method, sealed},
    events::EventQuery,
    gc::{GcDoc, GcRequest},
    health::{HealthDoc, ReadyDoc},
    logs::LogQuery,
    records::{DiffQuery, ForkDoc, ForkRequest, HeadDoc, ImportDoc, ImportRequest, ReplayDoc, ReplayQuery},
    runs::{GraphDoc, GraphQuery, QuarantinedDoc, RunBegun, RunRequest, RunRowDoc, SteerRequest},
    tickets::{NewComment, NewDepends, NewStatus, NewStatuses, NewTicket, TicketQuery},
};
use crate::{
    model::{
        files::Files,
        protocol::{LearningInput, Message},
        record::Record,
        reply::Reply,
    },
    views::{
        approvals::ApprovalDoc,
        diff::Difference,
        retrying::Retrying,
        status::RunStatus,
        tickets::{TicketDoc, TicketFull},
    },
};
use serde_json::Value;
use std::fmt::Display;

const USERS: &[Caller] = &[Caller::User];
const USERS_AND_WORKERS: &[Caller] = &[Caller::User, Caller::Worker];
const USERS_AND_ATTEMPTS: &[Caller] = &[Caller::User, Caller::Attempt];
const ALL: &[Caller] = &[Caller::User, Caller::Worker, Caller::Attempt];
const ATTEMPTS: &[Caller] = &[Caller::Attempt];

macro_rules! or_nothing {
    () => {
        ()
    };
    ($form:ty) => {
        $form
    };
}

macro_rules! or_json {
    () => {
        &["application/json"]
    };
    ($media:expr) => {
        $media
    };
}

/// Each row: what it is for, the name, the method, the path, the path's parameters, who may call it; then the forms of
/// query, body and answer, the answer's media types where it is no JSON, and statuses of its own.
macro_rules! endpoints {
    ($(
        #[doc = $about:literal]
        $name:ident = $method:ident $path:literal ($($param:ident)?) for $callers:ident {
            $(query: $query:ty,)?
            $(body: $body:ty,)?
            $(answer: $answer:ty,)?
            $(media: $media:expr,)?
            $(statuses: [$($status:literal),+],)?
        }
    )+) => {
        $(
            #[doc = $about]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $name {
                /// A call of it.
                pub fn at($($param: impl Display)?) -> Call<$name> {
                    Call::new(&[$(&$param)?])
                }
            }

            impl sealed::Listed for $name {}

            impl Endpoint for $name {
                const NAME: &'static str = stringify!($name);
                const METHOD: Method = Method::$method;
                const PATH: &'static str = $path;
                const PARAMS: &'static [&'static str] = &[$(stringify!($param))?];
                const ABOUT: &'static str = $about;
                const CALLERS: &'static [Caller] = $callers;
                const MEDIA: &'static [&'static str] = or_json!($($media)?);
                const STATUSES: &'static [u16] = &[$($($status),+)?];
                type Query = or_nothing!($($query)?);
                type Body = or_nothing!($($body)?);
                type Answer = or_nothing!($($answer)?);
            }
        )+

        /// Every endpoint, in the order of the documentation.
        pub const TABLE: &[Entry] = &[$(Entry::of::<$name>()),+];
    };
}

endpoints! {
    /// Starts a run of a spec, or attaches to its unfinished one.
    StartRun = Post "/api/v1/runs" () for USERS { body: RunRequest, answer: RunBegun, statuses: [404, 422], }
    /// Lists every run, the oldest first.
    ListRuns = Get "/api/v1/runs" () for USERS { answer: Vec<RunRowDoc>, }
    /// Tells how a run stands.
    GetRun = Get "/api/v1/runs/{run}" (run) for USERS { answer: RunStatus, }
    /// Lists the tickets of a run's milestone.
    ListRunTickets = Get "/api/v1/runs/{run}/tickets" (run) for USERS { answer: Vec<TicketDoc>, }
    /// Pauses a run: what is at work ends, nothing new starts.
    PauseRun = Post "/api/v1/runs/{run}/pause" (run) for USERS { body: SteerRequest, answer: RunStatus, }
    /// Lets a paused run go on, perhaps with another budget.
    ResumeRun = Post "/api/v1/runs/{run}/resume" (run) for USERS { body: SteerRequest, answer: RunStatus, }
    /// Ends a run.
    CancelRun = Post "/api/v1/runs/{run}/cancel" (run) for USERS { body: SteerRequest, answer: RunStatus, }
    /// Decides a run again from its record, and compares.
    ReplayRun = Get "/api/v1/runs/{run}/replay" (run) for USERS { query: ReplayQuery, answer: ReplayDoc, }
    /// Tells what differs between a run's states at two points of the log.
    DiffRun = Get "/api/v1/runs/{run}/diff" (run) for USERS { query: DiffQuery, answer: Vec<Difference>, }
    /// Gives a run as one file (`.p0run`); the header `p0-run` has its id.
    ExportRun = Get "/api/v1/runs/{run}/export" (run) for USERS { media: &["application/zstd"], }
    /// Begins a new run from the state that a run had at one event.
    ForkRun = Post "/api/v1/runs/{run}/fork" (run) for USERS { body: ForkRequest, answer: ForkDoc, }
    /// Draws the tickets of a run and what they depend on.
    GetRunGraph = Get "/api/v1/runs/{run}/graph" (run) for USERS { query: GraphQuery, answer: GraphDoc, }
    /// Takes in the run file of another data directory.
    ImportRun = Post "/api/v1/imports" () for USERS { body: ImportRequest, answer: ImportDoc, }
    /// Tells where the log ends.
    GetHead = Get "/api/v1/head" () for USERS { answer: HeadDoc, }
    /// Archives runs that are long over, and removes what nothing needs.
    CollectGarbage = Post "/api/v1/gc" () for USERS { body: GcRequest, answer: GcDoc, statuses: [422], }
    /// Lists tickets: of the newest run, of one run, or of every milestone; of an attempt's milestone on its own socket.
    ListTickets = Get "/api/v1/tickets" () for USERS_AND_ATTEMPTS {
        query: TicketQuery,
        answer: Vec<TicketDoc>,
        statuses: [404],
    }
    /// Makes a ticket.
    CreateTicket = Post "/api/v1/tickets" () for USERS { body: NewTicket, answer: TicketFull, statuses: [404, 422], }
    /// Sets the status of several tickets of one milestone, all or none.
    SetStatuses = Post "/api/v1/tickets/status" () for USERS {
        body: NewStatuses,
        answer: Vec<TicketDoc>,
        statuses: [404],
    }
    /// Shows a ticket with everything about it; `@mine` is an attempt's own.
    GetTicket = Get "/api/v1/tickets/{ticket}" (ticket) for ALL { answer: TicketFull, }
    /// Sets the status of a ticket.
    SetStatus = Post "/api/v1/tickets/{ticket}/status" (ticket) for USERS_AND_WORKERS {
        body: NewStatus,
        answer: TicketFull,
    }
    /// Comments on a ticket.
    AddComment = Post "/api/v1/tickets/{ticket}/comment" (ticket) for USERS_AND_WORKERS {
        body: NewComment,
        answer: TicketFull,
    }
    /// Adds files to those that a ticket owns.
    AddFiles = Post "/api/v1/tickets/{ticket}/files" (ticket) for USERS { body: Files, answer: TicketFull, }
    /// Changes what a ticket waits for.
    ChangeDepends = Post "/api/v1/tickets/{ticket}/depends" (ticket) for USERS { body: NewDepends, answer: TicketFull, }
    /// Claims a ticket for a worker.
    ClaimTicket = Post "/api/v1/tickets/{ticket}/claim" (ticket) for USERS_AND_WORKERS {
        body: ClaimRequest,
        answer: ClaimGranted,
    }
    /// Renews a worker's claim.
    RenewClaim = Post "/api/v1/tickets/{ticket}/heartbeat" (ticket) for USERS_AND_WORKERS {
        body: ClaimToken,
        answer: ClaimGranted,
    }
    /// Gives a worker's claim back.
    ReleaseClaim = Post "/api/v1/tickets/{ticket}/release" (ticket) for USERS_AND_WORKERS {
        body: ClaimToken,
        answer: TicketFull,
    }
    /// Answers what a ticket is blocked on.
    AnswerTicket = Post "/api/v1/tickets/{ticket}/answer" (ticket) for USERS { body: TicketAnswer, answer: TicketFull, }
    /// Claims the next ready ticket for a worker.
    ClaimNext = Post "/api/v1/claims" () for USERS_AND_WORKERS {
        body: ClaimRequest,
        answer: ClaimGranted,
        statuses: [404],
    }
    /// Lists the tickets that a worker could claim now, the most urgent first.
    ListReady = Get "/api/v1/ready" () for USERS_AND_WORKERS { answer: Vec<TicketDoc>, }
    /// Lists what attempts ask a user, the oldest question first.
    ListApprovals = Get "/api/v1/approvals" () for USERS {
        query: ApprovalQuery,
        answer: Vec<ApprovalDoc>,
        statuses: [404],
    }
    /// Allows what an attempt asks for.
    Approve = Post "/api/v1/approvals/{approval}/approve" (approval) for USERS {
        body: ApprovalReason,
        answer: ApprovalDoc,
    }
    /// Denies what an attempt asks for.
    Reject = Post "/api/v1/approvals/{approval}/reject" (approval) for USERS {
        body: ApprovalReason,
        answer: ApprovalDoc,
    }
    /// Lists the milestones whose records this version cannot follow.
    ListQuarantined = Get "/api/v1/quarantined" () for USERS { answer: Vec<QuarantinedDoc>, }
    /// Lists what the engine tries again and again right now.
    ListRetrying = Get "/api/v1/retrying" () for USERS { answer: Vec<Retrying>, }
    /// Streams the log, an event per line or per server-sent event; `Last-Event-ID` goes on after an event.
    StreamEvents = Get "/api/v1/events" () for USERS_AND_ATTEMPTS {
        query: EventQuery,
        answer: Record,
        media: &["application/x-ndjson", "text/event-stream"],
        statuses: [404],
    }
    /// Gives what an attempt's program printed; the header `p0-attempt` has the attempt's id.
    GetAttemptLog = Get "/api/v1/attempts/{attempt}/log" (attempt) for USERS {
        query: LogQuery,
        media: &["application/octet-stream"],
    }
    /// Gives what a ticket's newest attempt, or an attempt, printed; the header `p0-attempt` has the attempt's id.
    GetLog = Get "/api/v1/logs/{name}" (name) for USERS { query: LogQuery, media: &["application/octet-stream"], }
    /// Gives this description of the API.
    GetOpenApi = Get "/api/v1/openapi.json" () for USERS { answer: Value, }

    /// Shows an attempt what it is.
    GetOwnAttempt = Get "/api/v1/attempt" () for ATTEMPTS { answer: AttemptNow, statuses: [404], }
    /// Says one message of the agent protocol.
    Say = Post "/api/v1/attempt/say" () for ATTEMPTS { query: SayQuery, body: Message, answer: Reply, statuses: [404], }
    /// Lists what the milestone has learned.
    ListLearnings = Get "/api/v1/attempt/learnings" () for ATTEMPTS { answer: Vec<LearningInput>, statuses: [404], }
    /// Shows a question that this attempt asked, once it is answered or the wait is over.
    GetOwnApproval = Get "/api/v1/attempt/approvals/{approval}" (approval) for ATTEMPTS {
        query: ApprovalWait,
        answer: ApprovalDoc,
    }
    /// Puts on record that an attempt called a tool which its role may not use: refused, always.
    RefuseTool = Post "/api/v1/attempt/tools/{tool}" (tool) for ATTEMPTS { body: Value, answer: Value, }

    /// Speaks the Model Context Protocol (streamable HTTP without sessions): a JSON-RPC message in, its answer out.
    Mcp = Post "/mcp" () for USERS_AND_ATTEMPTS { body: Value, answer: Value, }
    /// Tells that this program is alive, and which it is.
    Healthz = Get "/healthz" () for USERS_AND_ATTEMPTS { answer: HealthDoc, }
    /// Tells that this program takes commands.
    Readyz = Get "/readyz" () for USERS { answer: ReadyDoc, }
    /// Gives a few numbers for Prometheus.
    Metrics = Get "/metrics" () for USERS { media: &["text/plain; version=0.0.4"], }
}
