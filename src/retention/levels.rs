//! How much of a volume is kept free, and for what.

use crate::store::reserve;

/// Kept free ahead of need, in 1/1000 of the volume; `plan` counts the same.
const WANTED: u64 = 5;
/// The least of that, on volumes of ten times as much.
const LEAST: u64 = 512 << 20;
/// Making room may be suspended for a moment: room for so much recording is there in any case, in parts of a day.
const MOMENT: u64 = 288;

/// Room on a volume, in bytes free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Nobody may record any more: a little above where the store refuses.
    pub floor: u64,
    /// With less, room is made.
    pub wanted: u64,
    /// So much is made then.
    pub ample: u64,
}

impl Levels {
    /// For a volume of that size which takes so many bytes a day.
    pub fn of(size: u64, per_day: u64) -> Self {
        let floor = reserve(size) / 4 * 5;
        let part = (size / 1000 * WANTED).max(LEAST.min(size / 10));
        let wanted = part.max(floor.saturating_add(per_day / MOMENT)).min(size / 4);
        Self { floor, wanted, ample: wanted + wanted / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_lie_in_order_on_disks_of_all_sizes() {
        for size in [100_000_000, 512 << 20, 8_000_000_000, 50_000_000_000, 107 << 30, 12_000_000_000_000] {
            for per_day in [0, 1_000_000_000, 1_400_000_000_000] {
                let Levels { floor, wanted, ample } = Levels::of(size, per_day);
                assert!(reserve(size) < floor, "{size} {per_day}");
                assert!(floor + floor / 4 < wanted, "{size} {per_day}: room for cameras to stop one by one");
                assert!(wanted < ample && ample < size / 2, "{size} {per_day}");
            }
        }
        // School A: 12 TB, 64 cameras of 2 Mbit/s for 20 days.
        assert_eq!(Levels::of(12_000_000_000_000, 64 * 21_600_000_000).wanted, 60_000_000_000);
    }
}
