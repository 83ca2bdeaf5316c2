use super::*;
use crate::{
    engine::start::{Engine, Environment, Options, Stop},
    journal::DirLock,
    model::{event::Event, record::Draft},
};
use std::{collections::BTreeMap, path::Path};

/// A clock that went back since the last event: time stands still in the log until it has caught up.
#[tokio::test]
async fn no_event_is_earlier_than_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let ahead = clock::now() + Duration::from_secs(3600);
    let event = Event::StoreRebuilt { why: "a test".into() };
    let draft = Draft { at: ahead, run: None, ticket: None, attempt: None, actor: Actor::Engine, event };
    let action = Action::NoteRebuild { why: "a test".into() };
    let command = Command { at: ahead, seed: Uuid::nil(), actor: Actor::Engine, action };
    let (frame, _) = frame(MilestoneId::ENGINE, 1, &command, vec![draft]).unwrap();
    let lock = DirLock::acquire(dir.path(), Duration::ZERO).unwrap();
    let (mut log, _) = Log::open(dir.path(), lock, Default::default()).unwrap();
    log.append(vec![frame]).unwrap();
    log.close().unwrap();

    let options = Options {
        data_dir: dir.path().to_owned(),
        active: false,
        wait: Duration::ZERO,
        attempt_socket: None,
        supervisor: "p0".into(),
        environment: Environment::default(),
        agent_env: Arc::new(|_: &Path, _: &_| Ok(BTreeMap::new())),
        patience: Duration::from_secs(120),
        die_at: None,
    };
    let engine = Engine::start(options).await.unwrap();
    for n in 0..2 {
        let action = Action::NoteRepair { what: n.to_string() };
        engine.handle().submit(MilestoneId::ENGINE, Actor::Engine, action).await.unwrap();
    }
    let times: Vec<_> = engine.handle().records(0, 10).unwrap().into_iter().map(|record| record.at).collect();
    engine.stop(Stop::Now).await;
    let ahead = chrono::DateTime::from_timestamp_millis(ahead.timestamp_millis()).unwrap();
    assert_eq!(times.len(), 3);
    assert!(times[1..].iter().all(|at| *at >= ahead) && times.is_sorted(), "{times:?}");
}
