//! The description of the API.
use super::reply::Answer;
use crate::contract::{endpoints::GetOpenApi, openapi::document};
use axum::Json;
use serde_json::Value;
use std::sync::LazyLock;

/// Always the same for one version.
static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The OpenAPI document.
pub(crate) async fn openapi() -> Answer<GetOpenApi> {
    Ok(Json(DOCUMENT.clone()))
}
