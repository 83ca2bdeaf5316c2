//! Requests through an attempt's socket. An agent outlives its engine, so the socket may be away for a while.
use crate::{
    contract::{
        endpoint::{Call, Endpoint},
        endpoints::Say,
    },
    model::{protocol::Message, reply::Reply},
    service::problem::{Kind, Problem},
    surface::client::Client,
};
use serde_json::Value;
use std::time::Duration;

/// How long a socket may be away. An agent outlives its engine: the next one opens the socket again.
const DOOR_BACK_WITHIN: Duration = Duration::from_secs(20);
/// How often it is tried meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// The way to an attempt's socket.
pub(super) struct DoorWay {
    client: Client,
}

impl DoorWay {
    /// Over this client.
    pub(super) fn new(client: Client) -> DoorWay {
        DoorWay { client }
    }

    /// Whether the socket does not answer now.
    pub(super) async fn is_away(&self) -> bool {
        match &self.client {
            Client::Attempt { socket, .. } => tokio::net::UnixStream::connect(socket).await.is_err(),
            Client::Local(_) | Client::Socket(_) => false,
        }
    }

    /// Looks through the socket.
    pub(super) async fn get<E: Endpoint<Body = ()>>(&self, call: Call<E>) -> Result<E::Answer, Problem> {
        self.reach().await?;
        self.client.get(call).await
    }

    /// Looks through the socket, for a document as it comes.
    pub(super) async fn document<E: Endpoint<Body = ()>>(&self, call: Call<E>) -> Result<Value, Problem> {
        self.reach().await?;
        self.client.document(call).await
    }

    /// Says something.
    pub(super) async fn say(&self, message: &Message) -> Result<Reply, Problem> {
        self.reach().await?;
        self.client.post(Say::at(), message).await
    }

    /// Asks for what may not be there, without waiting for the socket.
    pub(super) async fn post_at<E: Endpoint>(&self, call: Call<E>, body: &E::Body) -> Result<E::Answer, Problem> {
        self.client.post(call, body).await
    }

    /// Waits until the socket is there.
    async fn reach(&self) -> Result<(), Problem> {
        let Client::Attempt { socket, .. } = &self.client else { return Ok(()) };
        let there = async {
            while tokio::net::UnixStream::connect(socket).await.is_err() {
                tokio::time::sleep(TRY_AGAIN).await;
            }
        };
        tokio::time::timeout(DOOR_BACK_WITHIN, there).await.map_err(|_| {
            Problem::new(Kind::General, "the engine does not answer now; nothing was done")
                .hint("go on with your work and call again in a minute")
        })
    }
}
