//! A store in memory that watches what capture promises, for tests.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;
use uuid::Uuid;

use crate::{
    store::{Footage, Refused, StoreEvent},
    types::{CameraId, Cause, CauseKind, Fragment, GapBefore, Run, RunId, StreamId, StreamKind, VolumeName, WallNs},
};

/// Takes fragments like the real store, keeps them, and collects every broken promise in [`FakeFootage::problems`].
#[derive(Debug)]
pub struct FakeFootage {
    inner: Mutex<Inner>,
    events: broadcast::Sender<StoreEvent>,
}

#[derive(Debug, Default)]
struct Inner {
    streams: BTreeMap<(CameraId, StreamKind), StreamId>,
    volumes: Vec<(VolumeName, bool)>,
    full: BTreeSet<VolumeName>,
    had: HashMap<StreamId, VolumeName>,
    runs: Vec<FakeRun>,
    gaps: HashMap<StreamId, GapBefore>,
    gap_history: Vec<(StreamId, Option<GapBefore>)>,
    pending: Option<GapBefore>,
    last_end: HashMap<StreamId, WallNs>,
    problems: Vec<String>,
}

/// What was written of a run.
#[derive(Debug, Clone)]
pub struct FakeRun {
    /// The run.
    pub run: Arc<Run>,
    /// Where it was written.
    pub volume: VolumeName,
    /// Its fragments.
    pub fragments: Vec<Fragment>,
    /// Whether it has been ended.
    pub ended: bool,
}

impl FakeRun {
    /// Samples of a track.
    pub fn samples(&self, track: usize) -> impl Iterator<Item = &crate::types::Sample> {
        self.fragments.iter().flat_map(|f| &f.samples).filter(move |s| s.track == track)
    }
}

impl FakeFootage {
    /// With these volumes, healthy.
    pub fn new(volumes: &[&str]) -> Arc<Self> {
        let volumes = volumes.iter().filter_map(|v| v.parse().ok()).map(|v| (v, true)).collect();
        Arc::new(Self { inner: Mutex::new(Inner { volumes, ..Inner::default() }), events: broadcast::Sender::new(64) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the first run has to say about the time before.
    pub fn set_pending_gap(&self, gap: GapBefore) {
        self.lock().pending = Some(gap);
    }

    /// Where earlier footage of a stream ended.
    pub fn set_last_end(&self, stream: StreamId, end: WallNs) {
        self.lock().last_end.insert(stream, end);
    }

    /// Refuses everything from now on, without saying so.
    pub fn refuse(&self, volume: &str) {
        self.set_health(volume, false);
    }

    /// Fails a volume and says so.
    pub fn fail(&self, volume: &str, cause: Cause) {
        self.set_health(volume, false);
        if let Ok(volume) = volume.parse() {
            let _ = self.events.send(StoreEvent::VolumeFailed { volume, cause });
        }
    }

    /// Heals a volume and says so.
    pub fn heal(&self, volume: &str) {
        self.set_health(volume, true);
        if let Ok(volume) = volume.parse() {
            let _ = self.events.send(StoreEvent::VolumeBack(volume));
        }
    }

    /// Has room for nobody on these volumes.
    pub fn fill(&self, volumes: &[&str]) {
        self.lock().full = volumes.iter().filter_map(|v| v.parse().ok()).collect();
    }

    /// Makes a volume everybody's home.
    pub fn prefer(&self, volume: &str) {
        let mut inner = self.lock();
        if let Ok(volume) = volume.parse::<VolumeName>() {
            inner.had.values_mut().for_each(|v| *v = volume.clone());
        }
    }

    fn set_health(&self, volume: &str, healthy: bool) {
        for v in &mut self.lock().volumes {
            if v.0.as_str() == volume {
                v.1 = healthy;
            }
        }
    }

    /// All runs, in the order in which they began.
    pub fn runs(&self) -> Vec<FakeRun> {
        self.lock().runs.clone()
    }

    /// The gap that a stream has now.
    pub fn gap(&self, stream: StreamId) -> Option<GapBefore> {
        self.lock().gaps.get(&stream).cloned()
    }

    /// All that was said of gaps.
    pub fn gap_history(&self) -> Vec<(StreamId, Option<GapBefore>)> {
        self.lock().gap_history.clone()
    }

    /// Broken promises; empty is good.
    pub fn problems(&self) -> Vec<String> {
        self.lock().problems.clone()
    }
}

impl Inner {
    fn check(&mut self, f: &Fragment) {
        let mut problems = Vec::new();
        let mut say = |text: String| problems.push(format!("run {} fragment {}: {text}", f.run.id, f.number));
        let before = self.runs.iter().find(|r| r.run.id == f.run.id);
        let last = before.and_then(|r| r.fragments.last());
        if before.is_some_and(|r| r.ended) {
            say("the run has ended".into());
        }
        if f.number != last.map_or(0, |l| l.number + 1) {
            say("number is not the next".into());
        }
        match last {
            None => {
                if f.seq != 0 || f.span.start != f.run.start || f.samples[0].dts != 0 {
                    say(format!(
                        "a run begins with segment 0, dts 0 and its start, not {} {}",
                        f.seq, f.samples[0].dts
                    ));
                }
                let start = f.span.start.offset(f.run.clock_correction);
                if self.last_end.get(&f.run.stream.id).is_some_and(|end| start < *end) {
                    say(format!("starts at {start:?}, before what is there ends"));
                }
            }
            Some(l) => {
                if f.span.start < l.span.end {
                    say("span overlaps the one before".into());
                }
                if f.seq < l.seq || f.seq > l.seq + 1 {
                    say("segment number jumps".into());
                }
            }
        }
        if last.is_none_or(|l| l.seq != f.seq) && !f.samples[0].key {
            say("a segment begins without a key frame".into());
        }
        if f.span.end <= f.span.start {
            say("empty span".into());
        }
        for track in 0..f.run.tracks.len() {
            let own: Vec<_> = f.samples.iter().filter(|s| s.track == track).collect();
            if own.windows(2).any(|w| w[0].dts + u64::from(w[0].duration) != w[1].dts) {
                say(format!("durations of track {track} do not add up"));
            }
            let previous = last.and_then(|l| l.samples.iter().rfind(|s| s.track == track));
            if let (Some(p), Some(n)) = (previous, own.first())
                && p.dts + u64::from(p.duration) > n.dts
            {
                say(format!("track {track} overlaps the fragment before"));
            }
        }
        if f.samples[0].track != 0 || !f.samples.is_sorted_by_key(|s| s.track) {
            say("video samples come first".into());
        }
        if f.samples[1..].iter().any(|s| s.track == 0 && s.key) {
            say("a key frame inside".into());
        }
        self.problems.extend(problems);
    }
}

impl Footage for FakeFootage {
    fn stream_id(&self, camera: &CameraId, kind: StreamKind) -> StreamId {
        let mut inner = self.lock();
        let n = inner.streams.len() as u128 + 1;
        *inner.streams.entry((camera.clone(), kind)).or_insert_with(|| StreamId::from(Uuid::from_u128(n)))
    }

    fn last_end(&self, stream: StreamId) -> Option<WallNs> {
        self.lock().last_end.get(&stream).copied()
    }

    fn choose(&self, stream: StreamId, avoid: Option<&VolumeName>) -> Option<VolumeName> {
        let mut inner = self.lock();
        let fit = |v: &VolumeName| {
            Some(v) != avoid && !inner.full.contains(v) && inner.volumes.iter().any(|(n, healthy)| n == v && *healthy)
        };
        let had = inner.had.get(&stream).filter(|v| fit(v)).cloned();
        let chosen = had.or_else(|| inner.volumes.iter().map(|(v, _)| v).find(|v| fit(v)).cloned())?;
        inner.had.insert(stream, chosen.clone());
        Some(chosen)
    }

    fn may_stay(&self, _: StreamId, volume: &VolumeName) -> bool {
        !self.lock().full.contains(volume)
    }

    fn nowhere(&self, _: StreamId) -> Cause {
        let inner = self.lock();
        let full = inner.volumes.iter().any(|(v, healthy)| *healthy && inner.full.contains(v));
        Cause::new(if full { CauseKind::Full } else { CauseKind::Disk }, "no volume takes footage")
    }

    fn choose_copy(&self, _: StreamId, _: &VolumeName) -> Option<VolumeName> {
        None
    }

    fn write_copy(&self, _: &VolumeName, _: Fragment) -> Result<(), Refused> {
        Ok(())
    }

    fn write(&self, volume: &VolumeName, fragment: Fragment) -> Result<(), Refused> {
        let mut inner = self.lock();
        if !inner.volumes.iter().any(|(v, healthy)| v == volume && *healthy) {
            return Err(Refused::Failed { volume: volume.clone(), problem: "told to fail".into() });
        }
        inner.check(&fragment);
        let run = fragment.run.clone();
        inner.last_end.insert(run.stream.id, fragment.span.end.offset(run.clock_correction));
        match inner.runs.iter_mut().find(|r| r.run.id == run.id) {
            Some(known) => known.fragments.push(fragment),
            None => inner.runs.push(FakeRun { run, volume: volume.clone(), fragments: vec![fragment], ended: false }),
        }
        Ok(())
    }

    fn end_run(&self, _volume: &VolumeName, run: RunId) {
        if let Some(r) = self.lock().runs.iter_mut().find(|r| r.run.id == run) {
            r.ended = true;
        }
    }

    fn set_gap(&self, stream: StreamId, gap: Option<GapBefore>) {
        let mut inner = self.lock();
        inner.gap_history.push((stream, gap.clone()));
        match gap {
            Some(gap) => inner.gaps.insert(stream, gap),
            None => inner.gaps.remove(&stream),
        };
    }

    fn pending_gap(&self, _stream: StreamId) -> Option<GapBefore> {
        self.lock().pending.clone()
    }

    fn events(&self) -> broadcast::Receiver<StoreEvent> {
        self.events.subscribe()
    }
}
