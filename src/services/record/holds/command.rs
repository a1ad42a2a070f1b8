//! Making, extending and releasing holds.

use std::{collections::BTreeSet, io, sync::atomic::Ordering};

use super::{
    Shared, ledger, new_id,
    reckon::{Reckoned, is_short, reckon, refused},
    stamp, today,
};
use crate::{
    retention::holds::{ApplyError, Cameras, ChangeError, Day, Extent, Order, Refusal, Wider, Words},
    services::holding::told,
    types::{CameraId, HoldId, event, wire},
};

/// Why a command was not carried out. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::services::record) enum HoldError {
    /// It makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// The disks do not take it.
    #[error("{0}")]
    Disks(String),
}

impl From<ApplyError> for HoldError {
    fn from(e: ApplyError) -> Self {
        match e {
            ApplyError::Change(e) => e.into(),
            ApplyError::Nowhere(_) => Self::Disks(e.to_string()),
        }
    }
}

impl From<io::Error> for HoldError {
    fn from(e: io::Error) -> Self {
        Self::Disks(format!("the kernel gave no random bytes: {e}"))
    }
}

impl From<ChangeError> for HoldError {
    fn from(e: ChangeError) -> Self {
        Self::Wrong(e.to_string())
    }
}

fn wrong(text: impl Into<String>) -> HoldError {
    HoldError::Wrong(text.into())
}

fn words(what: &str, text: &str) -> Result<Words, HoldError> {
    text.parse().map_err(|e| wrong(format!("{what}: {e}")))
}

fn order(order: &wire::HoldOrder, even_if_short: bool) -> Result<Order, HoldError> {
    Ok(Order {
        by: words("who ordered it", &order.by)?,
        reason: words("the reason", &order.reason)?,
        case: order.case.as_deref().map(|case| words("the case", case)).transpose()?,
        entered_by: words("who gives the command", &order.entered_by)?,
        even_if_short,
    })
}

/// Carries out a command.
pub(in crate::services::record) fn command(
    shared: &Shared,
    command: &wire::HoldCommand,
) -> Result<wire::HoldAnswer, HoldError> {
    let _turn = shared.holds.turn();
    if shared.stopping.load(Ordering::SeqCst) {
        return Err(HoldError::Disks("the recorder is stopping".into()));
    }
    match command {
        wire::HoldCommand::Add { cameras, span, review, order: wanted } => {
            let extent = Extent::new(cameras_of(shared, cameras)?, *span)
                .ok_or_else(|| wrong("the span ends before it begins, or when it begins"))?;
            let (review, id, stamp) = (day(shared, review)?, new_id(), stamp(shared.clock.wall())?);
            order(wanted, false)?;
            let reckoned = reckon(shared, &extent);
            if let Some(short) = refused(&reckoned, wanted) {
                return Ok(wire::HoldAnswer::Short(short));
            }
            let (order, wide, change) = (order(wanted, is_short(&reckoned))?, extent.clone(), stamp.id);
            let refusals = shared.holds.keeper.apply(|holds| {
                holds.add(id, wide, review, order, stamp);
                Ok(())
            })?;
            log::info!(MESSAGE_ID = event::HOLD_SET, HOLD:% = id; "hold {id} is added");
            let ledger = ledger::record(shared, id, change);
            Ok(done(shared, id, Some(reckoned), &refusals, ledger)?)
        }
        wire::HoldCommand::Extend { hold, cameras, all_cameras, from, to, review, order: wanted } => {
            let cameras = match (*all_cameras, cameras.is_empty()) {
                (true, _) => Some(Cameras::All),
                (false, true) => None,
                (false, false) => Some(cameras_of(shared, cameras)?),
            };
            let review = review.as_deref().map(|text| day(shared, text)).transpose()?;
            let wider = Wider { cameras, from: *from, to: *to, review };
            order(wanted, false)?;
            let extent = shared.holds.held().holds.wider(*hold, &wider)?;
            let reckoned = reckon(shared, &extent);
            if let Some(short) = refused(&reckoned, wanted) {
                return Ok(wire::HoldAnswer::Short(short));
            }
            let (order, stamp) = (order(wanted, is_short(&reckoned))?, stamp(shared.clock.wall())?);
            let change = stamp.id;
            let refusals = shared.holds.keeper.apply(|holds| holds.extend(*hold, &wider, order, stamp))?;
            log::info!(MESSAGE_ID = event::HOLD_SET, HOLD:% = hold; "hold {hold} is extended");
            let ledger = ledger::record(shared, *hold, change);
            Ok(done(shared, *hold, Some(reckoned), &refusals, ledger)?)
        }
        wire::HoldCommand::Release { hold, order: wanted } => {
            let (order, stamp) = (order(wanted, false)?, stamp(shared.clock.wall())?);
            let mut after = shared.holds.held().holds.clone();
            let release = after.release(*hold, order, stamp)?;
            // What lets footage go is on record first.
            ledger::commit(shared, *hold, &release)
                .map_err(|why| HoldError::Disks(format!("the ledger takes no entry, so the hold stands: {why}")))?;
            let change = release.stamp.id;
            let refusals = shared.holds.keeper.apply(|holds| {
                holds.release(*hold, release.order, release.stamp)?;
                holds.note_logged(*hold, change);
                Ok(())
            })?;
            log::warn!(MESSAGE_ID = event::HOLD_RELEASED, HOLD:% = hold; "hold {hold} is released");
            Ok(done(shared, *hold, None, &refusals, None)?)
        }
    }
}

/// Cameras that this recorder has, or has footage of.
fn cameras_of(shared: &Shared, ids: &[CameraId]) -> Result<Cameras, HoldError> {
    let site = shared.site();
    let mut known: BTreeSet<CameraId> = shared.store.streams().into_iter().map(|s| s.camera).collect();
    known.extend(site.cameras_of(&shared.recorder).map(|c| c.id.clone()));
    match ids.iter().find(|id| !known.contains(*id)) {
        None => Ok(ids.iter().cloned().collect::<BTreeSet<_>>().into()),
        Some(id) => {
            let known = known.iter().map(CameraId::as_str).collect::<Vec<_>>().join(", ");
            Err(wrong(format!(
                "recorder {} has no camera {id}, and no footage of one: it has {known}",
                shared.recorder
            )))
        }
    }
}

fn day(shared: &Shared, text: &str) -> Result<Day, HoldError> {
    let day: Day = text.parse().map_err(|_| wrong(format!("{text:?} is no day: write 2026-12-22")))?;
    let today = today(shared);
    if day.0 < today {
        return Err(wrong(format!("the day of review, {day}, is over: today is {today}")));
    }
    Ok(day)
}

fn done(
    shared: &Shared,
    id: HoldId,
    reckoned: Option<Result<Reckoned, String>>,
    refusals: &[Refusal],
    ledger: Option<String>,
) -> Result<wire::HoldAnswer, HoldError> {
    let held = shared.holds.held();
    let hold = told(held.holds.get(id)?, today(shared));
    let (reckoned, unreckoned) = match reckoned {
        Some(Ok(reckoned)) => (Some(reckoned), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    let files = reckoned.as_ref().map_or(0, |r| r.files);
    let (effects, short) = reckoned.map_or((Vec::new(), None), |r| (r.effects, r.short));
    let refused = refusals.iter().map(ToString::to_string).collect();
    Ok(wire::HoldAnswer::Done(Box::new(wire::HoldChanged { hold, files, effects, short, unreckoned, refused, ledger })))
}
