//! connect(2) in the caller's place. The kernel would read the number of the socket, the address and the links on its
//! way once more, and another thread may have exchanged any of them by then. So no such call goes on: the socket is
//! copied, the address is read and a path is resolved once, and what was looked at is what is connected.
//!
//! Whoever accepts sees the supervisor as its peer: the same user, another process.
//!
//! Not covered: a datagram that is sent to an address (sendto(2), sendmsg(2)). For sendmsg(2) a filter does not see
//! whether there is an address, and reporting all of them would stop every program that speaks over sockets at each
//! word. Docker, D-Bus and agents for keys have streams, which are connected or not used at all.

use super::{
    caller::{self, argument, descriptor},
    spec::Confine,
    system::{self, Call},
};
use crate::model::sandbox::Network;
use libc::c_int;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, sockopt},
};
use std::{
    fs,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
};

/// The longest address: what the kernel calls `sockaddr_storage`.
const ADDRESS_BYTES: usize = 128;
/// The family comes first in every address.
const FAMILY_BYTES: usize = 2;

/// A connection that may be made.
#[derive(Debug)]
pub(super) struct Aim {
    socket: OwnedFd,
    address: Vec<u8>,
    /// What the address leads to, which must stay open so long.
    _file: Option<OwnedFd>,
    may_wait: bool,
}

/// Why none is made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As the kernel would.
    Plain(c_int),
    /// It leads out.
    Out(c_int, String),
    /// The caller cannot be read: a hardened kernel, or a program that lets nobody.
    Unreadable,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal::Plain(errno.raw_os_error())
    }
}

impl Aim {
    /// What a call wants to connect, if it may.
    pub(super) fn of(confine: &Confine, call: &Call) -> Result<Aim, Refusal> {
        let socket = caller::copy(call.pid, descriptor(argument(call, 0))).map_err(|errno| match errno {
            Errno::PERM | Errno::ACCESS | Errno::NOSYS => Refusal::Unreadable,
            errno => errno.into(),
        })?;
        let kind = sockopt::socket_type(&socket)?;
        let length = usize::try_from(descriptor(argument(call, 2))).ok().filter(|it| *it <= ADDRESS_BYTES);
        let mut address = vec![0; length.ok_or(Errno::INVAL)?];
        if system::read_memory(call.pid, argument(call, 1), &mut address) < address.len() {
            return Err(Errno::FAULT.into());
        }
        let may_wait = kind == SocketType::STREAM || kind == SocketType::SEQPACKET;
        let mut aim = Aim { socket, address, _file: None, may_wait };
        match sockopt::socket_domain(&aim.socket)? {
            AddressFamily::UNIX => aim.here(confine, call, kind)?,
            AddressFamily::INET | AddressFamily::INET6 => aim.outside(&confine.network, kind)?,
            AddressFamily::VSOCK if confine.network == Network::Allow => {}
            // Groups of the kernel's own sockets need rights, which the supervisor may have and the caller not.
            AddressFamily::NETLINK if aim.address.get(8..).is_none_or(|groups| groups.iter().all(|it| *it == 0)) => {}
            _ => return Err(Errno::ACCESS.into()),
        }
        Ok(aim)
    }

    /// Whether connecting may take long: until the other side accepts.
    pub(super) fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Connects; 0, or an error number.
    pub(super) fn connect(&self) -> c_int {
        loop {
            match system::connect(self.socket.as_fd(), &self.address) {
                // The supervisor's own signals are not the caller's.
                libc::EINTR => {}
                done => return done,
            }
        }
    }

    fn family(&self) -> Option<c_int> {
        let bytes = self.address.first_chunk::<FAMILY_BYTES>()?;
        Some(c_int::from(u16::from_ne_bytes(*bytes)))
    }

    fn outside(&self, network: &Network, kind: SocketType) -> Result<(), Refusal> {
        // Who connects to no family lets go of a connection.
        if kind != SocketType::STREAM || self.family() == Some(libc::AF_UNSPEC) {
            return Ok(());
        }
        // The supervisor is under no Landlock: it must say itself what Landlock would.
        let port = self.address.get(FAMILY_BYTES..).and_then(|rest| rest.first_chunk::<2>());
        let port = port.map(|bytes| u16::from_be_bytes(*bytes)).ok_or(Errno::INVAL)?;
        match network {
            Network::Allow => Ok(()),
            Network::Ports(ports) if ports.contains(&port) => Ok(()),
            Network::Ports(_) | Network::None => Err(Errno::ACCESS.into()),
        }
    }

    fn here(&mut self, confine: &Confine, call: &Call, kind: SocketType) -> Result<(), Refusal> {
        let name = self.address.get(FAMILY_BYTES..).unwrap_or_default();
        // The kernel finds its own words for what is no address of a socket.
        if self.family() != Some(libc::AF_UNIX) || name.is_empty() {
            return Ok(());
        }
        if let Some(name) = name.strip_prefix(&[0]) {
            let shown = format!("@{}", String::from_utf8_lossy(name));
            return if is_held(call.pid, name, kind) { Ok(()) } else { Err(Refusal::Out(libc::EPERM, shown)) };
        }
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        let words = name.get(..end).unwrap_or_default();
        let file = caller::pin_as(call.pid, words).map_err(|errno| match errno {
            Errno::XDEV | Errno::AGAIN => Errno::ACCESS,
            errno => errno,
        })?;
        let real = caller::whereabouts(&file);
        // Whoever may share memory with the person's programs may not speak to them.
        let is_shared = |real: &PathBuf| real.starts_with("/dev/shm");
        let own = |real: &PathBuf| {
            confine.attempt_socket.as_ref() == Some(real) || (confine.may_write(real) && !is_shared(real))
        };
        // In another namespace a name may say something else than here.
        if !real.as_ref().is_some_and(|real| own(real) && caller::is_at(&file, real)) {
            let shown = real.unwrap_or_else(|| caller::words(words)).to_string_lossy().into_owned();
            return Err(Refusal::Out(libc::EACCES, shown));
        }
        self.address = unix_address(&format!("/proc/self/fd/{}", file.as_raw_fd()));
        self._file = Some(file);
        Ok(())
    }
}

fn unix_address(path: &str) -> Vec<u8> {
    let family = u16::try_from(libc::AF_UNIX).unwrap_or_default().to_ne_bytes();
    family.iter().chain(path.as_bytes()).chain(&[0]).copied().collect()
}

/// Whether a socket without a file is held by the attempt's own processes and by nobody else: in the network that the
/// caller is in, and in this one. A caller that has made a network of its own may still have a socket from here.
fn is_held(pid: u32, name: &[u8], kind: SocketType) -> bool {
    let mut named = Vec::new();
    for whose in [pid.to_string(), "self".to_owned()] {
        let Ok(table) = fs::read(format!("/proc/{whose}/net/unix")) else { return false };
        named.extend(listening(&table, name, kind));
    }
    if named.is_empty() {
        return false;
    }
    let held = caller::sockets_held();
    named.iter().all(|inode| held.contains(inode))
}

/// The inodes of the sockets that take connections by a name, in the kernel's table. It writes each zero in a name as
/// `@`, so that several names may look the same: all that do are answered.
fn listening(table: &[u8], name: &[u8], kind: SocketType) -> Vec<u64> {
    const ACCEPTS: u32 = 0x1_0000;
    let shown: Vec<u8> = [b'@'].into_iter().chain(name.iter().map(|b| if *b == 0 { b'@' } else { *b })).collect();
    let found = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let head = line.strip_suffix(shown.as_slice())?;
        let mut fields = std::str::from_utf8(head).ok()?.split_ascii_whitespace().skip(3);
        let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
        let its_kind = u32::from_str_radix(fields.next()?, 16).ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        let takes = flags & ACCEPTS != 0 || kind == SocketType::DGRAM;
        (takes && its_kind == kind.as_raw() && fields.next().is_none()).then_some(inode)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_without_a_file_are_found_by_all_that_look_like_them() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00010000 0001 01 11 @a@b\n\
            0: 00000002 00000000 00010000 0001 01 12 @a@b\n\
            0: 00000003 00000000 00000000 0001 03 13 @a@b\n\
            0: 00000002 00000000 00010000 0005 01 14 @a@b\n\
            0: 00000002 00000000 00010000 0001 01 15 /x@a@b\n\
            0: 00000002 00000000 00000000 0002 01 16 @log\n";
        assert_eq!(listening(table, b"a\0b", SocketType::STREAM), [11, 12]);
        assert_eq!(listening(table, b"a@b", SocketType::SEQPACKET), [14]);
        assert_eq!(listening(table, b"log", SocketType::DGRAM), [16]);
        assert_eq!(listening(table, b"b", SocketType::STREAM), [] as [u64; 0]);
    }
}
