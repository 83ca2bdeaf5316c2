//! The scripted model server of one test.
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What every answer is said to have used. All different, so that a sum of the wrong ones shows.
pub const INPUT: u64 = 1234;
pub const CACHED: u64 = 200;
pub const OUTPUT: u64 = 56;
/// The input where nothing is cached: below what a program that tells its use in words rounds.
pub const INPUT_IN_WORDS: u64 = 734;

/// A server that runs as long as this lives.
pub struct Model {
    child: Child,
    script: PathBuf,
    usage: Value,
    pub port: u16,
}

/// What the server counted of the answers it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub requests: u64,
    pub input: u64,
    pub output: u64,
}

impl Model {
    /// Starts one that knows nothing to say yet. `caches`: a part of each input is told to be cached.
    pub fn start(dir: &Path, caches: bool) -> Model {
        Model::start_with(dir, caches, &[])
    }

    /// The same, with more arguments.
    pub fn start_with(dir: &Path, caches: bool, more: &[&str]) -> Model {
        let script = dir.join("script.json");
        fs::write(&script, "{}").unwrap();
        let port_file = dir.join("port");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/scripted_llm.py");
        let child = Command::new(crate::env::python())
            .args(["-SE", &program.display().to_string(), "--port", "0", "--script"])
            .arg(&script)
            .arg("--port-file")
            .arg(&port_file)
            .args(more)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        let port = loop {
            if let Some(port) = fs::read_to_string(&port_file).ok().and_then(|p| p.parse().ok()) {
                break port;
            }
            assert!(Instant::now() < end, "the model server did not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        let usage = match caches {
            true => json!({ "in": INPUT, "out": OUTPUT, "cached": CACHED }),
            false => json!({ "in": INPUT_IN_WORDS, "out": OUTPUT, "cached": 0 }),
        };
        Model { child, script, usage, port }
    }

    /// What it says from now on: the steps of each conversation, or the first rule that fits.
    pub fn say(&self, steps: &Value, rules: &Value) {
        let script = json!({
            "usage": self.usage,
            "steps": steps,
            "rules": rules,
        });
        // The server reads it at every request: never half of it.
        let new = self.script.with_extension("new");
        fs::write(&new, script.to_string()).unwrap();
        fs::rename(&new, &self.script).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<Value> {
        self.get("/_log").as_array().unwrap().clone()
    }

    /// How many requests were answered with this status, or (`None`) by the model.
    pub fn answered(&self, status: Option<u16>) -> usize {
        self.log().iter().filter(|r| r["status"].as_u64() == status.map(u64::from)).count()
    }

    /// What it counted, without side requests (titles of conversations and the like), which agents do not report.
    pub fn counted(&self) -> Counted {
        let used = &self.get("/_usage")["main"];
        let number = |name: &str| used[name].as_u64().unwrap();
        Counted { requests: number("requests"), input: number("input_tokens"), output: number("output_tokens") }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
