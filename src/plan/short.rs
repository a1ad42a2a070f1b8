//! When the promise does not fit: by how much, and what would make it fit.

use serde::{Deserialize, Serialize};

use super::{
    capacity::{Assume, Capacity, Given, assuming},
    model::Layout,
};
use crate::types::{BitRate, ByteSize, RecorderId};

/// The arithmetic of a site that is short of room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Short {
    /// Needed in all, for promises and holds.
    pub needed: ByteSize,
    /// Of that for holds.
    #[serde(default)]
    pub held: ByteSize,
    /// There in all.
    pub usable: ByteSize,
    /// What is missing, of recorders that lack something by themselves.
    pub recorders: Vec<(RecorderId, ByteSize)>,
    /// The largest bit rate at which all cameras fit if all have the same; none if not even 100 kbit/s does.
    pub rate: Option<BitRate>,
    /// The longest promise that fits if all have the same, days; none if not even one day does.
    pub days: Option<u32>,
    /// Bytes more on each volume with which it fits.
    pub more: Option<ByteSize>,
    /// Cameras that could change their recorder so that everything fits, with their new volume.
    pub moves: Option<Layout>,
    /// The smallest of these changes.
    pub smallest: Option<Change>,
}

/// A single change that makes the site fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Some cameras change their recorder: costs nothing.
    Moves,
    /// A lower bit rate.
    Rate,
    /// A shorter promise.
    Days,
    /// More disks.
    Disks,
}

impl Short {
    /// What is missing in all; 0 if only the shares do not come out.
    pub fn missing(&self) -> ByteSize {
        ByteSize(self.needed.0.saturating_sub(self.usable.0))
    }
}

/// Steps of bit rates that are tried.
const RATE_STEP: u64 = 10_000;
const MOST_RATE: u64 = 32_000_000;
/// Steps of disk sizes, and the largest that is thought of.
const DISK_STEP: u64 = 100_000_000_000;
const MOST_DISK: u64 = 100_000_000_000_000;

/// The largest `n` of `1..=most` for which `fits` holds, if it holds for small ones.
fn largest(most: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (0, most + 1);
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if fits(middle) { low = middle } else { high = middle }
    }
    (low > 0).then_some(low)
}

/// Works out what is wrong with a site for which `capacity` says that it does not fit.
pub(super) fn short(given: &Given<'_>, capacity: &Capacity) -> Short {
    let fits = |assume: Assume| assuming(given, assume).fits;
    let rate =
        largest(MOST_RATE / RATE_STEP, |n| fits(Assume { rate: Some(BitRate(n * RATE_STEP)), ..Assume::default() }))
            .map(|n| BitRate(n * RATE_STEP));
    let most_days = capacity.needs.iter().filter_map(|n| n.min_days).max().unwrap_or(1);
    let days = largest(u64::from(most_days), |n| fits(Assume { days: u32::try_from(n).ok(), ..Assume::default() }))
        .and_then(|n| u32::try_from(n).ok());
    let steps = MOST_DISK / DISK_STEP;
    // The least that fits: the largest that does not, and one more.
    let more = largest(steps, |n| !fits(Assume { more: n * DISK_STEP, ..Assume::default() })).unwrap_or(0) + 1;
    let more = (more <= steps).then_some(ByteSize(more * DISK_STEP));
    // From where they are by the site: so that few of them move.
    let from = Given { before: &capacity.layout, ..*given };
    let anywhere = assuming(&from, Assume { any_recorder: true, ..Assume::default() });
    let moves = anywhere.fits.then(|| {
        let moved = |(camera, volumes): &(crate::types::CameraId, Vec<crate::types::VolumeName>)| {
            let own = given.site.camera(camera).map(|c| &c.recorder);
            let at = capacity.volumes.iter().find(|v| volumes.first() == Some(&v.volume)).map(|v| &v.recorder);
            own != at
        };
        anywhere.layout.into_iter().filter(moved).collect()
    });
    let mut short = Short {
        needed: ByteSize(capacity.needed()),
        held: ByteSize(capacity.held()),
        usable: ByteSize(capacity.usable()),
        recorders: recorders(capacity),
        rate,
        days,
        more,
        moves,
        smallest: None,
    };
    short.smallest = smallest(&short, capacity, most_days);
    short
}

fn recorders(capacity: &Capacity) -> Vec<(RecorderId, ByteSize)> {
    let mut all: Vec<(RecorderId, i128)> = Vec::new();
    for v in &capacity.volumes {
        match all.iter_mut().find(|(r, _)| *r == v.recorder) {
            Some((_, margin)) => *margin += v.margin(),
            None => all.push((v.recorder.clone(), v.margin())),
        }
    }
    let missing = |margin: i128| u64::try_from(-margin).ok().filter(|m| *m > 0).map(ByteSize);
    all.into_iter().filter_map(|(r, margin)| Some((r, missing(margin)?))).collect()
}

/// By how large a share of what the site states it would have to change.
fn smallest(short: &Short, capacity: &Capacity, most_days: u32) -> Option<Change> {
    if short.moves.is_some() {
        return Some(Change::Moves);
    }
    let per_day: u64 = capacity.needs.iter().map(|n| n.per_day.0).sum();
    let mean = per_day as f64 * 8.0 / 86_400.0 / capacity.needs.len().max(1) as f64;
    let stated: u64 = capacity.volumes.iter().filter_map(|v| v.size).map(|s| s.0).sum();
    let shares = [
        (Change::Rate, short.rate.map(|r| 1.0 - r.0 as f64 / mean)),
        (Change::Days, short.days.map(|d| 1.0 - f64::from(d) / f64::from(most_days))),
        (Change::Disks, short.more.map(|m| m.0 as f64 * capacity.volumes.len() as f64 / stated.max(1) as f64)),
    ];
    let known = shares.into_iter().filter_map(|(change, share)| Some((change, share?)));
    known.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(change, _)| change)
}
