//! From the drive file to the exit code.
use super::{
    acp::Conversation,
    attempt_client::AttemptClient,
    file::{Drive, Resume},
    out::{Out, note},
    places,
    plan::{Plan, own_variables},
    prompt,
    provider_error::{Classes, Failure, ProviderError},
    rules::{Heard, Rules},
    stream::{End, Stream},
    usage_log::UsageLogReader,
    usage_meter::UsageMeter,
};
use crate::{
    model::{
        adapter::{Dialect, ErrorClass},
        protocol::AgentInput,
    },
    reader::{LineReader, Source},
    system::clock,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    path::Path,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

pub(super) const FAILED: i32 = 1;
pub(super) const BAD_DATA: i32 = 65;
pub(super) const BAD_IO: i32 = 74;
pub(super) const NOT_STARTED: i32 = 127;
pub(super) const STOPPED: i32 = 143;

/// Drives the agent of the drive file `file` with the input on stdin; answers the exit code of this process. To be
/// called first thing in `main`.
pub fn drive_main(file: &Path) -> i32 {
    let mut out = Out::new(Box::new(io::stdout()));
    let (drive, input) = match read(file) {
        Ok(read) => read,
        Err(why) => {
            note(&why);
            out.say(&failed(ErrorClass::Other, &why).line());
            return BAD_DATA;
        }
    };
    let out = out.with_log_limit(drive.log_bytes);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(&format!("no runtime: {error}"));
            return BAD_IO;
        }
    };
    let code = runtime.block_on(async {
        let (sender, stop) = watch::channel(false);
        match listen(sender) {
            Ok(()) => Attempt::new(&drive, &input, stop, out).run().await,
            Err(error) => {
                note(&format!("signals cannot be caught: {error}"));
                BAD_IO
            }
        }
    });
    // A thread that waits for a pipe nobody will close must not hold our end up.
    runtime.shutdown_background();
    code
}

fn read(file: &Path) -> Result<(Drive, AgentInput), String> {
    let shown = file.display();
    let bytes = fs::read(file).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let drive: Drive = serde_json::from_slice(&bytes).map_err(|error| format!("{shown}: {error}"))?;
    drive.adapter.check().map_err(|error| error.to_string())?;
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input).map_err(|error| format!("the input cannot be read: {error}"))?;
    let mut input: AgentInput = serde_json::from_slice(&input)
        .map_err(|error| format!("the input is not the engine's JSON object: {error}"))?;
    if drive.adapter.resumes_elsewhere && drive.session.as_ref().is_some_and(|resume| !places::is_here(&drive, resume))
    {
        // The conversation is full of paths that are no more.
        let here = drive.worktree.display();
        input.prompt =
            format!("Your worktree is a new one: {here}. The one of before is not there.\n\n{}", input.prompt);
    }
    if let Some(note) = &drive.adapter.tools_note {
        input.prompt = format!("{}\n\n{note}", input.prompt.trim_end());
    }
    input.prompt = prompt::handed_over(&input.prompt);
    Ok((drive, input))
}

/// Tells of TERM, INT and HUP from now on.
fn listen(sender: watch::Sender<bool>) -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    // A write beyond the limit on the size of files fails with an error then.
    drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {}
        }
        sender.send_replace(true);
    });
    Ok(())
}

/// One attempt.
struct Attempt<'a> {
    drive: &'a Drive,
    input: &'a AgentInput,
    stop: watch::Receiver<bool>,
    out: Out,
    own: BTreeMap<String, String>,
    rules: Rules,
    classes: Classes,
    heard: Heard,
}

/// How one try ended.
pub(super) enum Verdict {
    /// The agent ended its turn.
    Done,
    /// Somebody ended the driver.
    Stopped,
    /// It failed.
    Failed(Failure),
    /// It could not be tried: an exit code and a sentence.
    NotTried(i32, String),
}

impl<'a> Attempt<'a> {
    fn new(drive: &'a Drive, input: &'a AgentInput, stop: watch::Receiver<bool>, out: Out) -> Self {
        let mut usage_meter = UsageMeter::new(drive.model.clone(), drive.session.as_ref());
        if drive.budgeted {
            usage_meter.tell_all();
        }
        Self {
            drive,
            input,
            stop,
            out,
            own: own_variables(),
            rules: Rules::new(&drive.adapter),
            classes: Classes::new(&drive.adapter.errors),
            heard: Heard::new(usage_meter),
        }
    }

    async fn run(mut self) -> i32 {
        let mut resume = self.drive.session.as_ref().filter(|_| self.drive.adapter.resumes);
        let anywhere = self.drive.adapter.resumes_elsewhere;
        if resume.is_some_and(|resume| !anywhere && !places::is_here(self.drive, resume)) {
            note("the conversation took place in another worktree; a new one begins");
            resume = None;
        }
        if resume.is_none() {
            self.heard.usage_meter.begin_anew();
        }
        let mut verdict = self.attempt(resume).await;
        if resume.is_some() && matches!(&verdict, Verdict::Failed(failure) if self.may_begin_anew(failure)) {
            note("the conversation cannot be resumed; a new one begins");
            self.heard.usage_meter.begin_anew();
            (self.heard.failure, self.heard.notice) = (None, None);
            verdict = self.attempt(None).await;
        }
        self.end(verdict)
    }

    /// Nothing was done yet, so nothing is done twice.
    fn may_begin_anew(&self, failure: &Failure) -> bool {
        failure.class == ErrorClass::ResumeFailed && self.heard.usage_meter.tool_calls() == 0
    }

    async fn attempt(&mut self, resume: Option<&Resume>) -> Verdict {
        let plan = match Plan::new(self.drive, self.input, &self.own, resume) {
            Ok(plan) => plan,
            Err(why) => return Verdict::NotTried(BAD_DATA, why),
        };
        if let Err(why) = plan.write_files() {
            return Verdict::NotTried(BAD_IO, why);
        }
        let ended = if self.drive.adapter.dialect == Dialect::Acp {
            let conversation = Conversation {
                drive: self.drive,
                input: self.input,
                attempt_client: AttemptClient::of(&self.own),
                out: &mut self.out,
                heard: &mut self.heard,
                stop: self.stop.clone(),
            };
            conversation.run(&plan, resume).await
        } else {
            self.stream(&plan).await
        };
        plan.remove_files();
        match ended {
            Ok(end) => self.judge(end),
            Err(why) => Verdict::NotTried(NOT_STARTED, why),
        }
    }

    async fn stream(&mut self, plan: &Plan) -> Result<End, String> {
        let stream = Stream {
            adapter: &self.drive.adapter,
            rules: &self.rules,
            classes: &self.classes,
            out: &mut self.out,
            heard: &mut self.heard,
            stop: self.stop.clone(),
            usage_log: UsageLogReader::of(self.drive),
            reader: LineReader::new(Source::Program),
            number: 0,
        };
        stream.run(plan, &self.drive.worktree).await
    }

    /// Whether the program's end is the end of the agent's turn.
    fn judge(&self, end: End) -> Verdict {
        let ended_well = end.status.is_some_and(|status| status.success());
        let unfinished = self.drive.adapter.needs_end && self.heard.usage_meter.turns() == 0;
        if end.stopped {
            return Verdict::Stopped;
        }
        let said =
            || self.heard.notice.clone().or_else(|| (!end.tail.is_empty()).then(|| ProviderError::words(&end.tail)));
        let how = match end.status {
            Some(status) if status.code().is_some() => format!("ended with {}", status.code().unwrap_or_default()),
            Some(status) => format!("was ended by signal {}", status.signal().unwrap_or_default()),
            None => "did not end".to_owned(),
        };
        let program = &self.drive.adapter.name;
        let provider_error = match (&self.heard.failure, end.provider_error) {
            (Some(failure), _) => failure.clone(),
            (None, Some(provider_error)) => provider_error,
            (None, None) if !ended_well => {
                let mut provider_error = said().unwrap_or_else(|| ProviderError::words("it said nothing about it"));
                provider_error.text = format!("{program} {how}: {}", provider_error.text);
                provider_error
            }
            (None, None) if unfinished => {
                let mut provider_error = said().unwrap_or_default();
                provider_error.text = format!("{program} {how} without finishing its turn. {}", provider_error.text);
                provider_error
            }
            // The client of ACP has looked at it already.
            (None, None) => match self.heard.hollow(&self.classes).filter(|_| self.drive.adapter.tells_of_all_work()) {
                Some(provider_error) => provider_error,
                None => return Verdict::Done,
            },
        };
        Verdict::Failed(self.classes.understand(&provider_error, clock::now()))
    }

    /// The last lines.
    fn end(mut self, verdict: Verdict) -> i32 {
        if matches!(verdict, Verdict::Done) && self.drive.adapter.says_in_text {
            self.heard.said_in_text().iter().for_each(|line| self.out.say(line));
        }
        if let Some(line) = self.heard.usage_meter.usage_line(true) {
            self.out.say(&line);
        }
        if let Some(session) = self.heard.usage_meter.session() {
            places::remember(self.drive, session);
        }
        if let Some(line) = self.heard.usage_meter.session_line(true) {
            self.out.say(&line);
        }
        if self.drive.adapter.counts_tools() {
            self.out.say(&self.heard.usage_meter.activity_line());
        }
        match verdict {
            Verdict::Done => 0,
            Verdict::Stopped => STOPPED,
            Verdict::Failed(failure) => {
                note(&failure.text);
                self.out.say(&failure.line());
                FAILED
            }
            Verdict::NotTried(code, why) => {
                note(&why);
                self.out.say(&failed(ErrorClass::Other, &why).line());
                code
            }
        }
    }
}

fn failed(class: ErrorClass, why: &str) -> Failure {
    Failure { class, text: why.to_owned(), status: None, retry_after_s: None }
}
