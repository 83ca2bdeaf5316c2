//! Many who start at once, without any web layer between them and the engine.
use super::*;
use crate::{
    contract::tickets::NewTicket,
    engine::{
        handle::Handle,
        start::{Engine, Environment, Options, Stop},
    },
    model::{
        config::{Config, Overrides},
        protocol::Proposal,
        rejection::Unique,
        workflow::builtin,
    },
    service::app::IN_THIS_PROCESS,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const TASKS: usize = 24;
const CONFIG: &str = "[sandbox]\nmode = 'off'\n[agents.a]\nkind = 'command'\ncommand = ['sh']\n";

/// An engine that carries nothing out, and a repository.
struct Place {
    _dir: tempfile::TempDir,
    repo: PathBuf,
    engine: Engine,
}

impl Place {
    async fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        fs::create_dir_all(repo.join(".p0")).unwrap();
        fs::write(repo.join(".p0/config.toml"), CONFIG).unwrap();
        let git = git2::Repository::init(&repo).unwrap();
        let author = git2::Signature::new("a", "a@b", &git2::Time::new(0, 0)).unwrap();
        let tree = git.find_tree(git.index().unwrap().write_tree().unwrap()).unwrap();
        git.commit(Some("HEAD"), &author, &author, "first", &tree, &[]).unwrap();
        let engine = Engine::start(Options {
            data_dir: dir.path().join("data"),
            active: false,
            wait: Duration::from_secs(5),
            attempt_socket: None,
            supervisor: "/nonexistent".into(),
            environment: Environment::default(),
            agent_env: Arc::new(|_: &Path, _: &_| Ok(Default::default())),
            patience: Duration::from_secs(60),
            die_at: None,
        });
        let engine = engine.await.unwrap();
        Place { repo: repo.canonicalize().unwrap(), _dir: dir, engine }
    }

    fn handle(&self) -> Handle {
        self.engine.handle()
    }

    /// A way in of its own: nothing is shared but the engine.
    fn service(&self) -> Service {
        Service::new(self.handle(), Configs::default(), IN_THIS_PROCESS)
    }

    fn request(&self, spec: &str) -> RunRequest {
        RunRequest {
            project: self.repo.clone(),
            spec: spec.to_owned(),
            workflow: None,
            overrides: Overrides::default(),
            base: None,
        }
    }

    fn start_run(&self, n: u128, key: &str, spec: &str) -> StartRun {
        let config = Config::parse(CONFIG, Path::new("c")).unwrap();
        let workflow = builtin::ralph();
        StartRun {
            milestone: MilestoneId(Uuid::from_u128(n)),
            key: key.to_owned(),
            title: "A".to_owned(),
            spec: self.handle().put_blob(spec.as_bytes()).unwrap(),
            project: self.repo.display().to_string(),
            base: "0".repeat(40).as_str().into(),
            base_is_explicit: true,
            settings: config.resolve(&workflow, &self.repo, &Overrides::default()).unwrap(),
            workflow,
            rules: RULES,
            p0: "test".into(),
            backlog: Vec::new(),
        }
    }

    fn milestones(&self) -> usize {
        self.handle().catalog().milestones().count()
    }

    async fn stop(self) {
        self.engine.stop(Stop::Now).await;
    }
}

fn ada() -> Principal {
    Principal::User("ada".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_spec_that_many_start_at_once_is_one_run_of_one_milestone() {
    let place = Place::new().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (service, request) = (place.service(), place.request("# A blog\n\nWith posts.\n"));
            tokio::spawn(async move { service.start(&ada(), request).await.unwrap() })
        })
        .collect();
    let (mut runs, mut started) = (BTreeSet::new(), 0);
    for task in tasks {
        let begun = task.await.unwrap();
        runs.insert(begun.run);
        started += usize::from(begun.how == BegunHow::Started);
        assert_eq!(begun.superseded, None);
    }
    assert_eq!((runs.len(), started, place.milestones()), (1, 1, 1));
    let changed = place.service().start(&ada(), place.request("# A blog\n\nWith comments.\n")).await.unwrap();
    assert_eq!((changed.how, changed.superseded, place.milestones()), (BegunHow::Started, runs.pop_first(), 1));
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn different_specs_that_want_one_key_get_a_key_each() {
    let place = Place::new().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let spec = format!("# Blog {n}\n");
            let (service, request) = (place.service(), place.request(&spec));
            tokio::spawn(async move { service.start(&ada(), request).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let keys: Vec<String> = place.handle().catalog().milestones().map(|row| row.unwrap().1.key).collect();
    assert_eq!((keys.iter().collect::<BTreeSet<_>>().len(), keys.len()), (TASKS, TASKS), "{keys:?}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_takes_one_milestone_for_a_spec_from_whoever_comes() {
    let place = Place::new().await;
    let tasks: Vec<_> = (1..=TASKS as u128)
        .map(|n| {
            let (handle, start) = (place.handle(), place.start_run(n, &format!("K{n}"), "# A"));
            tokio::spawn(async move {
                handle.submit(start.milestone, ada().actor(), Action::StartRun(Box::new(start))).await
            })
        })
        .collect();
    let (mut taken, mut refused) = (0, BTreeSet::new());
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => taken += 1,
            Err(SubmitError::Rejected(Rejection::Taken { what: Unique::Spec, milestone })) => {
                refused.insert(milestone);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((taken, refused.len(), place.milestones()), (1, 1, 1));
    let (first, row) = place.handle().catalog().milestones().next().unwrap().unwrap();
    assert!(refused.contains(&first));

    let other = place.start_run(100, &row.key, "# B");
    let refused = place.handle().submit(other.milestone, ada().actor(), Action::StartRun(Box::new(other))).await;
    let Err(SubmitError::Rejected(rejection)) = refused else { panic!("{refused:?}") };
    assert_eq!(rejection, Rejection::Taken { what: Unique::Key, milestone: first });
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_project_gets_one_tracker() {
    let place = Place::new().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let proposal = Proposal { title: Some(format!("Item {n}")), ..Proposal::default() };
            let (parent, milestone, project) = (None, None, Some(place.repo.clone()));
            let (service, new) = (place.service(), NewTicket { proposal, parent, milestone, project });
            tokio::spawn(async move { service.create_ticket(&ada(), new).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(place.milestones(), 1);
    place.stop().await;
}
