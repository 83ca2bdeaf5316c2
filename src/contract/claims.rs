//! Leases on tickets for workers outside any run.
use crate::model::{Time, id::TicketId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A worker that wants a ticket.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClaimRequest {
    /// The worker, as it calls itself.
    pub worker: String,
    /// Seconds the claim lasts without a heartbeat; null = 600.
    #[serde(default)]
    pub lease_s: Option<u64>,
}

/// A claim, as its holder gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClaimGranted {
    /// The ticket.
    pub ticket: TicketId,
    /// To be shown with every later write.
    pub token: String,
    /// When the claim ends unless it is renewed.
    pub expires: Time,
}

/// What the holder of a claim shows.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClaimToken {
    /// The claim's token.
    pub token: String,
}
