//! Leases on tickets for workers outside any run.
use super::{
    app::App,
    reply::{Answer, Caller, Input, answer},
};
use crate::contract::endpoints::{ClaimNext, ClaimTicket, ReleaseClaim, RenewClaim};
use axum::extract::{Path, State};

/// Claims one ticket.
pub(crate) async fn claim(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(wish): Input<ClaimTicket>,
) -> Answer<ClaimTicket> {
    answer(app.service.claim(&name, &wish).await)
}

/// Claims the next ready ticket.
pub(crate) async fn claim_next(State(app): State<App>, Input(wish): Input<ClaimNext>) -> Answer<ClaimNext> {
    answer(app.service.claim_next(&wish).await)
}

/// Renews a claim.
pub(crate) async fn heartbeat(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(show): Input<RenewClaim>,
) -> Answer<RenewClaim> {
    answer(app.service.heartbeat(&who, &name, show).await)
}

/// Gives a claim back.
pub(crate) async fn release(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(show): Input<ReleaseClaim>,
) -> Answer<ReleaseClaim> {
    answer(app.service.release(&who, &name, show).await)
}
