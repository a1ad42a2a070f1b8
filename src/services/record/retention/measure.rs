//! The daily look at what is kept in truth.

use std::{collections::BTreeMap, sync::PoisonError};

use jiff::civil::Date;

use super::accounts::Accounts;
use crate::{
    retention::kept::{Kept, Recording, kept, stretches},
    services::record::Shared,
    store::index::{IndexError, KeptRow, Reader, StreamRow},
    types::{CameraId, Span, VolumeName, WallNs},
};

/// Whether all volumes that are there were compared with the index: before, nothing can be said.
pub(super) fn may_be_measured(shared: &Shared) -> bool {
    let compared = shared.compared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.store.roots().keys().all(|name| compared.contains(name))
}

/// Measures every camera that is recorded or has footage, and notes it as of today.
pub(super) fn measure(shared: &Shared, index: &Reader, accounts: &Accounts, today: Date) -> Result<(), IndexError> {
    let now = shared.retention.trust.wall();
    let there: Vec<VolumeName> = shared.store.answering().into_keys().collect();
    let mut cameras: BTreeMap<CameraId, (WallNs, Kept)> = BTreeMap::new();
    let site = shared.site();
    for stream in index.streams()? {
        let camera = &stream.key.camera;
        let terms = accounts.rules.of(camera);
        // Of a camera that is in the site the streams that it wants recorded; of another one all that there is.
        let wanted = site.camera(camera).is_none_or(|c| c.record.contains(&stream.key.kind));
        let Some(found) = one(index, &stream, terms.min_days, now, &there)? else { continue };
        let row = KeptRow {
            seconds: found.seconds,
            gap_seconds: found.gap_seconds,
            unreadable_seconds: found.unreadable_seconds,
            lost_seconds: found.lost_seconds,
            young: found.young,
        };
        shared.index.put(|batch| _ = batch.kept.insert((stream.key.id, today.to_string()), row));
        if wanted {
            let worst = |(_, known): &(WallNs, Kept)| worse(*known, found);
            let both = cameras.get(camera).map_or(found, worst);
            cameras.insert(camera.clone(), (now, both));
        }
    }
    shared.retention.state().kept = cameras;
    Ok(())
}

/// Of two streams of a camera what is kept of both.
fn worse(a: Kept, b: Kept) -> Kept {
    Kept {
        oldest: a.oldest.max(b.oldest),
        seconds: a.seconds.min(b.seconds),
        gap_seconds: a.gap_seconds.max(b.gap_seconds),
        unreadable_seconds: a.unreadable_seconds.max(b.unreadable_seconds),
        lost_seconds: a.lost_seconds.max(b.lost_seconds),
        young: a.young || b.young,
    }
}

/// Measures a stream; nothing of one that never had footage.
fn one(
    index: &Reader,
    stream: &StreamRow,
    min_days: Option<u32>,
    now: WallNs,
    there: &[VolumeName],
) -> Result<Option<Kept>, IndexError> {
    let id = stream.key.id;
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    index.each_span(id, &mut |span, volume| {
        let is_there = there.iter().any(|v| v.as_str() == volume);
        if is_there { &mut readable } else { &mut unreadable }.push(span);
    })?;
    let (lost, retired) = (index.lost(id)?, index.retired(id)?);
    let footage = stretches(&readable, &unreadable);
    if footage.is_empty() && retired.is_none() && lost.is_empty() {
        return Ok(None);
    }
    let since = retired.into_iter().chain(lost.first().map(|l| l.start)).chain(footage.first().map(|(s, _)| s.start));
    let gaps = index.gaps(id, Span::all())?;
    let recording = Recording { footage: &footage, gaps: &gaps, lost: &lost, since: since.min() };
    Ok(Some(kept(now, min_days, &recording)))
}
