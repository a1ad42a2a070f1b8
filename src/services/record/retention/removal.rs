//! Carrying out on one volume, on a thread of its own: the ledger, the rows, the files, in that order.

use std::{
    collections::BTreeMap,
    sync::{TryLockError, atomic::Ordering},
    time::Duration,
};

use super::{Retention, gather};
use crate::{
    ledger::What,
    retention::{
        holds::Held,
        policy::{Reason, Retirement},
    },
    services::record::{Shared, start::story},
    store::{
        Condemned, RetireError,
        index::{Reader, SegmentRow, SegmentState},
        layout,
    },
    types::{CameraId, Cause, CauseKind, Span, StreamId, VolumeName},
};

/// Segments that one entry of the ledger names at most.
const IN_ENTRY: usize = 400;
/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);
/// After each file the disk belongs to the others for so long.
const PAUSE: Duration = Duration::from_millis(2);

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemovalError {
    #[error(transparent)]
    Index(#[from] crate::store::index::IndexError),
    #[error(transparent)]
    Ledger(#[from] crate::ledger::JournalError),
    #[error(transparent)]
    Retire(#[from] RetireError),
}

/// Something that goes, with its row.
struct Going<'a> {
    retirement: &'a Retirement,
    row: SegmentRow,
}

/// Removes what was decided on for a volume, and what an earlier pass has left there.
pub(super) fn carry_out(shared: &Shared, retention: &Retention, volume: &VolumeName, retirements: &[Retirement]) {
    let turn = retention.turn(volume);
    // Whoever compares it with the index has it in hand; what is to go goes next time.
    let _turn = match turn.try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let outcome = try_carry_out(shared, retention, volume, retirements);
    let refusal = match &outcome {
        Err(e @ RemovalError::Retire(RetireError::Volume(_) | RetireError::NoVolume(_) | RetireError::Disk { .. })) => {
            Some(story(e))
        }
        _ => None,
    };
    if let Err(e) = &outcome
        && refusal.is_none()
    {
        log::warn!(VOLUME = volume.as_str(); "volume {volume}: nothing is deleted for now: {}", story(e));
    }
    let mut state = retention.state();
    match refusal {
        Some(why) => drop(state.refusals.insert(volume.clone(), why)),
        None => drop(state.refusals.remove(volume)),
    }
}

fn try_carry_out(
    shared: &Shared,
    retention: &Retention,
    volume: &VolumeName,
    retirements: &[Retirement],
) -> Result<(), RemovalError> {
    shared.store.is_itself(volume)?;
    let index = Reader::open(&shared.paths.index())?;
    let left = left(shared, &index, volume)?;
    if !left.is_empty() {
        shared.store.remove(&left, &mut || pace(shared))?;
    }
    if let Some(condemned) = condemn(shared, retention, &index, volume, retirements)? {
        let done = shared.store.remove(&condemned, &mut || pace(shared))?;
        log::info!(VOLUME = volume.as_str(); "volume {volume}: {} segments have gone, {}", done.segments, crate::types::ByteSize(done.bytes));
    }
    Ok(())
}

/// Whether a hold touches a segment, by its camera's present name or by that of the time.
fn is_held(held: &Held, camera: &CameraId, row: &SegmentRow) -> bool {
    let then = layout::stream_of(&row.path).map(|(then, _)| then);
    gather::is_held(held, [camera, then.as_ref().unwrap_or(camera)], row.span)
}

/// What an earlier pass has marked and not removed. What is held by now stays: a hold came between the ledger's word and the mark.
fn left(shared: &Shared, index: &Reader, volume: &VolumeName) -> Result<Condemned, RemovalError> {
    let cameras: BTreeMap<StreamId, CameraId> =
        index.streams()?.into_iter().map(|s| (s.key.id, s.key.camera)).collect();
    let held = shared.holds.held();
    let is_held = |r: &SegmentRow| cameras.get(&r.id.stream).is_some_and(|camera| is_held(&held, camera, r));
    let rows = index.retiring()?.into_iter().filter(|r| r.volume == *volume);
    let (held, rows): (Vec<SegmentRow>, Vec<SegmentRow>) = rows.partition(is_held);
    for row in held {
        log::error!(VOLUME = volume.as_str(); "{} was about to go and is held now: it stays, whatever the ledger says", row.path);
        shared.index.put(|batch| batch.segment(SegmentRow { state: SegmentState::Closed, ..row }));
    }
    Ok(Condemned::left(volume, rows))
}

/// Decides for good, while nobody can add a hold: the ledger says it, and the rows are marked.
fn condemn(
    shared: &Shared,
    retention: &Retention,
    index: &Reader,
    volume: &VolumeName,
    retirements: &[Retirement],
) -> Result<Option<Condemned>, RemovalError> {
    let held = shared.holds.steady();
    if retention.is_suspended(volume) || held.may_delete(volume).is_err() || shared.stopping.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let mut going = Vec::new();
    for retirement in retirements {
        let Some(row) = index.closed(retirement.piece.segment, volume)? else { continue };
        if !is_held(&held, &retirement.camera, &row) {
            going.push(Going { retirement, row });
        }
    }
    if going.is_empty() {
        return Ok(None);
    }
    let accounted = shared.journal.commit(entries(volume, &going), LEDGER)?;
    let breaches: Vec<(StreamId, Span)> = breaches(&going).map(|g| (g.row.id.stream, g.row.span)).collect();
    shared.index.put(|batch| batch.lost.extend(breaches));
    let rows = going.into_iter().map(|g| g.row).collect();
    Ok(Some(shared.store.condemn(volume, rows, &accounted)?))
}

fn breaches<'a>(going: &'a [Going<'a>]) -> impl Iterator<Item = &'a Going<'a>> {
    going.iter().filter(|g| g.retirement.reason == Reason::Target)
}

/// From the first start to the last end.
fn around(spans: impl Iterator<Item = Span>) -> Option<Span> {
    spans.reduce(|a, b| Span { start: a.start.min(b.start), end: a.end.max(b.end) })
}

/// What the ledger says of them: each stream with its reason, and the breaches.
fn entries(volume: &VolumeName, going: &[Going<'_>]) -> Vec<What> {
    let mut groups: BTreeMap<(StreamId, u8), Vec<&Going<'_>>> = BTreeMap::new();
    for g in going {
        groups.entry((g.row.id.stream, g.retirement.reason as u8)).or_default().push(g);
    }
    let mut whats = Vec::new();
    for ((stream, _), group) in groups {
        for part in group.chunks(IN_ENTRY) {
            let Some(span) = around(part.iter().map(|g| g.row.span)) else { continue };
            let Retirement { camera, reason, .. } = part[0].retirement;
            whats.push(What::Retired {
                stream,
                camera: camera.clone(),
                volume: volume.clone(),
                reason: *reason,
                span,
                segments: part.iter().map(|g| (g.row.id.run, g.row.id.seq)).collect(),
            });
        }
    }
    let mut breached: BTreeMap<CameraId, Vec<Span>> = BTreeMap::new();
    for g in breaches(going) {
        breached.entry(g.retirement.camera.clone()).or_default().push(g.row.span);
    }
    for (camera, spans) in breached {
        let cause = Cause::new(CauseKind::Full, format!("volume {volume} is full"));
        log::error!(CAMERA = camera.as_str(); "camera {camera}: promised footage goes, for there is no room for new one");
        whats.extend(around(spans.into_iter()).map(|span| What::Breach { camera, span, cause }));
    }
    whats
}

/// Lets the others have the disk. Whether to go on.
fn pace(shared: &Shared) -> bool {
    std::thread::park_timeout(PAUSE);
    !shared.stopping.load(Ordering::SeqCst)
}
