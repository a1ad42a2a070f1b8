//! Simulated cameras on one RTSP port: `rtsp://HOST:PORT/<camera>/main` and `…/sub`.

mod fault;
mod sound;
mod source;
mod stream;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use jiff::tz::TimeZone;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::fault::{Fault, UnknownFault};
pub(crate) use self::{
    fault::Trouble,
    stream::{Media, Stream, Unit, count},
};
use self::{
    source::{Clip, Source, View},
    stream::Making,
};
pub use super::rtsp::Auth;
use super::rtsp::{self, Gate};
use crate::{
    sys::{Clock, RealClock},
    types::{BitRate, CameraId, StreamKind},
};

/// A simulated camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its place in the URL.
    pub id: CameraId,
    /// Burnt into the picture, in capitals and without marks.
    pub name: String,
    /// Whether its main stream has sound (G.711 µ-law).
    pub audio: bool,
}

/// How the simulated cameras are.
#[derive(Clone)]
pub struct ServerOptions {
    /// Which cameras there are.
    pub cameras: Vec<Camera>,
    /// Where they listen. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// How they ask for credentials.
    pub auth: Auth,
    /// The user they know.
    pub username: String,
    /// That user's password.
    pub password: String,
    /// Pictures per second of the main streams (1280x720), 1 to 25.
    pub main_fps: u32,
    /// Pictures per second of the sub streams (640x360), 1 to 25.
    pub sub_fps: u32,
    /// Main streams are filled up to this rate. Without it they have what the pictures need, about 1 to 2 Mbit/s.
    pub main_rate: Option<BitRate>,
    /// The same for sub streams.
    pub sub_rate: Option<BitRate>,
    /// All cameras send the same loop, coded once: the least work per stream, for benchmarks. Its clock is that of
    /// when it was made, and [`Fault::Resolution`] has no effect.
    pub replay: bool,
    /// Time zone of the burnt-in clocks.
    pub zone: TimeZone,
    /// Where the cameras have the time from.
    pub clock: Arc<dyn Clock>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            cameras: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            auth: Auth::default(),
            username: "viewer".into(),
            password: "demo".into(),
            main_fps: 15,
            sub_fps: 8,
            main_rate: None,
            sub_rate: None,
            replay: false,
            zone: TimeZone::UTC,
            clock: Arc::new(RealClock),
        }
    }
}

/// What a stream has done since the server was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStats {
    /// The camera.
    pub camera: CameraId,
    /// Main or sub.
    pub kind: StreamKind,
    /// Pictures made: only while somebody watches.
    pub made: u64,
    /// Pictures handed whole to a client's connection, or all of their packets sent by UDP; each client counts.
    pub sent: u64,
    /// RTP packets sent, sound included.
    pub packets: u64,
    /// Bytes of RTP packets sent, their headers included.
    pub bytes: u64,
    /// Sessions begun (`PLAY`).
    pub plays: u64,
    /// Sessions that play now.
    pub playing: u64,
    /// Clients dropped because they were too slow.
    pub slow: u64,
}

/// No camera has that id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no simulated camera {0}")]
pub struct UnknownCamera(pub CameraId);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) gate: Gate,
    pub(crate) stop: CancellationToken,
    streams: BTreeMap<(CameraId, StreamKind), Arc<Stream>>,
    troubles: BTreeMap<CameraId, watch::Sender<Trouble>>,
}

impl Shared {
    /// The stream of a path such as `gate-1/main`.
    pub(crate) fn stream(&self, path: &str) -> Option<&Arc<Stream>> {
        let (camera, kind) = path.split_once('/')?;
        self.streams.get(&(camera.parse().ok()?, kind.parse().ok()?))
    }
}

/// A number that nobody can guess well enough for a simulated camera.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The running cameras.
pub struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Server {
    /// Starts the cameras on the present tokio runtime.
    ///
    /// Fails if the address cannot be listened on.
    pub async fn start(options: ServerOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let mut makings = Vec::new();
        let mut streams = BTreeMap::new();
        let mut troubles = BTreeMap::new();
        let mut clips: BTreeMap<StreamKind, Arc<Clip>> = BTreeMap::new();
        for (index, camera) in options.cameras.iter().enumerate() {
            let trouble = watch::Sender::new(Trouble { fault: None, since: Instant::now() });
            for kind in [StreamKind::Main, StreamKind::Sub] {
                let (scale, fps, rate) = match kind {
                    StreamKind::Main => (2, options.main_fps, options.main_rate),
                    StreamKind::Sub => (1, options.sub_fps, options.sub_rate),
                };
                let name = if camera.name.is_empty() { camera.id.as_str() } else { &camera.name };
                let view = View {
                    index,
                    name: name.to_owned(),
                    zone: options.zone.clone(),
                    scale,
                    fps: fps.clamp(1, 25),
                    rate,
                };
                let stream = Arc::new(Stream::new(
                    (camera.id.clone(), kind, camera.audio && kind == StreamKind::Main),
                    trouble.subscribe(),
                    options.clock.clone(),
                    (random() >> 32) as u32,
                    view.description(),
                ));
                let source = if options.replay {
                    let clip = clips.entry(kind).or_insert_with(|| Arc::new(Clip::new(&view, options.clock.wall())));
                    Source::replayed(view, clip.clone())
                } else {
                    Source::drawn(view)
                };
                let phase = index as f64 / options.cameras.len() as f64;
                makings.push((stream.clone(), Making { source, phase }));
                streams.insert((camera.id.clone(), kind), stream);
            }
            troubles.insert(camera.id.clone(), trouble);
        }
        let gate = Gate { auth: options.auth, username: options.username, password: options.password };
        let shared = Arc::new(Shared { gate, stop: CancellationToken::new(), streams, troubles });
        let tasks = TaskTracker::new();
        for (stream, making) in makings {
            let stop = shared.stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(stream.run(making)).await });
        }
        tasks.spawn(accept(listener, shared.clone(), tasks.clone()));
        tasks.close();
        Ok(Self { addr, shared, tasks })
    }

    /// Where the cameras listen.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A stream's URL, without credentials.
    pub fn url(&self, camera: &CameraId, kind: StreamKind) -> String {
        format!("rtsp://{}/{camera}/{kind}", self.addr)
    }

    /// Gives a camera a fault, or takes it away. Takes effect at once, in open sessions too.
    pub fn set_fault(&self, camera: &CameraId, fault: Option<Fault>) -> Result<(), UnknownCamera> {
        let sender = self.shared.troubles.get(camera).ok_or_else(|| UnknownCamera(camera.clone()))?;
        sender.send_replace(Trouble { fault, since: Instant::now() });
        match fault {
            Some(fault) => log::info!(CAMERA = camera.as_str(); "simulated camera {camera} has a fault now: {fault}"),
            None => log::info!(CAMERA = camera.as_str(); "simulated camera {camera} is in order again"),
        }
        Ok(())
    }

    /// What each stream has done, by camera id, main first.
    pub fn stats(&self) -> Vec<StreamStats> {
        self.shared
            .streams
            .values()
            .map(|s| {
                let read = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
                let c = &s.counters;
                StreamStats {
                    camera: s.camera.clone(),
                    kind: s.kind,
                    made: read(&c.made),
                    sent: read(&c.sent),
                    packets: read(&c.packets),
                    bytes: read(&c.bytes),
                    plays: read(&c.plays),
                    playing: read(&c.playing),
                    slow: read(&c.slow),
                }
            })
            .collect()
    }

    /// Closes all connections and waits until every task has ended.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                tasks.spawn(serve(socket, peer, shared.clone()));
            }
            Err(e) => {
                // Out of file descriptors, as a rule: others may close some meanwhile.
                log::warn!("simulated cameras cannot accept a connection: {e}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    if let Some(Err(e)) = stop.run_until_cancelled(rtsp::serve(socket, shared)).await {
        log::debug!("simulated camera's client {peer} is gone: {e}");
    }
}

#[cfg(test)]
mod tests;
