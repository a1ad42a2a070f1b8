//! Changes of holds in the ledger: before a release takes effect, and as soon as possible after everything else. What keeps footage does
//! not wait for the ledger; what lets it go does.

use std::{sync::TryLockError, time::Duration};

use uuid::Uuid;

use super::Shared;
use crate::{
    ledger::What,
    retention::holds::Change,
    types::{CameraId, HoldId},
};

/// How long the ledger may take.
const LIMIT: Duration = Duration::from_secs(5);

fn entry(hold: HoldId, change: &Change) -> What {
    What::Hold {
        hold: Uuid::from_bytes(*hold.as_bytes()),
        change: change.word(),
        span: change.extent.span(),
        cameras: std::collections::BTreeSet::<CameraId>::from(change.extent.cameras().clone()).into_iter().collect(),
        by: change.salted_by(),
        reason: change.salted_reason(),
        even_if_short: change.order.even_if_short,
    }
}

/// Waits until the ledger has a change.
pub(super) fn commit(shared: &Shared, hold: HoldId, change: &Change) -> Result<(), String> {
    shared.journal.commit(vec![entry(hold, change)], LIMIT).map(drop).map_err(|e| e.to_string())
}

/// Takes a change that is in force into the ledger, and notes that it is there. Returns why not.
pub(super) fn record(shared: &Shared, hold: HoldId, change: Uuid) -> Option<String> {
    let held = shared.holds.held();
    let change = held.holds.unlogged().find(|(id, c)| *id == hold && c.stamp.id == change)?.1;
    if let Err(why) = commit(shared, hold, change) {
        return Some(why);
    }
    let id = change.stamp.id;
    let noted = shared.holds.keeper.apply(|holds| {
        holds.note_logged(hold, id);
        Ok(())
    });
    // Then it comes into the ledger once more, which does no harm.
    noted.err().map(|e| e.to_string())
}

/// Takes what the ledger lacks into it: what it did not take in time, and what was ordered just before the recorder was killed.
pub(in crate::services::record) fn catch_up(shared: &Shared) {
    let open = shared.journal.view().is_some_and(|log| log.size() > 0) && shared.journal.status().problem.is_none();
    let turn = match shared.holds.turn.try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        // Somebody is at work on a hold: the next time.
        Err(TryLockError::WouldBlock) => return,
    };
    let held = shared.holds.held();
    for (hold, change) in held.holds.unlogged().filter(|_| open) {
        if let Some(why) = record(shared, hold, change.stamp.id) {
            log::warn!(HOLD:% = hold, CAUSE = why.as_str(); "a change of hold {hold} is not in the ledger yet: {why}");
            break;
        }
    }
    drop(turn);
}
