//! What each stream has so far, and where it belongs.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::identity::{Identities, Trace};
use crate::types::{
    CameraId, Cause, GapBefore, RunId, StreamId, StreamKey, VolumeName, WallNs,
    wire::health::{Committed, CommittedStream},
};

#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// Corrected end of what was handed in, and of what is on disk for good.
    pub submitted: Option<WallNs>,
    pub committed: Option<WallNs>,
    /// The volume that it belongs on, and the one that it is on.
    pub home: Option<VolumeName>,
    pub volume: Option<VolumeName>,
    /// End of the footage by which its home was found; nothing where it was given one.
    settled: Option<WallNs>,
    /// Where its copy went last.
    pub copy: Option<VolumeName>,
    pub pending: Option<GapBefore>,
    /// Whether this process has written any of it.
    written: bool,
}

impl StreamState {
    /// A fragment was handed in for a volume.
    pub(super) fn handed_in(&mut self, end: WallNs, volume: &VolumeName) {
        self.submitted = Some(end);
        self.pending = None;
        self.written = true;
        if self.volume.as_ref() != Some(volume) {
            self.volume = Some(volume.clone());
        }
    }

    fn learn(&mut self, trace: &Trace, downtime: &Cause) {
        if let Some((end, volume)) = &trace.newest {
            self.submitted = self.submitted.max(Some(*end));
            self.committed = self.committed.max(Some(*end));
            if self.home.is_none() || self.settled < Some(*end) {
                self.home = Some(volume.clone());
                self.settled = Some(*end);
            }
        }
        if !self.written {
            let found = self.submitted.map(|since| GapBefore { since, cause: downtime.clone() });
            self.pending = trace.open_gap.clone().or(self.pending.take()).or(found);
        }
    }
}

/// What was committed on a volume since the process started.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// When the last commit ended.
    pub at: WallNs,
    /// Corrected end of the newest footage of each stream.
    pub newest: HashMap<StreamId, WallNs>,
}

#[derive(Debug)]
pub(super) struct Streams {
    pub identities: Identities,
    pub states: HashMap<StreamId, StreamState>,
    /// Runs that are being written on a volume, or were until it failed.
    pub live: HashSet<(RunId, VolumeName)>,
    /// Those of them that take no more fragments, and whose last segment is about to be closed.
    pub ending: HashSet<(RunId, VolumeName)>,
    pub commits: BTreeMap<VolumeName, Commits>,
    /// Grows with each change of what the file on the volumes says.
    pub version: u64,
    /// Why nothing was recorded before this process.
    downtime: Cause,
}

impl Streams {
    pub(super) fn new(renamed: Vec<(CameraId, CameraId)>, downtime: Cause) -> Self {
        Self {
            identities: Identities::new(renamed),
            states: HashMap::new(),
            live: HashSet::new(),
            ending: HashSet::new(),
            commits: BTreeMap::new(),
            version: 1,
            downtime,
        }
    }

    /// Takes into account what the index or a volume says. What comes back is for the index, if names have changed.
    pub(super) fn learn(&mut self, traces: &[Trace]) -> Vec<StreamKey> {
        for trace in traces {
            self.states.entry(trace.key.id).or_default().learn(trace, &self.downtime);
        }
        let changed = self.identities.learn(traces);
        self.version += 1;
        if changed { self.identities.keys() } else { Vec::new() }
    }

    /// What was committed since the process started, by volume.
    pub(super) fn committed(&self) -> Vec<Committed> {
        let keys = self.identities.keys();
        let of = |(volume, commits): (&VolumeName, &Commits)| {
            let stream = |key: &StreamKey| {
                let newest = *commits.newest.get(&key.id)?;
                Some(CommittedStream { camera: key.camera.clone(), stream: key.kind, newest })
            };
            Committed { volume: volume.clone(), at: commits.at, streams: keys.iter().filter_map(stream).collect() }
        };
        self.commits.iter().map(of).collect()
    }

    /// A stream's first footage makes it one that the volumes know.
    pub(super) fn recorded(&mut self, stream: StreamId, start: WallNs) {
        self.version += u64::from(self.identities.recorded(stream, start));
    }
}
