//! What the words of a program say. Nothing but words is known of why a program that is not ours failed, so here, and for
//! no error of ours, they are searched. What is recorded is decided again by a replay: a change needs new rules.

/// Whether a program that failed said that it found no disk space (`strerror(ENOSPC)`).
pub(super) fn tells_of_full_disk(printed: &str) -> bool {
    printed.contains("No space left on device")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_of_the_system_tell_of_a_full_disk() {
        assert!(tells_of_full_disk("cc: error: out.o: No space left on device"));
        for other in ["", "no space left on device", "Disk quota exceeded", "File too large"] {
            assert!(!tells_of_full_disk(other), "{other}");
        }
    }
}
