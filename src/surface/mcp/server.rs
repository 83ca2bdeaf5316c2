//! The protocol over a tool service of tools.
use super::{answer::Answer, attempt::AttemptTools, person::UserTools, tools::Tool, words};
use crate::service::{principal::Principal, problem::Problem};
use axum::http::request::Parts;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult, ErrorCode,
        Implementation, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig,
        Tool as Listed, ToolAnnotations,
    },
    service::RequestContext,
};
use serde_json::{Map, Value};
use std::{borrow::Cow, sync::Arc};

/// Whose tools.
pub(crate) enum ToolService {
    /// An attempt's.
    Attempt(AttemptTools),
    /// A person's.
    Person(UserTools),
}

impl ToolService {
    async fn list(&self) -> Result<Vec<Listed>, Problem> {
        match self {
            ToolService::Attempt(tools) => Ok(tools.tools().await?.into_iter().map(listed).collect()),
            ToolService::Person(_) => Ok(words::TOOLS.iter().map(listed_for_persons).collect()),
        }
    }

    async fn call(&self, request: CallToolRequestParams, caller: Option<Principal>) -> Answer {
        let arguments = request.arguments.unwrap_or_default();
        match self {
            ToolService::Attempt(tools) => tools.call(&request.name, arguments).await,
            ToolService::Person(tools) => tools.call(&request.name, arguments, caller).await,
        }
    }

    fn instructions(&self) -> &'static str {
        match self {
            ToolService::Attempt(_) => {
                "The tracker of the run you work in. Search the memory before you begin. What a tool says is applied \
                 at your clean end stands only if you end cleanly; say it before you end. Your own ticket is @mine."
            }
            ToolService::Person(_) => {
                "p0 turns written specs into landed commits by running coding agents side by side. Start a run from a \
                 spec, look how it stands, answer what waits for a person. A run lands on a branch of its own; merging \
                 it is the person's decision."
            }
        }
    }
}

fn listed(tool: &'static Tool) -> Listed {
    let hints = ToolAnnotations::new().read_only(tool.only_looks()).destructive(false).open_world(false);
    Listed::new(tool.name, tool.about, tool.form()).with_annotations(hints)
}

fn listed_for_persons(tool: &'static words::Tool) -> Listed {
    let hints = ToolAnnotations::new().read_only(tool.only_looks).destructive(tool.destroys).open_world(false);
    Listed::new(tool.name, tool.about, (tool.form)()).with_annotations(hints)
}

/// The server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    tools: Arc<ToolService>,
}

impl Server {
    /// Over a tool service.
    pub(crate) fn new(tools: ToolService) -> Server {
        Server { tools: Arc::new(tools) }
    }
}

/// An answer as every client hands it to its model: some hand over the structured data alone, some the content alone. So
/// what p0 says stands in both.
fn result_of(answer: Answer) -> CallToolResult {
    let data = answer.data.map(|data| with_summary(data, &answer.text));
    let mut content = vec![ContentBlock::text(answer.text)];
    content.extend(data.as_ref().map(|data| ContentBlock::text(data.to_string())));
    let mut result = if answer.failed { CallToolResult::error(content) } else { CallToolResult::success(content) };
    result.structured_content = data;
    result
}

/// `data` with what p0 says as its first field, `summary`.
fn with_summary(data: Value, text: &str) -> Value {
    let fields = match data {
        Value::Object(fields) => fields,
        other => Map::from_iter([("result".to_owned(), other)]),
    };
    Value::Object(std::iter::once(("summary".to_owned(), Value::from(text))).chain(fields).collect())
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("p0", env!("CARGO_PKG_VERSION")).with_title("p0 tracker");
        info.instructions = Some(self.tools.instructions().to_owned());
        info
    }

    /// The versions that begin with `initialize`. The later ones ask every client to say what it can with every
    /// request, and no client that is driven here insists on it.
    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        match self.tools.list().await {
            Ok(tools) => Ok(ListToolsResult::with_all_items(tools)),
            // A list has no place for an answer that says why it is empty.
            Err(problem) => Err(ErrorData::internal_error(Answer::from(problem).text, None)),
        }
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // Over HTTP, whoever asks stands in the request; over stdin it is the user of this process.
        let parts = context.extensions.get::<Parts>();
        let caller = parts.and_then(|parts| parts.extensions.get::<Principal>()).cloned();
        Ok(result_of(self.tools.call(request, caller).await).into())
    }

    /// What has the name of a method and not its form ends up here.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method == "tools/call" {
            let text = "tools/call takes {\"name\": \"…\", \"arguments\": {…}}";
            return Err(ErrorData::invalid_params(text, None));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tools, *};
    use crate::model::workflow::Rights;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// What a client reads, a line per tool.
    #[test]
    fn the_tools_of_each_role() {
        for rights in [Rights::Planner, Rights::Executor, Rights::Verifier, Rights::Specialist] {
            let lines: Vec<String> =
                tools::of(rights).map(|tool| serde_json::to_string(&listed(tool)).unwrap()).collect();
            insta::assert_snapshot!(format!("tools_of_{rights:?}").to_lowercase(), lines.join("\n"));
        }
    }

    fn desks() -> [Vec<Listed>; 2] {
        [tools::TOOLS.iter().map(listed).collect(), words::TOOLS.iter().map(listed_for_persons).collect()]
    }

    /// Clients put their own words before a name, allow 64 characters in all, cut what is longer, and replace dots.
    #[test]
    fn names_stay_what_they_are_in_every_client() {
        const LONGEST_PREFIX: &str = "mcp__p0__";
        for tools in desks() {
            let mut begin = BTreeSet::new();
            for tool in &tools {
                let name = tool.name.to_string();
                assert!(name.len() + LONGEST_PREFIX.len() < 64, "{name}");
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
                assert!(begin.insert(name.chars().take(50 - LONGEST_PREFIX.len()).collect::<String>()), "{name}");
            }
        }
    }

    /// Keys of a schema that every client hands to its model as they are, or whose loss is made good by a description.
    const KEPT: &[&str] = &[
        "type",
        "properties",
        "required",
        "additionalProperties",
        "description",
        "items",
        "enum",
        "anyOf",
        "default",
        "minimum",
        "maximum",
        "minLength",
    ];

    fn look(schema: &Value, at: &str) {
        let Value::Object(form) = schema else { panic!("{at}: {schema}") };
        for (key, value) in form {
            assert!(KEPT.contains(&key.as_str()), "{at} has {key}");
            match key.as_str() {
                "properties" => value.as_object().unwrap().iter().for_each(|(n, of)| look(of, &format!("{at}.{n}"))),
                "items" => look(value, &format!("{at}[]")),
                "anyOf" => value.as_array().unwrap().iter().for_each(|of| look(of, at)),
                // An object without named fields is told to the model as one that takes nothing.
                "additionalProperties" => assert_eq!(value, &json!(false), "{at}"),
                "type" => assert!(value.is_string(), "{at}: {value}"),
                "minimum" | "maximum" if value != &json!(0) => {
                    let said = form.get("description").and_then(Value::as_str).unwrap_or_default();
                    assert!(said.contains(&value.to_string()), "{at}: {key} {value} is not said in words: {said:?}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn schemas_have_only_what_every_client_keeps() {
        for tool in desks().iter().flatten() {
            // What the client itself calls is not offered to a model.
            if tool.name != "permission_prompt" {
                look(&Value::Object((*tool.input_schema).clone()), &tool.name);
            }
        }
    }

    /// Two clients do not hand the instructions to their model: the tools say it too.
    #[test]
    fn what_the_instructions_say_stands_in_the_tools_too() {
        let form = |name: &str| Value::Object(tools::find(name).unwrap().form()).to_string();
        assert!(form("read_ticket").contains("@mine"));
        assert!(tools::find("memory_search").unwrap().about.contains("before you begin"));
        for name in ["plan", "ticket", "defer", "decision", "curate", "subtask", "verdict", "feedback"] {
            let about = tools::find(name).unwrap().about;
            assert!(about.contains("clean end") || about.contains("end cleanly"), "{name}: {about}");
        }
    }

    /// claude and codex hand over the structured data alone, gemini and opencode the content alone.
    #[test]
    fn what_p0_says_reaches_the_model_by_either_way() {
        let result = |answer: Answer| serde_json::to_value(result_of(answer)).unwrap();
        let told = result(Answer { text: "1 run".into(), data: Some(json!({"runs": [1]})), failed: false });
        assert_eq!(told["structuredContent"], json!({"summary": "1 run", "runs": [1]}));
        assert_eq!(told["content"][0]["text"], "1 run");
        let document: Value = serde_json::from_str(told["content"][1]["text"].as_str().unwrap()).unwrap();
        assert_eq!(document, told["structuredContent"]);
        let failed = result(Answer::failed("no"));
        assert_eq!((&failed["isError"], &failed["content"][0]["text"]), (&json!(true), &json!("no")));
        assert_eq!((failed.get("structuredContent"), failed["content"].as_array().unwrap().len()), (None, 1));
        let list = result(Answer { text: "t".into(), data: Some(json!([1])), failed: false });
        assert_eq!(list["structuredContent"], json!({"summary": "t", "result": [1]}));
    }
}
