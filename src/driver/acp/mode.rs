//! Which mode the session is in, whether that asks before it runs something, and how it is put into another.
use super::{
    Shared,
    talk::{Agents, Outcome, ask},
};
use crate::{
    driver::{out::note, provider_error::ProviderError},
    model::{
        adapter::{AcpSettings, ErrorClass, at},
        permission::Permissions,
    },
};
use agent_client_protocol::v1::schema::{
    AGENT_METHOD_NAMES as METHODS, SetSessionConfigOptionRequest, SetSessionModeRequest,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// What the agent says of its session's mode. The protocol has two places for it, and agents keep one of them current.
#[derive(Debug, Default)]
pub(super) struct SessionMode {
    /// `modes.currentModeId`, `current_mode_update`.
    by_mode: Option<String>,
    /// The value of the configuration option of category `mode`.
    by_option: Option<String>,
    /// Modes that `session/set_mode` takes.
    modes: Vec<String>,
    /// The id of the option, and the values it takes.
    option: Option<(String, Vec<String>)>,
}

impl SessionMode {
    /// Takes in the answer to `session/new`, `session/load`, `session/resume` or `session/set_config_option`.
    pub(super) fn read_state(&mut self, state: &Value) {
        if let Some(modes) = state.get("modes").filter(|modes| modes.is_object()) {
            self.by_mode = text(modes, "currentModeId").or(self.by_mode.take());
            let listed = modes.get("availableModes").and_then(Value::as_array).into_iter().flatten();
            self.modes = listed.filter_map(|mode| text(mode, "id")).collect();
        }
        self.read_options(state);
    }

    /// Takes in one `session/update`.
    pub(super) fn read_update(&mut self, update: &Value) {
        match update.get("sessionUpdate").and_then(Value::as_str) {
            Some("current_mode_update") => {
                self.by_mode = text(update, "currentModeId").or(text(update, "modeId")).or(self.by_mode.take());
                // Agents that keep both tell a change in one of them.
                if self.by_option.is_some() {
                    self.by_option.clone_from(&self.by_mode);
                }
            }
            Some("config_option_update") => {
                let told = self.read_options(update).then(|| self.by_option.clone()).flatten();
                self.by_mode = self.by_mode.take().map(|before| told.unwrap_or(before));
            }
            _ => {}
        }
    }

    /// Whether there was an option of category `mode`.
    fn read_options(&mut self, state: &Value) -> bool {
        let options = state.get("configOptions").and_then(Value::as_array).into_iter().flatten();
        let is_mode = |option: &&Value| option.get("category").and_then(Value::as_str) == Some("mode");
        let Some(option) = options.into_iter().find(is_mode) else { return false };
        self.by_option = text(option, "currentValue").or(self.by_option.take());
        let mut values = Vec::new();
        for entry in option.get("options").and_then(Value::as_array).into_iter().flatten() {
            // A group of values has values of its own.
            let inner = entry.get("options").and_then(Value::as_array).into_iter().flatten();
            values.extend(std::iter::once(entry).chain(inner).filter_map(|value| text(value, "value")));
        }
        self.option = text(option, "id").map(|id| (id, values));
        self.by_option.is_some()
    }

    /// Whether the session is in this mode, by all that was said.
    fn is(&self, mode: &str) -> bool {
        let said = [&self.by_mode, &self.by_option];
        said.iter().any(|said| said.is_some()) && said.into_iter().flatten().all(|said| said == mode)
    }

    /// The mode in which it runs commands without a request for permission, when it says that it is in one.
    fn unasked(&self, settings: &AcpSettings) -> Option<&str> {
        [&self.by_mode, &self.by_option]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|mode| settings.is_unasked(mode))
    }

    /// How the session is put into `mode`, when the agent offers it.
    fn way_to(&self, mode: &str) -> Option<Way> {
        let has = |list: &[String]| list.iter().any(|known| known == mode);
        match &self.option {
            _ if has(&self.modes) => Some(Way::Mode),
            Some((id, values)) if has(values) => Some(Way::Option(id.clone())),
            Some(_) | None => None,
        }
    }

    /// The session is told to go into `mode`: what the agent says from now on is newer than what it said before, which is
    /// the answer.
    fn told(&mut self, mode: &str) -> (Option<String>, Option<String>) {
        let before = (self.by_mode.clone(), self.by_option.clone());
        for said in [&mut self.by_mode, &mut self.by_option] {
            if said.is_some() {
                *said = Some(mode.to_owned());
            }
        }
        before
    }

    /// The agent refused that.
    fn untold(&mut self, before: (Option<String>, Option<String>)) {
        (self.by_mode, self.by_option) = before;
    }

    fn offered(&self) -> String {
        let options = self.option.iter().flat_map(|(_, values)| values);
        let offered: BTreeSet<&str> = self.modes.iter().chain(options).map(String::as_str).collect();
        offered.into_iter().collect::<Vec<_>>().join(", ")
    }
}

/// The request that sets a mode.
enum Way {
    Mode,
    Option(String),
}

fn text(value: &Value, path: &str) -> Option<String> {
    at(value, path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Puts the session into the mode that the table names for these permissions, and finds out whether it asks where it
/// has to.
pub(super) async fn set(shared: &Shared, agent: &Agents, id: &str, state: &Value) -> Result<(), Outcome> {
    let (settings, permissions) = (&shared.drive.adapter.acp, shared.drive.permissions);
    shared.inner().mode.read_state(state);
    for mode in settings.modes_for(permissions) {
        if put_into(shared, agent, id, mode).await? {
            break;
        }
    }
    if permissions != Permissions::Allow && shared.inner().mode.unasked(settings).is_some() {
        for mode in settings.modes_that_ask() {
            if put_into(shared, agent, id, mode).await? {
                break;
            }
        }
    }
    match refusal(shared) {
        Some(provider_error) => Err(Outcome::Failed(provider_error)),
        None => Ok(()),
    }
}

/// Whether the session is in `mode` now, as far as the agent says.
async fn put_into(shared: &Shared, agent: &Agents, id: &str, mode: &str) -> Result<bool, Outcome> {
    let (way, before) = {
        let mut inner = shared.inner();
        if inner.mode.is(mode) {
            return Ok(true);
        }
        let Some(way) = inner.mode.way_to(mode) else { return Ok(false) };
        (way, inner.mode.told(mode))
    };
    let answer = match way {
        Way::Mode => {
            ask(agent, METHODS.session_set_mode, &SetSessionModeRequest::new(id.to_owned(), mode.to_owned())).await
        }
        Way::Option(option) => {
            let request = SetSessionConfigOptionRequest::new(id.to_owned(), option, mode);
            ask(agent, METHODS.session_set_config_option, &request).await
        }
    };
    match answer {
        Ok(answer) => {
            shared.inner().mode.read_state(&answer);
            Ok(true)
        }
        Err(error) if agent_client_protocol::is_incoming_transport_closed(&error) => Err(error.into()),
        Err(error) => {
            note(&format!("the session cannot be put into mode '{mode}': {error}"));
            // It is in the mode that it said before: the next one may do.
            shared.inner().mode.untold(before);
            Ok(false)
        }
    }
}

/// Why a session that has to ask does not, when it says so.
pub(super) fn refusal(shared: &Shared) -> Option<ProviderError> {
    let (adapter, permissions) = (&shared.drive.adapter, shared.drive.permissions);
    let word = match permissions {
        Permissions::Allow => return None,
        Permissions::Ask => "ask",
        Permissions::Deny => "deny",
    };
    let inner = shared.inner();
    let mode = inner.mode.unasked(&adapter.acp)?;
    let text = format!(
        "the agent says that its session is in mode '{mode}', in which it asks nobody before it runs a command, and \
         permissions are \"{word}\"; name a mode that asks in [adapters.{}.acp] modes.{word} (it offers: {}), or give \
         the agent permissions = \"allow\"",
        adapter.name,
        inner.mode.offered(),
    );
    Some(ProviderError { class: Some(ErrorClass::Configuration), ..ProviderError::words(text) })
}
