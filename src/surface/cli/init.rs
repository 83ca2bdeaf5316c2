//! `p0 init`.
use super::{context::Context, outcome::Outcome};
use crate::{
    model::adapter::Adapter,
    service::{
        config::{env, files::CONFIG_FILE},
        problem::{Kind, Problem},
        project,
    },
    surface::ui,
};
use std::{fmt::Write as _, io::Write as _, path::Path};

/// Write a commented .p0/ for this repository: agents found on PATH, gates guessed
///
/// Never overwrites: exit code 6 when there is a configuration already.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The agent to write, whatever is on PATH: a kind such as codex or claude-acp; again for its fallbacks
    #[arg(long = "agent", value_name = "KIND")]
    agents: Vec<String>,
}

/// Agents that are looked for on PATH, the first found before the others: names of built-in adapters. Those of ACP are
/// other ways to the same programs; who wants one says so.
const KNOWN_AGENTS: &[&str] = &["claude", "codex", "opencode", "gemini", "qwen", "aider"];

/// The roles of the workflow that is written.
const ROLES: &[&str] = &["planner", "executor", "verifier"];

/// The file that shows what a repository is built with, and the gate that fits.
const KNOWN_GATES: &[(&str, &[&str])] = &[
    ("Cargo.toml", &["cargo", "test"]),
    ("package.json", &["npm", "test"]),
    ("pyproject.toml", &["python3", "-m", "pytest"]),
    ("pytest.ini", &["python3", "-m", "pytest"]),
    ("setup.py", &["python3", "-m", "pytest"]),
    ("go.mod", &["go", "test", "./..."]),
];

const ROLES_README: &str = "Role prompts: ROLE.md here takes the place of p0's own template for that role (planner, executor,\n\
     verifier, or a specialist of config.toml). The milestone, the ticket and its files follow it.\n";
const WORKFLOWS_README: &str = "The place of this repository's own workflows. This version of p0 does not read them yet.\n\
     Built in: ralph (plan, execute, judge; look at it with `p0 graph ralph`).\n";

/// Writes it.
pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let root = project::root(&context.project()?)?;
    let path = root.join(CONFIG_FILE);
    let found = if args.agents.is_empty() { found_agents(&root) } else { named_agents(&args.agents)? };
    let text = config_text(&root, &found);
    match std::fs::read_to_string(&path) {
        Ok(present) if present == text => ui::note(&format!("{} is up to date", path.display())),
        Ok(_) => {
            return Err(Problem::new(
                Kind::Refused,
                format!("{} is there already; nothing was written", path.display()),
            )
            .hint("change it by hand, or move it away and run `p0 init` again"));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => {
            return Err(Problem::new(Kind::Refused, format!("{} is there and is not text", path.display())));
        }
    }
    let notes =
        [("config.toml", text.as_str()), ("roles/README", ROLES_README), ("workflows/README", WORKFLOWS_README)];
    for (name, text) in notes {
        write_new(&root.join(".p0").join(name), text)?;
    }
    ui::line(&path.display().to_string());
    let first = if found.is_empty() { "name your agent in it, " } else { "" };
    ui::note(&format!("next: {first}commit your work, then `p0 run SPEC.md`; `p0 doctor` checks all of it"));
    Ok(0)
}

fn write_new(path: &Path, text: &str) -> Result<(), Problem> {
    let failed = |e: &std::io::Error| Problem::io("writing", path, e);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|e| failed(&e))?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(|e| failed(&e)),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(failed(&e)),
    }
}

/// The adapters of [`KNOWN_AGENTS`] whose program is on PATH.
fn found_agents(root: &Path) -> Vec<Adapter> {
    let is_there =
        |adapter: &Adapter| adapter.program.first().is_some_and(|program| env::find_program(program, root).is_ok());
    KNOWN_AGENTS.iter().filter_map(|name| Adapter::builtin(name)).filter(is_there).collect()
}

/// The adapters of these names, each once.
fn named_agents(names: &[String]) -> Result<Vec<Adapter>, Problem> {
    let mut named: Vec<Adapter> = Vec::new();
    for name in names {
        // One without a program (any speaker of ACP) needs a command, which only a person knows.
        let adapter = Adapter::builtin(name).filter(|adapter| !adapter.program.is_empty()).ok_or_else(|| {
            let usable = |name: &&str| Adapter::builtin(name).is_some_and(|adapter| !adapter.program.is_empty());
            let known: Vec<&str> = Adapter::builtin_names().filter(usable).collect();
            Problem::new(Kind::Usage, format!("{name} is no agent that `p0 init` can write"))
                .hint(format!("it writes {}; any other goes into .p0/config.toml by hand", known.join(", ")))
        })?;
        if named.iter().all(|present| present.name != adapter.name) {
            named.push(adapter);
        }
    }
    Ok(named)
}

fn config_text(root: &Path, found: &[Adapter]) -> String {
    let mut text = String::from(
        "# p0: how agents work on this repository. Everything is optional but one agent.\n\
         # The workflow when neither the command line nor the spec names one.\n\
         workflow = \"ralph\"\n\n",
    );
    write_agents(&mut text, found).expect("writing to a String cannot fail");
    text.push_str(
        "# An agent of kind \"command\" is any program: it reads one JSON object from stdin and writes JSON lines to\n\
         # stdout, in a worktree of its own. With one agent here, it plays every role.\n\
         # [agents.mine]\n\
         # kind = \"command\"\n\
         # command = [\"python3\", \"agent.py\"]\n\
         # env = { KEY = \"value\" }          # beside the allow-listed environment; values are never recorded\n\n",
    );
    write_roles(&mut text, found).expect("writing to a String cannot fail");
    text.push_str(
        "\n# Read-only roles that look at every landing; any number.\n\
         # [specialists.security]\n",
    );
    let first = found.first().map_or("mine", |adapter| adapter.name.as_str());
    writeln!(text, "# agent = \"{first}\"\n# prompt = \"Look for vulnerabilities.\"\n")
        .expect("writing to a String cannot fail");
    write_gates(&mut text, root).expect("writing to a String cannot fail");
    text.push_str(AFTER_GATES);
    text
}

const AFTER_GATES: &str = "
# Regular expressions of what is kept of nothing that agents and gates print (values of secret variables never are).
# [secrets]
# patterns = [\"ghp_[A-Za-z0-9]{36}\"]

# What agents may touch; these are the defaults. Also of one agent or role: [agents.NAME.sandbox], [roles.NAME.sandbox].
# [sandbox]
# mode = \"enforce\"                # or best_effort (as far as this kernel goes), off
# read = \"guarded\"                # all but p0's data, your checkout and your secrets; or narrow, all
# write = []                      # paths beside the attempt's own; ~/ is your home
# read_also = []
# network = \"allow\"               # or none, or a list of TCP ports
# bubblewrap = false
# file_mb = 16384                 # also processes, open_files, memory_mb: no limit of p0's

# [files]
# generated = [\"Cargo.lock\", \"target/\"]   # nobody's: dropped from attempts (good defaults when left out)
# conflict_markers = [\"docs/\"]           # files in which conflict markers are meant

# [limits]
# max_parallel = 4
# max_iterations = 10
# rounds = 3

# [budget]
# usd = 20.0
# tokens = 2000000

# What `p0 gc` moves into a compressed file of its own, which `p0 replay` and `p0 audit` go on reading.
# [retention]
# archive_after_days = 90
";

fn write_agents(text: &mut String, found: &[Adapter]) -> std::fmt::Result {
    if found.is_empty() {
        return Ok(());
    }
    writeln!(text, "# The agents. `p0 doctor` says whether they are logged in, `p0 doctor --probe` tries them.")?;
    for Adapter { name, login, .. } in found {
        writeln!(text, "[agents.{name}]\nkind = \"{name}\"")?;
        match login.help.as_str() {
            "" => writeln!(text)?,
            help => writeln!(text, "# To log in: {help}\n")?,
        }
    }
    Ok(())
}

fn write_roles(text: &mut String, found: &[Adapter]) -> std::fmt::Result {
    let Some((first, others)) = found.split_first() else {
        return writeln!(
            text,
            "# Who plays which role, where it is not the only agent.\n\
             # [roles.executor]\n# agent = \"mine\"\n# timeout_s = 1800"
        );
    };
    writeln!(
        text,
        "# Who plays which role; the fallbacks, in this order, while the agent is limited, missing or fails."
    )?;
    let others: Vec<&str> = others.iter().map(|adapter| adapter.name.as_str()).collect();
    for role in ROLES {
        writeln!(text, "[roles.{role}]\nagent = \"{}\"", first.name)?;
        if !others.is_empty() {
            writeln!(text, "fallbacks = {}", array(&others))?;
        }
        if *role == "executor" {
            writeln!(text, "# timeout_s = 1800")?;
        }
        if Some(role) != ROLES.last() {
            writeln!(text)?;
        }
    }
    Ok(())
}

fn write_gates(text: &mut String, root: &Path) -> std::fmt::Result {
    let mut gates: Vec<&[&str]> = Vec::new();
    for (file, gate) in KNOWN_GATES {
        if root.join(file).is_file() && !gates.contains(gate) {
            gates.push(gate);
        }
    }
    let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap_or_default();
    if gates.is_empty() && makefile.lines().any(|line| line.starts_with("test:")) {
        gates.push(&["make", "test"]);
    }
    writeln!(text, "# Commands that p0 runs on the exact commit to land; all must exit with 0.")?;
    if gates.is_empty() {
        return writeln!(text, "# [gates]\n# commands = [[\"make\", \"test\"]]");
    }
    let list: Vec<String> = gates.iter().map(|gate| array(gate)).collect();
    writeln!(text, "[gates]\ncommands = [{}]", list.join(", "))
}

fn array(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        config::{Config, Overrides},
        sandbox::SandboxConfig,
        workflow::builtin::ralph,
    };

    #[test]
    fn what_is_written_is_a_configuration_with_the_guessed_gate() {
        let dir = tempfile::tempdir().unwrap();
        let parse = |root: &Path| Config::parse(&config_text(root, &[]), Path::new("c")).unwrap();
        assert!(parse(dir.path()).gates.commands.is_empty());
        std::fs::write(dir.path().join("Makefile"), "all:\n\ntest:\n\ttrue\n").unwrap();
        assert_eq!(parse(dir.path()).gates.commands, [["make", "test"]]);
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(parse(dir.path()).gates.commands, [["cargo", "test"]]);
    }

    #[test]
    fn whoever_is_found_plays_every_role_with_the_others_behind() {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<Adapter> = KNOWN_AGENTS.iter().map(|name| Adapter::builtin(name).unwrap()).collect();
        for found in 1..=all.len() {
            let text = config_text(dir.path(), &all[..found]);
            let config = Config::parse(&text, Path::new("c")).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let settings = config.resolve(&ralph(), dir.path(), &Overrides::default()).unwrap();
            assert_eq!(settings.agents.len(), found);
            assert_eq!(settings.roles.len(), ROLES.len());
            for role in settings.roles.values() {
                assert_eq!(role.agents().map(|a| a.0.as_str()).collect::<Vec<_>>(), KNOWN_AGENTS[..found]);
            }
            assert!(text.contains("# To log in: claude setup-token"), "{text}");
        }
    }

    #[test]
    fn the_sandbox_that_is_written_as_the_default_is_the_default() {
        let of_sandbox = AFTER_GATES.split("# [sandbox]\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let uncommented: String =
            of_sandbox.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let written: SandboxConfig = toml::from_str(&uncommented).unwrap();
        assert_eq!(written.resolve(), SandboxConfig::default().resolve());
    }

    #[test]
    fn the_agents_that_were_named_are_written_in_their_order() {
        let names = ["claude-acp", "codex", "claude-acp"].map(str::to_owned);
        let named = named_agents(&names).unwrap();
        assert_eq!(named.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["claude-acp", "codex"]);
        let text = config_text(Path::new("/nowhere"), &named);
        Config::parse(&text, Path::new("c")).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for unknown in ["acp", "nobody"] {
            let told = named_agents(&[unknown.to_owned()]).unwrap_err().to_string();
            assert!(told.contains(unknown), "{told}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        git2::Repository::init(dir.path()).unwrap();
        let context = Context { data_dir: None, repo: Some(dir.path().to_path_buf()) };
        assert_eq!(run(&Args { agents: Vec::new() }, &context).unwrap(), 0);
        assert_eq!(run(&Args { agents: Vec::new() }, &context).unwrap(), 0, "the same text again is no change");
        std::fs::write(dir.path().join(CONFIG_FILE), "workflow = \"mine\"").unwrap();
        assert_eq!(run(&Args { agents: Vec::new() }, &context).unwrap_err().kind, Kind::Refused);
        assert_eq!(std::fs::read_to_string(dir.path().join(CONFIG_FILE)).unwrap(), "workflow = \"mine\"");
    }
}
