//! Bodies, queries and callers in, documents and problems out: everything that is not an answer is
//! `application/problem+json`.
use crate::{
    contract::endpoint::Endpoint,
    engine::handle::{ReadError, SubmitError},
    reader::Unambiguous,
    service::{
        principal::Principal,
        problem::{Kind, Problem},
    },
    views::catalog::{Lookup, NotOne, RowError},
};
use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// A problem as an answer.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Problem);

/// What an endpoint answers.
pub(crate) type Answer<E> = Result<Json<<E as Endpoint>::Answer>, Failure>;

/// What a use case gave, as an answer.
pub(crate) fn answer<T>(given: Result<T, Problem>) -> Result<Json<T>, Failure> {
    given.map(Json).map_err(Failure)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let wire = self.0.wire();
        let status = StatusCode::from_u16(wire.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&wire).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

macro_rules! from_problem {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure(error.into())
            }
        })*
    };
}

from_problem!(Problem, SubmitError, ReadError, NotOne, RowError, Lookup);

/// Who asks, as the way in has found out: the connection's listener, or the session of this process.
pub(crate) struct Caller(pub(crate) Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let known = parts.extensions.get::<Principal>().cloned().map(Caller);
        known.ok_or_else(|| Failure(Problem::new(Kind::Refused, "it is not known who asks")))
    }
}

/// The body of an endpoint.
pub(crate) struct Input<E: Endpoint>(pub(crate) E::Body);

impl<S: Send + Sync, E: Endpoint> FromRequest<S> for Input<E> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        Json::<E::Body>::from_request(request, state).await.map(|Json(body)| Input(body)).map_err(|e| unreadable(&e))
    }
}

/// A body that is read more tolerantly than its endpoint says, but for a key that stands twice and not alike.
pub(crate) struct RawInput(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for RawInput {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Json::<Unambiguous>::from_request(request, state).await;
        body.map(|Json(Unambiguous(body))| RawInput(body)).map_err(|e| unreadable(&e))
    }
}

fn unreadable(error: &JsonRejection) -> Failure {
    Failure(Problem::new(Kind::Usage, format!("the request's body: {}", error.body_text())))
}

/// The query of an endpoint.
pub(crate) struct Asked<E: Endpoint>(pub(crate) E::Query);

impl<S: Send + Sync, E: Endpoint> FromRequestParts<S> for Asked<E> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::<E::Query>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Asked(value)),
            Err(e) => Err(Failure(Problem::new(Kind::Usage, format!("the request's query: {}", e.body_text())))),
        }
    }
}
