//! Tokens: random, shown once, known afterwards only by their hash.
use super::problem::Problem;
use std::{io::Read, path::Path};

/// 32 hexadecimal digits from the system's randomness.
pub(crate) fn fresh() -> Result<String, Problem> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0u8; 16];
    std::fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|e| Problem::io("reading randomness from", source, &e))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// What the log keeps of a token: BLAKE3, hexadecimal.
pub(crate) fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

/// Whether a token is the one of this hash; the comparison takes the same time for every token.
pub(crate) fn fits(token: &str, wanted_hash: &str) -> bool {
    blake3::Hash::from_hex(wanted_hash).is_ok_and(|wanted| wanted == blake3::hash(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_fit_their_own_hash_only() {
        let (one, two) = (fresh().unwrap(), fresh().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, two);
        assert!(fits(&one, &hash(&one)) && !fits(&two, &hash(&one)) && !fits(&one, "no hash"));
    }
}
