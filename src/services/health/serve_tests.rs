use std::{
    future::Future,
    io,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
};

use tower::ServiceExt as _;

use super::{
    super::{gather::World, source::Source, state::Silences},
    *,
};
use crate::sys::{Clock as _, FakeCommands};

const LONG: Duration = Duration::from_secs(20);

struct Served {
    dir: tempfile::TempDir,
    told: Arc<Told>,
    sight: Sight,
    desk: Desk,
    looks: Apart<Looker>,
}

impl Served {
    /// A machine without any program, and with a state folder of its own.
    fn new(outside: Handle) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        make(&paths).unwrap();
        let none = |_: &str, _: &[&str]| Err(io::Error::from(io::ErrorKind::NotFound));
        let world = World { commands: Arc::new(FakeCommands::new(none)), ..super::super::world() };
        let source = Source::new(None, (dir.path().join("site.toml"), None), None);
        let told_by: (Ear, First) = Default::default();
        let looker = Looker::new(&paths, world.clone(), source, told_by.clone());
        let (told, sight) = Told::new(&paths, &told_by, None, outside);
        // Not those of the looker, so that they can be held fast alone.
        let silences = Arc::new(Mutex::new(Silences::read(&RealFiles, &paths.health())));
        let (site, latest) = (sight.site.clone(), told.latest.clone());
        let desk = Desk { silences, world, vendor: None, site, latest, turn: Arc::default() };
        let looks = Apart::begin("looks", looker, Looker::save).unwrap();
        Self { dir, told: Arc::new(told), sight, desk, looks }
    }

    fn paths(&self) -> Paths {
        Paths::new(self.dir.path())
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_look_does_not_wait_for_threads_that_others_keep_busy() {
    let (end, busy) = mpsc::channel::<()>();
    let asked = Arc::new(AtomicU32::new(0));
    let looked = run(async {
        let served = Served::new(Handle::current());
        let status = served.paths().status_socket();
        std::fs::create_dir(status.parent().unwrap()).unwrap();
        let count = asked.clone();
        let refuse = move || {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(axum::http::StatusCode::SERVICE_UNAVAILABLE)
        };
        answer(&status, For::Owner, axum::Router::new().fallback(refuse)).unwrap();
        // The only one.
        let (begun, begins) = tokio::sync::oneshot::channel();
        tokio::task::spawn_blocking(move || {
            begun.send(()).unwrap();
            let _ = busy.recv();
        });
        begins.await.unwrap();
        let looked = tokio::time::timeout(LONG, look(&served.looks, &served.told, &served.desk)).await;
        drop(end);
        looked.is_ok_and(|look| look.is_ok()) && served.sight.latest.borrow().is_some()
    });
    assert!(looked);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the recorder was asked, too");
}

#[test]
fn what_holds_up_an_announcement_does_not_hold_up_those_who_ask() {
    run(async {
        let served = Served::new(Handle::current());
        let silences = served.desk.silences.clone();
        let (holds, held) = mpsc::channel();
        let disk = thread::spawn(move || {
            let _fast = silences.lock().unwrap();
            holds.send(()).unwrap();
            thread::sleep(Duration::from_secs(3));
        });
        held.recv().unwrap();
        let began = Instant::now();
        let mut latest = served.sight.latest.clone();
        tokio::select! {
            never = go_on(&served.looks, &served.told, &served.desk) => match never {},
            () = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(began.elapsed() < Duration::from_secs(3), "the thread that answers was held up");
                assert!(latest.borrow().is_none(), "it is held up");
                tokio::time::timeout(LONG, latest.changed()).await.unwrap().unwrap();
            } => {}
        }
        disk.join().unwrap();
    });
}

#[test]
fn orders_come_in_turn_and_none_that_waits_takes_a_thread() {
    let two = Builder::new_current_thread().max_blocking_threads(2).enable_all().build().unwrap();
    two.block_on(async {
        let served = Served::new(Handle::current());
        let silences = served.desk.silences.clone();
        let ((holds, held), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
        let disk = thread::spawn(move || {
            let _fast = silences.lock().unwrap();
            holds.send(()).unwrap();
            let _ = released.recv();
        });
        held.recv().unwrap();
        let router = socket::control(served.desk.clone());
        let order = |path: &str, word: serde_json::Value| {
            let json = (axum::http::header::CONTENT_TYPE, "application/json");
            let order =
                axum::http::Request::post(path).header(json.0, json.1).body(axum::body::Body::from(word.to_string()));
            tokio::spawn(router.clone().oneshot(order.unwrap()))
        };
        let (now, salt) = (RealClock.wall(), "0".repeat(32));
        let (id, until) = (uuid::Uuid::nil(), now + Duration::from_hours(1));
        let silence = serde_json::json!({
            "id": id, "from": now, "until": until, "probes": [], "cameras": [], "by": "Lan", "reason": "x",
        });
        let begin = order("/v1/silence", serde_json::json!({ "silence": silence, "salt": &salt }));
        let end = order(&format!("/v1/silence/{id}/end"), serde_json::json!({ "by": "Lan", "salt": &salt }));
        // They go as far as they get.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!begin.is_finished() && !end.is_finished());
        tokio::time::timeout(LONG, tokio::task::spawn_blocking(|| ())).await.expect("a thread for others").unwrap();
        drop(release);
        for order in [begin, end] {
            assert_eq!(order.await.unwrap().unwrap().status(), axum::http::StatusCode::OK);
        }
        disk.join().unwrap();
    });
}
