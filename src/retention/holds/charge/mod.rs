//! What holds take: bytes that are kept beyond the promise, now and later, and whether the promises of cameras still fit beside them.
//! Pure.
//!
//! A held second costs nothing as long as it is promised anyway; from `min_days` after it was recorded on it takes room that others
//! could have. A hold has no end but its release, so in the end all of it counts.

mod remedies;

use std::collections::BTreeMap;

pub use remedies::Remedies;

use super::spans::{Spans, minus};
use crate::{
    retention::DAY_NS,
    types::{CameraId, Span, VolumeName, WallNs},
};

const SECOND_NS: i64 = 1_000_000_000;

/// A file of footage, or its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Whose.
    pub camera: CameraId,
    /// Where.
    pub volume: VolumeName,
    /// Corrected time. A file that a hold touches is kept whole.
    pub span: Span,
    /// Its size.
    pub bytes: u64,
}

/// A camera, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// The promise; none: as the disks allow, so nothing is promised.
    pub min_days: Option<u32>,
    /// Bytes that it records a day, one copy; 0: it is not recorded.
    pub per_day: u64,
    /// The volumes that it is recorded on, one per copy.
    pub homes: Vec<VolumeName>,
}

/// A volume's room. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// For footage; none: nobody knows.
    pub usable: Option<u64>,
    /// What the promises of its cameras take.
    pub promised: u64,
}

/// All that is reckoned with.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Now.
    pub now: WallNs,
    /// Cameras that are recorded, and those that have footage.
    pub cameras: BTreeMap<CameraId, Source>,
    /// Footage: at least all that is, or would be, held.
    pub pieces: Vec<Piece>,
    /// The volumes.
    pub volumes: BTreeMap<VolumeName, Room>,
}

/// What is held on one volume. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// Kept by holds alone: no promise keeps it any longer.
    pub beyond: u64,
    /// There, and promised still.
    pub promised: u64,
    /// Not recorded yet.
    pub to_come: u64,
}

impl Weight {
    /// What holds will take once nothing of it is promised any longer.
    pub fn total(self) -> u64 {
        self.beyond.saturating_add(self.promised).saturating_add(self.to_come)
    }

    fn add(&mut self, item: &Item<'_>, now: WallNs) {
        let sum = match item.form {
            Form::There { free } if free <= now => &mut self.beyond,
            Form::There { .. } => &mut self.promised,
            Form::ToCome { .. } => &mut self.to_come,
        };
        *sum = sum.saturating_add(item.bytes);
    }
}

/// What a volume lacks. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// What promises and holds come to.
    pub needed: u64,
    /// What is there.
    pub there: u64,
    /// From when on there is less than is needed, to the second, where the promises take all that is theirs.
    pub since: WallNs,
}

impl Lack {
    /// How much is missing.
    pub fn missing(self) -> u64 {
        self.needed.saturating_sub(self.there)
    }
}

/// What a change of holds does to one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What it adds.
    pub added: Weight,
    /// From when on the first of that is not promised any longer; none: it adds nothing.
    pub counts_from: Option<WallNs>,
    /// What all holds come to then.
    pub held: Weight,
    /// What the volume has, and has promised.
    pub room: Room,
    /// What is missing, if the change adds something and not everything fits.
    pub lack: Option<Lack>,
}

/// Something that is held.
struct Item<'a> {
    camera: &'a CameraId,
    volume: &'a VolumeName,
    bytes: u64,
    form: Form,
}

enum Form {
    /// It is there, and no promise keeps it from then on.
    There { free: WallNs },
    /// It will be, and becomes free evenly within that time.
    ToCome { free: Span },
}

impl Item<'_> {
    /// Bytes of it that no promise keeps at a time.
    fn free_at(&self, t: WallNs) -> u64 {
        match self.form {
            Form::There { free } if free <= t => self.bytes,
            Form::There { .. } => 0,
            Form::ToCome { free } => part(self.bytes, t.since(free.start), free.len_ns()),
        }
    }

    fn begins(&self) -> WallNs {
        match self.form {
            Form::There { free } => free,
            Form::ToCome { free } => free.start,
        }
    }

    fn ends(&self) -> WallNs {
        match self.form {
            Form::There { free } => free,
            Form::ToCome { free } => free.end,
        }
    }
}

/// So much of it as `of` is of `whole`.
fn part(bytes: u64, of: i64, whole: i64) -> u64 {
    let whole = whole.max(1);
    let product = u128::from(bytes) * u128::from(of.clamp(0, whole).unsigned_abs());
    u64::try_from(product / u128::from(whole.unsigned_abs())).unwrap_or(u64::MAX)
}

/// Bytes that are recorded in a time.
fn recorded(per_day: u64, ns: i64) -> u64 {
    let product = u128::from(per_day) * u128::from(ns.max(0).unsigned_abs());
    u64::try_from(product / u128::from(DAY_NS.unsigned_abs())).unwrap_or(u64::MAX)
}

impl Facts {
    fn promise_ns(&self, camera: &CameraId) -> i64 {
        let days = self.cameras.get(camera).and_then(|c| c.min_days).unwrap_or(0);
        DAY_NS.saturating_mul(i64::from(days))
    }

    /// All that these spans hold and those do not.
    fn items<'a>(&'a self, spans: &'a Spans, besides: &'a Spans) -> impl Iterator<Item = Item<'a>> {
        let held = |p: &&Piece| spans.hold(&p.camera, p.span) && !besides.hold(&p.camera, p.span);
        let there = self.pieces.iter().filter(held).map(|p| Item {
            camera: &p.camera,
            volume: &p.volume,
            bytes: p.bytes,
            form: Form::There { free: p.span.end.offset(self.promise_ns(&p.camera)) },
        });
        let ahead = Span { start: self.now, end: WallNs::MAX };
        let recorded_ones = self.cameras.iter().filter(|(_, source)| source.per_day > 0);
        let to_come = recorded_ones.flat_map(move |(camera, source)| {
            let promise = self.promise_ns(camera);
            let spans = minus(spans.of(camera), besides.of(camera)).into_iter();
            spans.filter_map(move |s| s.intersect(ahead)).flat_map(move |s| {
                let bytes = recorded(source.per_day, s.len_ns());
                let free = Span { start: s.start.offset(promise), end: s.end.offset(promise) };
                source.homes.iter().map(move |volume| Item { camera, volume, bytes, form: Form::ToCome { free } })
            })
        });
        there.chain(to_come)
    }

    /// What these spans hold, by volume.
    pub fn weigh(&self, spans: &Spans) -> BTreeMap<VolumeName, Weight> {
        let mut all = BTreeMap::<VolumeName, Weight>::new();
        for item in self.items(spans, &Spans::default()) {
            all.entry(item.volume.clone()).or_default().add(&item, self.now);
        }
        all
    }

    /// What these spans hold of what is still to be recorded, by camera, one copy.
    pub fn to_come(&self, spans: &Spans) -> BTreeMap<CameraId, u64> {
        let ahead = Span { start: self.now, end: WallNs::MAX };
        let of = |(camera, source): (&CameraId, &Source)| {
            let spans = spans.of(camera).iter().filter_map(|s| s.intersect(ahead));
            let bytes = spans.map(|s| recorded(source.per_day, s.len_ns())).fold(0, u64::saturating_add);
            (bytes > 0).then(|| (camera.clone(), bytes))
        };
        self.cameras.iter().filter_map(of).collect()
    }

    /// What it does to each volume if `after` is held, where `before` was.
    pub fn charge(&self, before: &Spans, after: &Spans) -> BTreeMap<VolumeName, Effect> {
        let none = Spans::default();
        let held = self.weigh(after);
        let effect = |name: &VolumeName| Effect {
            added: Weight::default(),
            counts_from: None,
            held: held.get(name).copied().unwrap_or_default(),
            room: self.volumes.get(name).copied().unwrap_or_default(),
            lack: None,
        };
        let mut all: BTreeMap<VolumeName, Effect> =
            self.volumes.keys().chain(held.keys()).map(|name| (name.clone(), effect(name))).collect();
        for item in self.items(after, before) {
            let Some(effect) = all.get_mut(item.volume) else { continue };
            effect.added.add(&item, self.now);
            let from = item.begins().max(self.now);
            effect.counts_from = Some(effect.counts_from.map_or(from, |first| first.min(from)));
        }
        for (name, effect) in all.iter_mut().filter(|(_, e)| e.added.total() > 0) {
            let items: Vec<Item<'_>> = self.items(after, &none).filter(|i| i.volume == name).collect();
            effect.lack = self.lack(effect.room, &items);
        }
        all
    }

    /// What is missing where these are held.
    fn lack(&self, room: Room, items: &[Item<'_>]) -> Option<Lack> {
        let there = room.usable?;
        let needed = |t: WallNs| items.iter().map(|i| i.free_at(t)).fold(room.promised, u64::saturating_add);
        let last = items.iter().map(Item::ends).max()?.max(self.now);
        let most = needed(last);
        if most <= there {
            return None;
        }
        // What is free grows: so the first time is found by halving.
        let (mut fits, mut over) = (self.now.offset(-1), last);
        while over.since(fits) > SECOND_NS {
            let middle = fits.offset(over.since(fits) / 2);
            if needed(middle) > there {
                over = middle;
            } else {
                fits = middle;
            }
        }
        Some(Lack { needed: most, there, since: over })
    }
}
