//! The fuzzer's frames with mutations, in every run of the tests (`scripts/fuzz` looks for more).
use std::path::Path;

#[path = "../../../fuzz/mutations.rs"]
mod mutations;

#[test]
fn the_corpus_of_the_fuzzer_is_decoded_without_harm() {
    let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let files = mutations::of_corpus(repository, "frame", 2000, crate::fuzz_frames);
    assert!(files >= 6, "{files}");
}
