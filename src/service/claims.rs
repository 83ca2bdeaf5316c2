//! Leases on tickets for workers outside any run. The token is made here and shown once; the log gets its hash.
use super::{
    app::Service,
    edit::writer,
    names,
    principal::Principal,
    problem::{Kind, Problem},
    token,
};
use crate::{
    contract::claims::{ClaimGranted, ClaimRequest, ClaimToken},
    engine::handle::SubmitError,
    model::{
        aggregate::Aggregate,
        command::Action,
        id::{MilestoneId, TicketId},
        rejection::Rejection,
        reply::Reply,
        ticket::{Claim, Holder},
    },
    system::clock,
    views::tickets::{self, TicketFull},
};

/// How long a claim lasts without a heartbeat, in seconds, when the worker does not say.
const LEASE_S: u64 = 600;
/// The longest lease, in seconds: a worker that is gone must not hold a ticket for days.
const MAX_LEASE_S: u64 = 24 * 3600;

fn lease_s(wish: &ClaimRequest) -> Result<u64, Problem> {
    let lease_s = wish.lease_s.unwrap_or(LEASE_S);
    if wish.worker.trim().is_empty() {
        return Err(Problem::new(Kind::Usage, "a worker needs a name; give it with --worker"));
    }
    if !(1..=MAX_LEASE_S).contains(&lease_s) {
        return Err(Problem::new(Kind::Usage, format!("a lease lasts from 1 to {MAX_LEASE_S} seconds")));
    }
    Ok(lease_s)
}

impl Service {
    /// Claims one ticket.
    pub(crate) async fn claim(&self, name: &str, wish: &ClaimRequest) -> Result<ClaimGranted, Problem> {
        let found = names::ticket(&self.handle, name)?;
        Ok(self.try_claim(found.milestone, Some(found.id), wish).await??)
    }

    /// Claims the next ready ticket, of the milestones with the newest first.
    pub(crate) async fn claim_next(&self, wish: &ClaimRequest) -> Result<ClaimGranted, Problem> {
        lease_s(wish)?;
        let mut why = None;
        for milestone in self.open_milestones()?.into_iter().rev() {
            let state = names::state(&self.handle, milestone)?;
            if !self.handle.has_ready(&state) && !tickets::has_lapsed_lease(&state, clock::now()) {
                why = why.or_else(|| self.first_that_waits(&state));
                continue;
            }
            match self.try_claim(milestone, None, wish).await? {
                Ok(granted) => return Ok(granted),
                // Between looking and claiming somebody else was faster, or the rules keep these for a run.
                Err(SubmitError::Rejected(rejection)) => why = why.or_else(|| Some(rejection.to_string())),
                Err(other @ (SubmitError::NoRoom(_) | SubmitError::Unredacted(_) | SubmitError::Stopped(_))) => {
                    return Err(other.into());
                }
            }
        }
        Err(Rejection::NothingReady { why }.into())
    }

    fn first_that_waits(&self, state: &Aggregate) -> Option<String> {
        let mut waiting = state.tickets.values().filter(|t| t.is_unsettled());
        waiting.find_map(|t| {
            let why = self.handle.why_waiting(state, &t.seed.id)?;
            Some(format!("{}: {why}", t.seed.id))
        })
    }

    async fn try_claim(
        &self,
        milestone: MilestoneId,
        ticket: Option<TicketId>,
        wish: &ClaimRequest,
    ) -> Result<Result<ClaimGranted, SubmitError>, Problem> {
        let lease_s = lease_s(wish)?;
        let token = token::fresh()?;
        let token_hash = token::hash(&token);
        let worker = Principal::Worker(wish.worker.clone());
        let action = Action::Claim { ticket, worker: wish.worker.clone(), token_hash, lease_s, timed: self.works() };
        let accepted = match self.handle.submit(milestone, worker.actor(), action).await {
            Ok(accepted) => accepted,
            Err(e) => return Ok(Err(e)),
        };
        match accepted.reply {
            Reply::Claimed { ticket, .. } => {
                Ok(Ok(ClaimGranted { ticket, token, expires: tickets::expires(clock::now(), lease_s) }))
            }
            Reply::Ok
            | Reply::RunStarted { .. }
            | Reply::RunAttached { .. }
            | Reply::RunAlreadyDone { .. }
            | Reply::Ticket { .. }
            | Reply::Asked { .. }
            | Reply::Refused { .. }
            | Reply::Ignored => Err(Problem::new(Kind::General, "the engine gave no claim")),
        }
    }

    /// Renews a claim.
    pub(crate) async fn heartbeat(
        &self,
        who: &Principal,
        name: &str,
        show: ClaimToken,
    ) -> Result<ClaimGranted, Problem> {
        let found = names::ticket(&self.handle, name)?;
        let actor = writer(who, &found, Some(&show.token)).actor();
        let lease_s = match &found.ticket().claim {
            Some(Claim { holder: Holder::Worker { lease_s, .. }, .. }) => *lease_s,
            Some(Claim { holder: Holder::Attempt { .. }, .. }) | None => LEASE_S,
        };
        let action = Action::Heartbeat { ticket: found.id.clone(), token_hash: token::hash(&show.token) };
        self.handle.submit(found.milestone, actor, action).await?;
        let expires = tickets::expires(clock::now(), lease_s);
        Ok(ClaimGranted { ticket: found.id, token: show.token, expires })
    }

    /// Gives a claim back.
    pub(crate) async fn release(&self, who: &Principal, name: &str, show: ClaimToken) -> Result<TicketFull, Problem> {
        let found = names::ticket(&self.handle, name)?;
        let actor = writer(who, &found, Some(&show.token)).actor();
        let action = Action::Release { ticket: found.id.clone(), token_hash: token::hash(&show.token) };
        self.handle.submit(found.milestone, actor, action).await?;
        self.shown(found.milestone, found.id)
    }
}
