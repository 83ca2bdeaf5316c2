//! The only place that prints. Data goes to stdout, everything about it to stderr; a reader that goes away is no error,
//! any other failure to write is one.
use crate::service::{
    config::env,
    place,
    problem::{Kind, Problem},
};
use rustix::event::{PollFd, PollFlags};
use serde::Serialize;
use std::{
    io::{ErrorKind, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// How often a command that waits looks whether it is still read.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Set once nobody reads stdout any more.
static GONE: AtomicBool = AtomicBool::new(false);

/// Set once stdout could not be written although somebody reads it.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// It went well.
    Green,
    /// It went wrong.
    Red,
    /// Look here.
    Yellow,
    /// Less important.
    Dim,
}

/// Whether the reader of stdout has gone away: a command that follows something may stop.
pub(crate) fn gone() -> bool {
    GONE.load(Ordering::Relaxed)
}

/// Whether stdout has not all that was to be there, by no wish of its reader: the command has not succeeded.
pub(crate) fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Resolves once nobody reads stdout any more, also while there is nothing to write.
pub(crate) async fn reader_gone() {
    loop {
        let out = std::io::stdout();
        let mut fds = [PollFd::new(&out, PollFlags::empty())];
        // Errors and hang-ups are told without being asked for; a pipe whose reader has gone is in error.
        let found = rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }));
        if found.is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            GONE.store(true, Ordering::Relaxed);
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Bytes as they are.
pub(crate) fn raw(to: To, bytes: &[u8]) {
    let result = match to {
        To::Out if gone() => return,
        To::Out => {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        To::Err => std::io::stderr().lock().write_all(bytes),
    };
    let (Err(e), To::Out) = (result, to) else { return };
    GONE.store(true, Ordering::Relaxed);
    if e.kind() != ErrorKind::BrokenPipe {
        FAILED.store(true, Ordering::Relaxed);
        error(&Problem::new(
            Kind::General,
            format!("the output cannot be written: {e}; what was written is not all of it"),
        ));
    }
}

/// A line.
pub(crate) fn line_to(to: To, text: &str) {
    raw(to, format!("{text}\n").as_bytes());
}

/// A line of data.
pub(crate) fn line(text: &str) {
    line_to(To::Out, text);
}

/// A line about what happens.
pub(crate) fn note(text: &str) {
    line_to(To::Err, text);
}

/// A document, in one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Problem> {
    let text = serde_json::to_string(value).map_err(|e| Problem::general(&e))?;
    line(&text);
    Ok(())
}

/// A problem and what to do about it.
pub(crate) fn error(problem: &Problem) {
    note(&format!("{} {problem}", paint(To::Err, Colour::Red, "error:")));
    if let Some(hint) = problem.hint.as_deref().or_else(|| place::hint_for(&problem.detail)) {
        note(&format!("{} {hint}", paint(To::Err, Colour::Yellow, "hint:")));
    }
}

/// Something that is not as it was asked for, and does no harm.
pub(crate) fn warn(text: &str) {
    note(&format!("{} {text}", paint(To::Err, Colour::Yellow, "warning:")));
}

/// Whether somebody looks.
pub(crate) fn is_terminal(to: To) -> bool {
    match to {
        To::Out => std::io::stdout().is_terminal(),
        To::Err => std::io::stderr().is_terminal(),
    }
}

/// Whether lines can be drawn over.
pub(crate) fn can_redraw(to: To) -> bool {
    is_terminal(to) && env::var("TERM").is_some_and(|term| term != "dumb")
}

/// A text in a colour, where colours are wanted.
pub(crate) fn paint(to: To, colour: Colour, text: &str) -> String {
    if !can_redraw(to) || env::var("NO_COLOR").is_some() {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Green => "32",
        Colour::Red => "31",
        Colour::Yellow => "33",
        Colour::Dim => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The terminal's width in columns.
pub(crate) fn width(to: To) -> usize {
    let size = match to {
        To::Out => rustix::termios::tcgetwinsize(std::io::stdout()),
        To::Err => rustix::termios::tcgetwinsize(std::io::stderr()),
    };
    size.map_or(80, |size| usize::from(size.ws_col)).max(20)
}

/// Rows under a head, each column as wide as its widest entry; the last one as wide as it is.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let draw = |cells: &[String]| {
        let last = cells.len().saturating_sub(1);
        let padded = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(i, (cell, width))| if i == last { cell.clone() } else { format!("{cell:<width$}") });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    line(&paint(To::Out, Colour::Dim, &draw(&head)));
    for row in rows {
        line(&draw(row));
    }
}
