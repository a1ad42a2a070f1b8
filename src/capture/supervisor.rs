//! All streams of a recorder, on a thread of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use retina::client::SessionGroup;
use tokio::{
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::types::{
    CameraId, Cause, CauseKind, StreamKind,
    wire::{Reloaded, StreamState},
};

use super::{
    config::{Env, StreamConfig, Transport},
    status::{CaptureStatus, Cell},
    stream::{Order, Stream},
    tap::{LiveTap, TapHub},
};

/// How long cameras are given to acknowledge the end of their sessions when the recorder stops.
const TEARDOWN: Duration = Duration::from_secs(1);
/// Before the dispatcher waits for packets it lets them gather for so long, and then takes what has come for all cameras at
/// once: waking up for each burst of each camera costs more than all the work on it. Live pictures are later by as much.
const GATHER: Duration = Duration::from_millis(10);
/// Threads for what cannot wait on the dispatcher: host names.
const RESOLVERS: usize = 8;

/// Why capture could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the capture thread could not be started: {0}")]
pub struct StartError(#[from] std::io::Error);

/// Captures streams on a thread of its own, the dispatcher. Usable from any thread; dropping it ends capture without
/// flushing, see [`Supervisor::stop`].
pub struct Supervisor {
    env: Arc<Env>,
    dispatcher: Handle,
    /// Whether the dispatcher may be late by [`GATHER`].
    gather: Arc<AtomicBool>,
    streams: Mutex<Streams>,
    /// Dropped to end the dispatcher.
    running: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

type Name = (CameraId, StreamKind);

#[derive(Default)]
struct Streams {
    entries: BTreeMap<Name, Entry>,
    groups: BTreeMap<CameraId, Arc<SessionGroup>>,
    /// Tasks of streams that have left the site.
    leaving: Vec<JoinHandle<()>>,
    stopped: bool,
}

struct Entry {
    orders: watch::Sender<Order>,
    config: Arc<StreamConfig>,
    hub: Arc<TapHub>,
    status: Arc<Cell>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts the dispatcher, without streams.
    pub fn start(env: Env) -> Result<Self, StartError> {
        let gather = Arc::new(AtomicBool::new(true));
        let gathers = gather.clone();
        let runtime = Builder::new_current_thread()
            .on_thread_park(move || {
                if gathers.load(Ordering::Relaxed) {
                    std::thread::sleep(GATHER);
                }
            })
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .build()?;
        let dispatcher = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("capture".to_owned()).spawn(move || {
            // An error means that the sender is gone, which is the word to end.
            let _ = runtime.block_on(ended);
            // A host name that is being looked up must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            env: Arc::new(env),
            dispatcher,
            gather,
            streams: Mutex::default(),
            running: Mutex::new(Some(running)),
            thread: Mutex::new(Some(thread)),
        })
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes these the streams to capture. Sessions whose stream did not change go on untouched.
    pub fn set_streams(&self, wanted: Vec<StreamConfig>) -> Reloaded {
        let mut streams = self.streams();
        if streams.stopped {
            return Reloaded::default();
        }
        // The kernel keeps few datagrams: a key frame would overflow its buffer in that time. TCP waits.
        self.gather.store(wanted.iter().all(|c| c.transport == Transport::Tcp), Ordering::Relaxed);
        let before: BTreeSet<CameraId> = streams.entries.keys().map(|(c, _)| c.clone()).collect();
        let wanted: BTreeMap<Name, StreamConfig> =
            wanted.into_iter().map(|c| ((c.camera.clone(), c.kind), c)).collect();
        let after: BTreeSet<CameraId> = wanted.keys().map(|(c, _)| c.clone()).collect();
        let mut touched = BTreeSet::new();

        let gone: Vec<Name> = streams.entries.keys().filter(|n| !wanted.contains_key(n)).cloned().collect();
        for name in gone {
            let Some(entry) = streams.entries.remove(&name) else { continue };
            let cause = Cause::new(CauseKind::Site, "the site no longer has this stream");
            entry.orders.send_modify(|o| o.end = Some(cause));
            streams.leaving.push(entry.task);
            touched.insert(name.0);
        }
        for (name, config) in wanted {
            let config = Arc::new(config);
            match streams.entries.get_mut(&name) {
                Some(entry) if *entry.config == *config => {}
                Some(entry) if entry.config.same_session(&config) => entry.config = config,
                Some(entry) => {
                    entry.config = config.clone();
                    entry.orders.send_modify(|o| o.config = config);
                    touched.insert(name.0);
                }
                None => {
                    let entry = self.spawn(&mut streams, config);
                    touched.insert(name.0.clone());
                    streams.entries.insert(name, entry);
                }
            }
        }
        streams.groups.retain(|camera, _| after.contains(camera));
        streams.leaving.retain(|t| !t.is_finished());
        Reloaded {
            added: after.difference(&before).cloned().collect(),
            removed: before.difference(&after).cloned().collect(),
            changed: before.intersection(&after).filter(|c| touched.contains(*c)).cloned().collect(),
            untouched: before.intersection(&after).filter(|c| !touched.contains(*c)).count(),
        }
    }

    fn spawn(&self, streams: &mut Streams, config: Arc<StreamConfig>) -> Entry {
        let group = streams
            .groups
            .entry(config.camera.clone())
            .or_insert_with(|| Arc::new(SessionGroup::default().named(config.camera.to_string())))
            .clone();
        let hub = TapHub::new(self.env.settings.tap_bytes);
        let status = Arc::new(Cell::default());
        let (orders, receiver) = watch::channel(Order { config: config.clone(), end: None });
        let stream = Stream {
            env: self.env.clone(),
            orders: receiver,
            hub: hub.clone(),
            status: status.clone(),
            group,
            lost: None,
        };
        let task = self.dispatcher.spawn(stream.run());
        Entry { orders, config, hub, status, task }
    }

    /// Does something again and again on the dispatcher for as long as that serves the cameras, and not a moment longer.
    pub fn every(&self, pace: Duration, mut act: impl FnMut() + Send + 'static) {
        self.dispatcher.spawn(async move {
            let mut ticks = tokio::time::interval(pace);
            loop {
                ticks.tick().await;
                act();
            }
        });
    }

    /// What each stream does, by camera, main first.
    pub fn status(&self) -> Vec<CaptureStatus> {
        let now = self.env.clock.monotonic().0;
        let streams = self.streams();
        streams.entries.values().map(|e| status(e, now)).collect()
    }

    /// Begins to watch a stream; `None` if there is no such stream.
    pub fn live(&self, camera: &CameraId, kind: StreamKind) -> Option<LiveTap> {
        self.streams().entries.get(&(camera.clone(), kind)).map(|e| e.hub.tap())
    }

    /// Ends capture: all that was received is in the store's hands when this returns, within [`super::Settings::stop`] and
    /// a second. The gaps that begin say that `who` stopped it. A second call does nothing.
    pub async fn stop(&self, who: &str) {
        let (tasks, groups) = {
            let mut streams = self.streams();
            streams.stopped = true;
            let cause = Cause::new(CauseKind::Stopped, format!("by {who}"));
            let entries = std::mem::take(&mut streams.entries);
            for entry in entries.values() {
                entry.orders.send_modify(|o| o.end = Some(cause.clone()));
            }
            let tasks: Vec<_> =
                entries.into_values().map(|e| e.task).chain(std::mem::take(&mut streams.leaving)).collect();
            (tasks, std::mem::take(&mut streams.groups))
        };
        if timeout(self.env.settings.stop, join_all(tasks)).await.is_err() {
            log::error!("some streams did not end in time; what they held is lost");
        }
        // Cameras with few session slots, and those that send datagrams, should know.
        let _ = timeout(TEARDOWN, join_all(groups.values().map(|g| g.await_teardown()))).await;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(running);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && tokio::task::spawn_blocking(move || thread.join()).await.is_err()
        {
            log::error!("the capture thread panicked");
        }
    }
}

fn status(entry: &Entry, now: i64) -> CaptureStatus {
    let rare = entry.status.rare().clone();
    let (bit_rate, frame_rate) = entry.status.rates(now);
    let config = &entry.config;
    CaptureStatus {
        camera: config.camera.clone(),
        name: config.camera_name.clone(),
        stream: config.kind,
        recorded: config.record,
        state: rare.state.unwrap_or(StreamState::Idle),
        cause: rare.cause,
        bit_rate,
        frame_rate,
        frames: entry.status.frames(),
        lost_packets: entry.status.lost_packets(),
        clock_error: rare.clock_error,
        volume: rare.volume,
        size: rare.size,
        codec: rare.codec,
    }
}
