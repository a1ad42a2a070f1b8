//! How much room a promise takes, and how much there is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layout::{Item, lay, lay_anyhow};
use super::model::Layout;
use crate::{
    inventory::Inventory,
    site::{Camera, Site, VolumePlace},
    types::{BitRate, ByteSize, CameraId, RecorderId, StreamKind, VolumeName},
};

/// Measured bit rates, of streams with at least three days of footage.
pub type Measured = BTreeMap<(CameraId, StreamKind), BitRate>;

/// What a camera is taken to send where site.toml states nothing.
pub const USUAL_RATE: BitRate = BitRate(2_000_000);
/// The same for a sub stream.
const USUAL_SUB_RATE: BitRate = BitRate(500_000);

const DAY: u64 = 86_400;
/// Boxes and closing tables of segments, in 1/1000 of the samples (measured: 1.9).
const CONTAINER: u64 = 3;
/// What XFS keeps for itself, in 1/1000 of the disk.
const FILE_SYSTEM: u64 = 10;
/// Kept free, so that writers never wait for room to be made, in 1/1000 of the disk.
const RESERVE: u64 = 5;
/// The least of that.
const LEAST_RESERVE: u64 = 512 << 20;
/// Extents reserved ahead for each stream that is being written.
const AHEAD: u64 = 32 << 20;
/// Bytes that the index takes for a segment; each volume keeps two hourly copies of the whole index.
const INDEX_ROW: u64 = 200;
const INDEX_COPIES: u64 = 2;
/// Segments of a stream in a day.
const SEGMENTS: u64 = 288;
/// Room on a volume whose size nobody states.
const UNSTATED: u64 = 1 << 60;
/// Where footage is kept as the disks allow, this much counts as needed.
const LEAST_DAYS: u32 = 1;

/// What holds keep beside the promises, once nothing of it is promised any longer. Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// What there is on each volume.
    pub there: BTreeMap<VolumeName, ByteSize>,
    /// What is still to come of each camera, one copy: it goes where the camera goes.
    pub to_come: BTreeMap<CameraId, ByteSize>,
}

/// What one camera takes on each volume that keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The camera.
    pub camera: CameraId,
    /// Its recorder.
    pub recorder: RecorderId,
    /// Bytes a day, of all its recorded streams, sound included.
    pub per_day: ByteSize,
    /// Whether that was measured, or is what the site plans.
    pub measured: bool,
    /// The promise; none: as the disks allow.
    pub min_days: Option<u32>,
    /// Bytes for the promise, one copy.
    pub bytes: ByteSize,
    /// How many copies.
    pub copies: u32,
}

/// What one volume holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeUse {
    /// The volume.
    pub volume: VolumeName,
    /// Its recorder.
    pub recorder: RecorderId,
    /// Its size: the disk's own where it is known, else as the site states it; none for a directory without a stated size.
    pub size: Option<ByteSize>,
    /// What is left for footage after file system, reserve and copies of the index.
    pub usable: ByteSize,
    /// What the promises of the cameras on it take.
    pub needed: ByteSize,
    /// What holds keep on it beside them: what is there, and what is still to come.
    #[serde(default)]
    pub held: ByteSize,
    /// Bytes a day that are written on it.
    pub per_day: ByteSize,
    /// Cameras on it.
    pub cameras: usize,
}

impl VolumeUse {
    /// How many days of everything on it fit beside what is held.
    pub fn days(&self) -> f64 {
        let room = self.usable.0.saturating_sub(self.held.0);
        if self.per_day.0 == 0 { f64::INFINITY } else { room as f64 / self.per_day.0 as f64 }
    }

    /// What is left beyond promises and holds; negative: what is missing.
    pub fn margin(&self) -> i128 {
        i128::from(self.usable.0) - i128::from(self.needed.0) - i128::from(self.held.0)
    }
}

/// Everything that is known of room, with a layout in which it fits or, if `fits` says no, the least bad one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Per camera that is in use, in the order of the site.
    pub needs: Vec<Need>,
    /// Per volume.
    pub volumes: Vec<VolumeUse>,
    /// Where each camera lies.
    pub layout: Layout,
    /// Whether every promise fits.
    pub fits: bool,
}

impl Capacity {
    /// Bytes needed in all for promises and holds, copies included.
    pub fn needed(&self) -> u64 {
        self.needs.iter().map(|n| n.bytes.0.saturating_mul(u64::from(n.copies))).fold(self.held(), u64::saturating_add)
    }

    /// Bytes of that for holds.
    pub fn held(&self) -> u64 {
        self.volumes.iter().map(|v| v.held.0).fold(0, u64::saturating_add)
    }

    /// Bytes there in all.
    pub fn usable(&self) -> u64 {
        self.volumes.iter().map(|v| v.usable.0).fold(0, u64::saturating_add)
    }
}

/// What a question is about: the site, and what is known beyond it.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The site.
    pub site: &'a Site,
    /// Measured bit rates; empty: all are planned.
    pub measured: &'a Measured,
    /// Where the cameras are now.
    pub before: &'a Layout,
    /// What the machine has; none: offline, sizes are those of the site.
    pub inventory: Option<&'a Inventory>,
    /// What holds keep.
    pub held: &'a Held,
}

/// Other than what the site says, for "what if".
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Assume {
    /// All cameras at this rate, sound included.
    pub(super) rate: Option<BitRate>,
    /// All promises this long.
    pub(super) days: Option<u32>,
    /// Cameras may change their recorder.
    pub(super) any_recorder: bool,
    /// This many more bytes on each volume.
    pub(super) more: u64,
}

/// Lays the site's cameras on its volumes.
pub fn capacity(given: &Given<'_>) -> Capacity {
    assuming(given, Assume::default())
}

pub(super) fn assuming(given: &Given<'_>, assume: Assume) -> Capacity {
    let needs: Vec<Need> =
        given.site.cameras().iter().filter(|c| c.enabled).map(|c| need(c, given.measured, assume)).collect();
    let mut volumes = volumes(given, &needs, assume.more);
    let (items, whose) = items(given, &needs, &volumes, assume.any_recorder);
    // What is held lies where it lies.
    let room: Vec<u64> = volumes.iter().map(|v| v.usable.0.saturating_sub(v.held.0)).collect();
    let over = volumes.iter().any(|v| v.held > v.usable);
    let laid = lay(&items, &room);
    let fits = laid.is_some() && !over;
    let at = laid.unwrap_or_else(|| lay_anyhow(&items, &room));
    let mut layout = Layout::new();
    for (at, n) in at.iter().zip(&whose) {
        let (need, volume) = (&needs[*n], &mut volumes[*at]);
        volume.needed.0 = volume.needed.0.saturating_add(need.bytes.0);
        volume.held.0 = volume.held.0.saturating_add(to_come(given.held, &need.camera));
        volume.per_day.0 = volume.per_day.0.saturating_add(need.per_day.0);
        volume.cameras += 1;
        layout.entry(need.camera.clone()).or_default().push(volume.volume.clone());
    }
    Capacity { needs, volumes, layout, fits }
}

/// What holds keep of what a camera has still to record.
fn to_come(held: &Held, camera: &CameraId) -> u64 {
    held.to_come.get(camera).map_or(0, |bytes| bytes.0)
}

/// Bytes that a camera writes in a day if these streams of it are recorded in its hours, one copy: as measured, else as planned.
pub fn daily(camera: &Camera, streams: &[StreamKind], measured: &Measured) -> u64 {
    per_day(camera, streams, measured, Assume::default()).0
}

/// What a camera writes in a day, and whether that was measured.
fn per_day(camera: &Camera, streams: &[StreamKind], measured: &Measured, assume: Assume) -> (u64, bool) {
    let mut all_measured = true;
    let mut rate = 0_u64;
    for kind in streams {
        let known = measured.get(&(camera.id.clone(), *kind));
        all_measured &= known.is_some();
        let planned = match kind {
            StreamKind::Main => camera.bitrate.unwrap_or(USUAL_RATE),
            StreamKind::Sub => camera.sub_bitrate.unwrap_or(USUAL_SUB_RATE),
        };
        let sound = camera.audio_bitrate.map_or(0, |r| r.0);
        rate = rate.saturating_add(known.map_or(planned.0.saturating_add(sound), |r| r.0));
    }
    let rate = assume.rate.map_or(rate, |r| r.0);
    let always = rate.saturating_mul(DAY) / 8;
    // Rates are of the time that is recorded, measured ones too.
    let share = recorded_share(camera);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a positive number")]
    let bytes = (always as f64 * share).ceil() as u64;
    (bytes.saturating_add(bytes / 1000 * CONTAINER), all_measured)
}

/// How much of a week the camera is recorded.
fn recorded_share(camera: &Camera) -> f64 {
    if camera.schedule.is_empty() {
        return 1.0;
    }
    let monday = jiff::civil::date(2024, 1, 1).at(0, 0, 0, 0);
    let minutes = 7_i32 * 24 * 60;
    let within = (0..minutes).filter(|m| camera.scheduled(monday + jiff::Span::new().minutes(*m))).count();
    within as f64 / f64::from(minutes)
}

fn need(camera: &Camera, measured: &Measured, assume: Assume) -> Need {
    let (bytes, was_measured) = per_day(camera, &camera.record, measured, assume);
    let min_days = camera.retention.min_days.map(|days| assume.days.unwrap_or(days));
    let days = u64::from(min_days.unwrap_or(LEAST_DAYS));
    // What was recorded at the start of the oldest day goes with its whole segment, so one segment more than the days.
    let segment = bytes / SEGMENTS;
    Need {
        camera: camera.id.clone(),
        recorder: camera.recorder.clone(),
        per_day: ByteSize(bytes),
        measured: was_measured && assume.rate.is_none(),
        min_days,
        bytes: ByteSize(bytes.saturating_mul(days).saturating_add(segment)),
        copies: camera.copies,
    }
}

fn volumes(given: &Given<'_>, needs: &[Need], more: u64) -> Vec<VolumeUse> {
    let mut all = Vec::new();
    for recorder in given.site.recorders() {
        let streams: u64 =
            given.site.cameras_of(&recorder.id).filter(|c| c.enabled).map(|c| c.record.len() as u64).sum();
        let days = needs.iter().filter(|n| n.recorder == recorder.id).filter_map(|n| n.min_days).max().unwrap_or(30);
        let index = streams * SEGMENTS * u64::from(days) * INDEX_ROW * INDEX_COPIES;
        let ahead = streams.div_ceil(recorder.volumes.len().max(1) as u64) * AHEAD;
        for volume in &recorder.volumes {
            let found = match &volume.place {
                VolumePlace::Disk(by_id) => given.inventory.and_then(|i| i.disk(by_id)).map(|d| d.size),
                VolumePlace::Path(_) => None,
            };
            let size = found.or(volume.size);
            // A directory that nobody gave a size is for demo and tests: it is not in the way.
            let usable = size.map_or(UNSTATED, |size| {
                let tenth = size.0 / 10;
                let kept = size.0 / 1000 * FILE_SYSTEM + (size.0 / 1000 * RESERVE).max(LEAST_RESERVE.min(tenth));
                size.0.saturating_sub(kept).saturating_sub(index.min(tenth)).saturating_sub(ahead.min(tenth))
            });
            all.push(VolumeUse {
                volume: volume.name.clone(),
                recorder: recorder.id.clone(),
                size,
                usable: ByteSize(usable.saturating_add(more)),
                needed: ByteSize(0),
                held: given.held.there.get(&volume.name).copied().unwrap_or_default(),
                per_day: ByteSize(0),
                cameras: 0,
            });
        }
    }
    all
}

/// What is to be laid, and which need each item belongs to.
fn items(given: &Given<'_>, needs: &[Need], volumes: &[VolumeUse], any_recorder: bool) -> (Vec<Item>, Vec<usize>) {
    let (mut items, mut whose) = (Vec::new(), Vec::new());
    for (n, need) in needs.iter().enumerate() {
        let camera = given.site.camera(&need.camera);
        let pin = camera.and_then(|c| c.volume.as_ref());
        let before = camera.map_or(&[][..], |c| {
            let known = std::iter::once(&c.id).chain(&c.previously);
            known.into_iter().find_map(|id| given.before.get(id)).map_or(&[][..], Vec::as_slice)
        });
        let on = |v: &VolumeUse| any_recorder || v.recorder == need.recorder;
        let own: Vec<usize> = (0..volumes.len()).filter(|v| on(&volumes[*v])).collect();
        for copy in 0..need.copies as usize {
            let pinned = || (0..volumes.len()).filter(|v| Some(&volumes[*v].volume) == pin).collect::<Vec<_>>();
            let allowed = if copy == 0 && pin.is_some() && !any_recorder { pinned() } else { own.clone() };
            let now = before.get(copy).and_then(|b| allowed.iter().copied().find(|v| volumes[*v].volume == *b));
            // A recorder with one volume cannot keep two copies apart; `check` says so.
            let apart_from = (copy > 0 && own.len() > 1).then(|| items.len() - 1);
            let needs = need.bytes.0.saturating_add(to_come(given.held, &need.camera));
            items.push(Item { needs, allowed, now, apart_from });
            whose.push(n);
        }
    }
    (items, whose)
}
