//! Writing zeros into room that is reserved, beside the writer.

use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// Written at once; between two the thread looks whether it is still wanted.
const PIECE_BYTES: usize = 256 << 10;

/// A thread that fills a file with zeros; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Zeroing {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Zeroing {
    /// Begins to fill the first `bytes` bytes of the file at `path`. `None` = there is no thread to be had; nothing
    /// depends on it.
    pub(crate) fn start(path: &Path, bytes: u64) -> Option<Zeroing> {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicBool::new(false));
        let (path, stopped, finished) = (path.to_path_buf(), stop.clone(), done.clone());
        let work = move || {
            let Ok(file) = OpenOptions::new().write(true).open(&path) else { return };
            let zeros = vec![0; PIECE_BYTES];
            let mut at = 0;
            while at < bytes && !stopped.load(Ordering::Relaxed) {
                let piece = usize::try_from(bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                // The room is reserved; a disk that fails here fails the writer, too, who says so.
                if file.write_all_at(&zeros[..piece], at).and_then(|()| file.sync_data()).is_err() {
                    return;
                }
                at += piece as u64;
            }
            finished.store(at >= bytes, Ordering::Release);
        };
        let thread = std::thread::Builder::new().name("p0-zeros".into()).spawn(work).ok()?;
        Some(Zeroing { stop, done, thread: Some(thread) })
    }

    /// Whether every byte is written, and durable.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

impl Drop for Zeroing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has no result.
            let _ = thread.join();
        }
    }
}
