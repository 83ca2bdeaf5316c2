//! Sleeping in the engine until the kernel has something to say on a file descriptor.

use std::{io, os::fd::OwnedFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Hands a descriptor to the runtime, to wait until it is readable. To be called within a tokio runtime.
///
/// # Errors
/// The runtime's poller has no room for it.
#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor; taking only `OwnedFd` is what keeps it")]
pub(crate) fn when_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, always answers the same descriptor, and is closed only when the `AsyncFd` that
    // owns it from here on is dropped. Nobody in this room replaces it through `get_mut`.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}
