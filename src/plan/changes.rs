//! What is different between the site as it is applied and the site that is wanted, in the words of a school.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::model::Layout;
use crate::{
    site::{Area, Camera, Network, Promise, Recorder, Retention, Site, Volume, VolumePlace, WhenShort},
    types::{AreaId, ByteSize, CameraId, RecorderId, VolumeName},
};

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// Whether it wants leadership's word.
    pub guarded: bool,
    /// Whether footage goes earlier than was promised until now.
    pub destructive: bool,
    /// Seconds of recording that are lost, at most.
    pub lost_seconds: u32,
    /// The recorders that have something to do for it. None: all of them, or only the pages.
    #[serde(default)]
    pub recorders: BTreeSet<RecorderId>,
}

/// Kinds of differences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "names of fields that say what they are; the texts in the catalogs explain each")]
pub enum What {
    /// There was no site.
    FirstSite { cameras: usize },
    /// A new camera.
    CameraAdded { camera: CameraId, name: String, volumes: Vec<VolumeName> },
    /// A camera is no longer in the site; its footage stays until its retention ends.
    CameraRemoved { camera: CameraId, name: String, max_days: Option<u32> },
    /// Another id; the footage stays its own.
    CameraRenamed { camera: CameraId, from: CameraId },
    /// `enabled = false`.
    CameraStopped { camera: CameraId, name: String },
    /// `enabled = true`.
    CameraStarted { camera: CameraId, name: String },
    /// Another address, transport or credentials.
    CameraAddress { camera: CameraId, name: String },
    /// Its footage goes to other volumes from now on; what there is stays where it is.
    CameraVolume { camera: CameraId, from: Vec<VolumeName>, to: Vec<VolumeName> },
    /// Another recorder; its footage of the past stays on the old one.
    CameraRecorder { camera: CameraId, from: RecorderId, to: RecorderId },
    /// Another area: other people may see it.
    CameraArea { camera: CameraId, from: AreaId, to: AreaId },
    /// Less is recorded of it. `keys`: of site.toml.
    CameraWeakened { camera: CameraId, name: String, keys: Vec<String> },
    /// More is recorded of it, or otherwise.
    CameraChanged { camera: CameraId, name: String, keys: Vec<String> },
    /// Names, places, register: nothing is recorded otherwise.
    CameraDetails { camera: CameraId, name: String },
    /// The promise or the limit of some cameras, in days.
    Retention {
        cameras: Vec<CameraId>,
        min_before: Option<u32>,
        min_after: Option<u32>,
        max_before: Option<u32>,
        max_after: Option<u32>,
    },
    /// `when_short` or `promise` says something weaker.
    PromiseWeaker,
    /// They say something stronger.
    PromiseStronger,
    /// A new volume.
    VolumeAdded { volume: VolumeName, recorder: RecorderId, size: Option<ByteSize> },
    /// A volume is let go, with its footage.
    VolumeRemoved { volume: VolumeName, recorder: RecorderId },
    /// Another disk under the same name, another recorder, or another stated size.
    VolumeChanged { volume: VolumeName },
    /// A new recorder.
    RecorderAdded { recorder: RecorderId },
    /// A recorder leaves the site.
    RecorderRemoved { recorder: RecorderId },
    /// Address, fingerprint, unlocking or role of a recorder.
    RecorderChanged { recorder: RecorderId },
    /// How a recorder is wired. `weaker`: the cameras' network is not its own any more, or another one, or the time comes from elsewhere.
    /// `clock`: the time service starts anew, which may make the clock jump.
    Network {
        recorder: RecorderId,
        weaker: bool,
        #[serde(default)]
        clock: bool,
    },
    /// This machine becomes another recorder: other cameras, other disks.
    Identity { from: RecorderId, to: RecorderId },
    /// Areas: name, kind, reason.
    Areas { areas: Vec<AreaId> },
    /// Who people are and what they may do.
    People,
    /// Who approves what.
    Approvals,
    /// Where health is reported, and from when on something is a warning.
    Health,
    /// What is backed up, and where to.
    Backup,
    /// When the system may be updated.
    Update,
    /// Name, time zone, language.
    Site,
    /// The passwords of cameras, or other secrets.
    Secrets,
    /// The file reads otherwise and says the same.
    Wording,
}

/// Seconds until a camera whose session is begun anew is recorded again: connecting, and a key frame.
const NEW_SESSION: u32 = 5;

impl Change {
    /// Whether a machine has something to do for it, or to know of it.
    pub fn concerns(&self, recorder: &RecorderId) -> bool {
        self.recorders.is_empty() || self.recorders.contains(recorder)
    }

    fn recorders(&self, before: &Site, after: &Site) -> BTreeSet<RecorderId> {
        let of =
            |id: &CameraId| [before.camera(id), after.camera(id)].into_iter().flatten().map(|c| c.recorder.clone());
        let with = |name: &VolumeName| {
            let has =
                |s: &Site| s.recorders().find(|r| r.volumes.iter().any(|v| v.name == *name)).map(|r| r.id.clone());
            [has(before), has(after)].into_iter().flatten()
        };
        match &self.what {
            What::CameraAdded { camera, .. }
            | What::CameraRemoved { camera, .. }
            | What::CameraStopped { camera, .. }
            | What::CameraStarted { camera, .. }
            | What::CameraAddress { camera, .. }
            | What::CameraVolume { camera, .. }
            | What::CameraArea { camera, .. }
            | What::CameraWeakened { camera, .. }
            | What::CameraChanged { camera, .. }
            | What::CameraDetails { camera, .. } => of(camera).collect(),
            What::CameraRenamed { camera, from } => of(camera).chain(of(from)).collect(),
            What::CameraRecorder { from, to, .. } => [from.clone(), to.clone()].into(),
            What::Retention { cameras, .. } => cameras.iter().flat_map(of).collect(),
            What::VolumeAdded { recorder, .. }
            | What::VolumeRemoved { recorder, .. }
            | What::RecorderAdded { recorder }
            | What::RecorderRemoved { recorder }
            | What::RecorderChanged { recorder }
            | What::Network { recorder, .. } => [recorder.clone()].into(),
            What::VolumeChanged { volume } => with(volume).collect(),
            What::FirstSite { .. }
            | What::Identity { .. }
            | What::PromiseWeaker
            | What::PromiseStronger
            | What::Areas { .. }
            | What::People
            | What::Approvals
            | What::Health
            | What::Backup
            | What::Update
            | What::Site
            | What::Secrets
            | What::Wording => BTreeSet::new(),
        }
    }

    /// A machine that is to be another recorder.
    pub(super) fn identity(from: &RecorderId, to: &RecorderId) -> Self {
        let what = What::Identity { from: from.clone(), to: to.clone() };
        Self { lost_seconds: NEW_SESSION, ..Self::guarded(what) }
    }

    fn plain(what: What) -> Self {
        Self { what, guarded: false, destructive: false, lost_seconds: 0, recorders: BTreeSet::new() }
    }

    fn guarded(what: What) -> Self {
        Self { guarded: true, ..Self::plain(what) }
    }
}

/// One side of the comparison.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The site.
    pub site: &'a Site,
    /// Where its footage goes.
    pub layout: &'a Layout,
    /// SHA-256 of its secrets.
    pub secrets: Option<&'a str>,
}

/// All differences, in the order in which they are shown.
pub fn changes(before: Option<Side<'_>>, after: Side<'_>) -> Vec<Change> {
    let Some(before) = before else {
        let cameras = after.site.cameras().iter().filter(|c| c.enabled).count();
        return vec![Change::plain(What::FirstSite { cameras })];
    };
    let mut all = Vec::new();
    cameras(before, after, &mut all);
    retention(before.site, after.site, &mut all);
    machines(before.site, after.site, &mut all);
    rules(before.site, after.site, &mut all);
    if before.secrets != after.secrets {
        all.push(Change { lost_seconds: NEW_SESSION, ..Change::plain(What::Secrets) });
    }
    for change in &mut all {
        change.recorders = change.recorders(before.site, after.site);
    }
    if all.is_empty() && before.site.hash() != after.site.hash() {
        all.push(Change::plain(What::Wording));
    }
    all
}

/// The camera that `camera` was.
fn formerly<'a>(site: &'a Site, camera: &Camera) -> Option<&'a Camera> {
    site.camera(&camera.id).or_else(|| camera.previously.iter().find_map(|id| site.camera(id)))
}

fn cameras(before: Side<'_>, after: Side<'_>, all: &mut Vec<Change>) {
    let volumes = |side: &Side<'_>, id: &CameraId| side.layout.get(id).cloned().unwrap_or_default();
    let mut known = BTreeSet::new();
    for camera in after.site.cameras() {
        let (id, name) = (camera.id.clone(), camera.name.clone());
        let Some(was) = formerly(before.site, camera) else {
            all.push(Change::plain(What::CameraAdded { volumes: volumes(&after, &id), camera: id, name }));
            continue;
        };
        known.insert(&was.id);
        if was.id != id {
            all.push(Change::plain(What::CameraRenamed { camera: id.clone(), from: was.id.clone() }));
        }
        match (was.enabled, camera.enabled) {
            (true, false) => all.push(Change::guarded(What::CameraStopped { camera: id.clone(), name })),
            (false, true) => all.push(Change::plain(What::CameraStarted { camera: id.clone(), name })),
            _ => {}
        }
        // What is said of a camera that is off counts too: it may be switched on without a word.
        let on = was.enabled && camera.enabled;
        let places = if on { (volumes(&before, &was.id), volumes(&after, &id)) } else { (Vec::new(), Vec::new()) };
        let from = all.len();
        camera_change(was, camera, places, all);
        if !on {
            all[from..].iter_mut().for_each(|c| c.lost_seconds = 0);
        }
    }
    for camera in before.site.cameras().iter().filter(|c| !known.contains(&c.id)) {
        let (camera, name, max_days) = (camera.id.clone(), camera.name.clone(), camera.retention.max_days);
        all.push(Change::guarded(What::CameraRemoved { camera, name, max_days }));
    }
}

fn camera_change(was: &Camera, is: &Camera, (from, to): (Vec<VolumeName>, Vec<VolumeName>), all: &mut Vec<Change>) {
    let (camera, name) = (is.id.clone(), is.name.clone());
    let address = |c: &Camera| (c.main.clone(), c.sub.clone(), c.transport, c.credentials.clone());
    if was.recorder != is.recorder {
        let what = What::CameraRecorder { camera: camera.clone(), from: was.recorder.clone(), to: is.recorder.clone() };
        all.push(Change { lost_seconds: NEW_SESSION, ..Change::guarded(what) });
    } else if from != to {
        all.push(Change::plain(What::CameraVolume { camera: camera.clone(), from, to }));
    }
    if was.area != is.area {
        all.push(Change::guarded(What::CameraArea {
            camera: camera.clone(),
            from: was.area.clone(),
            to: is.area.clone(),
        }));
    }
    if address(was) != address(is) {
        let what = What::CameraAddress { camera: camera.clone(), name: name.clone() };
        all.push(Change { lost_seconds: NEW_SESSION, ..Change::plain(what) });
    }
    let (mut weaker, mut other) = (Vec::new(), Vec::new());
    let mut compare = |key: &str, changed: bool, less: bool| {
        if changed {
            (if less { &mut weaker } else { &mut other }).push(key.to_owned());
        }
    };
    compare("record", was.record != is.record, was.record.iter().any(|k| !is.record.contains(k)));
    // Which hours are more cannot always be told; fewer than always is less.
    compare("schedule", was.schedule != is.schedule, !is.schedule.is_empty());
    compare("copies", was.copies != is.copies, is.copies < was.copies);
    compare("priority", was.priority != is.priority, is.priority < was.priority);
    let planned = |c: &Camera| (c.bitrate, c.sub_bitrate, c.audio_bitrate);
    compare("bitrate", planned(was) != planned(is), is.bitrate < was.bitrate);
    if !weaker.is_empty() {
        all.push(Change::guarded(What::CameraWeakened { camera: camera.clone(), name: name.clone(), keys: weaker }));
    }
    if !other.is_empty() {
        all.push(Change::plain(What::CameraChanged { camera: camera.clone(), name: name.clone(), keys: other }));
    }
    if was.name != is.name || was.register != is.register {
        all.push(Change::plain(What::CameraDetails { camera, name }));
    }
}

fn retention(before: &Site, after: &Site, all: &mut Vec<Change>) {
    let mut groups: BTreeMap<[Option<u32>; 4], Vec<CameraId>> = BTreeMap::new();
    for camera in after.cameras() {
        let Some(was) = formerly(before, camera) else { continue };
        let (a, b): (Retention, Retention) = (was.retention, camera.retention);
        if a != b {
            groups.entry([a.min_days, b.min_days, a.max_days, b.max_days]).or_default().push(camera.id.clone());
        }
    }
    for ([min_before, min_after, max_before, max_after], cameras) in groups {
        // No promise is the shortest one, no limit the longest.
        let shorter = min_after < min_before || max_after.unwrap_or(u32::MAX) < max_before.unwrap_or(u32::MAX);
        let what = What::Retention { cameras, min_before, min_after, max_before, max_after };
        all.push(Change { guarded: shorter, destructive: shorter, ..Change::plain(what) });
    }
    let promise = |s: &Site| match s.promise() {
        Promise::Invariant => 1,
        Promise::Target => 0,
    };
    let short = |s: &Site| match s.when_short() {
        WhenShort::Refuse => 2,
        WhenShort::Alarm => 1,
        WhenShort::Substream => 0,
    };
    if promise(after) < promise(before) || short(after) < short(before) {
        let destructive = promise(after) < promise(before);
        all.push(Change { destructive, ..Change::guarded(What::PromiseWeaker) });
    } else if promise(after) > promise(before) || short(after) > short(before) {
        all.push(Change::plain(What::PromiseStronger));
    }
}

fn machines(before: &Site, after: &Site, all: &mut Vec<Change>) {
    let volumes = |site: &Site| -> BTreeMap<VolumeName, (RecorderId, Volume)> {
        site.recorders().flat_map(|r| r.volumes.iter().map(|v| (v.name.clone(), (r.id.clone(), v.clone())))).collect()
    };
    let (old, new) = (volumes(before), volumes(after));
    // What `steps` restarts the recorder for: it lets go of a volume by stopping only, and its sandbox knows folders by name.
    let restarts = |change: Change, recorder: &RecorderId| {
        let goes_on = before.recorder(recorder).is_some() && after.recorder(recorder).is_some();
        Change { lost_seconds: if goes_on { NEW_SESSION } else { 0 }, ..change }
    };
    for (name, (recorder, volume)) in &new {
        match old.get(name) {
            None => {
                let (volume, size, on) = (name.clone(), volume.size, recorder.clone());
                let added = Change::plain(What::VolumeAdded { volume, recorder: on, size });
                let folder = matches!(new[name].1.place, VolumePlace::Path(_));
                all.push(if folder { restarts(added, recorder) } else { added });
            }
            Some((was_on, was)) if was_on != recorder || was.place != volume.place => {
                all.push(restarts(Change::guarded(What::VolumeChanged { volume: name.clone() }), was_on));
            }
            Some((_, was)) if was != volume => all.push(Change::plain(What::VolumeChanged { volume: name.clone() })),
            Some(_) => {}
        }
    }
    for (name, (recorder, _)) in old.into_iter().filter(|(name, _)| !new.contains_key(name)) {
        let removed = Change::guarded(What::VolumeRemoved { volume: name, recorder: recorder.clone() });
        all.push(restarts(removed, &recorder));
    }
    for recorder in after.recorders() {
        if let Some(was) = before.recorder(&recorder.id).filter(|was| was.network != recorder.network) {
            all.extend(network(was, recorder));
        }
        let own = |r: &Recorder| (r.address.clone(), r.fingerprint.clone(), r.control_room, r.unlock);
        match before.recorder(&recorder.id) {
            None => all.push(Change::guarded(What::RecorderAdded { recorder: recorder.id.clone() })),
            Some(was) if own(was) != own(recorder) => {
                let changed = Change::guarded(What::RecorderChanged { recorder: recorder.id.clone() });
                // Its disks are opened in another way, so they are closed first.
                let reopened = was.unlock != recorder.unlock;
                all.push(if reopened { restarts(changed, &recorder.id) } else { changed });
            }
            Some(_) => {}
        }
    }
    for gone in before.recorders().filter(|r| after.recorder(&r.id).is_none()) {
        all.push(Change::guarded(What::RecorderRemoved { recorder: gone.id.clone() }));
    }
}

/// What is said of a recorder's wires. Whoever sets the clock says how old footage is, and a camera that stands in the school's network is reached by
/// everybody there.
fn network(was: &Recorder, is: &Recorder) -> Option<Change> {
    let none = Network::default();
    let (was, now) = (was.network.as_ref().unwrap_or(&none), is.network.as_ref().unwrap_or(&none));
    if was == now {
        return None;
    }
    let place = |n: &Network| n.cameras.as_ref().map(|c| (c.link.clone(), c.vlan));
    let moved = was.cameras.is_some() && place(was) != place(now);
    let weaker = moved || was.ntp != now.ntp && !was.ntp.is_empty();
    // Other servers for the time touch no wire.
    let lost_seconds = if (&was.school, &was.cameras) == (&now.school, &now.cameras) { 0 } else { NEW_SESSION };
    // What chrony is told, it is told by a start; the first answers after one may set the clock at once.
    let served = |n: &Network| n.cameras.as_ref().and_then(|c| c.address).map(|a| a.net());
    let clock = was.ntp != now.ntp || served(was) != served(now);
    let what = What::Network { recorder: is.id.clone(), weaker, clock };
    Some(Change { guarded: weaker, lost_seconds, ..Change::plain(what) })
}

fn rules(before: &Site, after: &Site, all: &mut Vec<Change>) {
    let areas = |s: &Site| {
        s.areas()
            .map(|a| (a.id.clone(), Area { retention: Retention::default(), ..a.clone() }))
            .collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (areas(before), areas(after));
    let differing: BTreeSet<AreaId> =
        old.keys().chain(new.keys()).filter(|id| old.get(*id) != new.get(*id)).cloned().collect();
    if !differing.is_empty() {
        let kind = |m: &BTreeMap<AreaId, Area>, id: &AreaId| m.get(id).map(|a| a.kind);
        let guarded = differing.iter().any(|id| old.contains_key(id) && kind(&old, id) != kind(&new, id));
        all.push(Change { guarded, ..Change::plain(What::Areas { areas: differing.into_iter().collect() }) });
    }
    if (before.roles(), before.people()) != (after.roles(), after.people()) {
        all.push(Change::guarded(What::People));
    }
    if before.approvals() != after.approvals() {
        all.push(Change::guarded(What::Approvals));
    }
    if before.health() != after.health() {
        let guarded = super::health::is_guarded(before.health(), after.health());
        all.push(Change { guarded, ..Change::plain(What::Health) });
    }
    if before.backup() != after.backup() {
        all.push(Change::guarded(What::Backup));
    }
    if before.update_window() != after.update_window() || before.update_url() != after.update_url() {
        all.push(Change::plain(What::Update));
    }
    let own = |s: &Site| (s.name().to_owned(), s.id().to_owned(), s.timezone().clone(), s.language());
    if own(before) != own(after) {
        all.push(Change::plain(What::Site));
    }
}

/// Whether a volume is a disk, by its name below `/dev/disk/by-id`.
pub(super) fn disk_of(volume: &Volume) -> Option<&str> {
    match &volume.place {
        VolumePlace::Disk(by_id) => Some(by_id),
        VolumePlace::Path(_) => None,
    }
}
