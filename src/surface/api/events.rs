//! The log as a stream: server-sent events (`Accept: text/event-stream`), else one envelope per line. Following is
//! gapless: read from N to the head, wait for word of a later one, read on from where the reading ended.
use super::{
    app::App,
    reply::{Asked, Failure},
};
use crate::{
    contract::{
        endpoints::StreamEvents,
        events::{RetryingLine, StreamFailure},
    },
    engine::handle::{Handle, ReadError},
    model::record::Record,
    service::{
        history::{EventSelection, ON_THE_WAY, Reading},
        names::Point,
        problem::Problem,
    },
    system::clock,
    views::retrying::Retrying,
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::watch;

/// Events read at once.
const PAGE: usize = 512;
/// A silent stream says something so often, so that both ends notice a broken connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /events`.
pub(crate) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    Asked(query): Asked<StreamEvents>,
) -> Result<Response, Failure> {
    let wanted = app.service.select_events(&query, reading(&headers))?;
    stream_of(app.service.handle.clone(), app.closing.subscribe(), wanted).await
}

/// What the headers say of how events are read.
pub(crate) fn reading(headers: &HeaderMap) -> Reading {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    Reading {
        sse: headers.get(header::ACCEPT).and_then(text).is_some_and(|v| v.contains("text/event-stream")),
        last_seen: headers.get("last-event-id").and_then(text).and_then(|v| v.parse::<u64>().ok()),
    }
}

struct Reader {
    handle: Handle,
    head: watch::Receiver<u64>,
    retrying: watch::Receiver<BTreeMap<u64, Retrying>>,
    /// What was told of it last.
    told: Vec<Retrying>,
    closing: watch::Receiver<bool>,
    wanted: EventSelection,
    /// What was read before anything was answered.
    ahead: Option<Vec<Record>>,
    over: bool,
}

/// Why a stream has no end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The log cannot be read on.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// More may come, and somebody else will serve it.
    #[error("no more is served here")]
    Closing,
}

/// The stream as an answer. What cannot be read from the beginning is a failure; what cannot be read on is told by the
/// stream's last words.
///
/// A stream that ends has told everything that is wanted. One that is to go on breaks off where serving ends.
pub(crate) async fn stream_of(
    handle: Handle,
    closing: watch::Receiver<bool>,
    wanted: EventSelection,
) -> Result<Response, Failure> {
    let kind = if wanted.sse { "text/event-stream" } else { "application/x-ndjson" };
    let (head, retrying) = (handle.head(), handle.watch_retrying());
    let mut reader = Reader { handle, head, retrying, told: Vec::new(), closing, wanted, ahead: None, over: false };
    reader.ahead = Some(reader.page().await?);
    let pieces = stream::unfold(reader, |mut reader| async move {
        match reader.next_piece().await {
            Ok(Some(piece)) => Some((Ok(piece), reader)),
            Ok(None) => None,
            Err(Broken::Unreadable(e)) => {
                tracing::warn!("reading events after {}: {e}", reader.wanted.since);
                reader.over = true;
                Some((Ok(stream_failure(&e.into(), reader.wanted.sse)), reader))
            }
            Err(closing @ Broken::Closing) => {
                reader.over = true;
                Some((Err(closing), reader))
            }
        }
    });
    let mut response = Body::from_stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn stream_failure(problem: &Problem, sse: bool) -> Bytes {
    let problem = problem.wire();
    let text = if sse {
        serde_json::to_string(&problem).map(|json| format!("event: problem\ndata: {json}\n\n"))
    } else {
        serde_json::to_string(&StreamFailure { problem }).map(|json| format!("{json}\n"))
    };
    text.unwrap_or_default().into()
}

impl Reader {
    /// The next bytes to send; `None` at the end.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Broken> {
        while !self.over {
            let page = match self.ahead.take() {
                Some(page) => page,
                None => self.page().await?,
            };
            if page.is_empty() {
                if self.over {
                    return Ok(None);
                }
                if let Some(line) = self.news_of_retrying() {
                    return Ok(Some(line));
                }
                if !self.wanted.follow || !self.wait().await? {
                    return Ok(None);
                }
                if self.head_is_quiet() {
                    return Ok(Some(Bytes::from_static(if self.wanted.sse { b": \n\n" } else { b"\n" })));
                }
                continue;
            }
            let mut out = Vec::new();
            for record in page {
                if self.is_past(&record) {
                    self.over = true;
                    break;
                }
                self.wanted.since = record.seq;
                if self.wanted.filter.lets(&record) {
                    write(&mut out, &record, self.wanted.sse);
                }
            }
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }

    /// The next events: of the past while it lasts, then of the log. Read aside: a filter may let nothing of a long log
    /// through, and whoever has no filter must not wait for that.
    async fn page(&mut self) -> Result<Vec<Record>, ReadError> {
        if let Some(mut past) = self.wanted.past.take() {
            let since = self.wanted.since;
            let (page, past) = aside(move || {
                let later =
                    |record: &Result<Record, ReadError>| record.as_ref().map_or(true, |record| record.seq > since);
                let page: Vec<Record> = past.records.by_ref().filter(later).take(PAGE).collect::<Result<_, _>>()?;
                Ok((page, past))
            })
            .await?;
            if !page.is_empty() {
                self.wanted.past = Some(past);
                return Ok(page);
            }
            match past.covered {
                Some(covered) => self.wanted.since = since.max(covered),
                None => {
                    self.over = true;
                    return Ok(page);
                }
            }
        }
        let (handle, since) = (self.handle.clone(), self.wanted.since);
        aside(move || handle.records(since, PAGE)).await
    }

    /// A line with what is tried again right now, when that has changed.
    fn news_of_retrying(&mut self) -> Option<Bytes> {
        if !self.wanted.live {
            return None;
        }
        let run = self.wanted.filter.run;
        let concerns = |it: &&Retrying| run.is_none() || it.run.is_none() || it.run == run;
        let now: Vec<Retrying> = self.retrying.borrow_and_update().values().filter(concerns).cloned().collect();
        if now == self.told {
            return None;
        }
        self.told.clone_from(&now);
        let line = serde_json::to_string(&RetryingLine { retrying: now }).ok()?;
        Some(format!("{line}\n").into())
    }

    fn is_past(&self, record: &Record) -> bool {
        match self.wanted.until {
            None => false,
            Some(Point::Seq(seq)) => record.seq > seq,
            Some(Point::At(at)) => record.at > at,
        }
    }

    fn head_is_quiet(&self) -> bool {
        *self.head.borrow() <= self.wanted.since
    }

    /// Waits for a later event, or long enough for a sign of life; false when no later one is wanted.
    async fn wait(&mut self) -> Result<bool, Broken> {
        let pause = match self.wanted.until {
            Some(Point::Seq(seq)) if self.wanted.since >= seq => return Ok(false),
            Some(Point::At(at)) => match (at - clock::now() + ON_THE_WAY).to_std() {
                Ok(left) => left.min(KEEP_ALIVE),
                Err(_) => return Ok(false),
            },
            Some(Point::Seq(_)) | None => KEEP_ALIVE,
        };
        let since = self.wanted.since;
        tokio::select! {
            changed = self.head.wait_for(|head| *head > since) => changed.map(|_| true).map_err(|_| Broken::Closing),
            Ok(_) = self.closing.wait_for(|closing| *closing) => Err(Broken::Closing),
            Ok(()) = self.retrying.changed(), if self.wanted.live => Ok(true),
            () = tokio::time::sleep(pause) => Ok(true),
        }
    }
}

/// Runs work that reads the log on a thread for such work.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    tokio::task::spawn_blocking(work).await?
}

fn write(out: &mut Vec<u8>, record: &Record, sse: bool) {
    let Ok(json) = serde_json::to_string(record) else { return };
    if sse {
        out.extend_from_slice(format!("id: {}\nevent: {}\ndata: {json}\n\n", record.seq, record.kind).as_bytes());
    } else {
        out.extend_from_slice(json.as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{actor::Actor, event::Event, id::TicketId, record::Draft},
        service::history::Filter,
    };

    #[test]
    fn filters_take_the_beginning_of_kinds_and_actors() {
        let record = Record::new(
            3,
            &Draft {
                at: chrono::DateTime::UNIX_EPOCH,
                run: None,
                ticket: Some(TicketId::new("BLOG", 1)),
                attempt: None,
                actor: Actor::Person("ada".into()),
                event: Event::TicketCommented { text: "a\nb".into() },
            },
        );
        let lets = |filter: Filter| filter.lets(&record);
        assert!(lets(Filter::default()));
        assert!(lets(Filter { kind: Some("ticket.".into()), actor: Some("person".into()), ..Filter::default() }));
        assert!(!lets(Filter { kind: Some("run.".into()), ..Filter::default() }));
        assert!(!lets(Filter { ticket: Some(TicketId::new("BLOG", 2)), ..Filter::default() }));
        let mut out = Vec::new();
        write(&mut out, &record, true);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("id: 3\nevent: ticket.commented\ndata: {\"seq\":3,"), "{text}");
        assert_eq!(text.matches('\n').count(), 4, "a comment's line break must not end the event");
    }
}
