//! Pausing, resuming and cancelling runs.
use super::{
    app::Service,
    names,
    principal::Principal,
    problem::{Kind, Problem},
};
use crate::{
    contract::runs::SteerRequest,
    model::{command::Action, id::RunId, settings::Budget},
    views::status::RunStatus,
};

impl Service {
    /// Starts nothing new in a run.
    pub(crate) async fn pause(&self, who: &Principal, name: &str, steer: SteerRequest) -> Result<RunStatus, Problem> {
        let why = steer.why.unwrap_or_else(|| format!("paused by {}", who.name()));
        self.steer(who, name, |run| Action::PauseRun { run, why }).await
    }

    /// Lets a run go on, perhaps with another budget.
    pub(crate) async fn resume(&self, who: &Principal, name: &str, steer: SteerRequest) -> Result<RunStatus, Problem> {
        let budget = Budget { usd: steer.budget_usd, tokens: steer.budget_tokens, ..Budget::default() };
        let budget = Some(budget).filter(|wanted| *wanted != Budget::default());
        if let Some(why) = budget.as_ref().and_then(Budget::nonsense) {
            return Err(Problem::new(Kind::Usage, why));
        }
        self.steer(who, name, |run| Action::ResumeRun { run, budget }).await
    }

    /// Ends a run.
    pub(crate) async fn cancel(&self, who: &Principal, name: &str, steer: SteerRequest) -> Result<RunStatus, Problem> {
        let why = steer.why.unwrap_or_else(|| format!("cancelled by {}", who.name()));
        self.steer(who, name, |run| Action::CancelRun { run, why }).await
    }

    async fn steer(
        &self,
        who: &Principal,
        name: &str,
        action: impl FnOnce(RunId) -> Action,
    ) -> Result<RunStatus, Problem> {
        let row = names::run(&self.handle, name)?;
        self.handle.submit(row.milestone, who.actor(), action(row.id)).await?;
        self.status_of(&row)
    }
}
