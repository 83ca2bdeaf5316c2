//! Partial clones: what a commit needs and the clone has not got is fetched from its promisor, by the person's git.
use super::{
    error::{Error, GitContext},
    person::PersonRepo,
    plumbing::{self, Git},
    repository::quoted,
};

/// Each fetch may show more that is missing: what is in a folder that was missing itself.
const FETCHES: usize = 64;

impl PersonRepo {
    /// The remote that promises what a partial clone has not got; none for an ordinary repository.
    pub fn promisor(&self) -> Result<Option<String>, Error> {
        let config = self.open()?.config().git("reading the configuration", self.root())?;
        let mut found = None;
        let entries = config.entries(Some("remote\\..*\\.promisor")).git("reading the configuration", self.root())?;
        entries
            .for_each(|entry| {
                let name = entry.name().ok().and_then(|name| name.strip_prefix("remote.")?.strip_suffix(".promisor"));
                let on = entry.value().map_or(true, |value| !matches!(value, "false" | "no" | "off" | "0"));
                if let (Some(name), true) = (name, on) {
                    found.get_or_insert(name.to_owned());
                }
            })
            .git("reading the configuration", self.root())?;
        Ok(found)
    }

    /// The promisor for an agent's configuration, so that its git can fetch history that nobody has fetched; empty where
    /// there is none, or where its address has a login in it.
    pub(super) fn promisor_config(&self) -> Result<String, Error> {
        let Some(remote) = self.promisor()? else { return Ok(String::new()) };
        let mut config = self.open()?.config().git("reading the configuration", self.root())?;
        let config = config.snapshot().git("reading the configuration", self.root())?;
        let url = config.get_string(&format!("remote.{remote}.url")).unwrap_or_default();
        let host = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        if url.is_empty() || host.contains('@') {
            return Ok(String::new());
        }
        let (remote, url) = (quoted(&remote), quoted(&url));
        Ok(format!("[remote {remote}]\n\turl = {url}\n\tpromisor = true\n\tpartialCloneFilter = blob:none\n"))
    }

    /// Makes sure that all files of a commit are there: of a partial clone those that are missing are fetched. How many
    /// objects were.
    ///
    /// # Errors
    /// They cannot be fetched; what to do is said.
    pub fn complete(&self, commit: &str) -> Result<usize, Error> {
        let Some(remote) = self.promisor()? else { return Ok(0) };
        let (mut fetched, mut before) = (0, Vec::new());
        for _ in 0..FETCHES {
            let missing = self.missing(commit)?;
            if missing.is_empty() {
                return Ok(fetched);
            }
            let failed = |said: String| Error::MissingObjects {
                path: self.root().into(),
                commit: commit.into(),
                count: missing.len(),
                remote: remote.clone(),
                said,
            };
            if missing == before {
                return Err(failed("the fetch ended well, and they are missing all the same".into()));
            }
            let arguments = [
                "-c",
                "fetch.negotiationAlgorithm=noop",
                "fetch",
                &remote,
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--recurse-submodules=no",
                "--filter=blob:none",
                "--stdin",
            ];
            let wanted = missing.iter().flat_map(|id| [id.as_bytes(), b"\n"].concat()).collect();
            let output = Git::new(self.root(), &arguments).input(wanted).output()?;
            if !output.status.success() {
                return Err(failed(plumbing::said(&output)));
            }
            fetched += missing.len();
            before = missing;
        }
        Ok(fetched)
    }

    fn missing(&self, commit: &str) -> Result<Vec<String>, Error> {
        let arguments = ["rev-list", "--objects", "--missing=print", "--no-walk", commit];
        let listed = Git::new(self.root(), &arguments).run("listing the objects of a commit")?;
        let lines = String::from_utf8_lossy(&listed);
        Ok(lines.lines().filter_map(|line| line.strip_prefix('?')).map(str::to_owned).collect())
    }
}
