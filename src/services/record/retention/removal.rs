//! Carrying out on one volume, on a thread of its own: the ledger, the rows, the files, in that order.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::File,
    path::PathBuf,
    sync::{
        TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Retention, gather};
use crate::{
    ledger::{Journal, JournalError, What},
    retention::{
        holds::{Held, Keeper},
        policy::{Reason, Retirement},
    },
    services::record::Shared,
    store::{
        Condemned, RetireError, Retired, Store, format,
        index::{IndexQueue, Reader, SegmentRow, SegmentState},
        layout,
    },
    types::{CameraId, Cause, CauseKind, Span, StreamId, VolumeName, event, story},
};

/// Segments that one entry of the ledger names at most.
const IN_ENTRY: usize = 400;
/// Segments that are marked at a time: before the next ones it is asked again whether they may go.
const BATCH: usize = 256;
/// If so many files refuse, and none goes, the disk refuses.
const MANY: usize = 16;
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

/// What removing needs of the recorder.
struct Ground<'a> {
    store: &'a Store,
    index: &'a IndexQueue,
    /// Where the index is.
    path: PathBuf,
    journal: &'a Journal,
    holds: &'a Keeper,
    retention: &'a Retention,
    stopping: &'a AtomicBool,
    /// The hash of the site as it is.
    site: &'a dyn Fn() -> [u8; 32],
}

/// What was decided on for a volume.
pub(super) struct Decided {
    pub(super) list: Vec<Retirement>,
    /// By which site.
    pub(super) site: [u8; 32],
}

/// Something that goes, with its row.
struct Going<'a> {
    retirement: &'a Retirement,
    row: SegmentRow,
}

/// Removes what was decided on for a volume, and what an earlier pass has left there.
pub(super) fn carry_out(shared: &Shared, retention: &Retention, volume: &VolumeName, decided: &Decided) {
    let turn = retention.turn(volume);
    // Whoever compares it with the index has it in hand; what is to go goes next time.
    let _turn = match turn.try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let ground = Ground {
        store: &shared.store,
        index: &shared.index,
        path: shared.paths.index(),
        journal: &shared.journal,
        holds: shared.holds.keeper(),
        retention,
        stopping: &shared.stopping,
        site: &|| shared.site().hash(),
    };
    let outcome = try_carry_out(&ground, volume, decided);
    let refusal = match &outcome {
        Err(
            e @ RemovalError::Retire(
                RetireError::Volume(_)
                | RetireError::NoVolume(_)
                | RetireError::Disk { .. }
                | RetireError::Files { .. },
            ),
        ) => Some(story(e)),
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

fn try_carry_out(ground: &Ground<'_>, volume: &VolumeName, decided: &Decided) -> Result<(), RemovalError> {
    ground.store.is_itself(volume)?;
    let index = Reader::open(&ground.path)?;
    let left = left(ground, &index, volume)?;
    if !left.is_empty() {
        let done = remove(ground, &left)?;
        // Where a whole part refused, nothing more is marked before something goes again.
        if done.done.segments == 0 && ground.retention.state().refusals.contains_key(volume) {
            done.into_result()?;
        }
    }
    let (mut segments, mut bytes) = (0, 0);
    let outcome = decided.list.chunks(BATCH).try_for_each(|part| {
        if let Some(condemned) = condemn(ground, &index, volume, part, &decided.site)? {
            let done = remove(ground, &condemned)?;
            segments += done.done.segments;
            bytes += done.done.bytes;
            if done.done.segments == 0 && done.refused.len() >= MANY {
                done.into_result()?;
            }
        }
        Ok(())
    });
    if segments > 0 {
        log::info!(VOLUME = volume.as_str(); "volume {volume}: {segments} segments have gone, {}", crate::types::ByteSize(bytes));
    }
    outcome
}

/// What became of marked files.
#[derive(Default)]
struct Removed {
    done: Retired,
    refused: Vec<(PathBuf, std::io::Error)>,
}

impl Removed {
    fn into_result(self) -> Result<(), RetireError> {
        let Self { done, refused } = self;
        if refused.is_empty() { Ok(()) } else { Err(RetireError::Files { refused, done }) }
    }
}

/// Removes what is marked. Single files that refuse are spoken of once.
fn remove(ground: &Ground<'_>, condemned: &Condemned) -> Result<Removed, RetireError> {
    match ground.store.remove(condemned, &mut || pace(ground)) {
        Ok(done) => Ok(Removed { done, refused: Vec::new() }),
        Err(RetireError::Files { refused, done }) => {
            let mut state = ground.retention.state();
            for (path, e) in &refused {
                if state.stuck.insert(path.clone()) {
                    log::error!(
                        FILE:% = path.display(), CAUSE:% = e;
                        "{} is to go, and the disk refuses to remove it: {e}; it is tried again and again",
                        path.display()
                    );
                }
            }
            drop(state);
            Ok(Removed { done, refused })
        }
        Err(e) => Err(e),
    }
}

/// Whether a hold touches a segment, by its camera's present name or by that of the time.
fn is_held(held: &Held, camera: &CameraId, row: &SegmentRow) -> bool {
    let then = layout::stream_of(&row.path).map(|(then, _)| then);
    gather::is_held(held, [camera, then.as_ref().unwrap_or(camera)], row.span)
}

/// What an earlier pass has marked and not removed. What is held by now stays: a hold came between the ledger's word and the mark.
fn left(ground: &Ground<'_>, index: &Reader, volume: &VolumeName) -> Result<Condemned, RemovalError> {
    let cameras: BTreeMap<StreamId, CameraId> =
        index.streams()?.into_iter().map(|s| (s.key.id, s.key.camera)).collect();
    // First what is marked: a hold that came before a late mark is seen.
    let marked = index.retiring()?;
    let held = ground.holds.held();
    let is_held = |r: &SegmentRow| cameras.get(&r.id.stream).is_some_and(|camera| is_held(&held, camera, r));
    let rows = marked.into_iter().filter(|r| r.volume == *volume);
    let (held, rows): (Vec<SegmentRow>, Vec<SegmentRow>) = rows.partition(is_held);
    for row in held {
        log::error!(VOLUME = volume.as_str(), FILE = row.path.as_str(); "{} was about to go and is held now: it stays, whatever the ledger says", row.path);
        let state = state_before(ground, &row);
        ground.index.put(|batch| batch.segment(SegmentRow { state, ..row }));
    }
    Ok(Condemned::left(volume, rows))
}

/// What a marked segment was: its file says whether it was recovered.
fn state_before(ground: &Ground<'_>, row: &SegmentRow) -> SegmentState {
    let read = |root: &PathBuf| {
        let file = File::open(root.join(&row.path)).ok()?;
        let len = file.metadata().ok()?.len();
        format::read(&file, len).ok()?.closed
    };
    match ground.store.roots().get(&row.volume).and_then(read) {
        Some(closing) if closing.recovered => SegmentState::Recovered,
        _ => SegmentState::Closed,
    }
}

/// Decides for good, while nobody can add a hold: the ledger says it, and the rows are marked.
fn condemn(
    ground: &Ground<'_>,
    index: &Reader,
    volume: &VolumeName,
    retirements: &[Retirement],
    site: &[u8; 32],
) -> Result<Option<Condemned>, RemovalError> {
    let held = ground.holds.steady();
    // What goes was chosen by the clock as it was found then; since then it may have been set.
    if !ground.retention.trust.stands()
        || ground.retention.is_suspended(volume)
        || held.may_delete(volume).is_err()
        || ground.stopping.load(Ordering::SeqCst)
    {
        return Ok(None);
    }
    if (ground.site)() != *site {
        // The site may promise more by now.
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
    let accounted = ground.journal.commit(entries(volume, &going), LEDGER).inspect_err(|e| {
        // Where the ledger may say it yet, what stays for now goes into it again.
        if matches!(e, JournalError::Withdrawn(_) | JournalError::Full(_) | JournalError::TooLong(_)) {
            return;
        }
        ground.index.put(|batch| going.iter().for_each(|g| batch.unlog(g.row.id, volume.clone())));
    })?;
    let breaches: Vec<(StreamId, Span)> = breaches(&going).map(|g| (g.row.id.stream, g.row.span)).collect();
    ground.index.put(|batch| batch.lost.extend(breaches));
    let rows = going.into_iter().map(|g| g.row).collect();
    Ok(Some(ground.store.condemn(volume, rows, &accounted)?))
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
        log::error!(
            MESSAGE_ID = event::PROMISED_FOOTAGE_GOES, CAMERA = camera.as_str(), VOLUME = volume.as_str();
            "camera {camera}: promised footage goes, for there is no room for new one on volume {volume}"
        );
        whats.extend(around(spans.into_iter()).map(|span| What::Breach { camera, span, cause }));
    }
    whats
}

/// Lets the others have the disk. Whether to go on.
fn pace(ground: &Ground<'_>) -> bool {
    std::thread::park_timeout(PAUSE);
    !ground.stopping.load(Ordering::SeqCst)
}
