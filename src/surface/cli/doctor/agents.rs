//! The agents that `p0 doctor` finds: every built-in adapter, and those of the configuration at hand.
use super::check::Check;
use crate::{
    model::{
        adapter::{Adapter, Login, template},
        config::Config,
        settings::AgentKind,
    },
    process::{Answer, Question, Scratch, ask},
    service::{
        config::env,
        problem::{Kind, Problem},
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a program may take to say its version or whether it is logged in.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long a smallest real call may take.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Replaces both, in milliseconds: for tests, and for machines that are slow.
const LIMIT_VARIABLE: &str = "P0_DOCTOR_LIMIT_MS";
/// The longest line of a program that is shown, in characters.
const LONGEST_WORDS: usize = 200;

/// An agent, as found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Agent {
    name: String,
    /// The program as named by the table or the configuration; `None` where the person must name it.
    program: Option<String>,
    /// Where it is; `None` = not installed.
    path: Option<String>,
    version: Option<String>,
    /// `None` = cannot be known.
    logged_in: Option<bool>,
    /// What shows that it is logged in.
    how: Option<String>,
    /// What a person does to log in.
    help: Option<String>,
    /// `None` = not asked for.
    probe: Option<Probe>,
    /// What is wrong beside all that.
    #[serde(skip)]
    trouble: Option<String>,
    /// Its place among the inquiries: agents with the same one are one line.
    #[serde(skip)]
    inquiry: Option<usize>,
}

/// How a smallest real call went.
#[derive(Debug, Clone, Serialize)]
struct Probe {
    ok: bool,
    /// What it printed last.
    said: String,
}

/// Somebody to look for.
struct Subject {
    adapter: Option<Adapter>,
    command: Vec<String>,
    /// What the configuration adds to its environment.
    env: BTreeMap<String, String>,
    trouble: Option<String>,
}

/// What is asked of a program.
#[derive(PartialEq)]
struct Inquiry {
    program: PathBuf,
    /// Arguments before those of each question.
    before: Vec<String>,
    version: Vec<String>,
    login: Login,
    probe: Vec<String>,
    env: BTreeMap<String, String>,
    probe_wanted: bool,
}

/// What it answered.
#[derive(Default)]
struct Findings {
    version: Option<String>,
    trouble: Option<String>,
    logged_in: Option<bool>,
    how: Option<String>,
    probe: Option<Probe>,
}

/// Looks for every agent. `probe` is the request for real calls: of one agent, or (empty) of all that are installed.
pub(super) async fn look(config: &Config, root: &Path, probe: Option<&str>) -> Result<Vec<Agent>, Problem> {
    let subjects = subjects(config, root);
    if let Some(name) = probe.filter(|name| !name.is_empty()) {
        can_be_probed(name, &subjects, root)?;
    }
    let person = env::environment();
    let (mut agents, mut inquiries) = (Vec::new(), Vec::<Inquiry>::new());
    for (name, subject) in &subjects {
        let mut agent = Agent { name: name.clone(), trouble: subject.trouble.clone(), ..Agent::default() };
        agent.program = subject.command.first().cloned();
        let path = agent.program.as_deref().and_then(|program| env::find_program(program, root).ok());
        agent.path = path.as_ref().map(|path| path.display().to_string());
        if let Some(adapter) = &subject.adapter {
            agent.help = Some(adapter.login.help.clone()).filter(|help| !help.is_empty());
            if let Some(program) = path {
                let probe_wanted = probe.is_some_and(|wanted| wanted.is_empty() || wanted == name);
                let inquiry = inquiry(subject, adapter, program, &person.agents, &person.person, probe_wanted);
                let same = inquiries.iter().position(|other| *other == inquiry);
                agent.inquiry = Some(same.unwrap_or(inquiries.len()));
                if same.is_none() {
                    inquiries.push(inquiry);
                }
            }
        }
        agents.push(agent);
    }
    let temp = std::env::temp_dir();
    let scratch = Scratch::make(&temp).map_err(|e| Problem::io("making a folder in", &temp, &e))?;
    let findings = futures_util::future::join_all(inquiries.iter().map(|it| it.make(scratch.path()))).await;
    for agent in &mut agents {
        let Some(found) = agent.inquiry.and_then(|at| findings.get(at)) else { continue };
        agent.version.clone_from(&found.version);
        agent.trouble.clone_from(&found.trouble);
        agent.logged_in = found.logged_in;
        agent.how.clone_from(&found.how);
        agent.probe.clone_from(&found.probe);
    }
    Ok(agents)
}

/// By name: the built-in ones, the person's tables over them, and the configured agents over both.
fn subjects(config: &Config, root: &Path) -> BTreeMap<String, Subject> {
    let of_table = |adapter: Adapter| Subject {
        command: adapter.program.clone(),
        adapter: Some(adapter),
        env: BTreeMap::new(),
        trouble: None,
    };
    let builtin = Adapter::builtin_names().filter_map(Adapter::builtin).filter(|adapter| !adapter.program.is_empty());
    let mut subjects: BTreeMap<String, Subject> =
        builtin.map(|adapter| (adapter.name.clone(), of_table(adapter))).collect();
    for (name, table) in &config.adapters {
        let subject = match Adapter::from_table(name, table.clone()) {
            Ok(adapter) => of_table(adapter),
            Err(e) => {
                Subject { adapter: None, command: Vec::new(), env: BTreeMap::new(), trouble: Some(e.to_string()) }
            }
        };
        subjects.insert(name.clone(), subject);
    }
    for (name, agent) in &config.agents {
        // What is wrong with it is said by the check of the configuration.
        let Some(Ok(settings)) = config.agent(name, root) else { continue };
        if settings.kind == AgentKind::Playbook {
            continue;
        }
        let adapter = settings.adapter.map(|adapter| *adapter);
        let subject = Subject { adapter, command: settings.command, env: agent.env.clone(), trouble: None };
        subjects.insert(name.clone(), subject);
    }
    subjects
}

fn can_be_probed(name: &str, subjects: &BTreeMap<String, Subject>, root: &Path) -> Result<(), Problem> {
    let Some(subject) = subjects.get(name) else {
        let known: Vec<&str> = subjects.keys().map(String::as_str).collect();
        return Err(Problem::new(Kind::NotFound, format!("there is no agent '{name}'"))
            .hint(format!("there are: {}", known.join(", "))));
    };
    if let Some(program) = subject.command.first() {
        env::find_program(program, root)
            .map_err(|e| Problem::new(Kind::NotFound, format!("agent '{name}' cannot be probed: {e}")))?;
    }
    if subject.adapter.as_ref().is_none_or(|adapter| adapter.probe.is_empty()) {
        let problem = Problem::new(Kind::Usage, format!("agent '{name}' has no smallest call to be tried"));
        return Err(problem.hint("adapters have one as probe = [\"ARGUMENT\", …] in [adapters.NAME]"));
    }
    Ok(())
}

fn inquiry(
    subject: &Subject,
    adapter: &Adapter,
    program: PathBuf,
    allowed: &[(String, String)],
    person: &[(String, String)],
    probe_wanted: bool,
) -> Inquiry {
    // What makes the program serve (`opencode acp`) is no part of a question; what leads to it (`npx opencode`) is.
    let after_first = adapter.program.get(1..).unwrap_or_default();
    let plain = subject.command.strip_suffix(after_first).filter(|plain| !plain.is_empty()).unwrap_or(&subject.command);
    let fixed = adapter
        .env
        .iter()
        .filter_map(|(name, text)| template::fill(text, &template::Values::new()).map(|value| (name.clone(), value)));
    let handed_on = person.iter().filter(|(name, _)| adapter.pass_env.contains(name)).cloned();
    let env = allowed.iter().cloned().chain(fixed).chain(handed_on).chain(subject.env.clone()).collect();
    Inquiry {
        program,
        before: plain.get(1..).unwrap_or_default().to_vec(),
        version: adapter.version.clone(),
        login: adapter.login.clone(),
        probe: adapter.probe.clone(),
        env,
        probe_wanted: probe_wanted && !adapter.probe.is_empty(),
    }
}

impl Inquiry {
    async fn make(&self, folder: &Path) -> Findings {
        let (version, (logged_in, how)) = tokio::join!(self.version(folder), self.login(folder));
        let (version, trouble) = match version {
            Ok(version) => (version, None),
            Err(trouble) => (None, Some(trouble)),
        };
        let probe = if self.probe_wanted { Some(self.probe(folder).await) } else { None };
        Findings { version, trouble, logged_in, how, probe }
    }

    async fn ask(&self, args: &[String], folder: &Path, limit: Duration) -> Result<Answer, String> {
        let limit = limit_or(limit);
        let question = Question {
            program: self.program.clone(),
            args: self.before.iter().chain(args).cloned().collect(),
            env: self.env.clone(),
            folder: folder.to_path_buf(),
            limit,
        };
        let asked = || format!("`{} {}`", self.program.display(), question.args.join(" "));
        match ask(&question).await {
            Ok(answer) if answer.timed_out => Err(format!("{} did not end within {limit:?}", asked())),
            Ok(answer) => Ok(answer),
            Err(e) => Err(format!("{} cannot be started: {e}", asked())),
        }
    }

    /// `None` where the table knows no way to ask.
    async fn version(&self, folder: &Path) -> Result<Option<String>, String> {
        if self.version.is_empty() {
            return Ok(None);
        }
        let answer = self.ask(&self.version, folder, LOOK_LIMIT).await?;
        if answer.code != Some(0) {
            let said = stream_failure(&answer);
            let question = self.version.join(" ");
            return Err(format!("`{} {question}` failed: {said}", self.program.display()));
        }
        let lines = || answer.out.lines().chain(answer.err.lines()).map(clean).filter(|line| !line.is_empty());
        Ok(lines().find(|line| line.contains(|c: char| c.is_ascii_digit())).or_else(|| lines().next()))
    }

    /// Whether it is logged in, and what shows it: a variable, else its own word, else a file.
    async fn login(&self, folder: &Path) -> (Option<bool>, Option<String>) {
        let Login { files, env, status, .. } = &self.login;
        if let Some(name) = env.iter().find(|name| self.env.get(*name).is_some_and(|value| !value.is_empty())) {
            return (Some(true), Some(name.clone()));
        }
        // A status that cannot be asked says nothing.
        let status_said = match status.as_slice() {
            [] => None,
            status => self.ask(status, folder, LOOK_LIMIT).await.ok().map(|answer| answer.code == Some(0)),
        };
        if status_said == Some(true) {
            return (Some(true), Some(status.join(" ")));
        }
        let home = self.env.get("HOME").map(PathBuf::from).unwrap_or_default();
        let there: Vec<&String> = files.iter().filter(|file| home.join(file).is_file()).collect();
        if let Some(file) = there.iter().find(|file| !is_settings(file)) {
            return (Some(true), Some(format!("~/{file}")));
        }
        let knows_a_way = !files.is_empty() || !env.is_empty() || !status.is_empty();
        let may_be = status_said.is_none() && !(there.is_empty() && status.is_empty());
        ((knows_a_way && !may_be).then_some(false), None)
    }

    async fn probe(&self, folder: &Path) -> Probe {
        match self.ask(&self.probe, folder, PROBE_LIMIT).await {
            Ok(answer) => Probe { ok: answer.code == Some(0), said: stream_failure(&answer) },
            Err(said) => Probe { ok: false, said },
        }
    }
}

/// Tables name settings among the files that an attempt gets, as an endpoint with its key may stand there. Most often
/// there is none: that they exist says nothing.
fn is_settings(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    ["config.toml", "settings.json", "opencode.json"].contains(&name)
}

fn limit_or(usual: Duration) -> Duration {
    env::var(LIMIT_VARIABLE).and_then(|ms| ms.parse().ok()).map_or(usual, Duration::from_millis)
}

/// The last line that says something: the reason stands on stderr where the program failed, if it wrote there.
fn stream_failure(answer: &Answer) -> String {
    let last = |text: &str| text.lines().rev().map(clean).find(|line| !line.is_empty());
    let found = if answer.code == Some(0) {
        last(&answer.out).or_else(|| last(&answer.err))
    } else {
        last(&answer.err).or_else(|| last(&answer.out))
    };
    found.unwrap_or_else(|| match answer.code {
        Some(code) => format!("nothing, and ended with {code}"),
        None => "nothing, and was killed".to_owned(),
    })
}

/// A line of a program without anything that a terminal would obey, and not too long.
fn clean(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // The letter at the end of a colour; what stands between is not shown either.
            let _ = rest.by_ref().find(char::is_ascii_alphabetic);
        } else if !c.is_control() {
            text.push(c);
        }
    }
    let text = text.trim();
    match text.char_indices().nth(LONGEST_WORDS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The lines for a person: those that are installed, one line each program; the others together in one.
pub(super) fn checks(agents: &[Agent]) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut shown = BTreeSet::new();
    for agent in agents {
        if let Some(inquiry) = agent.inquiry
            && shown.insert(inquiry)
        {
            let same = agents.iter().filter(|other| other.inquiry == Some(inquiry));
            let names: Vec<&str> = same.map(|other| other.name.as_str()).collect();
            checks.push(agent.check(names.join(", ")));
        } else if agent.inquiry.is_none()
            && let Some(trouble) = &agent.trouble
        {
            checks.push(Check::warn(agent.name.clone(), trouble, "correct its table in .p0/config.toml"));
        }
    }
    let missing = agents.iter().filter(|agent| agent.path.is_none() && agent.trouble.is_none());
    let missing: Vec<&str> = missing.map(|agent| agent.name.as_str()).collect();
    if !missing.is_empty() {
        checks.push(Check::ok("not installed", missing.join(", ")));
    }
    checks
}

impl Agent {
    fn check(&self, name: String) -> Check {
        let login = match (self.logged_in, &self.how) {
            (Some(true), Some(how)) => format!("logged in ({how})"),
            (Some(true), None) => "logged in".to_owned(),
            (Some(false), _) => "not logged in".to_owned(),
            (None, _) => "login unknown".to_owned(),
        };
        let version = self.version.as_deref().unwrap_or("version unknown");
        let text = format!("{version}, {login}, {}", self.path.as_deref().unwrap_or("?"));
        let help = self.help.as_ref().map(|help| format!("to log in: {help}"));
        match (&self.probe, &self.trouble, self.logged_in) {
            (Some(Probe { ok: false, said }), _, logged_in) => {
                let problem = Problem::new(Kind::General, format!("{text}; the probe failed: {said}"));
                let help = help.filter(|_| logged_in != Some(true));
                Check::fail(name, problem.hint(help.unwrap_or_else(|| "call the program yourself to see more".into())))
            }
            (_, Some(trouble), _) => Check::warn(name, format!("{text}; {trouble}"), "call it yourself to see why"),
            (Some(_), None, _) => Check::ok(name, format!("{text}; the probe is ok")),
            (None, None, Some(false)) => {
                Check::warn(name, text, help.as_deref().unwrap_or("see its documentation for how to log in"))
            }
            (None, None, _) => Check::ok(name, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_program_are_shown_without_what_a_terminal_obeys() {
        assert_eq!(clean("\u{1b}[1;31m 2.1 \u{1b}[0m(x)\u{7}\r"), "2.1 (x)");
        assert_eq!(clean(&"é".repeat(300)).chars().count(), LONGEST_WORDS + 1);
        let answer = |code, out: &str, err: &str| Answer { code, timed_out: false, out: out.into(), err: err.into() };
        assert_eq!(stream_failure(&answer(Some(0), "a\nok\n\n", "warning")), "ok");
        assert_eq!(stream_failure(&answer(Some(1), "a\n", "no key\n")), "no key");
        assert_eq!(stream_failure(&answer(Some(7), "", "")), "nothing, and ended with 7");
    }

    #[test]
    fn a_question_goes_to_the_program_and_not_to_the_server_it_can_be() {
        let adapter = Adapter::builtin("opencode-acp").unwrap();
        let before = |command: &[&str]| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            let subject = Subject { adapter: None, command, env: BTreeMap::new(), trouble: None };
            inquiry(&subject, &adapter, "/x".into(), &[], &[], false).before
        };
        assert_eq!(before(&["opencode", "acp"]), Vec::<String>::new());
        assert_eq!(before(&["npx", "-y", "opencode", "acp"]), ["-y", "opencode"]);
        assert_eq!(before(&["opencode", "acp", "--port", "1"]), ["acp", "--port", "1"]);
    }

    #[test]
    fn a_persons_table_goes_before_a_built_in_one_and_an_agent_before_both() {
        let text = "[adapters.codex]\nextends='codex'\nprogram=['my-codex']\n[adapters.broken]\ndialect='morse'\n\
                    [agents.claude]\nkind='codex'\n[agents.mine]\nkind='command'\ncommand=['sh']\n\
                    [agents.show]\nkind='playbook'\nfile='p'\n";
        let config = Config::parse(text, Path::new("c")).unwrap();
        let subjects = subjects(&config, Path::new("/r"));
        assert_eq!(subjects["codex"].command, ["my-codex"]);
        assert_eq!(subjects["claude"].command, ["my-codex"]);
        assert_eq!(subjects["mine"].command, ["sh"]);
        assert!(subjects["broken"].trouble.is_some());
        assert!(!subjects.contains_key("show") && !subjects.contains_key("acp"));
        assert_eq!(subjects["gemini-acp"].command, ["gemini", "--acp"]);
    }
}
