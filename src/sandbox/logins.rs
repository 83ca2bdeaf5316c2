//! The secrets in files that say who pays: tokens and keys inside logins and settings.

use super::redact::{is_capital_name, looks_secret, names_a_variable};
use serde_json::Value;
use std::{collections::BTreeMap, fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

/// Shorter values under such keys are words ("Bearer"), longer ones are no tokens.
const LENGTHS: std::ops::RangeInclusive<usize> = 12..=16 * 1024;
/// Values of one file that are looked for.
const MOST: usize = 64;
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;
/// Keys that hold secrets in some program's logins without saying so.
const KEYS: &[&str] = &["access", "refresh", "bearer", "authorization"];

/// The secrets in `path`, under the file's `name` and their key. A file that an agent may have written: no link is
/// followed, and what is no plain small file holds none.
pub fn secrets_in_file(name: &str, path: &Path) -> BTreeMap<String, String> {
    let flags = i32::try_from((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits()).unwrap_or_default();
    let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(path) else { return BTreeMap::new() };
    if !file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_BYTES) {
        return BTreeMap::new();
    }
    let mut text = String::new();
    match file.take(MAX_BYTES).read_to_string(&mut text) {
        Ok(_) => secrets_in(name, &text),
        Err(_) => BTreeMap::new(),
    }
}

/// The secrets in a text: JSON, TOML, or lines `NAME=value`.
fn secrets_in(name: &str, text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let value = serde_json::from_str::<Value>(text).or_else(|_| toml::from_str::<Value>(text));
    match value {
        Ok(value) => look(&value, name, false, &mut found),
        Err(_) => {
            for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
                let key = key.trim().trim_start_matches("export ");
                let value = Value::from(value.trim().trim_matches(['"', '\'']));
                look(&value, &format!("{name} {key}"), is_secret(key), &mut found);
            }
        }
    }
    found
}

fn look(value: &Value, at: &str, secret: bool, found: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) if secret && is_token(text) && found.len() < MOST => {
            found.insert(at.to_owned(), text.clone());
        }
        Value::Object(map) => {
            let names = at.rsplit(' ').next().is_some_and(is_about_variables);
            for (key, value) in map {
                let is_name = names && value.as_str().is_some_and(is_capital_name);
                look(value, &format!("{at} {key}"), is_secret(key) && !is_name, found);
            }
        }
        Value::Array(list) => {
            for (n, value) in list.iter().enumerate() {
                look(value, &format!("{at} {n}"), secret, found);
            }
        }
        _ => {}
    }
}

/// Whether a value under such a key is one: no word, no program's whole state, and no name of a variable.
fn is_token(value: &str) -> bool {
    LENGTHS.contains(&value.len()) && !names_a_variable(value)
}

/// As variables are, and by what programs call their tokens. What is named after a variable (`env_key`, `apiKeyEnv`) or
/// describes a token (`token_type`) is none.
fn is_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let describes = is_about_variables(key)
        || ["_type", "type", "_name", "_url", "endpoint", "_expires_at", "expiry"]
            .iter()
            .any(|end| lower.ends_with(end));
    !describes && (looks_secret(key) || KEYS.contains(&lower.as_str()))
}

/// Whether a key says in which variable something is: one of its words is `env` beside another.
fn is_about_variables(key: &str) -> bool {
    let mut words = vec![String::new()];
    let mut before = '_';
    for each in key.chars() {
        if !each.is_ascii_alphanumeric() || (each.is_ascii_uppercase() && before.is_ascii_lowercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| each.is_ascii_alphanumeric()) {
            word.push(each.to_ascii_lowercase());
        }
        before = each;
    }
    words.len() > 1 && words.iter().any(|word| word == "env")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_real_forms_of_logins_are_found() {
        let cases = [
            (
                r#"{"OPENAI_API_KEY":null,"tokens":{"id_token":"eyJhbGciOi.id","access_token":"eyJhbGciOi.ac","refresh_token":"rt_0123456789","account_id":"0d5f-account"},"last_refresh":"2026-01-01T00:00:00Z"}"#,
                vec!["f tokens access_token", "f tokens id_token", "f tokens refresh_token"],
            ),
            (
                r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-abc","refreshToken":"sk-ant-ort01-abc","expiresAt":1,"scopes":["user:inference"]}}"#,
                vec!["f claudeAiOauth accessToken", "f claudeAiOauth refreshToken"],
            ),
            (
                r#"{"anthropic":{"type":"oauth","refresh":"ort-0123456789","access":"oat-0123456789","expires":1},"x":{"type":"api","key":"sk-0123456789"}}"#,
                vec!["f anthropic access", "f anthropic refresh", "f x key"],
            ),
            (
                r#"{"access_token":"ya29.0123456789","token_type":"Bearer","scope":"https://www.googleapis.com/auth/x"}"#,
                vec!["f access_token"],
            ),
            (
                "[model_providers.x]\nenv_key = \"SCRIPTED_KEY_NAME\"\n[mcp_servers.y.env]\nY_TOKEN = \"y-0123456789\"\n",
                vec!["f mcp_servers y env Y_TOKEN"],
            ),
            ("export A_KEY='a-0123456789'\nPLAIN=nothing-secret-here\n", vec!["f A_KEY"]),
            (
                r#"{"modelProviders":{"openai":[{"envKey":"OPENAI_API_KEY","baseUrl":"https://x"}]},"api_key_env":"SOME_OTHER_NAME"}"#,
                vec![],
            ),
            (r#"{"options":{"apiKey":"{env:SCRIPTED_KEY}","headers":{"X-Key":"${SCRIPTED_KEY}"}}}"#, vec![]),
            (
                "[p]\nenv_http_headers = { X-Api-Key = \"A_LONG_NAME_OF_ONE\", X-Key = \"sk-0123456789\" }",
                vec!["f p env_http_headers X-Key"],
            ),
            ("[env]\nA_TOKEN = \"A_0123456789_B\"\n", vec!["f env A_TOKEN"]),
            ("no login at all", vec![]),
        ];
        for (text, names) in cases {
            let found = secrets_in("f", text);
            assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), names, "{text}");
        }
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("auth.json"), dir.path().join("link"));
        std::fs::write(&file, r#"{"token":"0123456789ab"}"#).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(secrets_in_file("a", &file).len(), 1);
        assert!(secrets_in_file("a", &link).is_empty());
        assert!(secrets_in_file("a", dir.path()).is_empty());
    }
}
