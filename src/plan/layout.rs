//! Laying cameras on volumes: within capacity, and moving as few as possible.
//!
//! First an exact search over few moves, with a bounded number of steps; then, for sites that it does not get through, the
//! greedy way: too full volumes give up their largest cameras, and what has no place goes, largest first, where most is
//! free. That one finds a layout whenever the sum needed is at most the sum there less one largest camera per volume: if a
//! camera fits nowhere, every volume has less than that camera's size left.

use std::collections::BTreeMap;

/// Something to be laid on exactly one volume: a camera, or one of its two copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Bytes that it needs.
    pub(super) needs: u64,
    /// Volumes on which it may lie, by index. Never empty.
    pub(super) allowed: Vec<usize>,
    /// Where it is now, if anywhere that is still allowed.
    pub(super) now: Option<usize>,
    /// Another item that must lie elsewhere.
    pub(super) apart_from: Option<usize>,
}

/// Steps of the exact search.
const PATIENCE: u32 = 60_000;

/// A volume for each item, or none if no layout was found. `capacity` is in bytes, by volume.
pub(super) fn lay(items: &[Item], capacity: &[u64]) -> Option<Vec<usize>> {
    let order = largest_first(items);
    let most = items.iter().filter(|i| i.now.is_some()).count();
    let mut search = Search { items, order: &order, free: Vec::new(), at: Vec::new(), patience: PATIENCE };
    for moves in unavoidable(items, capacity)..=most {
        search.free = capacity.to_vec();
        search.at = vec![None; items.len()];
        if search.place(0, moves) {
            return search.at.into_iter().collect();
        }
        if search.patience == 0 {
            break;
        }
    }
    greedy(items, &order, capacity, true).or_else(|| greedy(items, &order, capacity, false))
}

/// For a site that is accepted though it does not fit: nothing moves, and the rest goes where the share of what is missing stays least.
pub(super) fn lay_anyhow(items: &[Item], capacity: &[u64]) -> Vec<usize> {
    let mut used = vec![0_u64; capacity.len()];
    let mut at: Vec<Option<usize>> = items.iter().map(|i| i.now).collect();
    for (item, at) in items.iter().zip(&at) {
        if let Some(at) = at {
            used[*at] = used[*at].saturating_add(item.needs);
        }
    }
    for i in largest_first(items) {
        if at[i].is_some() {
            continue;
        }
        let item = &items[i];
        let taken = item.apart_from.and_then(|other| at[other]);
        let fullness = |v: &usize| used[*v].saturating_add(item.needs) as f64 / capacity[*v].max(1) as f64;
        let places = item.allowed.iter().copied().filter(|v| Some(*v) != taken);
        let best = places.min_by(|a, b| fullness(a).total_cmp(&fullness(b))).unwrap_or(item.allowed[0]);
        used[best] = used[best].saturating_add(item.needs);
        at[i] = Some(best);
    }
    at.into_iter().map(Option::unwrap_or_default).collect()
}

fn largest_first(items: &[Item]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    // Those with fewer places to go come first among equals.
    order.sort_by_key(|i| (std::cmp::Reverse(items[*i].needs), items[*i].allowed.len(), *i));
    order
}

/// The fewest items that have to leave volumes which are too full now.
fn unavoidable(items: &[Item], capacity: &[u64]) -> usize {
    let mut here: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for item in items {
        if let Some(now) = item.now {
            here.entry(now).or_default().push(item.needs);
        }
    }
    let mut count = 0;
    for (volume, mut sizes) in here {
        sizes.sort_unstable();
        let mut sum: u128 = sizes.iter().map(|s| u128::from(*s)).sum();
        while sum > u128::from(capacity[volume]) {
            sum -= u128::from(sizes.pop().unwrap_or_default());
            count += 1;
        }
    }
    count
}

struct Search<'a> {
    items: &'a [Item],
    order: &'a [usize],
    free: Vec<u64>,
    at: Vec<Option<usize>>,
    patience: u32,
}

impl Search<'_> {
    /// Places the items from `n` on, of which at most `moves` may leave where they are.
    fn place(&mut self, n: usize, moves: usize) -> bool {
        let Some(i) = self.order.get(n).copied() else { return true };
        if self.patience == 0 {
            return false;
        }
        self.patience -= 1;
        let item = &self.items[i];
        let taken = item.apart_from.and_then(|other| self.at[other]);
        let mut places: Vec<usize> =
            item.allowed.iter().copied().filter(|v| self.free[*v] >= item.needs && Some(*v) != taken).collect();
        places.sort_by_key(|v| (item.now != Some(*v), std::cmp::Reverse(self.free[*v]), *v));
        for v in places {
            let moved = item.now.is_some_and(|now| now != v);
            if moved && moves == 0 {
                break; // what follows moves it too
            }
            self.free[v] -= item.needs;
            self.at[i] = Some(v);
            if self.place(n + 1, moves - usize::from(moved)) {
                return true;
            }
            self.free[v] += item.needs;
            self.at[i] = None;
        }
        false
    }
}

/// Largest first, where most is free; with `keep`, what has a place that is not too full stays there.
fn greedy(items: &[Item], order: &[usize], capacity: &[u64], keep: bool) -> Option<Vec<usize>> {
    let mut free = capacity.to_vec();
    let mut at: Vec<Option<usize>> = vec![None; items.len()];
    if keep {
        // Smallest first: so the fewest have to leave.
        for i in order.iter().rev().copied() {
            if let Some(now) = items[i].now
                && free[now] >= items[i].needs
            {
                free[now] -= items[i].needs;
                at[i] = Some(now);
            }
        }
    }
    for i in order.iter().copied() {
        if at[i].is_some() {
            continue;
        }
        let taken = items[i].apart_from.and_then(|other| at[other]);
        let places = items[i].allowed.iter().copied().filter(|v| free[*v] >= items[i].needs && Some(*v) != taken);
        let v = places.max_by_key(|v| (free[*v], std::cmp::Reverse(*v)))?;
        free[v] -= items[i].needs;
        at[i] = Some(v);
    }
    at.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How full each volume is.
    fn used(items: &[Item], at: &[usize], volumes: usize) -> Vec<u64> {
        let mut used = vec![0_u64; volumes];
        for (item, at) in items.iter().zip(at) {
            used[*at] = used[*at].saturating_add(item.needs);
        }
        used
    }

    fn item(needs: u64, volumes: usize, now: Option<usize>) -> Item {
        Item { needs, allowed: (0..volumes).collect(), now, apart_from: None }
    }

    fn moves(items: &[Item], at: &[usize]) -> usize {
        items.iter().zip(at).filter(|(i, at)| i.now.is_some_and(|now| now != **at)).count()
    }

    fn fits(items: &[Item], at: &[usize], capacity: &[u64]) -> bool {
        used(items, at, capacity.len()).iter().zip(capacity).all(|(used, there)| used <= there)
            && items
                .iter()
                .zip(at)
                .all(|(i, here)| i.allowed.contains(here) && i.apart_from.is_none_or(|o| at[o] != *here))
    }

    /// The fewest moves of all layouts that fit.
    fn fewest(items: &[Item], capacity: &[u64]) -> Option<usize> {
        let v = capacity.len();
        (0..v.pow(u32::try_from(items.len()).unwrap()))
            .map(|mut code| {
                let mut at = Vec::new();
                for _ in items {
                    at.push(code % v);
                    code /= v;
                }
                at
            })
            .filter(|at| fits(items, at, capacity))
            .map(|at| moves(items, &at))
            .min()
    }

    #[test]
    fn copies_lie_apart() {
        let mut items = vec![item(5, 3, None), item(5, 3, None)];
        items[1].apart_from = Some(0);
        let at = lay(&items, &[10, 4, 5]).unwrap();
        assert_ne!(at[0], at[1]);
        assert!(lay(&items, &[10, 4, 4]).is_none());
    }

    #[test]
    fn sixty_four_equal_cameras_on_three_disks() {
        let items: Vec<Item> = (0..64).map(|_| item(432, 3, None)).collect();
        assert!(lay(&items, &[11_700, 11_700, 5_800]).is_some());
        assert!(lay(&items, &[9_000, 9_000, 5_800]).is_none());
    }

    proptest! {
        #[test]
        fn never_over_capacity_and_found_within_the_bound(
            needs in proptest::collection::vec((1_u64..1000, 0_usize..8), 1..80),
            capacity in proptest::collection::vec(1_u64..20_000, 1..6),
        ) {
            let v = capacity.len();
            let items: Vec<Item> = needs.iter().map(|(n, now)| item(*n, v, (*now < v).then_some(*now))).collect();
            let (sum, there): (u64, u64) = (items.iter().map(|i| i.needs).sum(), capacity.iter().sum());
            let largest = items.iter().map(|i| i.needs).max().unwrap_or(0);
            match lay(&items, &capacity) {
                Some(at) => prop_assert!(fits(&items, &at, &capacity)),
                None => prop_assert!(sum + v as u64 * largest > there, "{sum} + {v} x {largest} of {there}"),
            }
        }

        #[test]
        fn a_layout_that_fits_stays(
            needs in proptest::collection::vec((1_u64..1000, 0_usize..4), 1..80),
            new in proptest::collection::vec(1_u64..1000, 0..3),
        ) {
            let mut items: Vec<Item> = needs.iter().map(|(n, now)| item(*n, 4, Some(*now))).collect();
            let now: Vec<usize> = needs.iter().map(|(_, now)| *now).collect();
            let mut capacity = used(&items, &now, 4);
            capacity[2] += new.iter().sum::<u64>();
            items.extend(new.iter().map(|n| item(*n, 4, None)));
            let at = lay(&items, &capacity).unwrap();
            prop_assert_eq!(moves(&items, &at), 0);
        }

        #[test]
        fn as_few_move_as_can_be(
            needs in proptest::collection::vec((1_u64..20, 0_usize..4), 1..7),
            capacity in proptest::collection::vec(5_u64..60, 2..4),
        ) {
            let v = capacity.len();
            let items: Vec<Item> = needs.iter().map(|(n, now)| item(*n, v, (*now < v).then_some(*now))).collect();
            let found = lay(&items, &capacity).map(|at| moves(&items, &at));
            prop_assert_eq!(found, fewest(&items, &capacity));
        }

        #[test]
        fn what_does_not_fit_is_laid_without_moves(
            needs in proptest::collection::vec((1_u64..1000, 0_usize..5), 1..40),
        ) {
            let items: Vec<Item> = needs.iter().map(|(n, now)| item(*n, 3, (*now < 3).then_some(*now))).collect();
            prop_assert_eq!(moves(&items, &lay_anyhow(&items, &[100, 100, 50])), 0);
        }
    }
}
