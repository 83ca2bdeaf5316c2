//! The server on standard input and output. Nothing else of this process writes to stdout.
//!
//! Every line is answered or understood: a request whose line cannot be read gets an error at once, with its id where one
//! can be seen, because its client would wait for an answer to its time limit.
use super::{
    lines::{Incoming, MessageReader},
    server::{Server, ToolService},
};
use crate::service::problem::{Kind, Problem};
use rmcp::{
    RoleServer, ServiceExt,
    model::{ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, RequestId},
    service::{RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage},
    transport::{Transport, stdio_pipes},
};
use serde::Serialize;
use serde_json::json;
use std::{collections::VecDeque, io, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// How long the rest of a message may take whose line ended in the middle of it.
const REST_WITHIN: Duration = Duration::from_secs(1);
/// Lines in a row that cannot be read, after which the client speaks something else and the connection ends.
const MOST_UNREADABLE: usize = 100;

/// Serves until the client closes its end.
pub(crate) async fn serve(tools: ToolService) -> Result<(), Problem> {
    let (input, output) = stdio_pipes();
    let failed = |e: &dyn std::error::Error| Problem::new(Kind::General, format!("the conversation broke off: {e}"));
    let running = match Server::new(tools).serve(LineTransport::new(input, output)).await {
        Ok(running) => running,
        // A client that only looks whether the program starts is no error.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(e) => return Err(failed(&e)),
    };
    running.waiting().await.map(|_| ()).map_err(|e| failed(&e))
}

/// Messages as lines. It bears with what clients do before they begin: some ask `server/discover` first and go on with
/// `initialize` when there is no such method; some send notifications early.
struct LineTransport<R> {
    input: BufReader<R>,
    output: Output,
    reader: MessageReader,
    /// What was read and not yet handed on.
    waiting: VecDeque<Incoming>,
    /// The line that is being read, without what was too long of it.
    line: Vec<u8>,
    too_long: bool,
    ended: bool,
    /// When the rest of a message is no longer waited for.
    rest_until: Option<Instant>,
    rest_within: Duration,
    initialized: bool,
    unreadable: usize,
}

impl<R: AsyncRead + Send + Unpin> LineTransport<R> {
    fn new(input: R, output: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            input: BufReader::new(input),
            output: Output::new(output),
            reader: MessageReader::default(),
            waiting: VecDeque::new(),
            line: Vec::new(),
            too_long: false,
            ended: false,
            rest_until: None,
            rest_within: REST_WITHIN,
            initialized: false,
            unreadable: 0,
        }
    }

    /// Reads on to the end of a line, to the end of all, or until the rest of a message is waited for no longer. What was
    /// read is kept when this is dropped halfway.
    async fn read(&mut self) {
        loop {
            let available = match self.rest_until {
                Some(until) => match tokio::time::timeout_at(until, self.input.fill_buf()).await {
                    Ok(available) => available,
                    Err(_) => {
                        self.rest_until = None;
                        if is_whole(&self.line) {
                            // Its line feed does not come, and its sender waits.
                            self.take_line();
                        } else {
                            self.waiting.extend(self.reader.give_up());
                        }
                        return;
                    }
                },
                None => self.input.fill_buf().await,
            };
            // A pipe that cannot be read has ended for us.
            let available = available.unwrap_or_default();
            if available.is_empty() {
                self.ended = true;
                self.take_line();
                self.waiting.extend(self.reader.give_up());
                return;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            self.too_long |= self.line.len() + part.len() > LONGEST_LINE;
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let taken = end.map_or(available.len(), |end| end + 1);
            self.input.consume(taken);
            if end.is_none() && is_whole(&self.line) {
                self.rest_until = Some(Instant::now() + self.rest_within);
            }
            if end.is_some() {
                self.take_line();
                return;
            }
        }
    }

    fn take_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            let why = format!("the line is longer than {LONGEST_LINE} bytes");
            self.waiting.push_back(Incoming::refused(ErrorCode::PARSE_ERROR, &line, why));
        } else {
            self.waiting.extend(self.reader.line(&line));
        }
        self.rest_until = self.reader.is_within().then(|| Instant::now() + self.rest_within);
    }

    /// A message for the server, or what is done about anything else.
    fn pass_on(&mut self, incoming: Incoming) -> Option<RxJsonRpcMessage<RoleServer>> {
        let message = match incoming {
            Incoming::Message(message) => *message,
            Incoming::Refused { id, code, why } => {
                self.unreadable += 1;
                self.output.refuse(id, code, why);
                return None;
            }
            Incoming::Ignored => return None,
        };
        self.unreadable = 0;
        match &message {
            JsonRpcMessage::Request(asked) if asked.request.method() == "server/discover" => {
                let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "server/discover", None);
                self.output.answer(&JsonRpcMessage::error(error, Some(asked.id.clone())));
                None
            }
            JsonRpcMessage::Request(asked) => {
                self.initialized |= matches!(asked.request, ClientRequest::InitializeRequest(_));
                Some(message)
            }
            JsonRpcMessage::Notification(_) | JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {
                self.initialized.then_some(message)
            }
        }
    }
}

/// Whether what there is of a line is a message already.
fn is_whole(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b"}") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

impl<R: AsyncRead + Send + Unpin> Transport<RoleServer> for LineTransport<R> {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let written = self.output.write(&item);
        async move { written.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe)) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            while let Some(incoming) = self.waiting.pop_front() {
                if let Some(message) = self.pass_on(incoming) {
                    return Some(message);
                }
            }
            if self.ended || self.unreadable >= MOST_UNREADABLE {
                return None;
            }
            self.read().await;
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.output.close().await;
        Ok(())
    }
}

/// What is written to the client, one line after the other, each whole.
struct Output {
    lines: Option<mpsc::UnboundedSender<(String, oneshot::Sender<()>)>>,
    task: Option<JoinHandle<()>>,
}

impl Output {
    fn new(mut output: impl AsyncWrite + Send + Unpin + 'static) -> Output {
        let (lines, mut queue) = mpsc::unbounded_channel::<(String, oneshot::Sender<()>)>();
        let task = tokio::spawn(async move {
            while let Some((line, written)) = queue.recv().await {
                if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
                    return;
                }
                // An answer that nobody waits for is written all the same.
                let _ = written.send(());
            }
        });
        Output { lines: Some(lines), task: Some(task) }
    }

    /// Writes a message; the answer comes when it is written, and is an error when it cannot be.
    fn write(&self, message: &impl Serialize) -> oneshot::Receiver<()> {
        let (written, done) = oneshot::channel();
        if let (Some(lines), Ok(text)) = (&self.lines, serde_json::to_string(message)) {
            let _ = lines.send((text + "\n", written));
        }
        done
    }

    /// Writes the answer to what cannot be read. Where no id could be seen it is null, as JSON-RPC 2.0 has it; rmcp's own
    /// error would leave it out.
    fn refuse(&self, id: Option<RequestId>, code: ErrorCode, why: String) {
        let error = ErrorData::new(code, why, None);
        drop(self.write(&json!({ "jsonrpc": "2.0", "id": id, "error": error })));
    }

    /// Writes an answer without waiting for it.
    fn answer(&self, message: &TxJsonRpcMessage<RoleServer>) {
        drop(self.write(message));
    }

    /// Ends when everything is written.
    async fn close(&mut self) {
        self.lines = None;
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What a client reads that writes `input` and closes its end.
    async fn spoken(input: &[u8]) -> (Vec<String>, Vec<Value>) {
        let (mut client, theirs) = tokio::io::duplex(64 * 1024);
        let mut transport = LineTransport::new(io::Cursor::new(input.to_vec()), theirs);
        let mut heard = Vec::new();
        while let Some(message) = transport.receive().await {
            heard.push(match message {
                JsonRpcMessage::Request(asked) => format!("{} {}", asked.request.method(), asked.id),
                JsonRpcMessage::Notification(_) => "notification".into(),
                JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => "answer".into(),
            });
        }
        transport.close().await.unwrap();
        drop(transport);
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut client, &mut text).await.unwrap();
        (heard, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn short(answers: &[Value]) -> Vec<(Value, i64)> {
        answers.iter().map(|a| (a["id"].clone(), a["error"]["code"].as_i64().unwrap())).collect()
    }

    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

    #[tokio::test]
    async fn what_can_be_meant_in_one_way_only_is_taken_so() {
        let cases: &[(&str, Vec<u8>, &[&str])] = &[
            ("plain", format!("{PING}\n").into(), &["ping 1"]),
            ("no line feed at the end", PING.into(), &["ping 1"]),
            ("carriage return", format!("{PING}\r\n").into(), &["ping 1"]),
            ("byte order mark", format!("\u{feff}{PING}\n").into(), &["ping 1"]),
            ("terminal sequences", format!("\u{1b}[32m{PING}\u{1b}[0m\n").into(), &["ping 1"]),
            ("two on a line", format!("{PING}{}\n", PING.replace('1', "2")).into(), &["ping 1", "ping 2"]),
            ("a batch", format!("[{PING},{}]\n", PING.replace('1', "2")).into(), &["ping 1", "ping 2"]),
            ("over two lines", PING.replace(",\"method", ",\n\"method").into(), &["ping 1"]),
            (
                "half a surrogate pair",
                br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\ud83d"}}"#.into(),
                &["ping 1"],
            ),
            ("no UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}\n".into(), &["ping \u{fffd}"]),
            ("no version", br#"{"id":1,"method":"ping"}"#.into(), &["ping 1"]),
            ("a whole float", br#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#.into(), &["ping 1"]),
            ("blank lines", format!("\n \n{PING}\n").into(), &["ping 1"]),
        ];
        for (name, input, expected) in cases {
            let (heard, answers) = spoken(input).await;
            assert_eq!((heard.join(", "), answers), (expected.join(", "), Vec::new()), "{name}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_answered_at_once() {
        let cases: &[(&str, &[u8], Value, i64)] = &[
            ("broken", br#"{"jsonrpc": broken, "id": 7}"#, json!(7), -32700),
            (
                "its id behind",
                br#"{"method":"tools/call","params":{"id":"no","x":01},"jsonrpc":"2.0","id":"b-1"}"#,
                json!("b-1"),
                -32700,
            ),
            ("names without quotes", br#"{id: 7, method: "ping"}"#, json!(7), -32700),
            ("Python", br#"{'id': 'b-1', 'method': 'ping', 'params': None}"#, json!("b-1"), -32700),
            ("half a line", br#"{"jsonrpc":"2.0","id":5,"method":"tools/call","par"#, json!(5), -32700),
            ("half a line without an id", br#"{"jsonrpc":"2.0","met"#, Value::Null, -32700),
            ("no JSON", b"Content-Length: 52", Value::Null, -32700),
            ("no object", b"\"text\"", Value::Null, -32600),
            ("an empty batch", b"[]", Value::Null, -32600),
            ("no method", br#"{"jsonrpc":"2.0","id":3}"#, json!(3), -32600),
            ("an id that is none", br#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, Value::Null, -32600),
            ("no id", br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Value::Null, -32600),
        ];
        for (name, input, id, code) in cases {
            let (heard, answers) = spoken(input).await;
            assert!(heard.is_empty(), "{name}: {heard:?}");
            assert_eq!(short(&answers), [(id.clone(), *code)], "{name}: {answers:?}");
            let text = answers[0]["error"]["message"].as_str().unwrap();
            assert!(text.len() > 10, "{name}: {text}");
        }
    }

    /// The errors name the message that they are about, and no other.
    #[tokio::test]
    async fn a_message_without_an_end_takes_no_other_with_it() {
        let cut = format!("{{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\",\n{PING}\n");
        let (heard, answers) = spoken(cut.as_bytes()).await;
        assert_eq!((heard, short(&answers)), (vec!["ping 1".to_owned()], vec![(json!(8), -32700)]), "{answers:?}");
        let without_id = format!("{{\"jsonrpc\":\"2.0\",\n{PING}\n");
        let (heard, answers) = spoken(without_id.as_bytes()).await;
        assert_eq!((heard, short(&answers)), (vec!["ping 1".to_owned()], vec![(Value::Null, -32700)]), "{answers:?}");
        let behind = format!("{PING}{{\"jsonrpc\":\"2.0\",\"met");
        let (heard, answers) = spoken(behind.as_bytes()).await;
        assert_eq!((heard, short(&answers)), (vec!["ping 1".to_owned()], vec![(Value::Null, -32700)]), "{answers:?}");
    }

    /// The client waits, and does not close its end: the answer comes all the same.
    #[tokio::test]
    async fn the_rest_of_a_message_is_not_waited_for_without_end() {
        let (client, ours) = tokio::io::duplex(64 * 1024);
        let (output, theirs) = tokio::io::duplex(64 * 1024);
        let (mut client, mut answers) = (client, BufReader::new(output));
        let mut transport = LineTransport::new(ours, theirs);
        transport.rest_within = Duration::from_millis(1);
        let serving = tokio::spawn(async move { transport.receive().await.map(|_| ()) });
        client.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":4,\n").await.unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).await.unwrap();
        assert_eq!(short(&[serde_json::from_str(&line).unwrap()]), [(json!(4), -32700)]);
        client.write_all(format!("{PING}\n").as_bytes()).await.unwrap();
        assert!(serving.await.unwrap().is_some());
    }

    /// A message whose line feed does not come is answered all the same.
    #[tokio::test]
    async fn a_whole_message_needs_no_line_feed() {
        let (mut client, theirs) = tokio::io::duplex(1024);
        let (input, output) = tokio::io::split(theirs);
        let mut transport = LineTransport::new(input, output);
        transport.rest_within = Duration::from_millis(1);
        client.write_all(&PING.as_bytes()[..10]).await.unwrap();
        let heard = tokio::spawn(async move { transport.receive().await });
        client.write_all(&PING.as_bytes()[10..]).await.unwrap();
        assert!(heard.await.unwrap().is_some());
    }

    /// A client that speaks something else is left, and so is one that gives our errors back.
    #[tokio::test]
    async fn a_flood_of_what_cannot_be_read_ends_the_connection() {
        let (_, answers) = spoken("garbage\n".repeat(3 * MOST_UNREADABLE).as_bytes()).await;
        assert_eq!(answers.len(), MOST_UNREADABLE);
        assert!(answers.iter().all(|answer| answer.get("id") == Some(&Value::Null)), "{answers:?}");
        let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#;
        assert_eq!(spoken(error.as_bytes()).await.1, Vec::<Value>::new());
    }
}
