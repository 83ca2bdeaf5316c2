//! The log as its user sees it: append, read, reopen, close.

use super::*;
use crate::{AppendError, Head, StoreReport, read_frames, verify};

#[test]
fn appends_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, report) = open(&dir.path().join("data"));
    assert_eq!(report, OpenReport { repaired: None, store: StoreReport::Clean });
    assert_eq!(log.head(), Head::EMPTY);
    append(&mut log, 1);
    append(&mut log, 5);
    log.append(Vec::new()).unwrap();
    let frames = all(&log);
    assert_eq!(as_new(&frames), group(1, 6));
    assert_eq!(log.head(), Head { next_seq: 13, hash: frames[5].hash });
    assert_eq!(frames.iter().map(|f| f.durable_upto).collect::<Vec<_>>(), [0, 2, 2, 2, 2, 2]);
    assert_eq!(frames.iter().map(|f| f.prev_in_log).collect::<Vec<_>>(), [0, 1, 3, 5, 7, 9]);
    assert_eq!(frames.iter().map(|f| f.prev_in_stream).collect::<Vec<_>>(), [0, 0, 0, 1, 3, 5]);
    assert_eq!(log.reader().last_seq(), 12);
    assert_eq!(log.reader().head(), log.head());
    assert_eq!(log.reader().frame_at(4).unwrap().unwrap(), frames[1]);
    assert_eq!(log.reader().frame_at(13).unwrap(), None);
    assert_eq!(log.reader().frames_from(6).unwrap().count(), 4);
    log.close().unwrap();

    let (log, report) = open(&dir.path().join("data"));
    assert_eq!(report, OpenReport { repaired: None, store: StoreReport::Clean });
    assert_eq!(all(&log), frames);
    let unlocked: Vec<Frame> = read_frames(&dir.path().join("data")).unwrap().map(Result::unwrap).collect();
    assert_eq!(unlocked, frames);
}

#[test]
fn indexes_find_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 40);
    let frames = all(&log);
    let find = |keep: &dyn Fn(&Frame) -> bool| frames.iter().filter(|f| keep(f)).cloned().collect::<Vec<_>>();
    let read = |found: crate::FramesByKey| found.collect::<Result<Vec<_>, _>>().unwrap();
    let store = log.reader();
    assert_eq!(read(store.frames_of_run(run_id(1))), find(&|f| f.keys.run == Some(run_id(1))));
    let stream = Uuid::from_u64_pair(1, 2);
    assert_eq!(read(store.frames_of_stream(stream)), find(&|f| f.keys.stream == stream));
    let of_ticket = find(&|f| f.keys.stream == stream && f.keys.tickets == ["BLOG-1"]);
    assert_eq!(read(store.frames_of_ticket(stream, "BLOG-1")), of_ticket);
    assert_eq!(read(store.frames_of_ticket(stream, "BLOG")), []);
    assert_eq!(read(store.frames_of_run(run_id(9))), []);
}

#[test]
fn refuses_groups_that_do_not_follow() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 1);
    assert!(matches!(log.append(group(1, 1)), Err(AppendError::HeadMoved { expected: 1, actual: 3 })));
    let gap = vec![frame(3), frame(7)];
    assert!(matches!(log.append(gap), Err(AppendError::Invalid { .. })));
    let bad_ticket = NewFrame { keys: FrameKeys { tickets: vec!["a\0b".into()], ..FrameKeys::default() }, ..frame(3) };
    assert!(matches!(log.append(vec![bad_ticket]), Err(AppendError::Invalid { .. })));
    assert!(matches!(log.append(vec![NewFrame { events: 0, ..frame(3) }]), Err(AppendError::Invalid { .. })));
    append(&mut log, 1);
    assert_eq!(as_new(&all(&log)), group(1, 2));
}

#[test]
fn segments_roll_over_and_close_trims() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open_with(dir.path(), small()).unwrap();
    for _ in 0..30 {
        append(&mut log, 1);
    }
    let big = NewFrame { payload: vec![b'x'; 200_000], ..frame(log.next_seq()) };
    log.append(vec![big]).unwrap();
    append(&mut log, 3);
    let frames = all(&log);
    assert_eq!(frames.len(), 34);
    assert!(segments(dir.path()).len() > 4);
    assert_eq!(frames[30].payload.len(), 200_000);
    let verified = verify(dir.path(), Some(frames[3].hash), &mut |_, _| {}).unwrap();
    assert!(verified.ok, "{verified:?}");
    assert_eq!((verified.frames, verified.events, verified.head), (34, 68, log.head().hash));
    log.close().unwrap();
    let last = segments(dir.path()).pop().unwrap();
    assert_ne!(*fs::read(last).unwrap().last().unwrap(), 0);
    assert!(!dir.path().join("journal/spare").exists());

    let (mut log, report) = open_with(dir.path(), small()).unwrap();
    assert_eq!(report.store, StoreReport::Clean);
    append(&mut log, 1);
    assert_eq!(as_new(&all(&log))[..30], group(1, 30));
    assert_eq!(all(&log).len(), 35);
}

#[test]
fn a_long_log_is_opened_by_its_end_alone() {
    let dir = tempfile::tempdir().unwrap();
    let lazy = || Options { verify_bytes: 0, ..small() };
    let live = dir.path().join("live");
    let (mut log, _) = open_with(&live, lazy()).unwrap();
    (0..60).for_each(|_| append(&mut log, 1));
    let frames = all(&log);
    let copy = dir.path().join("copy");
    copy_dir(&live, &copy);
    log.close().unwrap();
    // A frame in the middle is damaged: an open that does not look there goes on, and a check names it.
    let middle = segments(&live)[3].clone();
    let mut bytes = fs::read(&middle).unwrap();
    bytes[100] ^= 1;
    fs::write(&middle, bytes).unwrap();
    let (mut log, report) = open_with(&live, lazy()).unwrap();
    assert_eq!(report, OpenReport { repaired: None, store: StoreReport::Clean });
    append(&mut log, 1);
    assert_eq!(all(&log)[..60], frames);
    assert!(!verify(&live, None, &mut |_, _| {}).unwrap().ok);
    drop(log);
    // One that looks there refuses to.
    assert!(matches!(open_with(&live, small()), Err(Error::Damaged { .. })));
    let (log, _) = open_with(&copy, lazy()).unwrap();
    assert_eq!(all(&log), frames);
}

#[test]
fn the_second_opener_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    assert!(matches!(open_with(dir.path(), options()), Err(Error::Locked { holder: Some(_), .. })));
    drop(log);
    open(dir.path());
}

#[test]
fn views_are_kept_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let store = log.reader();
    assert_eq!(store.view("board").unwrap(), None);
    store.put_view("board", 7, &vec![1; 200_000]).unwrap();
    store.put_view("boar", 7, b"other").unwrap();
    store.put_view("board", 9, &vec![2; 70_000]).unwrap();
    assert_eq!(store.view("board").unwrap(), Some((9, vec![2; 70_000])));
    store.put_view("board", 9, b"shorter").unwrap();
    assert_eq!(store.view("board").unwrap(), Some((9, b"shorter".to_vec())));
    drop((log, store));
    let (log, _) = open(dir.path());
    assert_eq!(log.reader().view("boar").unwrap(), Some((7, b"other".to_vec())));
}

#[derive(Debug, Clone)]
enum Op {
    Append { frames: u64, payload_bytes: usize },
    Crash,
    Close,
}

fn ops() -> impl proptest::strategy::Strategy<Value = Vec<Op>> {
    use proptest::prelude::*;
    let op = prop_oneof![
        6 => (1_u64..6, 0_usize..3000).prop_map(|(frames, payload_bytes)| Op::Append { frames, payload_bytes }),
        1 => Just(Op::Crash),
        1 => Just(Op::Close),
    ];
    proptest::collection::vec(op, 1..24)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 12, ..Default::default() })]
    #[test]
    fn any_history_reads_back(ops in ops()) {
        let root = tempfile::tempdir().unwrap();
        let mut dir = root.path().join("0");
        let mut expected = Vec::new();
        let mut log = open_with(&dir, small()).unwrap().0;
        for (n, op) in ops.into_iter().enumerate() {
            match op {
                Op::Append { frames, payload_bytes } => {
                    let mut group = group(log.next_seq(), frames);
                    group[0].payload = vec![b'y'; payload_bytes];
                    expected.extend(group.clone());
                    log.append(group).unwrap();
                }
                Op::Crash => {
                    let copy = root.path().join(format!("{}", n + 1));
                    copy_dir(&dir, &copy);
                    drop(log);
                    dir = copy;
                    let (reopened, report) = open_with(&dir, small()).unwrap();
                    proptest::prop_assert_eq!(report.repaired, None);
                    log = reopened;
                }
                Op::Close => {
                    log.close().unwrap();
                    log = open_with(&dir, small()).unwrap().0;
                }
            }
            proptest::prop_assert_eq!(&as_new(&all(&log)), &expected);
        }
    }
}

#[test]
fn the_parts_of_a_journal_hold_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open_with(dir.path(), small()).unwrap();
    for n in 0..20 {
        let zeros = NewFrame { payload: vec![0; n], ..frame(log.next_seq()) };
        log.append(vec![zeros]).unwrap();
    }
    let mut seen = 0;
    let (parts, head) = crate::parts(dir.path(), &mut |_| seen += 1).unwrap();
    assert_eq!((seen, head), (20, log.head()));
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("journal")).unwrap();
    for part in parts {
        let bytes = fs::read(&part.path).unwrap();
        let bytes = &bytes[..usize::try_from(part.bytes).unwrap()];
        fs::write(copy.path().join("journal").join(part.name), bytes).unwrap();
    }
    let (copied, _) = open(copy.path());
    assert_eq!(all(&copied), all(&log));
}
