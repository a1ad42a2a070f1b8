//! What would help a hold that does not fit.

use std::{cmp::Reverse, collections::BTreeMap};

use super::Facts;
use crate::{
    retention::holds::{extent::Extent, spans::Spans},
    types::{CameraId, Span, VolumeName, WallNs},
};

/// A shorter span is proposed to the minute.
const MINUTE_NS: i64 = 60 * super::SECOND_NS;

/// What would help. Each alone is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remedies {
    /// To hold only until then; none: not even a minute fits.
    pub until: Option<WallNs>,
    /// To leave these cameras out; none: not even one camera fits.
    pub without: Option<Vec<CameraId>>,
    /// So many bytes more on these volumes.
    pub more: BTreeMap<VolumeName, u64>,
}

impl Facts {
    /// Whether everything fits in the end, on volumes to which `after` adds something.
    fn fits(&self, before: &Spans, after: &Spans) -> bool {
        let held = self.weigh(after);
        let mut touched = self.items(after, before).filter(|i| i.bytes > 0).map(|i| i.volume).collect::<Vec<_>>();
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().all(|name| {
            let room = self.volumes.get(name).copied().unwrap_or_default();
            let held = held.get(name).copied().unwrap_or_default().total();
            room.usable.is_none_or(|usable| room.promised.saturating_add(held) <= usable)
        })
    }

    /// What would help an extent that does not fit beside what is held.
    pub fn remedies(&self, before: &Spans, extent: &Extent) -> Remedies {
        let effects = self.charge(before, &before.with(extent));
        let missing = |(name, effect): (&VolumeName, &super::Effect)| Some((name.clone(), effect.lack?.missing()));
        let more: BTreeMap<VolumeName, u64> = effects.iter().filter_map(missing).collect();
        Remedies { until: self.until(before, extent), without: self.without(before, extent, &more), more }
    }

    fn until(&self, before: &Spans, extent: &Extent) -> Option<WallNs> {
        let span = extent.span();
        let fits = |end| {
            let shorter = Extent::new(extent.cameras().clone(), Span { end, ..span });
            shorter.is_none_or(|e| self.fits(before, &before.with(&e)))
        };
        let (mut yes, mut no) = (span.start, span.end);
        while no.since(yes) > MINUTE_NS {
            let middle = yes.offset(no.since(yes) / 2);
            if fits(middle) {
                yes = middle;
            } else {
                no = middle;
            }
        }
        // A whole minute, which is never more than fits.
        let whole = WallNs(yes.0 - yes.0.rem_euclid(MINUTE_NS));
        (whole > span.start).then_some(whole)
    }

    /// Cameras without which it fits: those that weigh most, where something is missing. What one camera holds is nothing to another.
    fn without(&self, before: &Spans, extent: &Extent, missing: &BTreeMap<VolumeName, u64>) -> Option<Vec<CameraId>> {
        let mut weights = BTreeMap::<&CameraId, BTreeMap<&VolumeName, u64>>::new();
        let after = before.with(extent);
        for item in self.items(&after, before).filter(|i| missing.contains_key(i.volume)) {
            let sum = weights.entry(item.camera).or_default().entry(item.volume).or_default();
            *sum = sum.saturating_add(item.bytes);
        }
        // Per volume, what is missing, and what is added to it still. Where nothing is added nothing breaks by this hold.
        let mut open: BTreeMap<&VolumeName, (u64, u64)> = missing.iter().map(|(name, m)| (name, (*m, 0))).collect();
        for (name, bytes) in weights.values().flatten() {
            open.entry(name).and_modify(|o| o.1 = o.1.saturating_add(*bytes));
        }
        let mut heaviest: Vec<_> = weights.into_iter().collect();
        heaviest.sort_by_key(|(id, of)| (Reverse(of.values().copied().fold(0, u64::saturating_add)), *id));
        let known = self.cameras.keys().filter(|id| extent.cameras().contains(id)).count();
        let mut without = Vec::new();
        for (id, of) in heaviest {
            let settled = |o: &(u64, u64)| o.0 == 0 || o.1 == 0;
            if !of.keys().any(|name| open.get(name).is_some_and(|o| !settled(o))) {
                continue;
            }
            for (name, bytes) in of {
                open.entry(name).and_modify(|o| *o = (o.0.saturating_sub(bytes), o.1.saturating_sub(bytes)));
            }
            without.push(id.clone());
        }
        (without.len() < known).then_some(without)
    }
}
