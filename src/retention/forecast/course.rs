//! One volume, day after day.

use super::{Account, SEGMENTS, stop_order};
use crate::{
    retention::DAY_NS,
    site::Promise,
    types::{Span, WallNs},
};

/// What is promised of one camera's footage, by age in days, and what is held of it.
#[derive(Debug, Clone)]
struct Stock {
    promised: Vec<u64>,
    held: u64,
    /// What came today, and may be taken back: promised and held.
    today: (u64, u64),
    affected: Option<u32>,
}

/// The state of a volume on one day.
#[derive(Debug, Clone)]
pub(super) struct Course<'a> {
    accounts: &'a [Account],
    stocks: Vec<Stock>,
    now: WallNs,
    /// Promised beside the whole days: the segments at the edge.
    edges: u64,
}

impl<'a> Course<'a> {
    pub(super) fn begin(now: WallNs, accounts: &'a [Account]) -> Self {
        let stock = |a: &Account| {
            let mut promised = a.by_age.clone();
            promised.truncate(a.terms.min_days.unwrap_or(0) as usize);
            Stock { promised, held: a.held, today: (0, 0), affected: None }
        };
        let edges = accounts.iter().filter(|a| a.terms.min_days.is_some()).map(|a| a.per_day / SEGMENTS).sum();
        Self { accounts, stocks: accounts.iter().map(stock).collect(), now, edges }
    }

    /// What is promised or held.
    pub(super) fn owed(&self) -> u64 {
        let stock = |s: &Stock| s.promised.iter().copied().fold(s.held, u64::saturating_add);
        self.stocks.iter().map(stock).fold(self.edges, u64::saturating_add)
    }

    /// Everything is a day older, and a day's footage has come.
    pub(super) fn pass_day(&mut self) {
        let day = Span { start: self.now, end: self.now.offset(DAY_NS) };
        self.now = day.end;
        for (stock, account) in self.stocks.iter_mut().zip(self.accounts) {
            let held = held_part(account, day);
            let min_days = account.terms.min_days.unwrap_or(0) as usize;
            stock.promised.insert(0, account.per_day - held);
            stock.promised.truncate(min_days);
            stock.held = stock.held.saturating_add(held);
            stock.today = (stock.promised.first().copied().unwrap_or(0), held);
        }
    }

    /// More is owed than fits: cameras are not recorded today, or the oldest goes, until it does.
    pub(super) fn give_way(&mut self, promise: Promise, usable: u64, day: u32) {
        match promise {
            Promise::Invariant => self.stop(usable, day),
            Promise::Target => self.overwrite(usable, day),
        }
    }

    fn stop(&mut self, usable: u64, day: u32) {
        let mut missing = self.owed().saturating_sub(usable);
        for i in stop_order(self.accounts) {
            if missing == 0 {
                return;
            }
            let stock = &mut self.stocks[i];
            stock.affected.get_or_insert(day);
            let (promised, held) = stock.today;
            if let Some(first) = stock.promised.first_mut() {
                *first = first.saturating_sub(promised);
            }
            stock.held = stock.held.saturating_sub(held);
            // On the first day nothing has come yet that could be taken back: who stops now makes room from now on.
            let saved = if day == 0 { self.accounts[i].per_day } else { promised.saturating_add(held) };
            stock.today = (0, 0);
            missing = missing.saturating_sub(saved);
        }
    }

    fn overwrite(&mut self, usable: u64, day: u32) {
        let mut missing = self.owed().saturating_sub(usable);
        let oldest = self.stocks.iter().map(|s| s.promised.len()).max().unwrap_or(0);
        for age in (0..oldest).rev() {
            let all: u64 = self.stocks.iter().filter_map(|s| s.promised.get(age)).copied().fold(0, u64::saturating_add);
            if missing == 0 || all == 0 {
                continue;
            }
            // What is equally old goes in equal parts.
            let goes = missing.min(all);
            for stock in &mut self.stocks {
                if let Some(bytes) = stock.promised.get_mut(age).filter(|b| **b > 0) {
                    let part = u128::from(*bytes) * u128::from(goes) / u128::from(all);
                    *bytes -= u64::try_from(part).unwrap_or(*bytes).min(*bytes);
                    stock.affected.get_or_insert(day);
                }
            }
            missing -= goes;
        }
    }

    /// Per account, the first day on which it gave way.
    pub(super) fn affected(&self) -> Vec<Option<u32>> {
        self.stocks.iter().map(|s| s.affected).collect()
    }
}

/// How much of what an account brings on a day is held as it comes.
fn held_part(account: &Account, day: Span) -> u64 {
    let held_ns: i64 = account.held_ahead.iter().filter_map(|h| h.intersect(day)).map(Span::len_ns).sum();
    let part = u128::from(account.per_day) * u128::from(held_ns.clamp(0, DAY_NS).unsigned_abs())
        / u128::from(DAY_NS.unsigned_abs());
    u64::try_from(part).unwrap_or(account.per_day)
}
