//! What is remembered so that ages and sums go on over a restart of the machine, also if the recorder never starts again.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{FORMAT, Kept};
use crate::{
    sys::{Files, Monotonic},
    types::{CameraId, Span, StreamKind, WallNs, wire::health::GapSeconds},
};

/// Gaps are counted once they are so old: what is in flight, or in a run whose end nobody knows yet, is no gap.
const SETTLED: Duration = Duration::from_mins(2);
/// They are asked for in pieces that are not shorter, unless the clock was set.
const PIECE_NS: i64 = 60_000_000_000;
/// If counting is ahead of the clock by so much, the clock was wrong.
const WRONG_NS: i64 = 86_400_000_000_000;
/// It is written down so often: a file that is written every 30 s would wear a disk for nothing.
const PAUSE: Duration = Duration::from_mins(5);

type Key = (CameraId, StreamKind);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    format: u16,
    /// When health looked first.
    since: WallNs,
    /// Up to where gaps are counted.
    counted: WallNs,
    /// Up to where they were counted before the clock was set back by more than a day.
    #[serde(default)]
    reached: Option<WallNs>,
    streams: Vec<Remembered>,
    /// Since when the site wants each camera recorded that it wants.
    wanted: BTreeMap<CameraId, WallNs>,
    /// When somebody outside took a checkpoint of the ledger last.
    #[serde(default)]
    witnessed: Option<WallNs>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    camera: CameraId,
    stream: StreamKind,
    newest: Option<WallNs>,
    gap_seconds: f64,
    /// The newest second that was seen, and how long it had stood still when this was written.
    #[serde(default)]
    seen: Option<WallNs>,
    #[serde(default)]
    still_seconds: u64,
}

/// Since when a stream's newest second has stood still, by the time since boot: no clock that is set changes it.
#[derive(Debug, Clone, Copy)]
struct Still {
    seen: WallNs,
    /// As was remembered at the start.
    before: Duration,
    /// When this process saw it first.
    since: Option<Monotonic>,
}

impl Still {
    fn length(&self, boot: Monotonic) -> Duration {
        self.before.saturating_add(self.since.map_or(Duration::ZERO, |since| boot.since(since)))
    }
}

/// What is remembered.
pub(in crate::services::health) struct Memory {
    kept: Kept,
    since: Option<WallNs>,
    counted: Option<WallNs>,
    reached: Option<WallNs>,
    newest: BTreeMap<Key, WallNs>,
    still: BTreeMap<Key, Still>,
    gaps: BTreeMap<Key, f64>,
    wanted: BTreeMap<CameraId, WallNs>,
    witnessed: Option<WallNs>,
    saved: Option<Monotonic>,
}

impl Memory {
    pub(in crate::services::health) fn read(files: &dyn Files, dir: &Path) -> Self {
        let kept = Kept::new(dir, "memory.json");
        let said: Option<Said> = kept.read(files);
        let streams = || said.iter().flat_map(|said| &said.streams);
        let key = |s: &Remembered| (s.camera.clone(), s.stream);
        let still =
            |s: &Remembered| Some(Still { seen: s.seen?, before: Duration::from_secs(s.still_seconds), since: None });
        Self {
            still: streams().filter_map(|s| Some((key(s), still(s)?))).collect(),
            newest: streams().filter_map(|s| Some((key(s), s.newest?))).collect(),
            gaps: streams().map(|s| (key(s), s.gap_seconds)).collect(),
            since: said.as_ref().map(|said| said.since),
            counted: said.as_ref().map(|said| said.counted),
            reached: said.as_ref().and_then(|said| said.reached),
            wanted: said.as_ref().map(|said| said.wanted.clone()).unwrap_or_default(),
            witnessed: said.as_ref().and_then(|said| said.witnessed),
            kept,
            saved: None,
        }
    }

    /// Since when it is looked, as of a look at `now`.
    pub(in crate::services::health) fn since(&mut self, now: WallNs) -> WallNs {
        // A clock that was wrong does not hide for years what is not there.
        let since = self.since.map_or(now, |since| since.min(now));
        self.since = Some(since);
        since
    }

    /// The span in which gaps are to be counted next, if there is one.
    pub(in crate::services::health) fn uncounted(&mut self, now: WallNs) -> Option<Span> {
        let until = now.offset(-i64::try_from(SETTLED.as_nanos()).unwrap_or(i64::MAX));
        let counted = *self.counted.get_or_insert(until);
        if counted.since(until) > WRONG_NS {
            // What was counted is not to be counted again when the clock comes back to it.
            self.reached = self.reached.max(Some(counted));
            self.counted = Some(until);
            return None;
        }
        // After a clock that was far behind, or a recorder that was long away, a day at most: more would not be answered in time.
        let counted = self.reached.filter(|at| *at <= until).map_or(counted, |at| at.max(counted));
        let counted = counted.max(until.offset(-WRONG_NS));
        self.counted = Some(counted);
        Span::new(counted, until).filter(|span| span.len_ns() >= PIECE_NS)
    }

    /// So much was missing in a span.
    pub(in crate::services::health) fn count(&mut self, span: Span, missing: Vec<GapSeconds>) {
        for one in missing {
            let seconds = one.seconds.clamp(0.0, span.len_ns() as f64 / 1e9);
            *self.gaps.entry((one.camera, one.stream)).or_default() += seconds;
        }
        self.counted = Some(span.end);
    }

    pub(in crate::services::health) fn gaps(&self) -> &BTreeMap<Key, f64> {
        &self.gaps
    }

    /// How far each stream is, where `seen` is what is seen now; of what is not seen now what is remembered.
    pub(in crate::services::health) fn newest(
        &mut self,
        (now, boot): (WallNs, Monotonic),
        seen: BTreeMap<Key, WallNs>,
    ) -> BTreeMap<Key, WallNs> {
        for still in self.still.values_mut() {
            still.since.get_or_insert(boot);
        }
        for (key, at) in &seen {
            let first = Still { seen: *at, before: Duration::ZERO, since: Some(boot) };
            let still = self.still.entry(key.clone()).or_insert(first);
            if *at > still.seen {
                *still = first;
            }
            // Where a volume that was further is gone, what lies behind is no news.
            still.seen = *at;
        }
        // What was noted by a clock that was ahead ages from the moment at which that is seen.
        for (key, newest) in &mut self.newest {
            if !seen.contains_key(key) {
                *newest = now.min(*newest);
            }
        }
        self.newest.extend(seen);
        self.newest.clone()
    }

    /// How long the newest second of each stream has stood still.
    pub(in crate::services::health) fn still(&self, boot: Monotonic) -> BTreeMap<Key, Duration> {
        self.still.iter().map(|(key, still)| (key.clone(), still.length(boot))).collect()
    }

    /// The site wants these recorded now: since when it does, as far as was seen.
    pub(in crate::services::health) fn want(
        &mut self,
        now: WallNs,
        cameras: Vec<CameraId>,
    ) -> BTreeMap<CameraId, WallNs> {
        let since = |camera: &CameraId| self.wanted.get(camera).map_or(now, |since| now.min(*since));
        self.wanted = cameras.into_iter().map(|camera| (camera.clone(), since(&camera))).collect();
        self.wanted.clone()
    }

    /// When somebody outside took a checkpoint last, where `seen` is what is known of it now.
    pub(in crate::services::health) fn witnessed(&mut self, now: WallNs, seen: Option<WallNs>) -> Option<WallNs> {
        // By a clock that was ahead a witness would be believed in for longer than it remembers.
        self.witnessed = self.witnessed.max(seen).map(|at| at.min(now));
        self.witnessed
    }

    /// Writes it down if that is due, or at once.
    pub(in crate::services::health) fn save(
        &mut self,
        files: &dyn Files,
        now: Monotonic,
        at_once: bool,
    ) -> anyhow::Result<()> {
        if !at_once && self.saved.is_some_and(|saved| now.since(saved) < PAUSE) {
            return Ok(());
        }
        let (Some(since), Some(counted)) = (self.since, self.counted) else { return Ok(()) };
        let keys: std::collections::BTreeSet<&Key> = self.newest.keys().chain(self.gaps.keys()).collect();
        let stream = |key: &Key| Remembered {
            camera: key.0.clone(),
            stream: key.1,
            newest: self.newest.get(key).copied(),
            gap_seconds: self.gaps.get(key).copied().unwrap_or_default(),
            seen: self.still.get(key).map(|still| still.seen),
            still_seconds: self.still.get(key).map_or(0, |still| still.length(now).as_secs()),
        };
        let streams = keys.into_iter().map(stream).collect();
        let (wanted, witnessed, reached) = (self.wanted.clone(), self.witnessed, self.reached);
        self.kept.write(files, &Said { format: FORMAT, since, counted, reached, streams, wanted, witnessed })?;
        // What could not be written is due until it is: a trouble that comes and goes would be told each time.
        self.saved = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::FakeFiles;

    const SECOND: i64 = 1_000_000_000;
    const MINUTE: i64 = 60 * SECOND;

    fn files() -> FakeFiles {
        let files = FakeFiles::new();
        files.make_dir(Path::new("/health")).unwrap();
        files
    }

    fn read(files: &FakeFiles) -> Memory {
        Memory::read(files, Path::new("/health"))
    }

    fn key() -> Key {
        ("gate".parse().unwrap(), StreamKind::Main)
    }

    fn missing(seconds: f64) -> Vec<GapSeconds> {
        vec![GapSeconds { camera: key().0, stream: key().1, seconds }]
    }

    #[test]
    fn gaps_are_counted_once_each_also_over_a_restart() {
        let files = files();
        let mut memory = read(&files);
        let start = WallNs(1000 * MINUTE);
        memory.since(start);
        assert_eq!(memory.uncounted(start), None, "what was before is nobody's");
        assert_eq!(memory.uncounted(start.offset(59 * SECOND)), None);
        let first = memory.uncounted(start.offset(MINUTE)).unwrap();
        assert_eq!((first.start, first.end), (start.offset(-2 * MINUTE), start.offset(-MINUTE)));
        // It was not answered: the next span begins where this one did.
        let both = memory.uncounted(start.offset(5 * MINUTE)).unwrap();
        assert_eq!((both.start, both.end), (first.start, start.offset(3 * MINUTE)));
        memory.count(both, missing(7.5));
        memory.save(&files, Monotonic(0), true).unwrap();
        let mut memory = read(&files);
        let next = memory.uncounted(start.offset(60 * MINUTE)).unwrap();
        assert_eq!(next.start, both.end);
        memory.count(next, missing(1e9));
        let expected = 7.5 + next.len_ns() as f64 / 1e9;
        assert!((memory.gaps()[&key()] - expected).abs() < 1e-6, "never more than there was time");
        assert_eq!(memory.since(start.offset(60 * MINUTE)), start);
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing_for_good() {
        let mut memory = read(&files());
        let wrong = WallNs(9_000_000 * MINUTE);
        memory.since(wrong);
        assert_eq!(memory.uncounted(wrong), None);
        let right = WallNs(1000 * MINUTE);
        assert_eq!(memory.uncounted(right), None);
        assert!(memory.uncounted(right.offset(2 * MINUTE)).is_some());
        assert_eq!(memory.since(right), right);
    }

    #[test]
    fn gaps_are_not_counted_twice_after_a_clock_that_was_behind() {
        const DAY: i64 = 24 * 60 * MINUTE;
        let files = files();
        let mut memory = read(&files);
        let right = WallNs(2000 * DAY);
        memory.since(right);
        memory.uncounted(right);
        let first = memory.uncounted(right.offset(5 * MINUTE)).unwrap();
        memory.count(first, missing(1.0));
        // The board's clock has lost its battery.
        let wrong = WallNs(5 * DAY);
        assert_eq!(memory.uncounted(wrong), None);
        let meanwhile = memory.uncounted(wrong.offset(5 * MINUTE)).unwrap();
        memory.count(meanwhile, Vec::new());
        memory.save(&files, Monotonic(0), true).unwrap();
        // A time service corrects it after a restart.
        let mut memory = read(&files);
        let next = memory.uncounted(right.offset(20 * MINUTE)).unwrap();
        assert_eq!(next.start, first.end, "what was counted is not asked for again");
        memory.count(next, Vec::new());
        // A recorder that was away for a month is asked for a day.
        let long = memory.uncounted(right.offset(30 * DAY)).unwrap();
        assert_eq!(long.len_ns(), DAY);
    }

    #[test]
    fn how_long_a_newest_second_stands_still_is_known_whatever_the_clock_says() {
        let files = files();
        let mut memory = read(&files);
        let after = |seconds: i64| Monotonic(seconds * SECOND);
        let seen = |at: i64| BTreeMap::from([(key(), WallNs(at))]);
        let still = |memory: &Memory, seconds| memory.still(after(seconds))[&key()].as_secs();
        memory.since(WallNs(9000));
        memory.uncounted(WallNs(9000));
        memory.newest((WallNs(9000), after(100)), seen(8999));
        memory.newest((WallNs(100), after(200)), seen(9001));
        assert_eq!(still(&memory, 200), 0, "it goes on, ahead of the clock");
        memory.newest((WallNs(200), after(500)), seen(9001));
        assert_eq!(still(&memory, 500), 300);
        memory.newest((WallNs(300), after(600)), seen(50));
        assert_eq!(still(&memory, 600), 400, "the volume that was furthest is gone");
        memory.newest((WallNs(300), after(600)), BTreeMap::new());
        memory.save(&files, after(700), true).unwrap();
        let mut memory = read(&files);
        memory.newest((WallNs(400), after(10)), seen(50));
        assert_eq!(still(&memory, 70), 560, "over a restart");
        memory.newest((WallNs(500), after(80)), seen(51));
        assert_eq!(still(&memory, 80), 0);
    }

    #[test]
    fn ages_go_on_after_a_restart_with_a_recorder_that_never_started() {
        let files = files();
        let mut memory = read(&files);
        memory.since(WallNs(0));
        memory.uncounted(WallNs(0));
        let seen = || BTreeMap::from([(key(), WallNs(50))]);
        assert_eq!(memory.newest((WallNs(60), Monotonic(0)), seen()), seen());
        memory.save(&files, Monotonic(0), false).unwrap();
        let mut memory = read(&files);
        assert_eq!(memory.newest((WallNs(5000), Monotonic(0)), BTreeMap::new()), seen());
        assert_eq!(
            memory.newest((WallNs(5000), Monotonic(0)), BTreeMap::from([(key(), WallNs(40))]))[&key()],
            WallNs(40),
            "as it is seen"
        );
        // The clock was years ahead when it was noted.
        memory.newest((WallNs(9000), Monotonic(0)), BTreeMap::from([(key(), WallNs(9001))]));
        assert_eq!(memory.newest((WallNs(700), Monotonic(0)), BTreeMap::new())[&key()], WallNs(700));
        assert_eq!(
            memory.newest((WallNs(800), Monotonic(0)), BTreeMap::new())[&key()],
            WallNs(700),
            "it ages from then on"
        );
    }

    #[test]
    fn a_camera_is_wanted_since_it_was_seen_to_be() {
        let files = files();
        let mut memory = read(&files);
        let id = |name: &str| name.parse::<CameraId>().unwrap();
        let want = |memory: &mut Memory, now: i64, names: &[&str]| {
            let all = memory.want(WallNs(now), names.iter().map(|n| id(n)).collect());
            all.into_iter().map(|(c, t)| (c.to_string(), t.0)).collect::<Vec<_>>()
        };
        assert_eq!(want(&mut memory, 50, &["gate"]), [("gate".to_owned(), 50)]);
        memory.since(WallNs(50));
        memory.uncounted(WallNs(50));
        memory.save(&files, Monotonic(0), true).unwrap();
        let mut memory = read(&files);
        assert_eq!(want(&mut memory, 60, &["gate", "hall"]), [("gate".to_owned(), 50), ("hall".to_owned(), 60)]);
        assert_eq!(want(&mut memory, 70, &["hall"]), [("hall".to_owned(), 60)]);
        assert_eq!(want(&mut memory, 80, &["gate", "hall"]), [("gate".to_owned(), 80), ("hall".to_owned(), 60)]);
        assert_eq!(want(&mut memory, 20, &["gate"]), [("gate".to_owned(), 20)], "the clock was set back");
    }

    #[test]
    fn it_is_written_down_now_and_then() {
        let files = files();
        let mut memory = read(&files);
        memory.since(WallNs(0));
        memory.uncounted(WallNs(0));
        memory.save(&files, Monotonic(0), false).unwrap();
        let written = |files: &FakeFiles| files.read(Path::new("/health/memory.json")).unwrap();
        let first = written(&files);
        memory.newest((WallNs(60), Monotonic(0)), BTreeMap::from([(key(), WallNs(50))]));
        memory.save(&files, Monotonic(299 * SECOND), false).unwrap();
        assert_eq!(written(&files), first);
        memory.save(&files, Monotonic(300 * SECOND), false).unwrap();
        assert_ne!(written(&files), first);
    }

    #[test]
    fn what_cannot_be_written_is_due_until_it_is() {
        let files = files();
        let mut memory = read(&files);
        memory.since(WallNs(0));
        memory.uncounted(WallNs(0));
        files.break_down(true);
        assert!((0..3).all(|n| memory.save(&files, Monotonic(n * 30 * SECOND), false).is_err()));
        files.break_down(false);
        memory.save(&files, Monotonic(90 * SECOND), false).unwrap();
        assert!(files.read(Path::new("/health/memory.json")).unwrap().is_some());
    }

    #[test]
    fn a_witness_is_remembered_over_a_restart() {
        let files = files();
        let mut memory = read(&files);
        memory.since(WallNs(0));
        memory.uncounted(WallNs(0));
        assert_eq!(memory.witnessed(WallNs(MINUTE), None), None);
        assert_eq!(memory.witnessed(WallNs(MINUTE), Some(WallNs(SECOND))), Some(WallNs(SECOND)));
        memory.save(&files, Monotonic(0), true).unwrap();
        let mut again = read(&files);
        assert_eq!(again.witnessed(WallNs(2 * MINUTE), None), Some(WallNs(SECOND)));
        assert_eq!(again.witnessed(WallNs(2 * MINUTE), Some(WallNs(90 * MINUTE))), Some(WallNs(2 * MINUTE)));
    }
}
