//! `when_short = "substream"`: which cameras are recorded by their sub stream while the disks are short.

use std::collections::BTreeSet;

use super::{Account, forecast};
use crate::{
    site::Promise,
    types::{CameraId, WallNs},
};

/// Once cameras are recorded by their sub stream, the disks must be so much larger than needed before one is taken back: 3 %.
const AGAIN: u64 = 33;

/// A volume as it would be if all its cameras were recorded in full, and what else they could be recorded at.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The account of the full picture.
    pub account: Account,
    /// Bytes a day by the sub stream; none: it has none.
    pub sub: Option<u64>,
}

/// The cameras of one volume that are to be recorded by their sub stream: so many of the lowest priority that the promise does not
/// break within [`super::HORIZON`]. `before`: those that are already.
pub fn by_substream(now: WallNs, usable: u64, choices: &[Choice], before: &BTreeSet<CameraId>) -> BTreeSet<CameraId> {
    let smaller = |c: &Choice| c.sub.is_some_and(|sub| sub < c.account.per_day);
    let mut row: Vec<&Choice> = choices.iter().filter(|c| c.account.resident && smaller(c)).collect();
    // Those that are already stay first among equals, so that nobody takes turns.
    row.sort_by_key(|c| {
        let camera = &c.account.camera;
        (c.account.terms.priority, !before.contains(camera), std::cmp::Reverse(c.account.per_day), camera)
    });
    let now_by_sub = row.iter().take_while(|c| before.contains(&c.account.camera)).count();
    let enough = |usable: u64, many: usize| {
        let chosen: BTreeSet<&CameraId> = row[..many].iter().map(|c| &c.account.camera).collect();
        let account = |c: &Choice| {
            let per_day = c.sub.filter(|_| chosen.contains(&c.account.camera)).unwrap_or(c.account.per_day);
            Account { per_day, ..c.account.clone() }
        };
        let accounts: Vec<Account> = choices.iter().map(account).collect();
        forecast(now, Promise::Invariant, usable, &accounts).breaks.is_none()
    };
    let fewest = |usable: u64, from: usize| (from..=row.len()).find(|n| enough(usable, *n)).unwrap_or(row.len());
    let needed = fewest(usable, 0);
    let many = if needed >= now_by_sub {
        needed
    } else {
        // Not so many are needed now; but only what is not needed by far is taken back.
        fewest(usable - usable / AGAIN, needed).min(now_by_sub)
    };
    row[..many].iter().map(|c| c.account.camera.clone()).collect()
}
