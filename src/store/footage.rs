//! The store as the recorder uses it: volumes with their workers, the index queue, and what each stream has so far.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use tokio::sync::broadcast;

use super::{
    Footage, Refused, StoreEvent,
    identity::Trace,
    index::{IndexQueue, SegmentState},
    recovery::Finding,
    segment::Written,
    streams::Streams,
    volume::Volume,
    worker::{Report, Timing, Worker, WorkerSeen},
};
use crate::{
    sys::{Clock, Disk, Space},
    types::{
        ByteSize, CameraId, Cause, CauseKind, Fragment, GapBefore, RunId, StreamId, StreamKey, StreamKind, VolumeName,
        WallNs, event, wire,
    },
};

/// A volume to record on.
#[derive(Debug, Clone)]
pub struct VolumeSetup {
    /// Opened by [`super::volume::open`].
    pub volume: Volume,
    /// Its room when it was opened.
    pub space: Space,
    /// What [`super::recovery::look()`] found on it.
    pub traces: Vec<Trace>,
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
    /// What the index knows of earlier recording.
    pub known: Vec<Trace>,
    /// Former names of cameras: (former, present).
    pub renamed: Vec<(CameraId, CameraId)>,
    /// Where cameras belong.
    pub places: HashMap<CameraId, Place>,
    /// Why the recorder was not running until now.
    pub downtime: Cause,
}

/// What was seen of the threads of volumes when they were last looked at.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<VolumeName, WorkerSeen>);

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
    places: RwLock<HashMap<CameraId, Place>>,
    barred: RwLock<BTreeSet<(VolumeName, CameraId)>>,
}

impl Inner {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report for Inner {
    fn committed(&self, volume: &VolumeName, written: &[Written], at: WallNs) {
        let mut streams = self.streams();
        let mut commits = streams.commits.remove(volume).unwrap_or_default();
        commits.at = at;
        for w in written {
            let newest = commits.newest.entry(w.row.id.stream).or_insert(w.row.span.end);
            *newest = w.row.span.end.max(*newest);
            let state = streams.states.entry(w.row.id.stream).or_default();
            state.committed = state.committed.max(Some(w.row.span.end));
            let here = (w.row.id.run, volume.clone());
            if w.row.state != SegmentState::Open && streams.ending.remove(&here) {
                streams.live.remove(&here);
            }
        }
        streams.commits.insert(volume.clone(), commits);
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
        log::error!(
            MESSAGE_ID = event::VOLUME_FAILED, VOLUME = volume.as_str(), CAUSE = problem;
            "volume {volume}: {problem}; its cameras move to other volumes"
        );
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

    fn streams_file(&self, had: u64, now: WallNs) -> Option<(u64, Vec<u8>)> {
        let streams = self.streams();
        (streams.version > had).then(|| (streams.version, streams.identities.file(now)))
    }

    fn back(&self, volume: &VolumeName) {
        log::info!(
            MESSAGE_ID = event::VOLUME_BACK, VOLUME = volume.as_str();
            "volume {volume} takes footage again"
        );
        let _ = self.events.send(StoreEvent::VolumeBack(volume.clone()));
    }
}

impl Store {
    /// Starts the workers.
    pub fn start(setup: Setup) -> std::io::Result<Self> {
        let Setup { volumes, volume_count, memory, disk, clock, index, known, renamed, places, downtime } = setup;
        let mut streams = Streams::new(renamed, downtime);
        // Before a stream of any camera is asked for: that all volumes are known, as far as they are there.
        let mut names = streams.learn(&known);
        volumes.iter().for_each(|v| names.extend(streams.learn(&v.traces)));
        index.put(|batch| batch.streams.extend(names));
        let (events, _) = broadcast::channel(64);
        let inner = Arc::new(Inner { streams: Mutex::new(streams), index, events });
        let share = ByteSize(memory.0 / volume_count.max(volumes.len()).max(1) as u64);
        let (workers, places, barred) = (RwLock::default(), RwLock::new(places), RwLock::default());
        let store = Self { inner, workers, disk, clock, share, places, barred };
        for setup in volumes {
            store.add(setup)?;
        }
        Ok(store)
    }

    /// Takes a volume into use that could not be opened at the start, or is new. A camera whose older recording is on it goes on with
    /// that one from its next key frame on.
    pub fn add(&self, setup: VolumeSetup) -> std::io::Result<()> {
        let name = setup.volume.name.clone();
        let names = self.inner.streams().learn(&setup.traces);
        self.inner.index.put(|batch| batch.streams.extend(names));
        let worker = Worker::start(setup, self.disk.clone(), self.clock.clone(), self.inner.clone(), self.share)?;
        let id = worker.id();
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

    /// Says who may not record where from now on: room is short there. Who does goes elsewhere, or stops, at its next key frame.
    pub fn bar(&self, barred: BTreeSet<(VolumeName, CameraId)>) {
        *self.barred.write().unwrap_or_else(PoisonError::into_inner) = barred;
    }

    fn barred(&self) -> RwLockReadGuard<'_, BTreeSet<(VolumeName, CameraId)>> {
        self.barred.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self, streams: &Streams, stream: StreamId, volume: &VolumeName) -> bool {
        let barred = self.barred();
        // Mostly nobody is.
        barred.is_empty()
            || !streams.identities.camera(stream).is_some_and(|c| barred.contains(&(volume.clone(), c.clone())))
    }

    /// The volumes that a camera belongs on, as it is laid or as it came about; none: it has not been recorded yet.
    pub fn homes(&self, camera: &CameraId) -> Vec<VolumeName> {
        let streams = self.inner.streams();
        let place = self.places.read().unwrap_or_else(PoisonError::into_inner).get(camera).cloned();
        let copies = place.as_ref().map_or(1, |p| p.copies as usize);
        let ids = [StreamKind::Main, StreamKind::Sub].map(|kind| streams.identities.get(camera, kind));
        let states = || ids.iter().flatten().filter_map(|id| streams.states.get(id));
        let came = states().filter_map(|s| s.home.clone()).chain(states().filter_map(|s| s.copy.clone()));
        let mut homes: Vec<VolumeName> = Vec::new();
        for volume in place.into_iter().flat_map(|p| p.volumes).chain(came) {
            if homes.len() < copies && !homes.contains(&volume) {
                homes.push(volume);
            }
        }
        homes
    }

    fn place(&self, streams: &Streams, stream: StreamId) -> Option<Place> {
        let camera = streams.identities.camera(stream)?;
        self.places.read().unwrap_or_else(PoisonError::into_inner).get(camera).cloned()
    }

    /// State of the volumes.
    pub fn volumes(&self) -> Vec<wire::VolumeStatus> {
        let mut all: Vec<_> = self.workers().values().map(|w| w.status()).collect();
        let streams = self.inner.streams();
        all.iter_mut().for_each(|v| v.committed = streams.commits.get(&v.name).map(|c| c.at));
        all
    }

    /// What was committed since the process started, by volume.
    pub fn commits(&self) -> Vec<wire::health::Committed> {
        self.inner.streams().committed()
    }

    /// Looks at whether the threads of volumes go on, and marks those failed whose disks do not answer. What is said is a reason to start
    /// anew: a thread that has ended, or stands still beside a disk that is well. It waits for nobody.
    pub fn standstill(&self, seen: &mut Seen) -> Option<String> {
        // Somebody is taking a volume into use: the next look will do.
        let workers = self.workers.try_read().ok()?;
        let mut of =
            workers.iter().map(|(name, worker)| (name, worker.standstill(seen.0.entry(name.clone()).or_default())));
        of.find_map(|(name, what)| Some(format!("volume {name}: its {}", what?)))
    }

    /// Where the volumes are.
    pub fn roots(&self) -> BTreeMap<VolumeName, PathBuf> {
        self.workers().iter().map(|(name, w)| (name.clone(), w.root().to_owned())).collect()
    }

    /// Where those volumes are whose disks answer.
    pub fn answering(&self) -> BTreeMap<VolumeName, PathBuf> {
        let workers = self.workers();
        let answering = workers.iter().filter(|(_, w)| w.healthy() || !w.stuck());
        answering.map(|(name, w)| (name.clone(), w.root().to_owned())).collect()
    }

    /// End of the newest second of a stream that a power cut would leave.
    pub fn committed(&self, stream: StreamId) -> Option<WallNs> {
        self.inner.streams().states.get(&stream)?.committed
    }

    /// All streams that have footage or are to have some.
    pub fn streams(&self) -> Vec<StreamKey> {
        self.inner.streams().identities.keys()
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
            Finding::Gone(id, volume, lost) => {
                batch.lost.extend(lost.map(|span| (id.stream, span)));
                batch.gone.insert((id, volume));
            }
        });
    }

    /// An opened volume.
    pub fn volume(&self, name: &VolumeName) -> Option<Volume> {
        Some(self.worker(name)?.volume())
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

    /// The volumes that take footage, with their sizes. Asked before the streams are locked: a volume may turn out to have failed.
    fn healthy(&self, avoid: Option<&VolumeName>) -> BTreeMap<VolumeName, u64> {
        let workers = self.workers().clone();
        let healthy = workers.iter().filter(|(name, worker)| Some(*name) != avoid && worker.healthy());
        healthy.map(|(name, worker)| (name.clone(), worker.size())).collect()
    }

    /// The emptiest volume for its size.
    fn assign(streams: &Streams, healthy: &BTreeMap<VolumeName, u64>) -> Option<VolumeName> {
        // Where it is counts, and for one that is nowhere now, where it belongs: those of a failed volume spread over all others.
        let load = |name: &VolumeName| {
            streams.states.values().filter(|s| s.volume.as_ref().or(s.home.as_ref()) == Some(name)).count()
        };
        let score = |name: &VolumeName, size: u64| (load(name) + 1) as f64 / size.max(1) as f64;
        healthy.iter().min_by(|a, b| score(a.0, *a.1).total_cmp(&score(b.0, *b.1))).map(|(name, _)| name.clone())
    }
}

impl Footage for Store {
    fn stream_id(&self, camera: &CameraId, kind: StreamKind) -> StreamId {
        let mut streams = self.inner.streams();
        if let Some(id) = streams.identities.get(camera, kind) {
            return id;
        }
        let id = streams.identities.make(camera, kind);
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
        let mut healthy = self.healthy(avoid);
        let workers = self.workers().clone();
        let mut streams = self.inner.streams();
        healthy.retain(|name, _| self.admits(&streams, stream, name));
        let home = (self.place(&streams, stream))
            .and_then(|p| p.volumes.into_iter().next())
            .filter(|pin| workers.contains_key(pin))
            .or_else(|| streams.states.get(&stream)?.home.clone().filter(|h| workers.contains_key(h)));
        let chosen = match &home {
            Some(home) if healthy.contains_key(home) => Some(home.clone()),
            _ => Self::assign(&streams, &healthy),
        };
        // One that has a home which is not there yet goes there when it comes.
        let state = streams.states.entry(stream).or_default();
        if state.home.is_none() {
            state.home.clone_from(&chosen);
        }
        chosen
    }

    fn may_stay(&self, stream: StreamId, volume: &VolumeName) -> bool {
        self.admits(&self.inner.streams(), stream, volume)
    }

    fn nowhere(&self, stream: StreamId) -> Cause {
        let healthy = self.healthy(None);
        let streams = self.inner.streams();
        if healthy.keys().any(|name| !self.admits(&streams, stream, name)) {
            Cause::new(CauseKind::Full, "the disks are full of footage that must be kept")
        } else {
            Cause::new(CauseKind::Disk, "no volume takes footage")
        }
    }

    fn choose_copy(&self, stream: StreamId, beside: &VolumeName) -> Option<VolumeName> {
        let mut healthy = self.healthy(Some(beside));
        let mut streams = self.inner.streams();
        healthy.retain(|name, _| self.admits(&streams, stream, name));
        let place = self.place(&streams, stream).filter(|p| p.copies > 1)?;
        let had = streams.states.get(&stream).and_then(|s| s.copy.clone());
        let chosen = (place.volumes.into_iter().chain(had).find(|v| healthy.contains_key(v)))
            .or_else(|| Self::assign(&streams, &healthy))?;
        streams.states.entry(stream).or_default().copy = Some(chosen.clone());
        Some(chosen)
    }

    fn write(&self, volume: &VolumeName, fragment: Fragment) -> Result<(), Refused> {
        let stream = fragment.run.stream.id;
        let [start, end] = [fragment.span.start, fragment.span.end].map(|t| t.offset(fragment.run.clock_correction));
        self.write_copy(volume, fragment)?;
        let mut streams = self.inner.streams();
        streams.states.entry(stream).or_default().handed_in(end, volume);
        streams.recorded(stream, start);
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
        // A camera that leaves the site and comes back is somebody who knows nothing of it.
        self.inner.streams().states.entry(stream).or_default().pending.clone_from(&gap);
        self.inner.index.put(|batch| {
            batch.open_gaps.insert(stream, gap);
        });
    }

    fn events(&self) -> broadcast::Receiver<StoreEvent> {
        self.inner.events.subscribe()
    }
}
