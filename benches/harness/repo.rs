//! A git repository to work on, and a no-op agent.
use p0::model::record::Record;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Files of the repository.
const FILES: usize = 100;

/// A repository of 100 files in 10 folders, with one commit.
pub(crate) struct Repo {
    /// Its root.
    pub(crate) root: PathBuf,
    /// Its commit.
    pub(crate) head: String,
}

impl Repo {
    /// Makes it in `root`.
    pub(crate) fn new(root: &Path) -> Repo {
        for n in 0..FILES {
            let folder = root.join(format!("d{}", n % 10));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("f{n}.txt")), format!("line of file {n}\n").repeat(20)).unwrap();
        }
        let repo = Repo { root: root.canonicalize().unwrap(), head: String::new() };
        repo.git(&["init", "-q", "-b", "main"]);
        for (name, value) in [("user.name", "Bench"), ("user.email", "bench@localhost"), ("gc.auto", "0")] {
            repo.git(&["config", name, value]);
        }
        repo.git(&["add", "-A"]);
        repo.git(&["commit", "-q", "-m", "A hundred files"]);
        let head = repo.git(&["rev-parse", "HEAD"]);
        Repo { head, ..repo }
    }

    /// Runs git in it; what it printed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let out = Command::new("git").arg("-C").arg(&self.root).args(args).stderr(Stdio::inherit()).output().unwrap();
        assert!(out.status.success(), "git {args:?}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Commits of the branch on top of the repository's own.
    pub(crate) fn commits_on(&self, branch: &str) -> usize {
        self.git(&["rev-list", "--count", &format!("{}..{branch}", self.head)]).parse().unwrap()
    }
}

/// Runs a shell script; it must succeed.
pub(crate) fn sh(script: &Path, args: &[&str]) {
    let status = Command::new("sh").arg(script).args(args).status().unwrap();
    assert!(status.success(), "sh {}", script.display());
}

/// The no-op agent. It plays every role; as an executor it writes one file, and says so first into the file named by
/// its second argument (a pipe, or `/dev/null`). Nothing in it starts another process, except the plan's `cat`.
const AGENT: &str = r#"
case $P0_ROLE in
planner)
    read -r input
    case $input in
    *'"iteration":1,'*) cat "$1"; echo '{"type":"decision","decision":"continue","reason":"work"}' ;;
    *) echo '{"type":"decision","decision":"done","reason":"all landed"}' ;;
    esac ;;
executor)
    echo "$P0_TICKET" >"$2"
    echo "$P0_TICKET" >"$P0_TICKET.txt" ;;
verifier) echo '{"type":"verdict","met":true,"rationale":"nothing was asked for"}' ;;
esac
"#;

/// Writes the agent into `dir`, with a plan of `tickets` tickets, each after the one before or all side by side. The
/// command that starts it; `says_to` is the file that executors say their beginning into.
pub(crate) fn agent(dir: &Path, key: &str, tickets: usize, chain: bool, says_to: &str) -> Vec<String> {
    let line = |n: usize| {
        let after = if chain && n > 1 { vec![format!("t{}", n - 1)] } else { Vec::new() };
        let file = format!("{key}-{n}.txt");
        let ticket = serde_json::json!({
            "type": "ticket", "key": format!("t{n}"), "title": format!("Ticket {n}"), "depends_on": after,
            "files": {"create": [file], "modify": []},
        });
        format!("{ticket}\n")
    };
    let plan = dir.join(format!("plan-{key}"));
    std::fs::write(&plan, (1..=tickets).map(line).collect::<String>()).unwrap();
    let script = dir.join("agent.sh");
    std::fs::write(&script, AGENT).unwrap();
    let text = |path: &Path| path.display().to_string();
    vec!["sh".into(), text(&script), text(&plan), says_to.into()]
}

/// When the first or last record of a kind was decided, in seconds.
pub(crate) fn second_of<'a>(mut records: impl Iterator<Item = &'a Record>, kind: &str) -> f64 {
    let record = records.find(|r| r.kind == kind).unwrap();
    record.at.timestamp_millis() as f64 / 1e3
}
