//! What a hold takes, and whether the promise of cameras holds beside it.

use std::collections::BTreeMap;

use super::Shared;
use crate::{
    plan::Layout,
    retention::{
        DAY_NS,
        forecast::HORIZON,
        holds::{
            Extent, Spans,
            charge::{Facts, Lack, Piece, Remedies},
        },
    },
    services::{
        holding::Reckoning,
        planning,
        record::{
            config,
            retention::{Foreseen, foresee},
        },
    },
    store::index::{IndexError, Reader},
    types::{ByteSize, VolumeName, WallNs, wire},
};

/// What a hold takes.
pub(super) struct Reckoned {
    /// Files that it holds now.
    pub(super) files: u64,
    pub(super) effects: Vec<wire::HoldEffect>,
    /// What is missing by it.
    pub(super) short: Option<wire::HoldShort>,
}

/// What it takes if that is held too. That it cannot be reckoned keeps nobody from holding footage.
pub(super) fn reckon(shared: &Shared, extent: &Extent) -> Result<Reckoned, String> {
    try_reckon(shared, extent).map_err(|e| crate::types::story(&e))
}

fn try_reckon(shared: &Shared, extent: &Extent) -> Result<Reckoned, IndexError> {
    let (site, now) = (shared.site(), shared.clock.wall());
    let held = shared.holds.held();
    let (before, after) = (&held.spans, held.spans.with(extent));
    let layout: Layout =
        config::places(&shared.files, &site).into_iter().map(|(camera, place)| (camera, place.volumes)).collect();
    let measured = planning::measured(shared.paths.state(), &site, now);
    let index = Reader::open(&shared.paths.index())?;
    let (recorder, layout, measured) = (&shared.recorder, &layout, &measured);
    let reckoning = Reckoning { site: &site, recorder, layout, measured, index: &index, now };
    let mut facts = reckoning.facts(&after)?;
    let course = Course { before: foresee(shared, &index, before)?, after: foresee(shared, &index, &after)? };
    // A disk may have less than the site states, or be used for other things too.
    for (name, room) in &mut facts.volumes {
        let there = course.before.get(name).map(|f| f.usable);
        room.usable = room.usable.into_iter().chain(there).min();
    }
    Ok(reckoned(&facts, before, &after, extent, &course))
}

/// What the forecast says of the volumes.
struct Course {
    before: BTreeMap<VolumeName, Foreseen>,
    after: BTreeMap<VolumeName, Foreseen>,
}

impl Course {
    /// From when on something is missing where it will be, at the earliest.
    fn since(&self, volume: &VolumeName, lack: Lack, now: WallNs) -> WallNs {
        match self.after.get(volume) {
            Some(Foreseen { breaks: Some(at), .. }) => *at,
            // The promises do not take all that is theirs yet.
            Some(_) => lack.since.max(now.offset(i64::from(HORIZON) * DAY_NS)),
            None => lack.since,
        }
    }
}

fn reckoned(facts: &Facts, before: &Spans, after: &Spans, extent: &Extent, course: &Course) -> Reckoned {
    let (mut effects, mut lacks) = (Vec::new(), Vec::new());
    for (volume, e) in facts.charge(before, after) {
        lacks.extend(e.lack.map(|lack| wire::HoldLack {
            volume: volume.clone(),
            needed: ByteSize(lack.needed),
            there: ByteSize(lack.there),
            missing: ByteSize(lack.missing()),
            since: course.since(&volume, lack, facts.now),
        }));
        let breaks = |course: &BTreeMap<VolumeName, Foreseen>| course.get(&volume).and_then(|f| f.breaks);
        effects.push(wire::HoldEffect {
            beyond: ByteSize(e.added.beyond),
            promised: ByteSize(e.added.promised),
            to_come: ByteSize(e.added.to_come),
            counts_from: e.counts_from,
            needed: ByteSize(e.room.promised.saturating_add(e.held.total())),
            usable: e.room.usable.map(ByteSize),
            breaks: breaks(&course.after),
            broke: breaks(&course.before),
            volume,
        });
    }
    let short = (!lacks.is_empty()).then(|| {
        let Remedies { until, without, .. } = facts.remedies(before, extent);
        wire::HoldShort { lacks, until, without }
    });
    let touched = |p: &&Piece| extent.cameras().contains(&p.camera) && extent.span().overlaps(p.span);
    Reckoned { files: facts.pieces.iter().filter(touched).count() as u64, effects, short }
}

pub(super) fn is_short(reckoned: &Result<Reckoned, String>) -> bool {
    reckoned.as_ref().is_ok_and(|r| r.short.is_some())
}

/// The promise of cameras would break, and nobody has said that it may.
pub(super) fn refused(reckoned: &Result<Reckoned, String>, order: &wire::HoldOrder) -> Option<wire::HoldShort> {
    reckoned.as_ref().ok()?.short.clone().filter(|_| !order.even_if_short)
}
