//! Archiving and removing.
use super::{
    app::App,
    reply::{Answer, Caller, Input, answer},
};
use crate::contract::endpoints::CollectGarbage;
use axum::extract::State;

/// Archives what is long over, and removes what nothing needs any more.
pub(crate) async fn gc(
    State(app): State<App>,
    Caller(who): Caller,
    Input(wish): Input<CollectGarbage>,
) -> Answer<CollectGarbage> {
    answer(app.service.gc(who, wish).await)
}
