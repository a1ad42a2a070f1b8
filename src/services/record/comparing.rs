//! Which volumes are to be compared with the index, and which are being compared. One that could not be is compared again: until it
//! was, nothing is deleted on it.

use std::{collections::BTreeMap, io, thread::JoinHandle, time::Duration};

use crate::{sys::Monotonic, types::VolumeName};

/// A comparison that failed is begun again after so long.
const AGAIN: Duration = Duration::from_secs(30);
/// One that takes longer is spoken of.
const LONG: Duration = Duration::from_hours(1);

/// A comparison at work. An error is why it has to be begun again.
pub(super) type Comparison = JoinHandle<Result<(), String>>;

#[derive(Debug)]
struct Busy {
    thread: Comparison,
    since: Monotonic,
    told: bool,
}

/// The volumes.
#[derive(Debug, Default)]
pub(super) struct Comparing {
    /// From when on.
    due: BTreeMap<VolumeName, Option<Monotonic>>,
    busy: BTreeMap<VolumeName, Busy>,
    /// Why one had to be begun again, so that it is not said over and over.
    failed: BTreeMap<VolumeName, String>,
}

impl Comparing {
    /// Wants volumes to be compared as soon as may be.
    pub(super) fn want(&mut self, names: impl IntoIterator<Item = VolumeName>) {
        self.due.extend(names.into_iter().map(|name| (name, None)));
    }

    /// Takes note of what is done, and begins what is due.
    pub(super) fn go_on(&mut self, now: Monotonic, begin: &mut dyn FnMut(&VolumeName) -> io::Result<Comparison>) {
        for (name, busy) in self.busy.iter_mut().filter(|(_, busy)| !busy.told && now.since(busy.since) >= LONG) {
            busy.told = true;
            log::warn!(VOLUME = name.as_str(); "volume {name} has been compared with the index for an hour and is not done; nothing is deleted on it until then");
        }
        let done: Vec<_> = self.busy.extract_if(.., |_, busy| busy.thread.is_finished()).collect();
        for (name, busy) in done {
            match busy.thread.join().unwrap_or_else(|_| Err("it was broken off by a mistake in this program".into())) {
                Ok(()) => drop(self.failed.remove(&name)),
                Err(why) => self.failed(name, why, now),
            }
        }
        let due: Vec<VolumeName> = (self.due.iter())
            .filter(|(name, from)| !self.busy.contains_key(*name) && from.is_none_or(|from| now.since(from) >= AGAIN))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.due.remove(&name);
            match begin(&name) {
                Ok(thread) => drop(self.busy.insert(name, Busy { thread, since: now, told: false })),
                Err(e) => self.failed(name, e.to_string(), now),
            }
        }
    }

    fn failed(&mut self, name: VolumeName, why: String, now: Monotonic) {
        if self.failed.get(&name) != Some(&why) {
            log::error!(
                VOLUME = name.as_str(), CAUSE = why.as_str();
                "volume {name} is not compared with the index, and nothing is deleted on it: {why}; it is tried again every {} s",
                AGAIN.as_secs()
            );
        }
        self.failed.insert(name.clone(), why);
        // Who wants it at once meanwhile has it at once.
        self.due.entry(name).or_insert(Some(now));
    }

    /// Whether one is at work.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.values().any(|busy| !busy.thread.is_finished())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins what is due with that outcome, and waits until it is done. Which were begun.
    fn begun(comparing: &mut Comparing, at: u64, outcome: fn() -> Result<(), String>) -> Vec<String> {
        let mut begun = Vec::new();
        comparing.go_on(Monotonic(i64::try_from(at * 1_000_000_000).unwrap()), &mut |name| {
            begun.push(name.to_string());
            let thread = std::thread::spawn(outcome);
            while !thread.is_finished() {
                std::thread::yield_now();
            }
            Ok(thread)
        });
        begun
    }

    #[test]
    fn a_volume_is_compared_until_that_has_succeeded() {
        let mut all = Comparing::default();
        all.want(["a".parse().unwrap(), "b".parse().unwrap()]);
        assert_eq!(begun(&mut all, 0, || Err("the index cannot be read".into())), ["a", "b"]);
        assert_eq!(begun(&mut all, 1, || Ok(())), [""; 0], "not at once again");
        assert_eq!(begun(&mut all, 32, || panic!("as on a disk that nobody thought of")), ["a", "b"]);
        assert_eq!(begun(&mut all, 33, || Ok(())), [""; 0]);
        all.want(["b".parse().unwrap()]);
        assert_eq!(begun(&mut all, 34, || Ok(())), ["b"], "it has come back");
        assert_eq!(begun(&mut all, 64, || Ok(())), ["a"]);
        assert_eq!(begun(&mut all, 99, || Ok(())), [""; 0], "all are compared");
        let mut refused = 0;
        all.want(["a".parse().unwrap()]);
        for at in [100, 101, 131] {
            all.go_on(Monotonic(at * 1_000_000_000), &mut |_| {
                refused += 1;
                Err(io::ErrorKind::OutOfMemory.into())
            });
        }
        assert_eq!(refused, 2, "without a thread too");
    }
}
