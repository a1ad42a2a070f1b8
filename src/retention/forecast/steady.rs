//! How many days are kept once everything is in balance.

use super::{Account, stop_order};
use crate::site::Promise;

/// More days than anybody keeps.
const ENDLESS: f64 = 36_500.0;

/// Days that each account keeps in the long run, where `usable` bytes are not held; none where nothing comes, or nothing limits it.
///
/// With room for all promises, every camera keeps its `min_days` and as much beyond as every other, up to its `max_days`: that is what
/// deleting the largest surplus first comes to. Where there is not enough room, it goes by priority, or everybody keeps as many days
/// as there is room for if the promise is a target.
pub fn days(promise: Promise, usable: u64, accounts: &[Account]) -> Vec<Option<f64>> {
    let room = usable as f64;
    let min = |a: &Account| f64::from(a.terms.min_days.unwrap_or(0));
    let max = |a: &Account| a.terms.max_days.map_or(ENDLESS, f64::from);
    let needs = |days: &dyn Fn(&Account) -> f64| -> f64 { accounts.iter().map(|a| a.per_day as f64 * days(a)).sum() };
    let kept: Vec<f64> = if needs(&min) <= room {
        let with = |surplus: f64| move |a: &Account| (min(a) + surplus).min(max(a));
        let surplus = largest(|s| needs(&with(s)) <= room);
        accounts.iter().map(with(surplus)).collect()
    } else if promise == Promise::Target {
        let with = |most: f64| move |a: &Account| min(a).min(most);
        let most = largest(|m| needs(&with(m)) <= room);
        accounts.iter().map(with(most)).collect()
    } else {
        let (mut kept, mut left) = (vec![0.0; accounts.len()], room);
        for i in stop_order(accounts).into_iter().rev() {
            let account = &accounts[i];
            kept[i] = min(account).min(left / account.per_day as f64);
            left -= kept[i] * account.per_day as f64;
        }
        kept
    };
    let limited = |(a, days): (&Account, f64)| (a.per_day > 0 && days < ENDLESS).then_some(days);
    accounts.iter().zip(kept).map(limited).collect()
}

/// The largest number of days for which something holds that holds for 0, and for all less than any for which it holds.
fn largest(holds: impl Fn(f64) -> bool) -> f64 {
    if holds(ENDLESS) {
        return ENDLESS;
    }
    let (mut yes, mut no) = (0.0, ENDLESS);
    for _ in 0..60 {
        let middle = f64::midpoint(yes, no);
        if holds(middle) { yes = middle } else { no = middle }
    }
    yes
}
