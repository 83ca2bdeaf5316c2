//! A written spec: its title, its declared key, and whether it can be one at all.
use super::id::is_key;

/// The largest spec, in bytes. A spec is read by people and by every planner; more belongs into files it names.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A spec, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its title: declared, or the first heading, or the first line.
    pub title: String,
    /// The key it declares.
    pub key: Option<String>,
    /// The workflow it declares.
    pub workflow: Option<String>,
    /// The whole text.
    pub text: String,
}

/// Why a text cannot be a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// Nothing in it.
    #[error("the spec is empty; write what is to be made, beginning with a line that names it")]
    Empty,
    /// Too large.
    #[error(
        "the spec has {bytes} bytes, {MAX_BYTES} at the most; put the details into files and name them in the spec"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Not text.
    #[error("the spec is not text (byte {at} is not UTF-8 or is a NUL); a spec is a Markdown file")]
    NotText {
        /// Where.
        at: usize,
    },
    /// The declared key cannot be one.
    #[error("line {line}: the key '{key}' must be a capital letter and then capitals and digits, 16 at the most")]
    BadKey {
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// The front matter does not end.
    #[error("line 1: the front matter has no closing '---' line; add one, or remove the first '---'")]
    OpenFrontMatter,
}

impl Spec {
    /// Reads a spec. Front matter between two `---` lines may declare `title:`, `key:` and `workflow:`.
    ///
    /// # Errors
    /// See [`BadSpec`]; each says what to do.
    pub fn parse(bytes: &[u8]) -> Result<Spec, BadSpec> {
        if bytes.len() > MAX_BYTES {
            return Err(BadSpec::TooLarge { bytes: bytes.len() as u64 });
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => return Err(BadSpec::NotText { at: e.valid_up_to() }),
        };
        if let Some(at) = text.find('\0') {
            return Err(BadSpec::NotText { at });
        }
        let text = text.trim_start_matches('\u{feff}');
        let mut spec = Spec { title: String::new(), key: None, workflow: None, text: text.to_owned() };
        let body = spec.read_front_matter(text)?;
        if body.trim().is_empty() {
            return Err(BadSpec::Empty);
        }
        if spec.title.is_empty() {
            spec.title = title_of(body);
        }
        Ok(spec)
    }

    fn read_front_matter<'a>(&mut self, text: &'a str) -> Result<&'a str, BadSpec> {
        let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else { return Ok(text) };
        let mut used = 0;
        for (i, line) in rest.split_inclusive('\n').enumerate() {
            used += line.len();
            let line = line.trim();
            if line == "---" {
                return Ok(&rest[used..]);
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            match name.trim() {
                "title" => self.title = one_line(&value),
                "workflow" => self.workflow = Some(value),
                "key" if is_key(&value) => self.key = Some(value),
                "key" => return Err(BadSpec::BadKey { line: i + 2, key: value }),
                _ => {}
            }
        }
        Err(BadSpec::OpenFrontMatter)
    }

    /// A key made from the title: the letters of its first word that has some, four to the most.
    pub fn suggested_key(&self) -> String {
        let skip = ["a", "an", "the", "add", "make", "build", "implement", "create", "write"];
        let words: Vec<String> = self
            .title
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|w| w.starts_with(|c: char| c.is_ascii_alphabetic()))
            .map(str::to_owned)
            .collect();
        let word = words.iter().find(|w| !skip.contains(&w.to_lowercase().as_str())).or(words.first());
        word.map_or_else(|| "SPEC".to_owned(), |w| w.chars().take(4).collect::<String>().to_uppercase())
    }
}

fn title_of(body: &str) -> String {
    let heading = body.lines().map(str::trim).find_map(|l| l.strip_prefix("# "));
    let line = heading.or_else(|| body.lines().map(str::trim).find(|l| !l.is_empty())).unwrap_or_default();
    one_line(line.trim_start_matches('#'))
}

fn one_line(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_and_key_are_found() {
        let spec = Spec::parse(b"intro\n\n# A blog engine\n\ntext").unwrap();
        assert_eq!((spec.title.as_str(), spec.suggested_key().as_str()), ("A blog engine", "BLOG"));
        let declared = Spec::parse(b"---\nkey: SHOP2\ntitle: \"Shop\"\n---\nSell things.\n").unwrap();
        assert_eq!((declared.title.as_str(), declared.key.as_deref()), ("Shop", Some("SHOP2")));
        assert_eq!(Spec::parse(b"just a line").unwrap().title, "just a line");
        assert_eq!(Spec::parse("# 42 ünïts".as_bytes()).unwrap().suggested_key(), "N");
    }

    #[test]
    fn what_is_no_spec_says_why() {
        assert_eq!(Spec::parse(b" \n\t\n"), Err(BadSpec::Empty));
        assert_eq!(Spec::parse(b"---\nkey: A\n---\n\n"), Err(BadSpec::Empty));
        assert_eq!(Spec::parse(b"ok\xff"), Err(BadSpec::NotText { at: 2 }));
        assert_eq!(Spec::parse(b"a\0b"), Err(BadSpec::NotText { at: 1 }));
        assert!(matches!(Spec::parse(&vec![b'a'; MAX_BYTES + 1]), Err(BadSpec::TooLarge { .. })));
        assert!(matches!(Spec::parse(b"---\nkey: blog\n---\nx"), Err(BadSpec::BadKey { line: 2, .. })));
        assert_eq!(Spec::parse(b"---\nkey: A\n"), Err(BadSpec::OpenFrontMatter));
    }
}
