//! What the rooms' ordinary tests feed to the decoders that `scripts/fuzz` fuzzes: the corpus of the fuzzer, each file as
//! it is and with mutations. The bytes are the same on every machine and in every run.
use std::{fs, path::Path};

/// Calls `read` with every file of `fuzz/corpus/<target>` and with `times` mutations of each. `repository` is the
/// repository's root. Gives the number of files.
pub(crate) fn of_corpus(repository: &Path, target: &str, times: usize, mut read: impl FnMut(&[u8])) -> usize {
    let mut files: Vec<_> =
        fs::read_dir(repository.join("fuzz/corpus").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut seed = 1_u64;
    let mut next = |below: usize| {
        // A linear congruential generator (Knuth, MMIX).
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for file in &files {
        let bytes = fs::read(file).unwrap();
        read(&bytes);
        for _ in 0..times {
            let mut mutated = bytes.clone();
            for _ in 0..=next(4) {
                let at = next(mutated.len());
                match next(4) {
                    0 => mutated[at] = next(256) as u8,
                    1 => mutated[at] ^= 1 << next(8),
                    2 => mutated.insert(at, b"\"{}[]:,\\\n\x1b"[next(10)]),
                    _ => mutated.truncate(at.max(1)),
                }
            }
            read(&mutated);
        }
    }
    files.len()
}
