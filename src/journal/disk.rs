//! The few system calls that the journal's promises rest on, behind a trait so that a test can let each of them fail.

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};
use std::{fmt::Debug, fs::File, io, os::unix::fs::FileExt, path::Path};

/// What the journal asks of the disk.
pub trait Disk: Debug + Send + Sync {
    /// Reserves real room for `bytes` bytes from `offset`, which read as zero, and extends the file over them.
    ///
    /// # Errors
    /// Whatever the system says; no room is [`io::ErrorKind::StorageFull`] or `QuotaExceeded`.
    fn allocate(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()>;

    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// Whatever the system says; how much was written is then unknown.
    fn write_all_at(&self, file: &File, data: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file's data durable (`fdatasync`). Never called again on the same data after it failed.
    ///
    /// # Errors
    /// Whatever the system says; what is durable is then unknown.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// How many bytes this user can still write to the file system of `dir`.
    ///
    /// # Errors
    /// Whatever the system says.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// The disk itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn allocate(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        loop {
            match fallocate(file, FallocateFlags::empty(), offset, bytes) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                // A file system without it: written zeros reserve the room just as well.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros(file, offset, bytes),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn write_all_at(&self, file: &File, data: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(data, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn write_zeros(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    let zeros = vec![0_u8; 64 << 10];
    let mut at = offset;
    let end = offset + bytes;
    while at < end {
        let n = usize::try_from(end - at).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all_at(&zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}
