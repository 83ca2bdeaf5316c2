//! `p0 __playbook FILE`: a built-in agent that speaks the `command` protocol and plays recorded work. For the demo
//! and for tests: it thinks nothing.
//!
//! It reads the engine's JSON object on stdin, takes the first `[[scene]]` of the TOML file whose conditions all
//! hold, and plays it in its working directory.
//!
//! ```toml
//! [[scene]]
//! # Conditions; what is left out always holds.
//! role = "executor"
//! ticket_title = "Store the posts"        # or: ticket = "BLOG-1"
//! round = 1
//! iteration = 1
//! # What happens, in this order:
//! pause_ms = 300                          # work takes time
//! write = { "src/store.py" = "posts = []\n" }   # path relative to the worktree = content; folders are made
//! append = { "README.md" = "\nStores posts.\n" }
//! delete = ["old.py"]                     # files; an absent one is fine
//! run = [["python3", "-m", "compileall", "-q", "src"]]  # its stdout goes to stderr; failure ends the play with its code
//! stderr = "looks good to me\n"
//! say = [{ type = "comment", text = "posts live in ${ticket.id}" }]   # one JSON line each
//! otherwise = [{ type = "comment", text = "it does not compile" }]    # said in place of `say` when a program of
//!                                                                     # `run` fails, which ends the play no more
//! exit = 0
//! ```
//!
//! Every text but names and conditions may hold placeholders: `${ticket.id}`, `${role}`, `${tickets.0.title}` (a path
//! into the input), `${id:Title}` (the newest ticket of that title, feedback aside), `${feedback:Title}` (the newest
//! feedback item of that title). `$${` writes `${`.
//!
//! Exit codes beside the scene's own and those of `run`: 64 no scene matches, 65 the file or the input is wrong, 74
//! the work could not be written.

use super::{
    fill::{fill, fill_value},
    scene::{Playbook, Scene},
};
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

const NO_SCENE: i32 = 64;
const BAD_DATA: i32 = 65;
const BAD_IO: i32 = 74;
/// A program that could not be started, as shells say it.
const NOT_FOUND: i32 = 127;

/// Why the play ended early: an exit code and a sentence.
type Stop = (i32, String);

/// Plays the scene for the input on stdin; answers the exit code of this process.
pub fn playbook_main(file: &Path) -> i32 {
    let mut input = Vec::new();
    if let Err(error) = io::stdin().lock().read_to_end(&mut input) {
        return end((BAD_IO, format!("the input cannot be read: {error}")));
    }
    match play(file, &input) {
        Ok(code) => code,
        Err(stop) => end(stop),
    }
}

fn end((code, sentence): Stop) -> i32 {
    let _ = writeln!(io::stderr(), "{sentence}");
    code
}

fn play(file: &Path, input: &[u8]) -> Result<i32, Stop> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| (BAD_DATA, format!("{shown}: cannot be read: {error}")))?;
    let book = Playbook::parse(&text).map_err(|(line, what)| (BAD_DATA, format!("{shown}:{line}: {what}")))?;
    let input: Value = serde_json::from_slice(input)
        .map_err(|error| (BAD_DATA, format!("the input is not the engine's JSON object: {error}")))?;
    let scene = book.scene_for(&input).ok_or_else(|| (NO_SCENE, no_scene(file, &input)))?;
    let filled = |text: &str| fill(text, &input).map_err(|why| (BAD_DATA, format!("{shown}: {why}")));
    work(scene, &filled)?;
    let words = match (run(scene, &filled)?, &scene.otherwise) {
        (None, _) => &scene.say,
        // What a judge says depends on what it saw: the programs decide which of the two it is.
        (Some(_), Some(otherwise)) => otherwise,
        (Some(code), None) => return Ok(code),
    };
    if let Some(text) = &scene.stderr {
        let _ = io::stderr().write_all(filled(text)?.as_bytes());
    }
    say(file, words, &input)?;
    Ok(i32::from(scene.exit))
}

fn no_scene(file: &Path, input: &Value) -> String {
    let part = |pointer: &str| input.pointer(pointer).map_or_else(|| "none".to_owned(), Value::to_string);
    format!(
        "{}: no scene for role {}, ticket {} {}, round {}, iteration {}; add one with these conditions",
        file.display(),
        part("/role"),
        part("/ticket/id"),
        part("/ticket/title"),
        part("/round"),
        part("/iteration"),
    )
}

/// Pause, then the files.
fn work(scene: &Scene, filled: &impl Fn(&str) -> Result<String, Stop>) -> Result<(), Stop> {
    std::thread::sleep(Duration::from_millis(scene.pause_ms));
    for (path, content) in &scene.write {
        let (path, content) = (inside(&filled(path)?)?, filled(content)?);
        with_folder(&path).and_then(|()| fs::write(&path, content)).map_err(|error| cannot("write", &path, &error))?;
    }
    for (path, content) in &scene.append {
        let (path, content) = (inside(&filled(path)?)?, filled(content)?);
        with_folder(&path)
            .and_then(|()| OpenOptions::new().append(true).create(true).open(&path))
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(|error| cannot("append to", &path, &error))?;
    }
    for path in &scene.delete {
        let path = inside(&filled(path)?)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot("delete", &path, &error)),
            _ => {}
        }
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Stop {
    (BAD_IO, format!("{}: cannot {what} it: {error}", path.display()))
}

fn with_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// A playbook works in its worktree and nowhere else.
fn inside(path: &str) -> Result<PathBuf, Stop> {
    let path = PathBuf::from(path);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if plain && path.file_name().is_some() {
        Ok(path)
    } else {
        Err((BAD_DATA, format!("{}: must be a path inside the worktree, relative and without ..", path.display())))
    }
}

/// Runs the scene's programs; the code of the first that fails.
fn run(scene: &Scene, filled: &impl Fn(&str) -> Result<String, Stop>) -> Result<Option<i32>, Stop> {
    for argv in &scene.run {
        let argv = argv.iter().map(|argument| filled(argument)).collect::<Result<Vec<_>, _>>()?;
        let Some((program, arguments)) = argv.split_first() else {
            return Err((BAD_DATA, "run: an empty command; name a program".to_owned()));
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the playbook is an agent: its programs run under its supervisor"
        )]
        let mut command = Command::new(program);
        let status = command
            .args(arguments)
            .stdin(Stdio::null())
            // stdout is the protocol's.
            .stdout(Stdio::from(io::stderr()))
            .status()
            .map_err(|error| (NOT_FOUND, format!("run: {program} cannot be started: {error}")))?;
        if !status.success() {
            // A program ended by a signal has no code of its own.
            return Ok(Some(status.code().unwrap_or(1)));
        }
    }
    Ok(None)
}

fn say(file: &Path, messages: &[toml::Table], input: &Value) -> Result<(), Stop> {
    let mut lines = String::new();
    for message in messages {
        let message = serde_json::to_value(message)
            .map_err(|error| error.to_string())
            .and_then(|message| fill_value(&message, input))
            .map_err(|why| (BAD_DATA, format!("{}: say: {why}", file.display())))?;
        lines.push_str(&message.to_string());
        lines.push('\n');
    }
    let mut out = io::stdout().lock();
    out.write_all(lines.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| (BAD_IO, format!("stdout cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_worktree() {
        for path in ["/etc/passwd", "../x", "a/../../x", "", "."] {
            assert!(inside(path).is_err(), "{path}");
        }
        assert_eq!(inside("a/b.txt").unwrap(), Path::new("a/b.txt"));
    }

    #[test]
    fn a_broken_file_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("play.toml");
        fs::write(&file, "[[scene]]\nrol = 1\n").unwrap();
        let (code, sentence) = play(&file, b"{}").unwrap_err();
        assert_eq!(code, BAD_DATA);
        assert!(sentence.contains("play.toml:2:"), "{sentence}");
    }

    #[test]
    fn no_scene_says_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("play.toml");
        fs::write(&file, "[[scene]]\nrole = \"planner\"\n").unwrap();
        let (code, sentence) = play(&file, br#"{"role":"verifier","round":1}"#).unwrap_err();
        assert_eq!(code, NO_SCENE);
        assert!(sentence.contains("\"verifier\""), "{sentence}");
    }

    #[test]
    fn input_that_is_no_json_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("play.toml");
        fs::write(&file, "").unwrap();
        assert_eq!(play(&file, b"hello").unwrap_err().0, BAD_DATA);
    }
}
