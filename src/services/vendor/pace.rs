//! How often the vendor may ask: each request is an entry of the ledger, for good, and waits for a disk.

use crate::sys::Monotonic;

/// So many at once, by whoever comes after a pause: a person who looks around, a program that asks for all.
pub(super) const BURST: u32 = 300;
/// And then one in so long.
const EACH: i64 = 1_000_000_000;
/// Of those that are refused one is noted in so long.
const WINDOW: i64 = 60_000_000_000;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may.
    Taken,
    /// Too often: not answered. `noted`: it is the one of this minute that the ledger is told of.
    TooOften { noted: bool },
}

/// Goes by the time since boot.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all of [`BURST`] will be there again.
    whole: i64,
    noted: Option<Monotonic>,
}

impl Pace {
    pub(super) fn take(&mut self, now: Monotonic) -> Turn {
        let whole = self.whole.max(now.0) + EACH;
        if whole - now.0 <= EACH * i64::from(BURST) {
            self.whole = whole;
            return Turn::Taken;
        }
        let noted = self.noted.is_none_or(|at| now.0 - at.0 >= WINDOW);
        if noted {
            self.noted = Some(now);
        }
        Turn::TooOften { noted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_a_second() {
        let mut pace = Pace::default();
        let second = |s: i64| Monotonic(5_000 * EACH + s * EACH);
        assert!((0..BURST).all(|_| pace.take(second(0)) == Turn::Taken));
        assert_eq!(pace.take(second(0)), Turn::TooOften { noted: true });
        assert_eq!(pace.take(second(0)), Turn::TooOften { noted: false });
        let mut of = |from: i64, to: i64| {
            let all: Vec<Turn> = (from..to).flat_map(|s| [pace.take(second(s)), pace.take(second(s))]).collect();
            let count = |turn| all.iter().filter(|t| **t == turn).count();
            (count(Turn::Taken), count(Turn::TooOften { noted: true }))
        };
        assert_eq!(of(1, 301), (300, 5), "whoever goes on gets one a second, and an entry a minute says so");
        assert_eq!(of(1000, 1001), (2, 0));
    }
}
