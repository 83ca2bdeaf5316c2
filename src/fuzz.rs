//! What the fuzzer feeds (`scripts/fuzz`): decoders of what may come from outside. They must end, without a panic and
//! without taking more memory than the input is worth.
use crate::{
    engine, journal,
    reader::{LineReader, Piece, Source, read_message},
};
use std::{fs, path::Path};

#[cfg(test)]
#[path = "../fuzz/mutations.rs"]
mod mutations;

/// A frame, alone and among others.
#[cfg(fuzzing)]
pub fn frame(bytes: &[u8]) {
    journal::fuzz_frames(bytes);
}

/// The payload of a frame: its events and its command.
pub fn event(bytes: &[u8]) {
    engine::fuzz_payload(bytes);
}

/// Output of an agent, and of a program that a driver translates.
pub fn output(bytes: &[u8]) {
    for source in [Source::Agent, Source::Program] {
        let mut reader = LineReader::new(source);
        let mut pieces = Vec::new();
        for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
            pieces.extend(reader.line(number, line));
        }
        pieces.extend(reader.end());
        for piece in pieces {
            if let Piece::Object(value) = piece {
                read_message(&value);
            }
        }
    }
}

/// A file that is to be imported: as it is, and as the lines in one.
pub fn import(bytes: &[u8]) {
    let path = Path::new("/dev/shm").join(format!("p0-fuzz-{}.p0run", std::process::id()));
    let packed = zstd::encode_all(bytes, 1).expect("memory can be compressed");
    for content in [bytes, &packed] {
        fs::write(&path, content).expect("memory can be written");
        // Either it is whole, or it says what is wrong.
        let _ = journal::run_file::check(&path, engine::run_files::readable, &mut |_| {});
    }
    fs::remove_file(&path).expect("memory can be freed");
}

/// The fuzzer's events and run files with mutations, in every run of the tests. Those of frames and of agents' output
/// are in the rooms that decode them, `journal` and `reader`.
#[cfg(test)]
mod tests {
    use super::mutations;
    use std::path::Path;

    fn repository() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_corpus_of_events_is_decoded_without_harm() {
        let files = mutations::of_corpus(repository(), "event", 1000, super::event);
        assert!(files >= 11, "{files}");
    }

    #[test]
    fn the_corpus_of_run_files_is_checked_without_harm() {
        let files = mutations::of_corpus(repository(), "import", 500, super::import);
        assert!(files >= 2, "{files}");
    }
}
