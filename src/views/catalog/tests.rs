use super::*;
use p0_model::{actor::Actor, id::is_key};
use uuid::Uuid;

fn created(number: u128, key: &str) -> Draft {
    let event = Event::MilestoneCreated {
        id: MilestoneId(Uuid::from_u128(number)),
        key: key.to_owned(),
        title: "A spec".into(),
        spec: BlobId { hash: "00".into(), size: 1 },
        project: "/p".into(),
    };
    Draft { at: Time::default(), run: None, ticket: None, attempt: None, actor: Actor::Engine, event }
}

/// A key that is longer than keys are could be written into the log, and not read back.
#[test]
fn a_free_key_is_a_key() {
    let catalog = Catalog::new(Arc::new(MemoryRows::default()));
    for wanted in ["BLOG", "SIXTEENCHARACTER"] {
        for number in 0..12 {
            let key = catalog.free_key(wanted).unwrap();
            assert!(is_key(&key), "{key}");
            let milestone = Uuid::new_v4().as_u128() + number;
            assert!(catalog.apply(MilestoneId(Uuid::from_u128(milestone)), 1, &created(milestone, &key)).unwrap());
        }
    }
    let keys: Vec<String> = catalog.keys("").map(|key| key.unwrap().0).collect();
    assert_eq!(keys.len(), 24);
    assert!(keys.contains(&"BLOG12".to_owned()) && keys.contains(&"SIXTEENCHARACT12".to_owned()), "{keys:?}");
}

#[test]
fn a_draft_changes_nothing_below_it() {
    let catalog = Catalog::new(Arc::new(MemoryRows::default()));
    let (first, second) = (MilestoneId(Uuid::from_u128(1)), MilestoneId(Uuid::from_u128(2)));
    catalog.apply(first, 1, &created(1, "BLOG")).unwrap();
    let draft = catalog.draft();
    let spec = BlobId { hash: "11".into(), size: 1 };
    let changed = Event::MilestoneUpdated { title: "A spec".into(), spec };
    draft.apply(first, 2, &Draft { event: changed, ..created(1, "BLOG") }).unwrap();
    draft.apply(second, 3, &created(2, "SHOP")).unwrap();

    let found = |catalog: &Catalog| {
        let specs = ["00", "11"].map(|hash| catalog.of_spec("/p", hash).unwrap());
        (specs, catalog.of_key("SHOP").unwrap(), catalog.of_project("/p").count())
    };
    assert_eq!(found(&draft), ([Some(second), Some(first)], Some(second), 2));
    assert_eq!(found(&catalog), ([Some(first), None], None, 1));
}
