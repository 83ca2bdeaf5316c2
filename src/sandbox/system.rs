//! The few system calls that neither the standard library nor rustix has: the filter that reports to a listener, and
//! the listener's own. All of the room's `unsafe` is in here.

use libc::{c_int, c_long, c_ulong, c_void, sock_filter};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// A system call that waits for an answer, in the kernel's form.
pub(super) type Call = libc::seccomp_notif;

/// The kernel switches to the listener and back on one processor; since Linux 6.6.
const SYNC_WAKE_UP: c_ulong = 1;
/// A call that the listener has seen is interrupted by deadly signals only; since Linux 5.19.
const WAIT_KILLABLE: c_ulong = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

/// The version of Landlock's interface; 0 = none.
#[expect(unsafe_code, reason = "neither std nor rustix nor the landlock crate asks this question alone")]
pub(super) fn landlock_abi() -> u32 {
    const ASK_VERSION: c_long = 1;
    // SAFETY: with a null attribute of size 0 and this flag the call only answers a number.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0 as c_long, 0 as c_long, ASK_VERSION) };
    u32::try_from(answer).unwrap_or(0)
}

/// Whether a filter can report to a listener here, and the listener can let calls go on (Linux 5.5).
#[expect(unsafe_code, reason = "seccomp(2) has no safe form in std or rustix")]
pub(super) fn has_listener() -> bool {
    let action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel reads one u32, which lives as long as the call.
    let known = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL as c_long, 0 as c_long, &raw const action)
    };
    known == 0
}

/// Filters the system calls of this process and all that come from it. Answers the descriptor of the listener to
/// which the filter reports. Needs "no new privileges".
#[expect(unsafe_code, reason = "seccomp(2) has no safe form in std or rustix")]
pub(super) fn filter(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let len = u16::try_from(program.len()).map_err(|_| io::Error::other("the filter is too long"))?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let install = |flags: c_ulong| {
        // SAFETY: the kernel copies `len` instructions from `filter`, which outlives the call, and checks them; it
        // does not write to them.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER as c_long, flags, &raw const program) }
    };
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let mut made = install(listening | WAIT_KILLABLE);
    if made < 0 {
        made = install(listening);
    }
    let fd = c_int::try_from(made).map_err(|_| io::Error::other("the kernel gave no descriptor"))?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks for the fast way to and from the listener where the kernel has it.
#[expect(unsafe_code, reason = "an ioctl that rustix does not have")]
pub(super) fn make_fast(listener: BorrowedFd<'_>) {
    // SAFETY: this request takes a number and touches no memory. An older kernel refuses it, which does no harm.
    unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
    }
}

/// Waits for the next call. `None` = its process died meanwhile. An error too when nobody is left who could call.
#[expect(unsafe_code, reason = "an ioctl that rustix does not have")]
pub(super) fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Call>> {
    // SAFETY: the structure holds numbers only, for which zero is a value; the kernel demands zeroes.
    let mut call: Call = unsafe { std::mem::zeroed() };
    // SAFETY: the request carries the size of the structure that it writes, and the structure outlives the call.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
    if done == 0 {
        return Ok(Some(call));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Since Linux 6.11 this is also said, again and again, once the last process under the filter is gone.
        Some(libc::ENOENT) if is_deserted(listener) => Err(error),
        Some(libc::ENOENT | libc::EINTR) => Ok(None),
        _ => Err(error),
    }
}

/// Whether no process is left under the filter. It is inherited and cannot be dropped: nobody then lives who came from
/// the process that took it.
pub(super) fn is_deserted(listener: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(listener, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1)) && fds[0].revents().contains(PollFlags::HUP)
}

/// What is answered to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel goes on with it.
    GoOn,
    /// It has been done for the caller, or refused: 0, or an error number.
    Done(c_int),
}

/// Answers a call. A process that died meanwhile needs none.
#[expect(unsafe_code, reason = "an ioctl that rustix does not have")]
pub(super) fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) {
    let (error, flags) = match answer {
        Answer::GoOn => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Answer::Done(number) => (-number, 0),
    };
    let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the request carries the size of the structure that it reads, and the structure outlives the call.
    unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response);
    }
}

/// Whether the call still waits: then its process id has not been given to another.
#[expect(unsafe_code, reason = "an ioctl that rustix does not have")]
pub(super) fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the request reads one u64, which outlives the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// Connects a socket to an address in the kernel's form; 0, or an error number.
#[expect(unsafe_code, reason = "the address is bytes that another process wrote; std and rustix take their own types")]
pub(super) fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> c_int {
    let Ok(length) = libc::socklen_t::try_from(address.len()) else { return libc::EINVAL };
    // SAFETY: the kernel copies `length` bytes from the address, which outlives the call, and checks them.
    let done = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast::<libc::sockaddr>(), length) };
    if done == 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EACCES) }
}

/// Reads another process's memory; answers how much of `buffer` was filled.
#[expect(unsafe_code, reason = "process_vm_readv(2) has no safe form in std or rustix")]
pub(super) fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> usize {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return 0 };
    let Ok(address) = usize::try_from(address) else { return 0 };
    let here = libc::iovec { iov_base: buffer.as_mut_ptr().cast::<c_void>(), iov_len: buffer.len() };
    let there = libc::iovec { iov_base: address as *mut c_void, iov_len: buffer.len() };
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`, which outlives the call; the other address
    // means something in the other process only, and the kernel checks it.
    let read = unsafe { libc::process_vm_readv(pid, &raw const here, 1, &raw const there, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}
