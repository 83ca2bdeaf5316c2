//! Dialects `lines` and `text`: the program beside what it writes, from its start to its end.
use super::{
    child::{LONGEST_LINE, Line, Program},
    log::Log,
    out::{Out, note},
    plan::Plan,
    provider_error::{Classes, ProviderError},
    rules::{Heard, Rules},
    usage_log::UsageLogReader,
};
use crate::{
    model::adapter::{Adapter, Dialect},
    reader::{Fragment, LineReader, Piece},
    system::clock,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::Path,
    pin::Pin,
    process::ExitStatus,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::watch, time::Sleep};

/// How long output may still come once the program has ended: a process it left behind may hold the pipe.
pub(super) const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// How the program ended.
#[derive(Debug)]
pub(super) struct End {
    /// Its status; none when it had to be left.
    pub(super) status: Option<ExitStatus>,
    /// Somebody ended the driver.
    pub(super) stopped: bool,
    /// What it complained of so often that it was ended, or what counts as a failure whatever its status.
    pub(super) provider_error: Option<ProviderError>,
    /// The end of its stderr.
    pub(super) tail: String,
}

/// What runs beside the program.
pub(super) struct Stream<'a> {
    pub(super) adapter: &'a Adapter,
    pub(super) rules: &'a Rules,
    pub(super) classes: &'a Classes,
    pub(super) out: &'a mut Out,
    pub(super) heard: &'a mut Heard,
    /// Becomes true when somebody ends the driver.
    pub(super) stop: watch::Receiver<bool>,
    /// What the program itself writes down.
    pub(super) usage_log: UsageLogReader,
    /// What its lines hold.
    pub(super) reader: LineReader,
    /// Lines read so far.
    pub(super) number: u64,
}

/// A line that is longer than any is read.
pub(super) fn too_long(number: u64, bytes: &[u8]) -> Piece {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
    let why = format!("it is longer than {LONGEST_LINE} bytes");
    Piece::Unreadable(Fragment { line: number, column: 0, what: String::new(), why, text })
}

impl Stream<'_> {
    /// Runs the program of `plan` to its end.
    ///
    /// # Errors
    /// It could not be started: a sentence.
    pub(super) async fn run(mut self, plan: &Plan, folder: &Path) -> Result<End, String> {
        let mut program = Program::start(plan, folder, false)?;
        if let Some(mut stdin) = program.stdin.take() {
            let prompt = plan.stdin.clone();
            // A program that does not read its prompt says so in its own words.
            tokio::spawn(async move {
                let _ = stdin.write_all(&prompt).await;
                let _ = stdin.shutdown().await;
            });
        }
        let Some(mut lines) = program.lines.take() else { return Err("its pipes are gone".to_owned()) };
        let grace = Duration::from_millis(self.adapter.grace_ms);
        let (mut status, mut stopped, mut silent, mut killed) = (None, false, false, false);
        let mut log = Log::default();
        let mut alarm: Option<Pin<Box<Sleep>>> = None;
        let mut ending = false;
        let mut stop = self.stop.clone();
        while !(silent && status.is_some()) {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if !stopped => {
                    stopped = true;
                    if !ending {
                        ending = true;
                        program.signal(Signal::TERM);
                        alarm = Some(Box::pin(tokio::time::sleep(grace)));
                    }
                }
                line = lines.recv(), if !silent => match line {
                    Some(line) => self.take(&line, &mut log),
                    None => silent = true,
                },
                ended = program.child.wait(), if status.is_none() => {
                    status = Some(ended.ok());
                    alarm = Some(Box::pin(tokio::time::sleep(LAST_OUTPUT)));
                }
                () = ring(&mut alarm) => {
                    if status.is_some() || killed {
                        break;
                    }
                    killed = true;
                    program.signal(Signal::KILL);
                    alarm = Some(Box::pin(tokio::time::sleep(LAST_OUTPUT)));
                }
            }
            if log.over && !ending {
                ending = true;
                note("the program tries the same again and again: it is ended");
                program.signal(Signal::TERM);
                alarm = Some(Box::pin(tokio::time::sleep(grace)));
            }
        }
        let rest = self.reader.end();
        self.pieces(rest, &mut log);
        // Whoever is left of its group has nobody to work for.
        program.signal(if ending { Signal::KILL } else { Signal::TERM });
        // What it used for a turn that failed stands nowhere else.
        self.usage_log.read(&mut self.heard.usage_meter);
        let tail = log.tail();
        Ok(End { status: status.flatten(), stopped, provider_error: log.provider_error, tail })
    }

    fn take(&mut self, line: &Line, log: &mut Log) {
        match line {
            Line::OutEnd => {}
            Line::Err(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let _ = writeln!(io::stderr(), "{text}");
                log.line(&text, self.classes);
            }
            Line::Out { bytes, .. } if self.adapter.dialect == Dialect::Text => {
                let text = String::from_utf8_lossy(bytes);
                let text = text.trim_end_matches('\r');
                self.out.native_text(text);
                log.line(text, self.classes);
                self.event(&json!({ "line": text }), log);
            }
            Line::Out { bytes, cut } => {
                self.number += 1;
                let pieces =
                    if *cut { vec![too_long(self.number, bytes)] } else { self.reader.line(self.number, bytes) };
                self.out.program_line(bytes, &pieces);
                if !pieces.iter().any(|piece| matches!(piece, Piece::Object(_))) {
                    log.line(&String::from_utf8_lossy(bytes), self.classes);
                }
                self.pieces(pieces, log);
            }
        }
    }

    fn pieces(&mut self, pieces: Vec<Piece>, log: &mut Log) {
        for piece in pieces {
            match piece {
                Piece::Object(event) => self.event(&event, log),
                Piece::Unreadable(fragment) => self.out.say(&self.rules.unreadable(&fragment)),
            }
        }
    }

    fn event(&mut self, event: &Value, log: &mut Log) {
        let effect = self.rules.take(event, self.heard, clock::now());
        effect.lines.iter().for_each(|line| self.out.say(line));
        if self.usage_log.read(&mut self.heard.usage_meter)
            && let Some(line) = self.heard.usage_meter.grown_usage_line()
        {
            self.out.say(&line);
        }
        if let Some(notice) = &effect.notice {
            log.line(notice, self.classes);
        }
        // In text every line is progress, errors included: only what is counted shows that work goes on.
        if effect.progress && self.adapter.dialect != Dialect::Text {
            log.progress();
        }
    }
}

/// When the alarm rings; never when there is none.
pub(super) async fn ring(alarm: &mut Option<Pin<Box<Sleep>>>) {
    match alarm {
        Some(sleep) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}
