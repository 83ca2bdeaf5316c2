//! What of the person's no agent reads: keys, what logs in, and what shells are told at their start.
use crate::model::adapter::{Adapter, Login};
use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// In the home, whatever the person works with.
const SECRETS: &[&str] = &[
    ".config/BraveSoftware",
    ".config/Code",
    ".config/age",
    ".config/chromium",
    ".config/configstore",
    ".config/containers",
    ".config/doctl",
    ".config/fish",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/glab-cli",
    ".config/google-chrome",
    ".config/helm",
    ".config/hub",
    ".config/netlify",
    ".config/ngrok",
    ".config/op",
    ".config/pip",
    ".config/rclone",
    ".config/sops",
    ".config/stripe",
    ".env",
    ".envrc",
    ".profile",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_history",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zsh_history",
    ".python_history",
    ".local/share/fish",
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".password-store",
    ".vault-token",
    ".pgpass",
    ".my.cnf",
    ".terraform.d",
    ".oci",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".mozilla",
    ".local/share/keyrings",
    ".local/state/p0",
];

/// In the home, where command-line agents keep their logins, settings and conversations: one agent's are none of another's
/// business, and what it needs of its own is handed over.
const AGENTS: &[&str] = &[
    ".aider",
    ".aider.conf.yml",
    ".augment",
    ".claude",
    ".claude.json",
    ".cline",
    ".codebuddy",
    ".codeium",
    ".codex",
    ".config/Cursor",
    ".config/amp",
    ".config/anthropic",
    ".config/crush",
    ".config/cursor",
    ".config/fast-agent",
    ".config/github-copilot",
    ".config/goose",
    ".config/gptme",
    ".config/io.datasette.llm",
    ".config/kilo",
    ".config/litellm",
    ".config/mini-swe-agent",
    ".config/openai",
    ".config/opencode",
    ".config/openhands",
    ".config/zed/settings.json",
    ".continue",
    ".copilot",
    ".crush",
    ".cursor",
    ".factory/auth.json",
    ".factory/config.json",
    ".factory/settings.json",
    ".fast-agent",
    ".gemini",
    ".iflow",
    ".junie",
    ".kilo",
    ".kilocode",
    ".kimi",
    ".kimi-code",
    ".kiro/settings",
    ".letta",
    ".local/share/amazon-q",
    ".local/share/amp",
    ".local/share/crush",
    ".local/share/goose",
    ".local/share/gptme",
    ".local/share/kilo",
    ".local/share/mini-swe-agent",
    ".local/share/opencode",
    ".local/share/zed",
    ".openhands",
    ".pi",
    ".qoder",
    ".qwen",
    ".roo",
    ".vibe",
    ".windsurf",
    "fastagent.secrets.yaml",
];

/// Variables that name a folder or a file of that kind elsewhere.
const MOVED: &[&str] = &[
    "ANTHROPIC_CONFIG_DIR",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CLAUDE_CONFIG_DIR",
    "CLINE_DIR",
    "CLOUDSDK_CONFIG",
    "CODEX_HOME",
    "COPILOT_HOME",
    "DOCKER_CONFIG",
    "GH_CONFIG_DIR",
    "GNUPGHOME",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "KIMI_SHARE_DIR",
    "KUBECONFIG",
    "NETRC",
    "NPM_CONFIG_USERCONFIG",
    "OPENCODE_CONFIG",
    "OPENCODE_CONFIG_DIR",
    "PGPASSFILE",
    "PI_CODING_AGENT_DIR",
    "QWEN_HOME",
    "VIBE_HOME",
];

/// Where folders of the home are when these variables are set.
const BASES: &[(&str, &str)] =
    &[("XDG_CONFIG_HOME", ".config"), ("XDG_DATA_HOME", ".local/share"), ("XDG_STATE_HOME", ".local/state")];

/// All of it for a person with this home and these variables, the logins of these agents among them; a path need not be
/// there.
pub(super) fn of_person<'a>(
    home: &Path,
    variables: &[(String, String)],
    logins: impl IntoIterator<Item = &'a Login>,
) -> Vec<PathBuf> {
    // Tables are read once: every attempt asks.
    static BUILT_IN: LazyLock<Vec<Login>> =
        LazyLock::new(|| Adapter::builtin_names().filter_map(Adapter::builtin).map(|adapter| adapter.login).collect());
    let handed = BUILT_IN.iter().chain(logins).flat_map(|login| login.files.iter().chain(&login.config));
    let names: Vec<&str> = SECRETS.iter().chain(AGENTS).copied().chain(handed.map(String::as_str)).collect();
    let of = |wanted: &str| {
        let found = variables.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| Path::new(value)).filter(|path| path.is_absolute())
    };
    let mut hidden: Vec<PathBuf> = names.iter().map(|name| home.join(name)).collect();
    for (variable, folder) in BASES {
        let Some(base) = of(variable) else { continue };
        hidden.extend(
            names.iter().filter_map(|name| Path::new(name).strip_prefix(folder).ok()).map(|rest| base.join(rest)),
        );
    }
    // A folder that holds everything is not meant: somebody's home, the root.
    hidden
        .extend(MOVED.iter().filter_map(|name| of(name)).filter(|path| !home.starts_with(path)).map(Path::to_path_buf));
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_agent_s_logins_are_hidden() {
        let hidden = of_person(Path::new("/me"), &[], []);
        let is_hidden = |path: &str| hidden.iter().any(|it| Path::new("/me").join(path).starts_with(it));
        for name in Adapter::builtin_names() {
            let login = Adapter::builtin(name).unwrap().login;
            for file in login.files.iter().chain(&login.config) {
                assert!(is_hidden(file), "{name}: {file}");
            }
        }
        // As its own program keeps them, tried or read in its documentation.
        for file in [
            ".copilot/config.json",
            ".cline/data/settings/providers.json",
            ".local/share/kilo/auth.json",
            ".config/kilo/kilo.json",
            ".kimi-code/credentials/kimi-code.json",
            ".kimi-code/config.toml",
            ".vibe/.env",
            ".pi/agent/auth.json",
            ".config/gptme/config.toml",
            ".openhands/settings.json",
            ".fast-agent/auth.json",
            ".augment/session.json",
            ".local/share/crush/crush.json",
            ".local/share/amp/secrets.json",
            ".config/goose/config.yaml",
            ".cursor/cli-config.json",
            ".aider.conf.yml",
            ".config/mini-swe-agent/.env",
            ".ssh/id_ed25519",
        ] {
            assert!(is_hidden(file), "{file}");
        }
        assert!(!is_hidden("src/a") && !is_hidden(".cargo/bin/x") && !is_hidden(".config/nvim/init.lua"));
    }

    #[test]
    fn moved_folders_and_a_table_s_own_logins_are_hidden_too() {
        let variables = [
            ("CODEX_HOME", "/elsewhere/codex"),
            ("XDG_CONFIG_HOME", "/xdg"),
            ("KUBECONFIG", "relative"),
            ("CLAUDE_CONFIG_DIR", "/"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = Login { files: vec![".mine/auth".into()], ..Login::default() };
        let hidden = of_person(Path::new("/me"), &variables, [&own]);
        for path in ["/elsewhere/codex", "/xdg/opencode", "/xdg/gh", "/me/.mine/auth", "/me/.config/gh"] {
            assert!(hidden.contains(&PathBuf::from(path)), "{path}");
        }
        assert!(hidden.iter().all(|path| path.is_absolute() && path != Path::new("/")));
    }
}
