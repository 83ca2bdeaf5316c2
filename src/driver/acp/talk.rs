//! The conversation: initialize, a session, the prompt, and what the answer means.
use super::{Shared, mode, permit, turn, wire};
use crate::{
    driver::{child::Line, file::Resume, out::note, plan::Plan, provider_error::ProviderError, retry_after::in_data},
    model::{
        adapter::{ErrorClass, Group, at, template},
        protocol::AgentInput,
    },
    system::clock,
};
use agent_client_protocol::{
    Agent, Client, Error, Lines, UntypedMessage, is_incoming_transport_closed,
    schema::ProtocolVersion,
    v1::{
        ConnectionTo, Responder,
        schema::{
            AGENT_METHOD_NAMES as METHODS, AuthenticateRequest, CLIENT_METHOD_NAMES, CancelNotification, ContentBlock,
            EnvVariable, Implementation, InitializeRequest, LoadSessionRequest, McpServer, McpServerStdio,
            NewSessionRequest, PromptRequest, ResumeSessionRequest, SetSessionConfigOptionRequest, TextContent,
        },
    },
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    process::ChildStdin,
    sync::{mpsc, watch},
};

/// The error code of an agent that wants a login.
const AUTH_REQUIRED: i32 = -32000;
/// Sets the model, in agents that list `models`.
const SET_MODEL: &str = "session/set_model";
/// How long a cancelled turn may take to say so.
const CANCEL_PATIENCE: Duration = Duration::from_millis(1_000);

/// How a conversation ended.
pub(super) enum Outcome {
    /// The agent ended its turn.
    Done,
    /// Somebody ended the driver.
    Stopped,
    /// The agent, or what it told, failed.
    Failed(ProviderError),
    /// The agent fell silent in the middle.
    Broken(String),
}

/// One conversation.
pub(super) struct Talk<'a> {
    pub(super) shared: Arc<Shared>,
    pub(super) input: &'a AgentInput,
    pub(super) plan: &'a Plan,
    pub(super) resume: Option<&'a Resume>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) over: watch::Receiver<bool>,
}

pub(super) type Agents = ConnectionTo<Agent>;

impl From<Error> for Outcome {
    fn from(error: Error) -> Outcome {
        outcome(&error)
    }
}

impl Talk<'_> {
    /// Runs the whole conversation; the agent's stdin is closed at its end.
    pub(super) async fn run(self, stdin: ChildStdin, lines: mpsc::Receiver<Line>) -> Outcome {
        let transport =
            Lines::new(Box::pin(wire::outgoing(stdin)), Box::pin(wire::incoming(lines, self.shared.clone())));
        let (for_updates, for_requests) = (self.shared.clone(), self.shared.clone());
        let connected = Client
            .v1()
            .on_receive_notification(
                async move |told: UntypedMessage, _: Agents| {
                    if told.method() == CLIENT_METHOD_NAMES.session_update {
                        let scope = for_updates.drive.adapter.acp.cost_scope;
                        for_updates.update(told.params(), scope);
                    }
                    Ok(())
                },
                agent_client_protocol::on_receive_notification!(),
            )
            .on_receive_request(
                async move |asked: UntypedMessage, responder: Responder, agent: Agents| {
                    if asked.method() == wire::UNREADABLE {
                        return responder.respond_with_error(Error::parse_error().data(asked.params().clone()));
                    }
                    if asked.method() != CLIENT_METHOD_NAMES.session_request_permission {
                        // Said at once: an agent that hears nothing waits for ever.
                        return responder.respond_with_error(Error::method_not_found());
                    }
                    // A person may take long to answer, and the agent goes on talking meanwhile.
                    let shared = for_requests.clone();
                    agent.spawn(async move {
                        let answer = permit::answer(&shared, asked.params()).await;
                        responder.respond(serde_json::to_value(answer)?)
                    })
                },
                agent_client_protocol::on_receive_request!(),
            )
            .connect_with(transport, async |agent: Agents| Ok(self.converse(&agent).await))
            .await;
        connected.unwrap_or_else(|error| Outcome::Broken(error.to_string()))
    }

    async fn converse(&self, agent: &Agents) -> Outcome {
        let patience = Duration::from_secs(self.shared.drive.adapter.acp.start_s);
        let mut stop = self.stop.clone();
        let started = tokio::select! {
            started = tokio::time::timeout(patience, self.start(agent)) => started,
            _ = stop.wait_for(|stop| *stop) => return Outcome::Stopped,
        };
        let session = match started {
            Ok(Ok(session)) => session,
            Ok(Err(outcome)) => return outcome,
            // Nothing was asked of it yet: a busy machine or a provider that does not answer, and no work that failed.
            Err(_) => {
                let text = format!("the agent made no session in {} seconds", patience.as_secs());
                let class = Some(ErrorClass::Overloaded);
                return Outcome::Failed(ProviderError { class, ..ProviderError::words(text) });
            }
        };
        let text = match (&self.shared.drive.system, self.shared.drive.adapter.acp.system_in_prompt) {
            (Some(system), true) => format!("{system}\n\n{}", self.input.prompt),
            (_, _) => self.input.prompt.clone(),
        };
        let prompt = PromptRequest::new(session.clone(), vec![ContentBlock::Text(TextContent::new(text))]);
        self.shared.inner().ear.prompted = true;
        let mut over = self.over.clone();
        let answered = ask(agent, METHODS.session_prompt, &prompt);
        let mut answered = std::pin::pin!(answered);
        tokio::select! {
            answer = &mut answered => turn::answered(&self.shared, answer),
            _ = stop.wait_for(|stop| *stop) => {
                self.cancel(agent, session, answered).await;
                Outcome::Stopped
            }
            _ = over.wait_for(|over| *over) => {
                self.cancel(agent, session, answered).await;
                Outcome::Failed(self.shared.inner().broke.take().unwrap_or_default())
            }
        }
    }

    /// Ends the turn in the protocol's words; what the answer says was used still counts.
    async fn cancel(&self, agent: &Agents, session: String, answered: impl Future<Output = Result<Value, Error>>) {
        let told = UntypedMessage::new(METHODS.session_cancel, CancelNotification::new(session));
        if told.is_ok_and(|told| agent.send_notification(told).is_ok())
            && let Ok(answer) = tokio::time::timeout(CANCEL_PATIENCE, answered).await
        {
            turn::answered(&self.shared, answer);
        }
    }

    /// Up to the session's id.
    async fn start(&self, agent: &Agents) -> Result<String, Outcome> {
        let hello = InitializeRequest::new(ProtocolVersion::V1)
            .client_info(Implementation::new("p0", env!("CARGO_PKG_VERSION")));
        let about = ask(agent, METHODS.initialize, &hello).await?;
        let can =
            |pointer: &str| about.pointer(pointer).is_some_and(|can| !can.is_null() && *can != Value::Bool(false));
        if let Some(resume) = self.resume {
            let resumed = if can("/agentCapabilities/loadSession") {
                self.shared.inner().ear.replaying = true;
                let request = LoadSessionRequest::new(resume.session.clone(), &self.shared.drive.worktree);
                let loaded = ask(agent, METHODS.session_load, &request.mcp_servers(self.servers())).await;
                self.shared.inner().ear.replaying = false;
                loaded
            } else if can("/agentCapabilities/sessionCapabilities/resume") {
                let request = ResumeSessionRequest::new(resume.session.clone(), &self.shared.drive.worktree);
                ask(agent, METHODS.session_resume, &request.mcp_servers(self.servers())).await
            } else {
                Err(Error::method_not_found())
            };
            match resumed {
                Ok(state) => return self.begin(agent, &resume.session, &state).await,
                Err(error) if is_incoming_transport_closed(&error) => return Err(error.into()),
                Err(error) => {
                    note(&format!("the conversation cannot be resumed ({error}); a new one begins"));
                    self.shared.inner().heard.usage_meter.begin_anew();
                }
            }
        }
        let state = self.new_session(agent, &about).await?;
        let id = state.get("sessionId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Error::internal_error().data("the agent named no session"))?.to_owned();
        self.begin(agent, &id, &state).await
    }

    async fn new_session(&self, agent: &Agents, about: &Value) -> Result<Value, Outcome> {
        let adapter = &self.shared.drive.adapter;
        let meta = adapter.acp.meta.as_ref().and_then(|meta| template::fill_json(meta, &self.plan.values));
        let meta: Option<Map<String, Value>> = meta.and_then(|meta| meta.as_object().cloned());
        let request = NewSessionRequest::new(&self.shared.drive.worktree).mcp_servers(self.servers()).meta(meta);
        let made = ask(agent, METHODS.session_new, &request).await;
        match made {
            Err(error) if i32::from(error.code) == AUTH_REQUIRED => {
                self.log_in(agent, about, &error).await?;
                Ok(ask(agent, METHODS.session_new, &request).await?)
            }
            made => Ok(made?),
        }
    }

    /// Logs in as the table says. Nobody sits before the agent: a login that wants more than that ends with words.
    async fn log_in(&self, agent: &Agents, about: &Value, wanted: &Error) -> Result<(), Outcome> {
        let adapter = &self.shared.drive.adapter;
        let methods = about.get("authMethods").and_then(Value::as_array).cloned().unwrap_or_default();
        let ids: Vec<&str> = methods.iter().filter_map(|m| m.get("id").and_then(Value::as_str)).collect();
        let offered = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        let failed = |why: String| {
            let Outcome::Failed(provider_error) = outcome(wanted) else { return outcome(wanted) };
            let text = format!("{} ({why}; logins that it offers: {offered})", provider_error.text);
            Outcome::Failed(ProviderError { text, ..provider_error })
        };
        let Some(method) = &adapter.acp.auth_method else {
            return Err(failed(format!(
                "log in with the agent's own program first; [adapters.{}.acp] auth_method can name \
                                       a login that needs nobody",
                adapter.name
            )));
        };
        if !ids.contains(&method.as_str()) {
            return Err(failed(format!("the agent has no login '{method}', which acp.auth_method names")));
        }
        let patience = Duration::from_secs(adapter.acp.start_s / 2);
        let request = AuthenticateRequest::new(method.clone());
        match tokio::time::timeout(patience, ask(agent, METHODS.authenticate, &request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if is_incoming_transport_closed(&error) => Err(error.into()),
            Ok(Err(error)) => Err(failed(format!("the login '{method}' was refused: {error}"))),
            Err(_) => {
                let seconds = patience.as_secs();
                Err(failed(format!("the login '{method}' did not end in {seconds} seconds: it may want a person")))
            }
        }
    }

    fn servers(&self) -> Vec<McpServer> {
        let drive = &self.shared.drive;
        let variables = self.plan.values.get("mcp_env").and_then(Value::as_object);
        let Some(variables) = variables.filter(|_| drive.adapter.acp.mcp) else { return Vec::new() };
        let variable = |(name, value): (&String, &Value)| EnvVariable::new(name, value.as_str().unwrap_or_default());
        let server = McpServerStdio::new("p0", &drive.p0)
            .args(crate::driver::plan::mcp_arguments(drive.permissions))
            .env(variables.iter().map(variable).collect());
        vec![McpServer::Stdio(server)]
    }

    /// Sets mode and model of the session `id`, as far as the agent offers them.
    async fn begin(&self, agent: &Agents, id: &str, state: &Value) -> Result<String, Outcome> {
        {
            let mut inner = self.shared.inner();
            inner.heard.usage_meter.set_session(id);
            if self.resume.is_some_and(|resume| resume.session == id) {
                let inner = &mut *inner;
                inner.usage_log.skip_earlier(&inner.heard.usage_meter);
            }
            if let Some(line) = inner.heard.usage_meter.session_line(false) {
                inner.out.say(&line);
            }
        }
        mode::set(&self.shared, agent, id, state).await?;
        if let Some(model) = &self.shared.drive.model {
            self.set_model(agent, id, state, model).await?;
        }
        Ok(id.to_owned())
    }

    /// Sets the model by whichever way the agent offers it.
    async fn set_model(&self, agent: &Agents, id: &str, state: &Value, model: &str) -> Result<(), Error> {
        let list = |path: &str| at(state, path).and_then(Value::as_array).cloned().unwrap_or_default();
        let options = list("configOptions");
        let option = options.iter().find(|o| o.get("category").and_then(Value::as_str) == Some("model"));
        let values = option.and_then(|o| o.get("options")).map(Value::to_string).unwrap_or_default();
        if let Some(config) = option.and_then(|o| o.get("id")).and_then(Value::as_str)
            && values.contains(&format!("\"value\":{}", Value::from(model)))
        {
            let request = SetSessionConfigOptionRequest::new(id.to_owned(), config.to_owned(), model);
            return ask(agent, METHODS.session_set_config_option, &request).await.map(drop);
        }
        // Older agents; the crate no longer knows the method.
        let models = list("models.availableModels");
        if models.iter().any(|m| m.get("modelId").and_then(Value::as_str) == Some(model)) {
            if at(state, "models.currentModelId").and_then(Value::as_str) != Some(model) {
                ask(agent, SET_MODEL, &json!({ "sessionId": id, "modelId": model })).await?;
            }
            return Ok(());
        }
        // A table may hand the model over when it starts the program.
        let adapter = &self.shared.drive.adapter;
        let mut given = adapter.args.iter().flat_map(Group::args).chain(adapter.env.values());
        if !given.any(|text| template::mentions(text, "model")) {
            note(&format!("the agent offers no model '{model}'; it goes on with its own"));
        }
        Ok(())
    }
}

/// Sends a request of the crate's type and reads the answer as JSON.
pub(super) async fn ask(agent: &Agents, method: &str, request: &impl Serialize) -> Result<Value, Error> {
    agent.send_request(UntypedMessage::new(method, request)?).block_task().await
}

/// What an error of the agent means.
pub(super) fn outcome(error: &Error) -> Outcome {
    if is_incoming_transport_closed(error) {
        return Outcome::Broken("it closed its stdout".to_owned());
    }
    let data = error.data.as_ref().unwrap_or(&Value::Null);
    let details = match data {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let status = ["statusCode", "status", "httpStatus", "code"].iter().find_map(|key| {
        let number = data.get(key)?.as_u64().and_then(|number| u16::try_from(number).ok())?;
        (400..600).contains(&number).then_some(number)
    });
    // Agents use this code for whatever their provider says as well.
    let likely = (i32::from(error.code) == AUTH_REQUIRED).then_some(ErrorClass::Auth);
    let retry_after_s = in_data(data, clock::now());
    let words = ProviderError::words(format!("{} {details}", error.message).trim());
    Outcome::Failed(ProviderError { status, likely, retry_after_s, ..words })
}
