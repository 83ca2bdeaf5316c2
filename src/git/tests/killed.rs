//! Killed with SIGKILL at any moment, and the same calls made again.
use super::{
    super::{Landing, Merge, Safe},
    Fixture, fixture, git, over, put,
};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// One whole attempt, every step of which may have been made before. Gives the landed commit.
fn pipeline(f: &Fixture, round: u32) -> String {
    let (run, holder) = (format!("r{round}"), format!("a{round}"));
    let head = f.shop.open_run(&run, &f.head).unwrap();
    let tree = f.shop.checkout(&holder, &f.head).unwrap();
    let many: Vec<String> = (0..60).map(|number| format!("d{}/f{number}", number % 5)).collect();
    for path in &many {
        put(&tree, &[(path, &format!("{round} {path}\n"))]);
    }
    let harvest = f.harvest(&holder);
    let work = harvest.commit.unwrap();
    let merged = f.shop.merge(&f.head, &f.head, &work).unwrap();
    assert_eq!(merged, Merge::Clean { tree: harvest.tree.clone() });
    let (commit, landing) = f.land_tree(&run, &harvest.tree, &f.head);
    let expected = if head == f.head { Landing::Landed } else { Landing::Already };
    assert_eq!(landing, expected);
    f.shop.park(&holder, &work).unwrap();
    f.shop.release(&holder, Safe::Commit(&work)).unwrap();
    commit
}

/// Nothing by itself: the test below runs it in a process of its own, to be killed.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os("P0_TEST_VICTIM") else { return };
    let home = tempfile::tempdir().unwrap();
    let repo = std::path::PathBuf::from(&dir).join("project");
    let mut f = over(home, repo);
    f.shop = super::ProjectRepository::open(&std::path::Path::new(&dir).join("data/repos"), f.shop.person()).unwrap();
    let round = std::env::var("P0_TEST_ROUND").unwrap().parse().unwrap();
    pipeline(&f, round);
}

#[test]
fn a_pipeline_killed_anywhere_gives_the_same_when_run_again() {
    let mut f = fixture(&[("a", "a\n"), ("d1/f1", "old\n"), ("b/c", "c\n")]);
    for round in 0..24 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "git::tests::killed::victim"])
            .env("P0_TEST_VICTIM", f.dir.path())
            .env("P0_TEST_ROUND", round.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(4 + round * 7)));
        child.kill().unwrap();
        child.wait().unwrap();
        f.shop = f.reopened();
        let commit = pipeline(&f, round);
        assert_eq!(pipeline(&f, round), commit, "the same again");
        assert_eq!(git(&f.repo, &["rev-parse", &format!("p0/r{round}/main")]), commit);
        assert_eq!(git(&f.repo, &["rev-list", "--count", &format!("{}..{commit}", f.head)]), "1");
    }
    git(&f.repo, &["fsck", "--strict", "--no-dangling"]);
    git(&f.shop.repo_dir(), &["fsck", "--strict", "--no-dangling"]);
}
