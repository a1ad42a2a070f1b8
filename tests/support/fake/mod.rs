//! A recorder's `media.sock` that needs no recorder: it speaks the contract of `types::wire`, its footage is one clip
//! over and over, and it can be told to fail.

pub mod clip;
mod footage;
mod live;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use custodian::types::{
    CameraId, Cause, StreamKind, WallNs,
    wire::{self, LiveState, Problem, StreamState},
};
use tokio::{net::UnixListener, sync::watch, task::JoinHandle};

pub use clip::{Clip, Recipe};

pub const SECOND: i64 = 1_000_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "the fake stands for a recorder, whose clock is the real one")]
pub fn now() -> WallNs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    WallNs(i64::try_from(since.as_nanos()).expect("before 2262"))
}

/// An unbroken capture, and why there was nothing before it.
#[derive(Debug, Clone)]
pub struct FakeRun {
    pub start: WallNs,
    /// `None` while it goes on.
    pub end: Option<WallNs>,
    pub before: Option<Cause>,
}

/// A camera with its clips.
#[derive(Debug, Clone)]
pub struct FakeCamera {
    pub id: CameraId,
    pub name: String,
    pub streams: Vec<StreamKind>,
    /// What is recorded, and of which live main is made.
    pub main: Recipe,
    /// What live sub is made of.
    pub sub: Recipe,
    pub runs: Vec<FakeRun>,
    /// What is said of how long it is kept; `None`: nothing is known yet.
    pub kept: Option<wire::CameraKept>,
}

impl FakeCamera {
    /// H.264 main and sub, recorded without a gap since `from`.
    pub fn new(id: &str, name: &str, from: WallNs) -> Self {
        let main = Recipe { width: 640, height: 360, hevc: false, pcmu: false, every_frame: false };
        Self {
            id: id.parse().expect("a camera id"),
            name: name.to_owned(),
            streams: vec![StreamKind::Main, StreamKind::Sub],
            main,
            sub: Recipe { width: 320, height: 180, ..main },
            runs: vec![FakeRun { start: from, end: None, before: None }],
            kept: None,
        }
    }

    /// Ends the newest run at `at` and starts another one `length` ns later.
    #[must_use]
    pub fn gap(mut self, at: WallNs, length: i64, cause: Cause) -> Self {
        self.runs.last_mut().expect("a run").end = Some(at);
        self.runs.push(FakeRun { start: at.offset(length), end: None, before: Some(cause) });
        self
    }
}

/// What goes wrong, for all cameras alike.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Live streams are in this state instead of running.
    pub state: Option<(StreamState, Option<Cause>)>,
    /// Grows when all open live streams are to be cut.
    pub cuts: u32,
    /// Grows when a new run begins in another picture size.
    pub runs: u32,
    /// Every answer about footage comes this much later.
    pub delay: Duration,
    /// Live pictures come as fast as they are taken.
    pub flood: bool,
    /// Footage is answered with this status instead.
    pub refuse: Option<u16>,
}

impl Faults {
    fn live_state(&self) -> LiveState {
        let (state, cause) = self.state.clone().unwrap_or((StreamState::Running, None));
        LiveState { state, cause }
    }
}

/// What all handlers share.
struct Shared {
    cameras: Vec<FakeCamera>,
    faults: watch::Receiver<Faults>,
    started: WallNs,
    live_bytes: AtomicU64,
    taps: AtomicUsize,
}

impl Shared {
    fn camera(&self, id: &str) -> Option<(usize, &FakeCamera)> {
        self.cameras.iter().enumerate().find(|(_, c)| c.id.as_str() == id)
    }

    /// Waits or refuses, as the faults say.
    async fn trouble(&self) -> Result<(), Response> {
        let Faults { delay, refuse, .. } = self.faults.borrow().clone();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match refuse {
            Some(status) => Err(problem(StatusCode::from_u16(status).expect("a status"), "told to fail")),
            None => Ok(()),
        }
    }
}

fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(Problem { error: error.to_owned() })).into_response()
}

type State = axum::extract::State<Arc<Shared>>;

/// The fake recorder.
pub struct Fake {
    socket: PathBuf,
    shared: Arc<Shared>,
    faults: watch::Sender<Faults>,
    server: Option<JoinHandle<()>>,
}

impl Fake {
    pub fn start(socket: &Path, cameras: Vec<FakeCamera>) -> Self {
        let (faults, receiver) = watch::channel(Faults::default());
        let shared = Shared {
            cameras,
            faults: receiver,
            started: now(),
            live_bytes: AtomicU64::default(),
            taps: AtomicUsize::default(),
        };
        let mut fake = Self { socket: socket.to_owned(), shared: Arc::new(shared), faults, server: None };
        fake.up();
        fake
    }

    /// Listens (again).
    pub fn up(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).expect("the socket can be made");
        let router = Router::new()
            .route("/v1/cameras", get(cameras))
            .route("/v1/timeline", get(footage::timeline))
            .route("/v1/kept", get(footage::kept))
            .route("/v1/fragments", get(footage::fragments))
            .route("/v1/segments/{stream}/{run}/{seq}", get(footage::segment))
            .route("/v1/live/{camera}/{kind}", get(live::live))
            .with_state(Arc::clone(&self.shared));
        self.server = Some(tokio::spawn(async move {
            axum::serve(listener, router).await.expect("axum serves until it is aborted");
        }));
    }

    /// Goes away with all its connections, as a killed process does.
    pub fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
        self.fault(|f| f.cuts += 1);
        let _ = std::fs::remove_file(&self.socket);
    }

    /// Changes what goes wrong.
    pub fn fault(&self, change: impl FnOnce(&mut Faults)) {
        self.faults.send_modify(change);
    }

    /// Wall time at decode time 0 of all live streams.
    pub fn live_start(&self) -> WallNs {
        self.shared.started.offset(-10 * MINUTE)
    }

    /// Bytes of live streams handed over so far.
    pub fn live_bytes(&self) -> u64 {
        self.shared.live_bytes.load(Ordering::Relaxed)
    }

    /// Live streams that are being read.
    pub fn taps(&self) -> usize {
        self.shared.taps.load(Ordering::SeqCst)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.down();
    }
}

async fn cameras(axum::extract::State(shared): State) -> Json<Vec<wire::Camera>> {
    let camera = |c: &FakeCamera| wire::Camera {
        id: c.id.clone(),
        name: c.name.clone(),
        area: "Cổng chính".to_owned(),
        streams: c.streams.clone(),
        configured: true,
    };
    Json(shared.cameras.iter().map(camera).collect())
}
