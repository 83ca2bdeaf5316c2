//! Attributes, line endings and filters: a worktree holds what `git checkout` gives, and what lands is what `git add`
//! makes. Git itself says what that is, in a clone.
use super::{
    super::{Error, Safe},
    Fixture, git, over, person_repo, put, summary,
};
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

/// Numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.roll(from.len())]
    }
}

const RULES: &[&str] = &[
    "* text=auto",
    "* text=auto eol=crlf",
    "*.bat text eol=crlf",
    "*.txt text",
    "*.txt text eol=lf",
    "*.bin binary",
    "*.c ident",
    "*.key filter=rot",
    "*.u16 text working-tree-encoding=UTF-16LE",
    "d/* -text",
    "*.txt -text",
    "[attr]crlfs text eol=crlf",
    "*.c crlfs",
    "*.md diff=markdown",
];
const NAMES: &[&str] =
    &["a.txt", "b.bat", "c.c", "d/e.txt", "d/f.bat", "k.key", "d/k.key", "m.md", "n.bin", "with space.txt"];
const TEXTS: &[&str] = &[
    "one\ntwo\n",
    "one\r\ntwo\r\n",
    "mixed\r\nends\n",
    "no end",
    "",
    "lone\rreturn\n",
    "// $Id$\nint x;\n",
    "// $Id: 0123 $\r\n",
    "nul\0byte\r\n",
    "secret words\n",
];

fn configure(repo: &Path, random: &mut Random) {
    for (key, values) in [("core.autocrlf", ["false", "true", "input"]), ("core.eol", ["lf", "crlf", "native"])] {
        git(repo, &["config", key, random.pick(&values)]);
    }
    for (key, value) in [("clean", "tr a-z n-za-m"), ("smudge", "tr n-za-m a-z"), ("required", "true")] {
        git(repo, &["config", &format!("filter.rot.{key}"), value]);
    }
}

fn write(root: &Path, random: &mut Random, files: usize) {
    for _ in 0..files {
        let (name, text) = (random.pick(NAMES), random.pick(TEXTS));
        put(root, &[(name, text)]);
        if random.roll(4) == 0 {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    if random.roll(3) == 0 {
        let utf16: Vec<u8> = "wide\r\nwords\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(root.join("w.u16"), utf16).unwrap();
    }
}

/// The files with their bytes and whether they can be run.
fn content(root: &Path) -> BTreeMap<String, (bool, Vec<u8>)> {
    let mut out = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if name == ".git" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let run = fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0;
                out.insert(name, (run, fs::read(&path).unwrap()));
            }
        }
    }
    out
}

/// The same changes in the attempt's worktree and in the person's own. What ends as it was is not touched: git takes a
/// touched file whose blob is not normalised for a changed one, and p0 does not.
fn change(root: &Path, seed: u64) {
    let mut random = Random(seed);
    let before = content(root);
    let mut after = before.clone();
    for _ in 0..3 {
        let (name, text) = (random.pick(NAMES).to_owned(), random.pick(TEXTS));
        match random.roll(5) {
            0 => drop(after.remove(&name)),
            1 => after.entry(name).or_default().1.extend(text.as_bytes()),
            2 => {
                if let Some((run, _)) = after.get_mut(&name) {
                    *run = !*run;
                }
            }
            3 if random.roll(3) == 0 => {
                let rules = format!("{}\n{}\n", random.pick(RULES), random.pick(RULES));
                after.entry(".gitattributes".into()).or_default().1 = rules.into_bytes();
            }
            _ => after.entry(name).or_default().1 = text.as_bytes().to_vec(),
        }
    }
    for (name, (run, text)) in &after {
        if before.get(name) != Some(&(*run, text.clone())) {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            // Git alone would miss a change of the same length in the second in which it wrote the file.
            let later = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(20);
            fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(if *run { 0o755 } else { 0o644 })).unwrap();
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        fs::remove_file(root.join(name)).unwrap();
    }
}

/// Lets git believe the times of the files it has just written: those of the same second as its index it reads again.
fn settle(worktree: &Path) {
    let index = git(worktree, &["rev-parse", "--path-format=absolute", "--git-path", "index"]);
    let later = fs::metadata(&index).unwrap().modified().unwrap() + std::time::Duration::from_secs(10);
    fs::File::options().write(true).open(index).unwrap().set_modified(later).unwrap();
}

/// One generated repository. The base commit may hold blobs that its attributes would have normalised.
fn one(seed: u64) {
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("base", "base\n")]);
    write(&repo, &mut random, 5);
    if random.roll(2) == 0 {
        // Committed before there were attributes.
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-qm", "raw"]);
    }
    configure(&repo, &mut random);
    let rules: Vec<&str> = (0..1 + random.roll(4)).map(|_| random.pick(RULES)).collect();
    put(&repo, &[(".gitattributes", &format!("{}\n", rules.join("\n")))]);
    if random.roll(3) == 0 {
        put(&repo, &[("d/.gitattributes", &format!("{}\n", random.pick(RULES)))]);
    }
    write(&repo, &mut random, 3);
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "--allow-empty", "-m", "base"]);
    let person = dir.path().join("theirs");
    git(&repo, &["worktree", "add", "-q", "--detach", person.to_str().unwrap(), "HEAD"]);
    settle(&person);
    let f = over(dir, repo);
    let what = format!("seed {seed}, {rules:?}");

    let tree = f.shop.checkout("a1", &f.head).unwrap();
    assert_eq!(content(&tree), content(&person), "the checkout of {what}");
    let idle = f.harvest("a1");
    assert_eq!((summary(&idle), &idle.refused[..]), (vec![], &[][..]), "nobody changed anything in {what}");
    for root in [&tree, &person] {
        change(root, seed ^ 0xabcd);
    }
    let harvest = f.harvest("a1");
    assert_eq!(harvest.refused, Vec::<String>::new(), "{what}");
    let changed = git(&person, &["status", "--porcelain", "-z", "--no-renames"]);
    git(&person, &["add", "-A"]);
    let expected = git(&person, &["write-tree"]);
    let differs = git(&f.shop.repo_dir(), &["diff-tree", "-r", &expected, &harvest.tree]);
    assert_eq!(differs, "", "what landed of {what}; git status: {changed:?}");
    match &harvest.commit {
        Some(commit) => f.shop.release("a1", Safe::Commit(commit)).unwrap(),
        None => f.shop.release("a1", Safe::NothingChanged).unwrap(),
    }
    // The next one gets the same folder, with what landed.
    let next = harvest.commit.unwrap_or(f.head.clone());
    f.shop.park("a1", &next).unwrap();
    let tree = f.shop.checkout("a2", &next).unwrap();
    git(&person, &["checkout", "-q", "-f", &next]);
    git(&person, &["rm", "-rq", "--cached", "."]);
    git(&person, &["reset", "-q", "--hard", &next]);
    assert_eq!(content(&tree), content(&person), "the next checkout of {what}");
}

#[test]
fn generated_repositories_hold_and_land_what_git_makes() {
    let cases = std::env::var("P0_GIT_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40_u64);
    for seed in 1..=cases {
        one(seed);
    }
}

/// A repository with a required filter.
fn filtered() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[(".gitattributes", "*.key filter=rot\n")]);
    configure(&repo, &mut Random(1));
    git(&repo, &["config", "core.autocrlf", "false"]);
    put(&repo, &[("a.key", "password\n"), ("plain", "p\n")]);
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-qm", "keys"]);
    over(dir, repo)
}

#[test]
fn secrets_are_read_in_clear_and_land_encrypted() {
    let f = filtered();
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    assert_eq!(fs::read_to_string(tree.join("a.key")).unwrap(), "password\n");
    put(&tree, &[("a.key", "topsecret\n"), ("sub/b.key", "other\n"), ("plain", "q\n")]);
    let harvest = f.harvest("a1");
    assert_eq!(summary(&harvest), ["Modified a.key", "Modified plain", "Added sub/b.key"]);
    let show = |path: &str| git(&f.shop.repo_dir(), &["cat-file", "blob", &format!("{}:{path}", harvest.tree)]);
    assert_eq!((show("a.key"), show("sub/b.key"), show("plain")), ("gbcfrperg".into(), "bgure".into(), "q".into()));
    // What the agent's own git put there is the blob of the base, and no change.
    put(&tree, &[("a.key", "cnffjbeq\n")]);
    assert_eq!(summary(&f.harvest("a1")), ["Modified plain", "Added sub/b.key"]);
    let gate = f.shop.checkout_fresh("gate", harvest.commit.as_deref().unwrap(), true).unwrap();
    assert_eq!(fs::read_to_string(gate.join("sub/b.key")).unwrap(), "other\n");
}

#[test]
fn a_required_filter_that_fails_is_named_and_nothing_is_taken_raw() {
    let f = filtered();
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("a.key", "topsecret\n"), ("plain", "q\n")]);
    git(&f.repo, &["config", "filter.rot.clean", "surely-no-such-program"]);
    let harvest = f.harvest("a1");
    assert_eq!(summary(&harvest), ["Modified plain"]);
    let [why] = &harvest.refused[..] else { panic!("{:?}", harvest.refused) };
    assert!(why.contains("filter") && why.contains("rot") && why.ends_with(": a.key"), "{why}");

    git(&f.repo, &["config", "filter.rot.smudge", "false"]);
    let error = f.shop.checkout("a2", &f.head).unwrap_err();
    assert!(matches!(error, Error::Conversion { .. }), "{error}");
    assert!(error.to_string().contains("filter") && error.to_string().contains("git checkout"), "{error}");
    git(&f.repo, &["config", "filter.rot.smudge", "tr n-za-m a-z"]);
    let tree = f.shop.checkout("a2", &f.head).unwrap();
    assert_eq!(fs::read_to_string(tree.join("a.key")).unwrap(), "password\n", "once it works again");
}

#[test]
fn what_was_committed_unnormalised_is_nobodys_change_until_it_is_edited() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("old.txt", "one\r\ntwo\n"), ("b.txt", "b\n")]);
    put(&repo, &[(".gitattributes", "*.txt text eol=crlf\n")]);
    git(&repo, &["add", ".gitattributes"]);
    git(&repo, &["commit", "-qm", "attributes"]);
    let f = over(dir, repo);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    assert_eq!(fs::read(tree.join("old.txt")).unwrap(), b"one\r\ntwo\r\n");
    put(&tree, &[("b.txt", "b\r\nc\r\n")]);
    let harvest = f.harvest("a1");
    assert_eq!(summary(&harvest), ["Modified b.txt"]);
    f.shop.release("a1", Safe::Commit(harvest.commit.as_deref().unwrap())).unwrap();
}

#[test]
fn settings_that_change_make_the_files_anew() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("a.txt", "one\n"), ("b", "b\n")]);
    let f = over(dir, repo);
    let at = |holder: &str| {
        let tree = f.shop.checkout(holder, &f.head).unwrap();
        let text = fs::read_to_string(tree.join("a.txt")).unwrap();
        let status = git(&tree, &["status", "--porcelain"]);
        f.shop.release(holder, Safe::NothingChanged).unwrap();
        (text, status)
    };
    assert_eq!(at("a1"), ("one\n".into(), String::new()));
    git(&f.repo, &["config", "core.autocrlf", "true"]);
    assert_eq!(at("a2"), ("one\r\n".into(), String::new()));
    assert_eq!(at("a3"), ("one\r\n".into(), String::new()));
    git(&f.repo, &["config", "core.autocrlf", "false"]);
    assert_eq!(at("a4"), ("one\n".into(), String::new()));
}

#[test]
fn attributes_that_convert_nothing_leave_a_plain_repository_plain() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(
        dir.path(),
        &[(".gitattributes", "*.md diff=markdown linguist-documentation\n# text\n"), ("a", "a\r\n")],
    );
    let f = over(dir, repo);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    assert!(!f.shop.project_dir().join("slots/w1/converted").exists());
    put(&tree, &[(".gitattributes", "*.txt text\n"), ("x.txt", "x\r\n")]);
    let harvest = f.harvest("a1");
    let landed = git(&f.shop.repo_dir(), &["cat-file", "blob", &format!("{}:x.txt", harvest.tree)]);
    assert_eq!(landed, "x", "attributes that the attempt adds count, as for `git add`");
}
