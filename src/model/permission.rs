//! What an agent's request for permission is answered. A pure function of the request and the configuration.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// What is done about requests that no rule decides: programs to be run, addresses to be fetched, unknown tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permissions {
    /// They are allowed: the sandbox is the fence.
    #[default]
    Allow,
    /// A person is asked.
    Ask,
    /// They are denied.
    Deny,
}

impl Permissions {
    /// Whether it is what nobody has to say.
    pub fn is_usual(&self) -> bool {
        *self == Permissions::default()
    }
}

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The tool's name or title, as the agent puts it.
    pub tool: String,
    /// Its kind in the words of ACP (`read`, `edit`, `delete`, `move`, `search`, `execute`, `think`, `fetch`,
    /// `switch_mode`, `other`), when the agent says it.
    pub kind: Option<String>,
    /// The files it is about, as far as the agent says.
    pub paths: Vec<PathBuf>,
    /// Whether it is a tool of p0's own MCP server.
    pub own_tool: bool,
}

/// Where an attempt is at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grounds {
    /// Its worktree.
    pub worktree: PathBuf,
    /// Its home.
    pub home: PathBuf,
    /// Its folder for temporary files.
    pub temp: PathBuf,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, and why.
    Allow(&'static str),
    /// No, and why.
    Deny(String),
    /// A person is to say.
    Ask,
}

/// Kinds that change nothing.
const READING: &[&str] = &["read", "search", "think"];
/// Kinds that change files, and nothing but the files they name.
const CHANGING: &[&str] = &["edit", "delete", "move"];

/// The answer to `request`.
///
/// In this order: p0's own tools are allowed; a path outside of the attempt's folders is denied, whatever is done
/// there; reading is allowed; changing files that are all inside is allowed; the rest is as `permissions` says.
pub fn decide(request: &Request, grounds: &Grounds, permissions: Permissions) -> Verdict {
    if request.own_tool {
        return Verdict::Allow("p0's own tool");
    }
    for path in &request.paths {
        match resolved(path, &grounds.worktree) {
            Some(full) if grounds.hold(&full) => {}
            _ => {
                return Verdict::Deny(format!(
                    "{} is outside of the attempt's worktree, home and temp",
                    path.display()
                ));
            }
        }
    }
    let kind = request.kind.as_deref().unwrap_or_default();
    if READING.contains(&kind) {
        return Verdict::Allow("it only reads");
    }
    if CHANGING.contains(&kind) && !request.paths.is_empty() {
        return Verdict::Allow("inside the attempt's own folders");
    }
    match permissions {
        Permissions::Allow => Verdict::Allow("permissions are \"allow\""),
        Permissions::Ask => Verdict::Ask,
        Permissions::Deny => Verdict::Deny("permissions are \"deny\"".to_owned()),
    }
}

impl Grounds {
    fn hold(&self, path: &Path) -> bool {
        [&self.worktree, &self.home, &self.temp].iter().any(|ground| path.starts_with(ground))
    }
}

/// `path` made absolute, `.` and `..` taken out by their letters. `None` when it leads above the root. A link inside
/// of the worktree that leads out is not seen here: the sandbox sees it.
fn resolved(path: &Path, base: &Path) -> Option<PathBuf> {
    let mut full = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::ParentDir => {
                if !full.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            other => full.push(other),
        }
    }
    Some(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grounds() -> Grounds {
        Grounds { worktree: "/w/tree".into(), home: "/w/home".into(), temp: "/w/tmp".into() }
    }

    fn answer(kind: &str, paths: &[&str], permissions: Permissions) -> Verdict {
        let kind = (!kind.is_empty()).then(|| kind.to_owned());
        let paths = paths.iter().map(PathBuf::from).collect();
        decide(&Request { tool: "t".into(), kind, paths, own_tool: false }, &grounds(), permissions)
    }

    #[test]
    fn files_inside_may_be_changed_whatever_the_permissions() {
        for path in ["/w/tree/a.rs", "a.rs", "./src/../a.rs", "/w/home/.cache/x", "/w/tmp/y"] {
            assert!(matches!(answer("edit", &[path], Permissions::Deny), Verdict::Allow(_)), "{path}");
        }
    }

    #[test]
    fn a_path_outside_is_denied_whatever_is_done_there() {
        for path in ["/etc/passwd", "../other/a.rs", "/w/tree/../../x", "/w/treetop/a", "/../../etc"] {
            for kind in ["edit", "read", "execute", ""] {
                assert!(matches!(answer(kind, &[path], Permissions::Allow), Verdict::Deny(_)), "{kind} {path}");
            }
        }
        assert!(matches!(answer("edit", &["a", "/etc/x"], Permissions::Allow), Verdict::Deny(_)));
    }

    #[test]
    fn reading_is_allowed() {
        for kind in ["read", "search", "think"] {
            assert!(matches!(answer(kind, &[], Permissions::Deny), Verdict::Allow(_)));
        }
    }

    #[test]
    fn the_rest_is_as_configured() {
        for kind in ["execute", "fetch", "other", "switch_mode", "", "edit"] {
            assert!(matches!(answer(kind, &[], Permissions::Allow), Verdict::Allow(_)), "{kind}");
            assert_eq!(answer(kind, &[], Permissions::Ask), Verdict::Ask, "{kind}");
            assert!(matches!(answer(kind, &[], Permissions::Deny), Verdict::Deny(_)), "{kind}");
        }
    }

    #[test]
    fn own_tools_are_always_allowed() {
        let request = Request { own_tool: true, paths: vec!["/etc".into()], ..Request::default() };
        assert!(matches!(decide(&request, &grounds(), Permissions::Deny), Verdict::Allow(_)));
    }
}
