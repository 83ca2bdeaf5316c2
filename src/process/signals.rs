//! The supervisor's signal handlers.
//!
//! A handler notes the signal and rings a pipe of signals (a byte into a pipe), so that a `poll` that is about to begin returns
//! as well. Signals to be survived get a handler too instead of being ignored: an ignored signal stays ignored in the
//! program that is started, a handled one does not.

use rustix::process::Signal;
use std::{
    ffi::c_int,
    io::{self, PipeReader, PipeWriter, Read},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

static STOP: AtomicBool = AtomicBool::new(false);
static BELL: OnceLock<PipeWriter> = OnceLock::new();

/// The reading end of the pipe of signals; readable after any handled signal.
#[derive(Debug)]
pub(super) struct SignalPipe {
    ear: PipeReader,
}

impl SignalPipe {
    /// Installs the handlers; once in a process.
    pub(super) fn install() -> io::Result<Self> {
        let (ear, rope) = io::pipe()?;
        rustix::io::ioctl_fionbio(&ear, true)?;
        rustix::io::ioctl_fionbio(&rope, true)?;
        BELL.set(rope).map_err(|_| io::Error::other("signal handlers are installed already"))?;
        let survived =
            [Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::ALARM, Signal::XFSZ];
        for which in [Signal::TERM, Signal::CHILD].into_iter().chain(survived) {
            handle(which);
        }
        Ok(Self { ear })
    }

    /// Takes all rings so far out of the pipe.
    pub(super) fn close(&self) {
        let mut rings = [0; 256];
        while matches!((&self.ear).read(&mut rings), Ok(count) if count == rings.len()) {}
    }

    /// Whether somebody asked the supervisor to stop its program.
    pub(super) fn stop_wanted(&self) -> bool {
        STOP.load(Ordering::Relaxed)
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}

extern "C" fn ring(signal: c_int) {
    if signal == Signal::TERM.as_raw() {
        STOP.store(true, Ordering::Relaxed);
    }
    if let Some(rope) = BELL.get() {
        // A full pipe rings already.
        let _ = rustix::io::write(rope, b"!");
    }
}

#[expect(
    unsafe_code,
    reason = "std and rustix offer no safe way to catch a signal, and the supervisor carries no runtime"
)]
fn handle(which: Signal) {
    unsafe extern "C" {
        fn signal(signum: c_int, handler: extern "C" fn(c_int)) -> usize;
    }
    // SAFETY: the C library's `signal` with a valid number and a handler that lives as long as the program. The
    // handler uses two atomic loads, one atomic store and the system call write, all safe inside a handler; rustix
    // makes the call itself, so errno is untouched. These numbers cannot fail, so the answer tells nothing.
    unsafe {
        signal(which.as_raw(), ring);
    }
}
