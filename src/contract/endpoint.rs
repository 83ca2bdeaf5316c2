//! What an endpoint is, and a call of one: its path, filled in and typed with what goes in and comes out.
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fmt::{Display, Write},
    marker::PhantomData,
};

/// An HTTP method that the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads; changes nothing.
    Get,
    /// Changes something.
    Post,
}

impl Method {
    /// As HTTP writes it.
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// Who may call an endpoint, and so which socket serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A user, over the main socket.
    User,
    /// A worker outside any run, over the main socket, with the token of its claim in the request's document.
    Worker,
    /// An attempt, over its own socket, with its token as `Authorization: Bearer`.
    Attempt,
}

impl Caller {
    /// As documents write it.
    pub fn word(self) -> &'static str {
        match self {
            Caller::User => "user",
            Caller::Worker => "worker",
            Caller::Attempt => "attempt",
        }
    }
}

/// Only the table makes endpoints: one that is served stands in it.
pub(super) mod sealed {
    /// Implemented by the table.
    pub trait Listed {}
}

/// A document of the API: it can be written, read, and described.
pub trait Document: Serialize + DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static> Document for T {}

/// One endpoint of the HTTP API. The table in [`super::endpoints`] has them all.
pub trait Endpoint: sealed::Listed + Copy + Send + Sync + 'static {
    /// Its name, as `StartRun`.
    const NAME: &'static str;
    /// Its method.
    const METHOD: Method;
    /// Its path, with parameters as `{run}`.
    const PATH: &'static str;
    /// The names of the parameters in its path, in their order.
    const PARAMS: &'static [&'static str];
    /// What it is for, in one sentence.
    const ABOUT: &'static str;
    /// Who may call it.
    const CALLERS: &'static [Caller];
    /// Media types of its answer, the usual one first.
    const MEDIA: &'static [&'static str];
    /// Statuses it may answer with beside 200, those that every endpoint has, and those of its path, query and body.
    const STATUSES: &'static [u16];
    /// What its query says; `()` = it has none.
    type Query: Document;
    /// What its body says; `()` = it has none.
    type Body: Document;
    /// What it answers, or one line of it where it answers in lines; `()` = bytes that are no document.
    type Answer: Document;
}

/// The schema of a document; `None` where there is none.
pub type DocumentSchema = fn(&mut SchemaGenerator) -> Option<Schema>;

/// A row of the table: an endpoint as a value.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// [`Endpoint::NAME`].
    pub name: &'static str,
    /// [`Endpoint::METHOD`].
    pub method: Method,
    /// [`Endpoint::PATH`].
    pub path: &'static str,
    /// [`Endpoint::PARAMS`].
    pub params: &'static [&'static str],
    /// [`Endpoint::ABOUT`].
    pub about: &'static str,
    /// [`Endpoint::CALLERS`].
    pub callers: &'static [Caller],
    /// [`Endpoint::MEDIA`].
    pub media: &'static [&'static str],
    /// [`Endpoint::STATUSES`].
    pub statuses: &'static [u16],
    /// The query's schema, with its fields in place.
    pub query: DocumentSchema,
    /// The body's schema, by reference.
    pub body: DocumentSchema,
    /// The answer's schema, by reference.
    pub answer: DocumentSchema,
}

impl Entry {
    /// The row of an endpoint.
    pub(super) const fn of<E: Endpoint>() -> Entry {
        Entry {
            name: E::NAME,
            method: E::METHOD,
            path: E::PATH,
            params: E::PARAMS,
            about: E::ABOUT,
            callers: E::CALLERS,
            media: E::MEDIA,
            statuses: E::STATUSES,
            query: in_place::<E::Query>,
            body: by_reference::<E::Body>,
            answer: by_reference::<E::Answer>,
        }
    }

    /// Whether the socket of the holder serves it.
    pub fn is_on_main_socket(&self) -> bool {
        self.callers.iter().any(|caller| matches!(caller, Caller::User | Caller::Worker))
    }

    /// Whether the sockets of attempts serve it.
    pub fn is_on_attempt_socket(&self) -> bool {
        self.callers.contains(&Caller::Attempt)
    }
}

fn is_nothing<T: JsonSchema>() -> bool {
    T::schema_id() == <() as JsonSchema>::schema_id()
}

fn in_place<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Schema> {
    (!is_nothing::<T>()).then(|| T::json_schema(generator))
}

fn by_reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Schema> {
    (!is_nothing::<T>()).then(|| generator.subschema_for::<T>())
}

/// A call of an endpoint: its path with the parameters filled in, and its query.
#[derive(Debug)]
pub struct Call<E> {
    uri: String,
    of: PhantomData<fn() -> E>,
}

impl<E> Clone for Call<E> {
    fn clone(&self) -> Self {
        Call { uri: self.uri.clone(), of: PhantomData }
    }
}

impl<E: Endpoint> Call<E> {
    /// With the values of the path's parameters, in their order.
    pub(super) fn new(values: &[&dyn Display]) -> Call<E> {
        let mut uri = E::PATH.to_owned();
        for (name, value) in E::PARAMS.iter().zip(values) {
            uri = uri.replacen(&format!("{{{name}}}"), &quoted(&value.to_string()), 1);
        }
        Call { uri, of: PhantomData }
    }

    /// With this query; fields that are null are left out.
    #[must_use]
    pub fn query(mut self, query: &E::Query) -> Call<E> {
        let fields = match serde_json::to_value(query) {
            Ok(Value::Object(fields)) => fields,
            // A query is an object of plain values, or nothing.
            Ok(_) | Err(_) => return self,
        };
        for (name, value) in fields {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
            };
            self.uri.push(if self.uri.contains('?') { '&' } else { '?' });
            self.uri.push_str(&name);
            self.uri.push('=');
            self.uri.push_str(&quoted(&text));
        }
        self
    }

    /// The path and the query, as they stand in a request.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

/// A text as a part of a path or query.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{
        endpoints::{GetLog, GetRun, ListRuns, ListTickets},
        logs::LogQuery,
        tickets::TicketQuery,
    };

    #[test]
    fn calls_are_paths_with_quoted_values() {
        assert_eq!(ListRuns::at().uri(), "/api/v1/runs");
        assert_eq!(GetRun::at("@last").uri(), "/api/v1/runs/@last");
        assert_eq!(GetRun::at("a/../b?c").uri(), "/api/v1/runs/a%2F..%2Fb%3Fc");
        assert_eq!(GetRun::at("{run}").uri(), "/api/v1/runs/%7Brun%7D");
    }

    #[test]
    fn queries_are_what_is_set() {
        let query = TicketQuery { run: Some("x y&z".into()), limit: Some(5), ..TicketQuery::default() };
        assert_eq!(ListTickets::at().query(&query).uri(), "/api/v1/tickets?run=x%20y%26z&limit=5");
        assert_eq!(ListTickets::at().query(&TicketQuery::default()).uri(), "/api/v1/tickets");
        let query = LogQuery { stream: Some("stderr".into()), from: 3, follow: None };
        assert_eq!(GetLog::at("BLOG-1").query(&query).uri(), "/api/v1/logs/BLOG-1?stream=stderr&from=3");
    }
}
