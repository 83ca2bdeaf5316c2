//! What waits for a person.
use super::{
    app::App,
    reply::{Answer, Asked, Caller, Input, answer},
};
use crate::contract::endpoints::{AnswerTicket, Approve, ListApprovals, Reject};
use axum::extract::{Path, State};

/// The questions, the oldest first.
pub(crate) async fn list(State(app): State<App>, Asked(which): Asked<ListApprovals>) -> Answer<ListApprovals> {
    answer(app.service.approvals(&which))
}

/// Yes.
pub(crate) async fn approve(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(reason): Input<Approve>,
) -> Answer<Approve> {
    answer(app.service.answer_approval(&who, &name, reason, true).await)
}

/// No.
pub(crate) async fn reject(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(reason): Input<Reject>,
) -> Answer<Reject> {
    answer(app.service.answer_approval(&who, &name, reason, false).await)
}

/// Answers what a ticket is blocked on.
pub(crate) async fn answer_ticket(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(given): Input<AnswerTicket>,
) -> Answer<AnswerTicket> {
    answer(app.service.answer_ticket(&who, &name, given).await)
}
