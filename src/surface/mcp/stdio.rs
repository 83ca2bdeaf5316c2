//! The server on standard input and output. Nothing else of this process writes to stdout.
use super::server::{Desk, Server};
use crate::surface::error::{Kind, Problem};
use rmcp::{
    RoleServer, ServiceExt,
    model::{ClientRequest, ErrorCode, ErrorData, JsonRpcMessage},
    service::{RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage},
    transport::{Transport, async_rw::AsyncRwTransport, stdio_pipes},
};

/// Serves until the client closes its end.
pub(crate) async fn serve(desk: Desk) -> Result<(), Problem> {
    let (input, output) = stdio_pipes();
    let transport = Patient { inner: AsyncRwTransport::new_server(input, output), initialized: false };
    let failed = |e: &dyn std::error::Error| Problem::new(Kind::General, format!("the conversation broke off: {e}"));
    let running = match Server::new(desk).serve(transport).await {
        Ok(running) => running,
        // A client that only looks whether the program starts is no error.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(e) => return Err(failed(&e)),
    };
    running.waiting().await.map(|_| ()).map_err(|e| failed(&e))
}

/// A transport that bears with what clients do before they begin: some ask `server/discover` first and go on with
/// `initialize` when there is no such method; some send notifications early.
struct Patient<T> {
    inner: T,
    initialized: bool,
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Patient<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let message = self.inner.receive().await?;
            match &message {
                JsonRpcMessage::Request(asked) => match &asked.request {
                    request if request.method() == "server/discover" => {
                        let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "server/discover", None);
                        let answer = JsonRpcMessage::error(error, Some(asked.id.clone()));
                        self.inner.send(answer).await.ok()?;
                    }
                    ClientRequest::InitializeRequest(_) => {
                        self.initialized = true;
                        return Some(message);
                    }
                    _ => return Some(message),
                },
                JsonRpcMessage::Notification(_) | JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {
                    if self.initialized {
                        return Some(message);
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
