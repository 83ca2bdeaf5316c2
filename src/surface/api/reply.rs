//! Bodies, queries and callers in, documents and problems out: everything that is not an answer is
//! `application/problem+json`.
use super::app::App;
use crate::{
    engine::handle::{ReadError, SubmitError},
    service::{
        principal::Principal,
        problem::{Kind, Problem},
    },
    views::catalog::{Lookup, NotOne, RowError},
};
use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use std::convert::Infallible;

/// A problem as an answer.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Problem);

/// What a route answers.
pub(crate) type Answer<T> = Result<Json<T>, Failure>;

/// What a use case gave, as an answer.
pub(crate) fn answer<T>(given: Result<T, Problem>) -> Answer<T> {
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

/// Who asks: the user that this process works for, who alone may open the main socket.
pub(crate) struct Caller(pub(crate) Principal);

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Caller(app.user()))
    }
}

/// A JSON body of a form.
pub(crate) struct Input<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Input(value)),
            Err(e) => Err(Failure(Problem::new(Kind::Usage, format!("the request's body: {}", e.body_text())))),
        }
    }
}

/// A query of a form.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Asked(value)),
            Err(e) => Err(Failure(Problem::new(Kind::Usage, format!("the request's query: {}", e.body_text())))),
        }
    }
}
