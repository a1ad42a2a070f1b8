//! The store as the recorder uses it: volumes with their workers, the index queue, and what each stream has so far.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use tokio::sync::broadcast;
use uuid::Uuid;

use super::{
    Footage, Refused, StoreEvent,
    index::{IndexQueue, SegmentState},
    recovery::{Finding, Found},
    segment::Written,
    volume::Volume,
    worker::{Report, Timing, Worker},
};
use crate::{
    sys::{Clock, Disk},
    types::{
        ByteSize, CameraId, Cause, CauseKind, Fragment, GapBefore, RunId, StreamId, StreamKey, StreamKind, VolumeName,
        WallNs, wire,
    },
};

/// A volume to record on.
#[derive(Debug, Clone)]
pub struct VolumeSetup {
    /// Opened by [`super::volume::open`].
    pub volume: Volume,
    /// How long its disk may take.
    pub timing: Timing,
}

/// Where a camera's footage belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The volumes it was laid on: the first one, then that of the copy. May be fewer than `copies`: then one is chosen.
    pub volumes: Vec<VolumeName>,
    /// On how many volumes it is kept, 1 or 2.
    pub copies: u32,
}

/// All that a store needs to start.
pub struct Setup {
    /// The volumes that could be opened.
    pub volumes: Vec<VolumeSetup>,
    /// How many there may come to be: each gets an equal share of the memory.
    pub volume_count: usize,
    /// Memory for footage that waits for disks, of all volumes together.
    pub memory: ByteSize,
    /// Where files go.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where rows go.
    pub index: Arc<IndexQueue>,
    /// What was found of earlier recording.
    pub found: Found,
    /// Former names of cameras: (former, present).
    pub renamed: Vec<(CameraId, CameraId)>,
    /// Where cameras belong.
    pub places: HashMap<CameraId, Place>,
    /// Why the recorder was not running until now.
    pub downtime: Cause,
}

#[derive(Debug, Default)]
struct StreamState {
    /// Corrected end of what was handed in, and of what is on disk for good.
    submitted: Option<WallNs>,
    committed: Option<WallNs>,
    /// The volume that it belongs on, and the one that it is on.
    home: Option<VolumeName>,
    volume: Option<VolumeName>,
    /// Where its copy went last.
    copy: Option<VolumeName>,
    pending: Option<GapBefore>,
}

struct Streams {
    ids: HashMap<(CameraId, StreamKind), StreamId>,
    states: HashMap<StreamId, StreamState>,
    /// Runs that are being written on a volume, or were until it failed.
    live: HashSet<(RunId, VolumeName)>,
    /// Those of them that take no more fragments, and whose last segment is about to be closed.
    ending: HashSet<(RunId, VolumeName)>,
}

struct Inner {
    streams: Mutex<Streams>,
    index: Arc<IndexQueue>,
    events: broadcast::Sender<StoreEvent>,
}

/// The store of one recorder.
pub struct Store {
    inner: Arc<Inner>,
    workers: RwLock<BTreeMap<VolumeName, Arc<Worker>>>,
    /// What each volume's worker needs beside the volume.
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    share: ByteSize,
    renamed: HashMap<CameraId, CameraId>,
    places: RwLock<HashMap<CameraId, Place>>,
}

impl Inner {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report for Inner {
    fn committed(&self, volume: &VolumeName, written: &[Written]) {
        let mut streams = self.streams();
        for w in written {
            let state = streams.states.entry(w.row.id.stream).or_default();
            state.committed = state.committed.max(Some(w.row.span.end));
            let here = (w.row.id.run, volume.clone());
            if w.row.state != SegmentState::Open && streams.ending.remove(&here) {
                streams.live.remove(&here);
            }
        }
        drop(streams);
        self.index.put(|batch| {
            for w in written {
                if let Some(run) = &w.run {
                    batch.runs.insert(run.id, run.clone());
                }
                batch.segment(w.row.clone());
            }
        });
    }

    fn failed(&self, volume: &VolumeName, problem: &str) {
        log::error!(VOLUME = volume.as_str(); "volume {volume}: {problem}; its cameras move to other volumes");
        let mut streams = self.streams();
        for state in streams.states.values_mut().filter(|s| s.volume.as_ref() == Some(volume)) {
            state.submitted = state.committed;
            state.volume = None;
        }
        streams.live.retain(|(_, on)| on != volume);
        drop(streams);
        let cause = Cause::new(CauseKind::Disk, format!("volume {volume}: {problem}"));
        let _ = self.events.send(StoreEvent::VolumeFailed { volume: volume.clone(), cause });
    }

    fn back(&self, volume: &VolumeName) {
        log::info!(VOLUME = volume.as_str(); "volume {volume} takes footage again");
        let _ = self.events.send(StoreEvent::VolumeBack(volume.clone()));
    }
}

impl Store {
    /// Starts the workers.
    pub fn start(setup: Setup) -> std::io::Result<Self> {
        let Setup { volumes, volume_count, memory, disk, clock, index, found, renamed, places, downtime } = setup;
        let mut streams =
            Streams { ids: HashMap::new(), states: HashMap::new(), live: HashSet::new(), ending: HashSet::new() };
        for (key, before) in found.streams {
            streams.ids.insert((key.camera, key.kind), key.id);
            let pending =
                before.open_gap.or_else(|| before.last_end.map(|since| GapBefore { since, cause: downtime.clone() }));
            streams.states.insert(
                key.id,
                StreamState {
                    submitted: before.last_end,
                    committed: before.last_end,
                    home: before.volume,
                    volume: None,
                    copy: None,
                    pending,
                },
            );
        }
        let (events, _) = broadcast::channel(64);
        let inner = Arc::new(Inner { streams: Mutex::new(streams), index, events });
        let share = ByteSize(memory.0 / volume_count.max(volumes.len()).max(1) as u64);
        let renamed = renamed.into_iter().map(|(former, present)| (present, former)).collect();
        let store =
            Self { inner, workers: RwLock::default(), disk, clock, share, renamed, places: RwLock::new(places) };
        for setup in volumes {
            store.add(setup)?;
        }
        Ok(store)
    }

    /// Takes a volume into use that could not be opened at the start, or is new.
    pub fn add(&self, setup: VolumeSetup) -> std::io::Result<()> {
        let VolumeSetup { volume, timing } = setup;
        let name = volume.name.clone();
        let worker =
            Worker::start(volume, self.disk.clone(), self.clock.clone(), self.inner.clone(), timing, self.share)?;
        let id = worker.volume().marker.id.to_string();
        self.inner.index.put(|batch| {
            batch.volumes.insert(name.clone(), id);
        });
        self.workers.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::new(worker));
        let _ = self.inner.events.send(StoreEvent::VolumeBack(name));
        Ok(())
    }

    fn workers(&self) -> RwLockReadGuard<'_, BTreeMap<VolumeName, Arc<Worker>>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self, name: &VolumeName) -> Option<Arc<Worker>> {
        self.workers().get(name).cloned()
    }

    /// Lays cameras on volumes anew. One that is recorded elsewhere goes there with its next segment, without a gap.
    pub fn lay(&self, places: HashMap<CameraId, Place>) {
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = places;
    }

    fn place(&self, streams: &Streams, stream: StreamId) -> Option<Place> {
        let camera = streams.ids.iter().find(|(_, id)| **id == stream).map(|((camera, _), _)| camera)?;
        self.places.read().unwrap_or_else(PoisonError::into_inner).get(camera).cloned()
    }

    /// State of the volumes.
    pub fn volumes(&self) -> Vec<wire::VolumeStatus> {
        self.workers().values().map(|w| w.status()).collect()
    }

    /// Where the volumes are.
    pub fn roots(&self) -> BTreeMap<VolumeName, PathBuf> {
        self.workers().iter().map(|(name, w)| (name.clone(), w.volume().root.clone())).collect()
    }

    /// End of the newest second of a stream that a power cut would leave.
    pub fn committed(&self, stream: StreamId) -> Option<WallNs> {
        self.inner.streams().states.get(&stream)?.committed
    }

    /// All streams that have footage or are to have some.
    pub fn streams(&self) -> Vec<StreamKey> {
        let streams = self.inner.streams();
        let mut keys: Vec<StreamKey> = streams
            .ids
            .iter()
            .map(|((camera, kind), id)| StreamKey { id: *id, camera: camera.clone(), kind: *kind })
            .collect();
        keys.sort_by(|a, b| (&a.camera, a.kind).cmp(&(&b.camera, b.kind)));
        keys
    }

    /// Where a stream's present segment is.
    pub fn volume_of(&self, stream: StreamId) -> Option<VolumeName> {
        self.inner.streams().states.get(&stream)?.volume.clone()
    }

    /// Whether a run may be being written on a volume right now.
    pub fn is_live(&self, run: RunId, volume: &VolumeName) -> bool {
        self.inner.streams().live.contains(&(run, volume.clone()))
    }

    /// Takes a finding of [`super::recovery::reconcile`] into the index.
    pub fn found(&self, finding: Finding) {
        self.inner.index.put(|batch| match finding {
            Finding::Segment(rows) => {
                batch.runs.entry(rows.0.id).or_insert(rows.0);
                batch.segment(rows.1);
            }
            Finding::Gone(id, volume) => {
                batch.gone.insert((id, volume));
            }
        });
    }

    /// An opened volume.
    pub fn volume(&self, name: &VolumeName) -> Option<Volume> {
        Some(self.worker(name)?.volume().clone())
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn index(&self) -> &IndexQueue {
        &self.inner.index
    }

    /// Closes and commits everything that was handed in, then the index. Waits until then; a disk that hangs is left behind.
    pub fn stop(&self) {
        // Each waits for its own disk; together they take as long as the slowest.
        let workers = self.workers().clone();
        std::thread::scope(|scope| {
            for worker in workers.values() {
                scope.spawn(|| worker.stop());
            }
        });
        if !self.inner.index.flush(Duration::from_secs(20)) {
            log::warn!("the index is behind; it will be completed from the volumes at the next start");
        }
        self.inner.index.stop();
    }

    /// The emptiest volume for its size.
    fn assign(streams: &Streams, healthy: &BTreeMap<VolumeName, Arc<Worker>>) -> Option<VolumeName> {
        let load = |name: &VolumeName| streams.states.values().filter(|s| s.home.as_ref() == Some(name)).count();
        let score = |name: &VolumeName, worker: &Worker| (load(name) + 1) as f64 / worker.status().size.0.max(1) as f64;
        healthy.iter().min_by(|a, b| score(a.0, a.1).total_cmp(&score(b.0, b.1))).map(|(name, _)| name.clone())
    }
}

impl Footage for Store {
    fn stream_id(&self, camera: &CameraId, kind: StreamKind) -> StreamId {
        let mut streams = self.inner.streams();
        if let Some(id) = streams.ids.get(&(camera.clone(), kind)) {
            return *id;
        }
        let former = self.renamed.get(camera).and_then(|former| streams.ids.remove(&(former.clone(), kind)));
        let id = former.unwrap_or_else(|| StreamId::from(Uuid::new_v4()));
        streams.ids.insert((camera.clone(), kind), id);
        streams.states.entry(id).or_default();
        drop(streams);
        let key = StreamKey { id, camera: camera.clone(), kind };
        self.inner.index.put(|batch| {
            batch.streams.insert(key);
        });
        id
    }

    fn last_end(&self, stream: StreamId) -> Option<WallNs> {
        self.inner.streams().states.get(&stream)?.submitted
    }

    fn pending_gap(&self, stream: StreamId) -> Option<GapBefore> {
        self.inner.streams().states.get(&stream)?.pending.clone()
    }

    fn choose(&self, stream: StreamId, avoid: Option<&VolumeName>) -> Option<VolumeName> {
        let workers = self.workers().clone();
        let mut healthy = workers.clone();
        healthy.retain(|name, worker| Some(name) != avoid && worker.healthy());
        let mut streams = self.inner.streams();
        let home = (self.place(&streams, stream))
            .and_then(|p| p.volumes.into_iter().next())
            .filter(|pin| workers.contains_key(pin))
            .or_else(|| streams.states.get(&stream)?.home.clone().filter(|h| workers.contains_key(h)));
        let chosen = match &home {
            Some(home) if healthy.contains_key(home) => Some(home.clone()),
            _ => Self::assign(&streams, &healthy),
        };
        let state = streams.states.entry(stream).or_default();
        if home.is_none() {
            state.home.clone_from(&chosen);
        }
        chosen
    }

    fn choose_copy(&self, stream: StreamId, beside: &VolumeName) -> Option<VolumeName> {
        let mut healthy = self.workers().clone();
        healthy.retain(|name, worker| name != beside && worker.healthy());
        let mut streams = self.inner.streams();
        let place = self.place(&streams, stream).filter(|p| p.copies > 1)?;
        let had = streams.states.get(&stream).and_then(|s| s.copy.clone());
        let chosen = (place.volumes.into_iter().chain(had).find(|v| healthy.contains_key(v)))
            .or_else(|| Self::assign(&streams, &healthy))?;
        streams.states.entry(stream).or_default().copy = Some(chosen.clone());
        Some(chosen)
    }

    fn write(&self, volume: &VolumeName, fragment: Fragment) -> Result<(), Refused> {
        let (stream, end) = (fragment.run.stream.id, fragment.span.end.offset(fragment.run.clock_correction));
        self.write_copy(volume, fragment)?;
        let mut streams = self.inner.streams();
        let state = streams.states.entry(stream).or_default();
        state.submitted = Some(end);
        state.pending = None;
        if state.volume.as_ref() != Some(volume) {
            state.volume = Some(volume.clone());
        }
        Ok(())
    }

    fn write_copy(&self, volume: &VolumeName, fragment: Fragment) -> Result<(), Refused> {
        let Some(worker) = self.worker(volume) else {
            return Err(Refused::Failed { volume: volume.clone(), problem: "there is no such volume".into() });
        };
        // Before there is a file: reconciling asks after it saw one.
        let here = (fragment.run.id, volume.clone());
        let fresh = self.inner.streams().live.insert(here.clone());
        let outcome = worker.write(fragment);
        if outcome.is_err() && fresh {
            self.inner.streams().live.remove(&here);
        }
        outcome
    }

    fn end_run(&self, volume: &VolumeName, run: RunId) {
        self.inner.streams().ending.insert((run, volume.clone()));
        if let Some(worker) = self.worker(volume) {
            worker.end_run(run);
        }
    }

    fn set_gap(&self, stream: StreamId, gap: Option<GapBefore>) {
        self.inner.index.put(|batch| {
            batch.open_gaps.insert(stream, gap);
        });
    }

    fn events(&self) -> broadcast::Receiver<StoreEvent> {
        self.inner.events.subscribe()
    }
}
