//! Work items: looking at them, making and changing them.
use super::{
    app::App,
    reply::{Answer, Asked, Caller, Input, answer},
};
use crate::contract::endpoints::{
    AddComment, AddFiles, ChangeDepends, CreateTicket, GetTicket, ListReady, ListRunTickets, ListTickets, SetStatus,
    SetStatuses,
};
use axum::extract::{Path, State};

/// The items that a query means.
pub(crate) async fn list(State(app): State<App>, Asked(which): Asked<ListTickets>) -> Answer<ListTickets> {
    answer(app.service.tickets(&which))
}

/// The items of a run's milestone.
pub(crate) async fn of_run(State(app): State<App>, Path(name): Path<String>) -> Answer<ListRunTickets> {
    answer(app.service.tickets_of_run(&name))
}

/// One item, with everything about it.
pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Answer<GetTicket> {
    answer(app.service.ticket(&name))
}

/// The items that a worker could claim now.
pub(crate) async fn ready(State(app): State<App>) -> Answer<ListReady> {
    answer(app.service.ready())
}

/// Makes an item.
pub(crate) async fn create(
    State(app): State<App>,
    Caller(who): Caller,
    Input(new): Input<CreateTicket>,
) -> Answer<CreateTicket> {
    answer(app.service.create_ticket(&who, new).await)
}

/// Sets the status of an item.
pub(crate) async fn status(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(new): Input<SetStatus>,
) -> Answer<SetStatus> {
    answer(app.service.set_status(&who, &name, new).await)
}

/// Sets the status of several items of one milestone, all or none.
pub(crate) async fn statuses(
    State(app): State<App>,
    Caller(who): Caller,
    Input(new): Input<SetStatuses>,
) -> Answer<SetStatuses> {
    answer(app.service.set_statuses(&who, new).await)
}

/// Says something about an item.
pub(crate) async fn comment(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(new): Input<AddComment>,
) -> Answer<AddComment> {
    answer(app.service.comment(&who, &name, new).await)
}

/// Adds files to those an item owns.
pub(crate) async fn files(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(more): Input<AddFiles>,
) -> Answer<AddFiles> {
    answer(app.service.add_files(&who, &name, more).await)
}

/// Changes what an item waits for.
pub(crate) async fn depends(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(new): Input<ChangeDepends>,
) -> Answer<ChangeDepends> {
    answer(app.service.change_depends(&who, &name, new).await)
}
