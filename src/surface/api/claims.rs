//! Leases on tickets for workers outside any run. The token is made here and shown once; the log gets its hash.
use super::{
    app::App,
    edit::{shown, writer},
    names,
    reply::{Answer, Failure, Input},
};
use crate::{
    effects::clock,
    engine::handle::SubmitError,
    model::{
        Time,
        actor::Actor,
        command::Action,
        id::{MilestoneId, TicketId},
        rejection::Rejection,
        reply::Reply,
        ticket::{Claim, Holder},
    },
    surface::{
        error::{Kind, Problem},
        token,
    },
    views::tickets::{self, TicketFull},
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};

/// How long a claim lasts without a heartbeat, in seconds, when the worker does not say.
const LEASE_S: u64 = 600;
/// The longest lease, in seconds: a worker that is gone must not hold a ticket for days.
const MAX_LEASE_S: u64 = 24 * 3600;

/// Who wants a ticket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wish {
    /// The worker, as it calls itself.
    pub(crate) worker: String,
    /// Seconds the claim lasts without a heartbeat.
    #[serde(default)]
    pub(crate) lease_s: Option<u64>,
}

/// A claim, as its holder gets it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Granted {
    /// The ticket.
    pub(crate) ticket: TicketId,
    /// To be shown with every later write.
    pub(crate) token: String,
    /// When it ends unless it is renewed.
    pub(crate) expires: Time,
}

impl Wish {
    fn lease_s(&self) -> Result<u64, Problem> {
        let lease_s = self.lease_s.unwrap_or(LEASE_S);
        if self.worker.trim().is_empty() {
            return Err(Problem::new(Kind::Usage, "a worker needs a name; give it with --worker"));
        }
        if !(1..=MAX_LEASE_S).contains(&lease_s) {
            return Err(Problem::new(Kind::Usage, format!("a lease lasts from 1 to {MAX_LEASE_S} seconds")));
        }
        Ok(lease_s)
    }
}

/// Claims one ticket.
pub(crate) async fn claim(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(wish): Input<Wish>,
) -> Answer<Granted> {
    let found = names::ticket(&app.handle, &name)?;
    Ok(Json(try_claim(&app, found.milestone, Some(found.id), &wish).await??))
}

/// Claims the next ready ticket, of the milestones with the newest first.
pub(crate) async fn claim_next(State(app): State<App>, Input(wish): Input<Wish>) -> Answer<Granted> {
    wish.lease_s()?;
    let mut why = None;
    for milestone in super::tickets::open(&app.handle)?.into_iter().rev() {
        let state = names::state(&app.handle, milestone)?;
        if !app.handle.has_ready(&state) && !tickets::has_lapsed_lease(&state, clock::now()) {
            let waiting = state.tickets.values().filter(|t| t.is_unsettled());
            why = why.or_else(|| {
                waiting.into_iter().find_map(|t| {
                    let why = app.handle.why_waiting(&state, &t.seed.id)?;
                    Some(format!("{}: {why}", t.seed.id))
                })
            });
            continue;
        }
        match try_claim(&app, milestone, None, &wish).await? {
            Ok(granted) => return Ok(Json(granted)),
            // Between looking and claiming somebody else was faster, or the rules keep these for a run.
            Err(SubmitError::Rejected(rejection)) => why = why.or_else(|| Some(rejection.to_string())),
            Err(other @ (SubmitError::NoRoom(_) | SubmitError::Unredacted(_) | SubmitError::Stopped(_))) => {
                return Err(other.into());
            }
        }
    }
    Err(Failure(Rejection::NothingReady { why }.into()))
}

async fn try_claim(
    app: &App,
    milestone: MilestoneId,
    ticket: Option<TicketId>,
    wish: &Wish,
) -> Result<Result<Granted, SubmitError>, Failure> {
    let lease_s = wish.lease_s()?;
    let token = token::fresh()?;
    let token_hash = token::hash(&token);
    let timed = app.works();
    let action = Action::Claim { ticket, worker: wish.worker.clone(), token_hash, lease_s, timed };
    let accepted = match app.handle.submit(milestone, Actor::Worker(wish.worker.as_str().into()), action).await {
        Ok(accepted) => accepted,
        Err(e) => return Ok(Err(e)),
    };
    match accepted.reply {
        Reply::Claimed { ticket, .. } => {
            Ok(Ok(Granted { ticket, token, expires: tickets::expires(clock::now(), lease_s) }))
        }
        Reply::Ok
        | Reply::RunStarted { .. }
        | Reply::RunAttached { .. }
        | Reply::RunAlreadyDone { .. }
        | Reply::Ticket { .. }
        | Reply::Asked { .. }
        | Reply::Refused { .. }
        | Reply::Ignored => Err(Failure(Problem::new(Kind::General, "the engine gave no claim"))),
    }
}

/// What its holder shows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// The claim's token.
    pub(crate) token: String,
}

/// Renews a claim.
pub(crate) async fn heartbeat(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(show): Input<Shown>,
) -> Answer<Granted> {
    let found = names::ticket(&app.handle, &name)?;
    let actor = writer(&app, &found, Some(&show.token));
    let lease_s = match &found.ticket().claim {
        Some(Claim { holder: Holder::Worker { lease_s, .. }, .. }) => *lease_s,
        Some(Claim { holder: Holder::Attempt { .. }, .. }) | None => LEASE_S,
    };
    let action = Action::Heartbeat { ticket: found.id.clone(), token_hash: token::hash(&show.token) };
    app.handle.submit(found.milestone, actor, action).await?;
    let expires = tickets::expires(clock::now(), lease_s);
    Ok(Json(Granted { ticket: found.id, token: show.token, expires }))
}

/// Gives a claim back.
pub(crate) async fn release(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(show): Input<Shown>,
) -> Answer<TicketFull> {
    let found = names::ticket(&app.handle, &name)?;
    let actor = writer(&app, &found, Some(&show.token));
    let action = Action::Release { ticket: found.id.clone(), token_hash: token::hash(&show.token) };
    app.handle.submit(found.milestone, actor, action).await?;
    shown(&app, found.milestone, found.id)
}
