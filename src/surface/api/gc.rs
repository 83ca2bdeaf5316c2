//! Archiving and removing.
use super::{
    app::App,
    reply::{Answer, Caller, Input, answer},
};
use crate::contract::gc::{GcDoc, GcRequest};
use axum::extract::State;

/// Archives what is long over, and removes what nothing needs any more.
pub(crate) async fn gc(State(app): State<App>, Caller(who): Caller, Input(wish): Input<GcRequest>) -> Answer<GcDoc> {
    answer(app.service.gc(who, wish).await)
}
