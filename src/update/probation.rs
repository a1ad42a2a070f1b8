//! A boot that is counted has to prove itself, within a time. One that does not is given up by the one who calls this.

use std::time::Duration;

use crate::sys::Clock;

/// How it is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not yet, for this reason.
    NotYet(String),
}

/// What the machine is asked.
pub trait Watch {
    /// How it is.
    fn verdict(&self) -> Verdict;
    /// Whether the time does not count: a person is being asked to unlock a disk, or another command has hold of the updates.
    fn does_not_count(&self) -> bool;
    /// Lets a moment pass.
    fn pause(&self);
}

/// Waits until it is good, for so long at most; else why it is not.
pub fn wait(clock: &dyn Clock, watch: &dyn Watch, limit: Duration) -> Result<(), String> {
    let (mut counted, mut before) = (Duration::ZERO, clock.monotonic());
    loop {
        let why = match watch.verdict() {
            Verdict::Good => return Ok(()),
            Verdict::NotYet(why) => why,
        };
        if counted >= limit {
            return Err(why);
        }
        let waits = watch.does_not_count();
        watch.pause();
        let now = clock.monotonic();
        if !waits {
            counted += now.since(before);
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{sys::FakeClock, types::WallNs};

    struct Script<'a> {
        clock: &'a FakeClock,
        seconds: Cell<u64>,
        asks_until: u64,
        good_at: u64,
    }

    impl Watch for Script<'_> {
        fn verdict(&self) -> Verdict {
            let good = self.seconds.get() >= self.good_at;
            if good { Verdict::Good } else { Verdict::NotYet(format!("{} s", self.seconds.get())) }
        }
        fn does_not_count(&self) -> bool {
            self.seconds.get() < self.asks_until
        }
        fn pause(&self) {
            self.clock.advance(Duration::from_secs(2));
            self.seconds.set(self.seconds.get() + 2);
        }
    }

    #[test]
    fn it_waits_for_so_long_and_persons_have_their_time() {
        let clock = FakeClock::at(WallNs(0));
        let run = |asks_until, good_at| {
            let watch = Script { clock: &clock, seconds: Cell::new(0), asks_until, good_at };
            wait(&clock, &watch, Duration::from_mins(10))
        };
        assert_eq!(run(0, 0), Ok(()));
        assert_eq!(run(0, 600), Ok(()));
        assert_eq!(run(0, 602), Err("600 s".to_owned()));
        assert_eq!(run(86_400, 87_000), Ok(()));
        assert_eq!(run(86_400, 87_002), Err("87000 s".to_owned()));
        // That the wall clock is set meanwhile changes nothing.
        clock.step(-1_000_000_000_000_000);
        assert_eq!(run(0, 598), Ok(()));
    }
}
