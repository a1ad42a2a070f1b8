//! On which day the promise would break, if everything goes on as it does. Pure.
//!
//! A volume is followed day by day: what was promised ages until it is no longer, what is recorded is promised anew, what a hold touches
//! stays. Where more is promised than is usable, the promise breaks, and cameras stop from that day on by priority, as
//! [`super::policy`] would have it; with `promise = "target"` the oldest goes instead.

mod course;
mod steady;
mod substream;

use serde::{Deserialize, Serialize};

use self::course::Course;
pub use self::{
    steady::days as steady_days,
    substream::{Choice, by_substream},
};
use super::{DAY_NS, Terms};
use crate::{
    site::Promise,
    types::{ByteSize, CameraId, Span, WallNs},
};

/// How far ahead a breach is looked for, days.
pub const HORIZON: u32 = 60;

/// Segments of a stream in a day: the one that is being written is no longer promised only when it is whole, so one more than the days is kept.
const SEGMENTS: u64 = 288;

/// What one camera has on a volume, and what comes. Bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The camera.
    pub camera: CameraId,
    /// What is promised.
    pub terms: Terms,
    /// Whether it belongs here. A guest stops before all residents.
    pub resident: bool,
    /// What comes in a day; 0: it is not recorded here.
    pub per_day: u64,
    /// What there is and is not held, by age: element n ended n to n + 1 days ago.
    pub by_age: Vec<u64>,
    /// What is held.
    pub held: u64,
    /// Holds that reach into the future: what is recorded within is held as it comes. Not overlapping.
    pub held_ahead: Vec<Span>,
}

/// The course of one volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// What is promised or held now.
    pub owed: ByteSize,
    /// The most that will be, within [`HORIZON`], if all cameras go on.
    pub peak: ByteSize,
    /// When the promise breaks; none: not within [`HORIZON`].
    pub breaks: Option<Break>,
    /// Per camera, in the order of the accounts.
    pub cameras: Vec<Outlook>,
}

/// The first day on which more is promised than fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// In so many days; 0: now.
    pub day: u32,
    /// When that is.
    pub at: WallNs,
    /// How much too much there is then.
    pub missing: ByteSize,
}

/// What will become of one camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// The camera.
    pub camera: CameraId,
    /// Days that will be kept once everything is in balance; none: nothing limits them, or nothing is recorded.
    pub steady_days: Option<f64>,
    /// In how many days it stops, or its oldest promised footage goes; none: not within [`HORIZON`].
    pub affected: Option<u32>,
}

/// Looks ahead. `usable` is what footage may take in all.
pub fn forecast(now: WallNs, promise: Promise, usable: u64, accounts: &[Account]) -> Forecast {
    let mut unhindered = Course::begin(now, accounts);
    let mut peak = unhindered.owed();
    for _ in 0..HORIZON {
        unhindered.pass_day();
        peak = peak.max(unhindered.owed());
    }
    let mut course = Course::begin(now, accounts);
    let owed = course.owed();
    let mut breaks = None;
    for day in 0..=HORIZON {
        if day > 0 {
            course.pass_day();
        }
        if let Some(missing) = course.owed().checked_sub(usable).filter(|m| *m > 0) {
            let at = now.offset(DAY_NS.saturating_mul(i64::from(day)));
            breaks.get_or_insert(Break { day, at, missing: ByteSize(missing) });
            course.give_way(promise, usable, day);
        }
    }
    let held = accounts.iter().map(|a| a.held).fold(0, u64::saturating_add);
    let steady = steady_days(promise, usable.saturating_sub(held), accounts);
    let outlook = |(a, (steady_days, affected)): (&Account, (Option<f64>, Option<u32>))| Outlook {
        camera: a.camera.clone(),
        steady_days,
        affected,
    };
    let cameras = accounts.iter().zip(steady.into_iter().zip(course.affected())).map(outlook).collect();
    Forecast { owed: ByteSize(owed), peak: ByteSize(peak), breaks, cameras }
}

/// The order in which cameras stop: guests, then low priority, then large ones, as [`super::policy`] has it.
fn stop_order(accounts: &[Account]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..accounts.len()).filter(|i| accounts[*i].per_day > 0).collect();
    order.sort_by_key(|i| {
        let a = &accounts[*i];
        (a.resident, a.terms.priority, std::cmp::Reverse(a.per_day), a.camera.clone())
    });
    order
}

#[cfg(test)]
mod tests;
