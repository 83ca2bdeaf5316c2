//! The API's routes: which endpoint of the contract is answered by which function.
use super::{app::App, approvals, claims, events, gc, health, log, openapi, records, runs, tickets};
use crate::{
    contract::endpoints::{
        AddComment, AddFiles, AnswerTicket, Approve, CancelRun, ChangeDepends, ClaimNext, ClaimTicket, CollectGarbage,
        CreateTicket, DiffRun, ExportRun, ForkRun, GetAttemptLog, GetHead, GetLog, GetOpenApi, GetRun, GetRunGraph,
        GetTicket, Healthz, ImportRun, ListApprovals, ListQuarantined, ListReady, ListRetrying, ListRunTickets,
        ListRuns, ListTickets, Metrics, PauseRun, Readyz, Reject, ReleaseClaim, RenewClaim, ReplayRun, ResumeRun,
        SetStatus, SetStatuses, StartRun, StreamEvents,
    },
    surface::route_table::Routes,
};

/// Every route of the API, and the signs of life.
pub(crate) fn routes() -> Routes<App> {
    Routes::new()
        .on(StartRun, runs::start)
        .on(ListRuns, runs::list)
        .on(GetRun, runs::status)
        .on(ListRunTickets, tickets::of_run)
        .on(PauseRun, runs::pause)
        .on(ResumeRun, runs::resume)
        .on(CancelRun, runs::cancel)
        .on(ReplayRun, records::replay)
        .on(DiffRun, records::diff)
        .on(ExportRun, records::export)
        .on(ForkRun, records::fork)
        .on(GetRunGraph, runs::graph)
        .on(ImportRun, records::import)
        .on(GetHead, records::head)
        .on(CollectGarbage, gc::gc)
        .on(ListTickets, tickets::list)
        .on(CreateTicket, tickets::create)
        .on(SetStatuses, tickets::statuses)
        .on(GetTicket, tickets::show)
        .on(SetStatus, tickets::status)
        .on(AddComment, tickets::comment)
        .on(AddFiles, tickets::files)
        .on(ChangeDepends, tickets::depends)
        .on(ClaimTicket, claims::claim)
        .on(RenewClaim, claims::heartbeat)
        .on(ReleaseClaim, claims::release)
        .on(AnswerTicket, approvals::answer_ticket)
        .on(ClaimNext, claims::claim_next)
        .on(ListReady, tickets::ready)
        .on(ListApprovals, approvals::list)
        .on(Approve, approvals::approve)
        .on(Reject, approvals::reject)
        .on(ListQuarantined, runs::quarantined)
        .on(ListRetrying, runs::retrying)
        .on(StreamEvents, events::events)
        .on(GetAttemptLog, log::of_attempt)
        .on(GetLog, log::of_name)
        .on(GetOpenApi, openapi::openapi)
        .on(Healthz, health::healthz)
        .on(Readyz, health::readyz)
        .on(Metrics, health::metrics)
}
