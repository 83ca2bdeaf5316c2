use super::{Entry, RunFileError, RunReader, Source, check, write};
use crate::{Blobs, DirLock, Error, Frame, FrameKeys, Hash, Log, NewFrame, Options};
use proptest::prelude::*;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

const STREAM: Uuid = Uuid::from_u128(7);
const RUN: Uuid = Uuid::from_u128(70);

/// Binary payloads of these tests are a zero and then JSON; JSON on several lines is put on one.
fn readable(frame: &Frame) -> Option<String> {
    let json =
        frame.payload.strip_prefix(&[0]).or(Some(&frame.payload).filter(|p| p.starts_with(b"{")).map(|p| &p[..]));
    Some(String::from_utf8(json?.to_vec()).ok()?.replace('\n', ""))
}

struct World {
    dir: tempfile::TempDir,
    log: Log,
    blobs: Blobs,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path(), Duration::ZERO).unwrap();
        let (log, _) = Log::open(dir.path(), lock, Options::default()).unwrap();
        let blobs = log.blobs();
        World { dir, log, blobs }
    }

    fn append(&mut self, stream: Uuid, run: Option<Uuid>, payload: &[u8]) {
        let keys = FrameKeys { stream, run, tickets: vec!["BLOG-1".into()] };
        let first_seq = self.log.next_seq();
        let frame = NewFrame { first_seq, events: 2, at_ms: 5, keys, payload: payload.to_vec() };
        self.log.append(vec![frame]).unwrap();
    }

    fn naming(&self, content: &[u8]) -> String {
        serde_json::to_string(&self.blobs.put(content).unwrap()).unwrap()
    }

    /// A milestone whose run ends in the middle of the log, with blobs of every sort.
    fn usual() -> World {
        let mut w = World::new();
        let text = w.naming("wörds\n".as_bytes());
        let binary = w.naming(&[0, 255, 1]);
        let empty = w.naming(b"");
        w.append(STREAM, None, format!(r#"{{"spec":{text}}}"#).as_bytes());
        w.append(Uuid::nil(), None, b"{}");
        w.append(STREAM, Some(RUN), format!("{{\"a\":{binary},\n\"b\":{text}}}").as_bytes());
        w.append(STREAM, Some(RUN), format!("\0{{\"c\":{empty}}}").as_bytes());
        w.append(STREAM, None, b"not json");
        w.append(STREAM, Some(RUN), br#"{"end":"x \"hash\":\"y"}"#);
        w.append(STREAM, None, b"{\"after\":1}");
        w
    }

    fn export(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let store = self.log.reader();
        let source = Source {
            run: RUN,
            stream: STREAM,
            begins: 0,
            frames: &|| Box::new(store.frames_of_stream(STREAM)),
            blob: &|hash, out| self.blobs.copy_to(hash, out),
            readable,
        };
        write(&source, fs::File::create(&path).unwrap(), &path).unwrap();
        path
    }
}

fn text_of(path: &Path) -> Vec<u8> {
    zstd::decode_all(fs::File::open(path).unwrap()).unwrap()
}

fn with_text(dir: &Path, text: &[u8]) -> PathBuf {
    let path = dir.join("changed.p0run");
    fs::write(&path, zstd::encode_all(text, 1).unwrap()).unwrap();
    path
}

fn verdict(path: &Path) -> Result<u64, RunFileError> {
    check(path, readable, &mut |_| {}).map(|(_, counts)| counts.frames)
}

#[test]
fn a_run_comes_back_as_it_was_and_always_in_the_same_bytes() {
    let w = World::usual();
    let path = w.export("a.p0run");
    assert_eq!(fs::read(&path).unwrap(), fs::read(w.export("b.p0run")).unwrap());
    let mut reader = RunReader::open(&path, readable).unwrap();
    assert_eq!((reader.header().run, reader.header().first_seq, reader.header().last_seq), (RUN, 1, 12));
    let (mut frames, mut blobs) = (Vec::new(), Vec::new());
    while let Some(entry) = reader.next_entry().unwrap() {
        match entry {
            Entry::Frame(frame) => frames.push(*frame),
            Entry::Blob { hash, bytes, last, .. } => blobs.push((hash, bytes, last)),
        }
    }
    let all: Vec<Frame> = w.log.reader().frames_of_stream(STREAM).map(Result::unwrap).collect();
    assert_eq!(frames, all[..5]);
    let contents: [&[u8]; 3] = ["wörds\n".as_bytes(), &[0, 255, 1], b""];
    assert_eq!(blobs, contents.map(|bytes| (Hash::of(bytes), bytes.to_vec(), true)));
    let text = String::from_utf8(text_of(&path)).unwrap();
    assert!(text.contains(r#""payload":{"spec":{"#) && text.contains(r#""text":"wörds\n""#), "{text}");
    assert!(text.contains(r#""payload":null,"bytes":"bm90IGpzb24=""#), "{text}");
}

#[test]
fn long_blobs_stand_in_parts_that_cut_no_character() {
    let mut w = World::new();
    let mut content = "x".repeat((512 << 10) - 1);
    content.push_str(&"€".repeat(200_000));
    let long = w.naming(content.as_bytes());
    w.append(STREAM, Some(RUN), format!("{{\"a\":{long}}}").as_bytes());
    let path = w.export("long.p0run");
    let mut reader = RunReader::open(&path, readable).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        if let Entry::Blob { bytes, .. } = entry {
            found.extend(bytes);
        }
    }
    assert_eq!(String::from_utf8(found).unwrap(), content);
    let text = text_of(&path);
    assert_eq!(text.windows(9).filter(|w| *w == b"\"base64\":").count(), 0);
    assert_eq!(text.windows(9).filter(|w| *w == b"\"offset\":").count(), 3);
}

#[test]
fn every_flip_and_every_cut_is_found() {
    let w = World::usual();
    let path = w.export("a.p0run");
    let text = text_of(&path);
    for at in 0..text.len() {
        let bit = if at % 2 == 0 { 0x01 } else { 0x20 };
        let mut changed = text.clone();
        changed[at] ^= bit;
        let found = verdict(&with_text(w.dir.path(), &changed));
        assert!(found.is_err(), "byte {at} ({:?}) ^ {bit}", char::from(text[at]));
        if at % 16 == 0 {
            assert!(verdict(&with_text(w.dir.path(), &text[..at])).is_err(), "cut at {at}");
        }
    }
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        fs::write(w.dir.path().join("cut.p0run"), &bytes[..at]).unwrap();
        assert!(verdict(&w.dir.path().join("cut.p0run")).is_err(), "cut at {at}");
        let mut changed = bytes.clone();
        changed[at] ^= 0x04;
        fs::write(w.dir.path().join("flip.p0run"), &changed).unwrap();
        // Bits that zstd does not use may change; what comes out may not.
        if verdict(&w.dir.path().join("flip.p0run")).is_ok() {
            assert_eq!(text_of(&w.dir.path().join("flip.p0run")), text, "byte {at}");
        }
    }
    for behind in [&b"x"[..], &bytes] {
        fs::write(w.dir.path().join("more.p0run"), [&bytes[..], behind].concat()).unwrap();
        assert!(verdict(&w.dir.path().join("more.p0run")).is_err());
    }
}

/// A forger writes the last line anew, so that only the chain and the names can tell.
fn resealed(lines: &[&str]) -> Vec<u8> {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let parsed = |line: &&&str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let frames: Vec<_> = lines.iter().map(|l| parsed(&l)).filter(|l| l["frame"].is_object()).collect();
    let events: u64 = frames.iter().map(|f| f["frame"]["events"].as_u64().unwrap()).sum();
    let blobs = lines.iter().map(|l| parsed(&l)).filter(|l| l["blob"].is_object()).count();
    let hash = Hash::of(body.as_bytes());
    let frames = frames.len();
    format!(r#"{body}{{"end":{{"frames":{frames},"events":{events},"blobs":{blobs},"blake3":"{hash}"}}}}"#).into_bytes()
}

#[test]
fn a_forger_who_writes_the_end_anew_is_found() {
    let w = World::usual();
    let text = String::from_utf8(text_of(&w.export("a.p0run"))).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let body = &lines[..lines.len() - 1];
    let tell = |lines: &[&str]| {
        let mut text = resealed(lines);
        text.push(b'\n');
        verdict(&with_text(w.dir.path(), &text)).map_err(|e| e.to_string())
    };
    assert_eq!(tell(body), Ok(5));
    for n in 1..body.len() {
        let mut dropped = body.to_vec();
        dropped.remove(n);
        assert!(tell(&dropped).is_err(), "without line {n}");
        let mut doubled = body.to_vec();
        doubled.insert(n, body[n]);
        assert!(tell(&doubled).is_err(), "line {n} twice");
        if n + 1 < body.len() {
            let mut swapped = body.to_vec();
            swapped.swap(n, n + 1);
            assert!(tell(&swapped).is_err(), "lines {n} and {} swapped", n + 1);
        }
    }
    let other_words = body[1].replace("\"spec\"", "\"Spec\"");
    assert!(tell(&[&[body[0], &other_words], &body[2..]].concat()).unwrap_err().contains("hash"));
    let for_people = body[3].replace("\"payload\":{\"c\"", "\"payload\":{\"d\"");
    assert_ne!(for_people, body[3]);
    let told = tell(&[&body[..3], &[&for_people], &body[4..]].concat()).unwrap_err();
    assert!(told.contains("what its bytes say"), "{told}");
}

#[test]
fn hostile_files_take_neither_memory_nor_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.p0run");
    let mut bomb = zstd::stream::write::Encoder::new(fs::File::create(&path).unwrap(), 1).unwrap();
    let piece = vec![b' '; 1 << 20];
    for _ in 0..200 {
        bomb.write_all(&piece).unwrap();
    }
    bomb.finish().unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 1 << 20);
    let told = verdict(&path).unwrap_err().to_string();
    assert!(told.contains("a line has more than"), "{told}");
    for garbage in [&b""[..], b"{}\n", b"\x28\xb5\x2f\xfd", &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        fs::write(&path, garbage).unwrap();
        assert!(matches!(verdict(&path), Err(RunFileError::Bad { .. })), "{garbage:?}");
    }
    let newer = br#"{"p0run":{"version":2,"anything":true}}"#;
    let told = verdict(&with_text(dir.path(), &[&newer[..], b"\n"].concat()));
    assert!(matches!(told, Err(RunFileError::Newer { version: 2, .. })));
    assert!(matches!(verdict(&dir.path().join("none.p0run")), Err(RunFileError::Disk(Error::Io { .. }))));
}

#[test]
fn a_missing_blob_is_told_and_leaves_no_file_that_looks_whole() {
    let mut w = World::new();
    let named = format!(r#"{{"a":{{"hash":"{}","size":4}}}}"#, Hash::of(b"gone"));
    w.append(STREAM, Some(RUN), named.as_bytes());
    let store = w.log.reader();
    let source = Source {
        run: RUN,
        stream: STREAM,
        begins: 0,
        frames: &|| Box::new(store.frames_of_stream(STREAM)),
        blob: &|hash, out| w.blobs.copy_to(hash, out),
        readable,
    };
    let path = w.dir.path().join("x.p0run");
    let told = write(&source, fs::File::create(&path).unwrap(), &path);
    assert!(matches!(told, Err(Error::BlobMissing { .. })), "{told:?}");
    assert!(verdict(&path).is_err());
    let other = Source { run: Uuid::from_u128(1), ..source };
    assert!(matches!(write(&other, Vec::new(), &path), Err(Error::NotALog { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_makes_a_reader_panic(text in prop::collection::vec(any::<u8>(), 0..300), keep in 0usize..4) {
        let w = World::usual();
        let whole = text_of(&w.export("a.p0run"));
        let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').take(keep).collect();
        let path = with_text(w.dir.path(), &[&lines.concat()[..], &text].concat());
        prop_assert!(verdict(&path).is_err());
    }
}
