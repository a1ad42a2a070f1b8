//! Holds as they are told on the sockets and by commands.

use std::collections::BTreeSet;

use jiff::civil;

use crate::{
    retention::holds::{Act, Change, Hold, Holds},
    types::wire,
};

fn change(change: &Change) -> wire::HoldChange {
    let act = match change.act {
        Act::Added { .. } => "added",
        Act::Extended { .. } => "extended",
        Act::Released { .. } => "released",
    };
    wire::HoldChange {
        act: act.to_owned(),
        at: change.stamp.at,
        by: change.order.by.as_str().to_owned(),
        reason: change.order.reason.as_str().to_owned(),
        case: change.order.case.as_ref().map(|c| c.as_str().to_owned()),
        entered_by: change.order.entered_by.as_str().to_owned(),
        even_if_short: change.order.even_if_short,
        logged: change.logged,
    }
}

/// Whether a hold in force is to be looked at.
pub(in crate::services) fn is_due(hold: &Hold, today: civil::Date) -> bool {
    hold.released().is_none() && hold.review().is_some_and(|day| day.0 <= today)
}

/// A hold as it is told, on that day.
pub(in crate::services) fn told(hold: &Hold, today: civil::Date) -> wire::Hold {
    let extent = hold.extent();
    wire::Hold {
        id: hold.id(),
        cameras: BTreeSet::from(extent.cameras().clone()).into_iter().collect(),
        span: extent.span(),
        review: hold.review().map(|day| day.to_string()),
        due: is_due(hold, today),
        released: hold.released().map(|r| r.stamp.at),
        changes: hold.changes().into_iter().map(change).collect(),
    }
}

/// All of them, by the start of what they hold.
pub fn list(holds: &Holds, today: civil::Date) -> Vec<wire::Hold> {
    let mut all: Vec<wire::Hold> = holds.iter().map(|h| told(h, today)).collect();
    all.sort_by_key(|h| (h.span, h.id));
    all
}
