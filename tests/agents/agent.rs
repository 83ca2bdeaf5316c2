//! The agents, and how each is told that its model is the scripted server. It is what a person would do: a key in the
//! environment, or a configuration in the home.
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// One column of the table.
#[derive(Debug, Clone, Copy)]
pub struct Agent {
    /// Its name in the table.
    pub name: &'static str,
    /// Its `kind`.
    pub kind: &'static str,
    /// The program it needs.
    pub program: &'static str,
    /// Where in the folder of programs that is: two packages install one of the same name.
    folder: &'static str,
    /// The model it is told to use, as it names it.
    pub model: &'static str,
    /// It asks for permission, and p0 answers.
    pub asks: bool,
    /// Refused calls after which it gives up: those that are less, it gets over by itself.
    pub tries: u32,
    /// What each call of the model used is written down before the next, also where the turn fails or is ended.
    pub tells_each_call: bool,
    /// A command that has to be asked for is asked for by its model, in an argument of the tool.
    pub escalates: bool,
    /// It has no tools: its model writes files and messages as text, and every conversation is a new one.
    pub text_only: bool,
    /// Files of the person's home; `PORT` is the server's.
    files: &'static [(&'static str, &'static str)],
    /// Variables of `[agents.NAME] env`.
    env: &'static [(&'static str, &'static str)],
}

const CODEX: &str = r#"model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "http://127.0.0.1:PORT/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"#;
const OPENCODE: &str = r#"{"provider": {"scripted": {"npm": "@ai-sdk/openai-compatible", "name": "scripted",
  "options": {"baseURL": "http://127.0.0.1:PORT/v1", "apiKey": "dummy"},
  "models": {"scripted-1": {"name": "scripted-1", "limit": {"context": 200000, "output": 8000}}}}}}"#;
const GEMINI: &str = r#"{"security": {"auth": {"selectedType": "gemini-api-key"}}}"#;

const CODEX_FILES: &[(&str, &str)] = &[(".codex/config.toml", CODEX)];
const CODEX_ENV: &[(&str, &str)] = &[("SCRIPTED_KEY", "dummy")];
const CLAUDE_ENV: &[(&str, &str)] =
    &[("ANTHROPIC_BASE_URL", "http://127.0.0.1:PORT"), ("ANTHROPIC_API_KEY", "sk-dummy")];
const OPENCODE_FILES: &[(&str, &str)] = &[(".config/opencode/opencode.json", OPENCODE)];
const GEMINI_FILES: &[(&str, &str)] = &[(".gemini/settings.json", GEMINI)];
const GEMINI_ENV: &[(&str, &str)] = &[("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:PORT"), ("GEMINI_API_KEY", "dummy")];
const AIDER_ENV: &[(&str, &str)] = &[("OPENAI_API_BASE", "http://127.0.0.1:PORT/v1"), ("OPENAI_API_KEY", "dummy")];
const QWEN_FILES: &[(&str, &str)] = &[(".qwen/settings.json", r#"{"security": {"auth": {"selectedType": "openai"}}}"#)];
const QWEN_ENV: &[(&str, &str)] = &[("OPENAI_BASE_URL", "http://127.0.0.1:PORT/v1"), ("OPENAI_API_KEY", "dummy")];

/// For those of which nothing else is known.
pub const USUAL_TRIES: u32 = 4;

const fn agent(
    kind: &'static str,
    program: &'static str,
    model: &'static str,
    files: &'static [(&'static str, &'static str)],
    env: &'static [(&'static str, &'static str)],
) -> Agent {
    Agent {
        name: kind,
        kind,
        program,
        folder: "",
        model,
        asks: false,
        tries: USUAL_TRIES,
        tells_each_call: false,
        escalates: false,
        text_only: false,
        files,
        env,
    }
}

/// Those that are installed by `scripts/agents` and run in every check.
pub const CODEX_EXEC: Agent =
    Agent { tries: 2, tells_each_call: true, ..agent("codex", "codex", "scripted-1", CODEX_FILES, CODEX_ENV) };
pub const CODEX_ACP: Agent = Agent {
    asks: true,
    tries: 1,
    tells_each_call: true,
    ..agent("codex-acp", "codex-acp", "scripted-1", CODEX_FILES, CODEX_ENV)
};

/// The same program of another package.
pub const CODEX_ACP_2: Agent = Agent { name: "codex-acp 2", folder: "2", escalates: true, tries: 2, ..CODEX_ACP };
pub const CLAUDE_ACP: Agent =
    Agent { asks: true, ..agent("claude-acp", "claude-agent-acp", "scripted-1", &[], CLAUDE_ENV) };
pub const AIDER: Agent = Agent { text_only: true, ..agent("aider", "aider", "openai/scripted-1", &[], AIDER_ENV) };

/// All of them.
pub const ALL: &[Agent] = &[
    CODEX_EXEC,
    CODEX_ACP,
    Agent { asks: true, ..agent("claude", "claude", "scripted-1", &[], CLAUDE_ENV) },
    CLAUDE_ACP,
    CODEX_ACP_2,
    AIDER,
    agent("opencode", "opencode", "scripted/scripted-1", OPENCODE_FILES, &[]),
    Agent { asks: true, ..agent("opencode-acp", "opencode", "scripted/scripted-1", OPENCODE_FILES, &[]) },
    agent("gemini", "gemini", "gemini-2.5-pro", GEMINI_FILES, GEMINI_ENV),
    Agent { asks: true, ..agent("gemini-acp", "gemini", "gemini-2.5-pro", GEMINI_FILES, GEMINI_ENV) },
    agent("qwen", "qwen", "scripted-1", QWEN_FILES, QWEN_ENV),
    Agent { asks: true, ..agent("qwen-acp", "qwen", "scripted-1", QWEN_FILES, QWEN_ENV) },
];

/// The folder of the agents' programs.
pub fn programs() -> PathBuf {
    match env::var_os("P0_TEST_AGENTS_ALL") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/bin"),
    }
}

/// Whether the tests with real agents are wanted at all.
pub fn left_out() -> bool {
    let out = env::var_os("P0_TEST_NO_AGENTS").is_some_and(|v| !v.is_empty());
    if out {
        println!("LEFT OUT: P0_TEST_NO_AGENTS is set, no real agent was run");
    }
    out
}

impl Agent {
    /// The folder of its program.
    pub fn folder(&self) -> PathBuf {
        programs().join(self.folder)
    }

    /// Its program.
    pub fn path(&self) -> PathBuf {
        self.folder().join(self.program)
    }

    /// Fails with what to do when the program is not there.
    #[track_caller]
    pub fn must_be_installed(&self) {
        let path = self.path();
        assert!(path.exists(), "{} is missing: install it with `sh scripts/agents`", path.display());
    }

    /// Writes what tells it where its model is.
    pub fn write_home(&self, home: &Path, port: u16) {
        for (path, text) in self.files {
            let path = home.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("PORT", &port.to_string())).unwrap();
        }
    }

    /// The files that [`Agent::write_home`] wrote are as it wrote them.
    #[track_caller]
    pub fn home_is_as_it_was(&self, home: &Path, port: u16) {
        for (path, text) in self.files {
            let now = fs::read_to_string(home.join(path)).unwrap();
            assert_eq!(now, text.replace("PORT", &port.to_string()), "the person's own {path} was changed");
        }
    }

    /// A shell command that spoils the settings in the home of whoever runs it.
    pub fn spoil_settings(&self) -> String {
        let spoil = self.files.iter().map(|(path, _)| format!("echo '# spoilt' >> \"$HOME/{path}\"; "));
        spoil.collect()
    }

    /// The variables of the table, for a program that is started without p0's engine.
    pub fn variables(&self, port: u16) -> Vec<(&'static str, String)> {
        self.env.iter().map(|(name, value)| (*name, value.replace("PORT", &port.to_string()))).collect()
    }

    /// `[agents.real]`.
    pub fn table(&self, port: u16, more: &str) -> String {
        let env: Vec<String> =
            self.env.iter().map(|(n, v)| format!("{n} = \"{}\"", v.replace("PORT", &port.to_string()))).collect();
        format!(
            "[agents.real]\nkind = \"{}\"\nmodel = \"{}\"\nenv = {{ {} }}\n{more}\n",
            self.kind,
            self.model,
            env.join(", ")
        )
    }
}
