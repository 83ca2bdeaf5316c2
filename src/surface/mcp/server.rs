//! The protocol over a desk of tools.
use super::{answer::Answer, attempt::AttemptDesk, person::PersonDesk, tools::Tool, words};
use crate::surface::error::Problem;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult, ErrorCode,
        Implementation, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig,
        Tool as Listed, ToolAnnotations,
    },
    service::RequestContext,
};
use std::{borrow::Cow, sync::Arc};

/// Whose tools.
pub(crate) enum Desk {
    /// An attempt's.
    Attempt(AttemptDesk),
    /// A person's.
    Person(PersonDesk),
}

impl Desk {
    async fn list(&self) -> Result<Vec<Listed>, Problem> {
        match self {
            Desk::Attempt(desk) => Ok(desk.tools().await?.into_iter().map(listed).collect()),
            Desk::Person(_) => Ok(words::TOOLS.iter().map(listed_for_persons).collect()),
        }
    }

    async fn call(&self, request: CallToolRequestParams) -> Answer {
        let arguments = request.arguments.unwrap_or_default();
        match self {
            Desk::Attempt(desk) => desk.call(&request.name, arguments).await,
            Desk::Person(desk) => desk.call(&request.name, arguments).await,
        }
    }

    fn instructions(&self) -> &'static str {
        match self {
            Desk::Attempt(_) => {
                "The tracker of the run you work in. Search the memory before you begin. What a tool says is applied \
                 at your clean end stands only if you end cleanly; say it before you end. Your own ticket is @mine."
            }
            Desk::Person(_) => {
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
    desk: Arc<Desk>,
}

impl Server {
    /// Over a desk.
    pub(crate) fn new(desk: Desk) -> Server {
        Server { desk: Arc::new(desk) }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("p0", env!("CARGO_PKG_VERSION")).with_title("p0 tracker");
        info.instructions = Some(self.desk.instructions().to_owned());
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
        match self.desk.list().await {
            Ok(tools) => Ok(ListToolsResult::with_all_items(tools)),
            // A list has no place for an answer that says why it is empty.
            Err(problem) => Err(ErrorData::internal_error(Answer::from(problem).text, None)),
        }
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = self.desk.call(request).await;
        let mut content = vec![ContentBlock::text(answer.text)];
        // Clients that read text only get the data as text.
        content.extend(answer.data.as_ref().map(|data| ContentBlock::text(data.to_string())));
        let mut result = if answer.failed { CallToolResult::error(content) } else { CallToolResult::success(content) };
        result.structured_content = answer.data;
        Ok(result.into())
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

    /// What a client reads, a line per tool.
    #[test]
    fn the_tools_of_each_role() {
        for rights in [Rights::Planner, Rights::Executor, Rights::Verifier, Rights::Specialist] {
            let lines: Vec<String> =
                tools::of(rights).map(|tool| serde_json::to_string(&listed(tool)).unwrap()).collect();
            insta::assert_snapshot!(format!("tools_of_{rights:?}").to_lowercase(), lines.join("\n"));
        }
    }
}
