//! What the service manager is told: that the recorder goes on, and in one line what it does.
//!
//! The dispatcher says that it goes on, by turning: each time it looks whether the threads of the volumes go on too. Neither it nor they are
//! waited for. A disk that hangs is no reason to start anew: its volume is marked failed. The words go out from a thread of their own, for a
//! service manager that hangs is no reason either.

use std::{
    sync::{
        Arc, Mutex, TryLockError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::Thread,
    time::Duration,
};

use super::Shared;
use crate::{
    capture::{CaptureStatus, Supervisor},
    store::Seen,
    sys::{Monotonic, notify},
    types::{
        event,
        wire::{StreamState, VolumeStatus},
    },
};

/// The line is renewed no more often than this.
const RENEW: Duration = Duration::from_secs(10);

/// Tells the service manager from now on, if there is one.
pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    if !notify::is_heard() {
        return Ok(());
    }
    let limit = notify::watchdog();
    let pace = limit.map_or(RENEW, |limit| limit / 3).min(RENEW / 2);
    let beats = Arc::new(AtomicU64::new(0));
    let (recorder, heard) = (Arc::downgrade(shared), limit.map(|_| beats.clone()));
    let thread = std::thread::Builder::new().name("watchdog".into());
    let thread = thread.spawn(move || tell(&recorder, heard.as_deref(), pace))?;
    if limit.is_some() {
        let (store, clock, mut seen) = (shared.store.clone(), shared.clock.clone(), Seen::default());
        let (mut looks, mut standstills) = (Looks::default(), Standstills::default());
        let goes_on = move || {
            if looks.slept(clock.monotonic(), pace) {
                seen = Seen::default();
            }
            all_goes_on(store.standstill(&mut seen), &mut standstills)
        };
        beat(&shared.supervisor, pace, beats, thread.thread().clone(), goes_on);
    }
    Ok(())
}

/// Counts the dispatcher's turns, those in which all goes on.
fn beat(
    supervisor: &Supervisor,
    pace: Duration,
    beats: Arc<AtomicU64>,
    teller: Thread,
    mut goes_on: impl FnMut() -> bool + Send + 'static,
) {
    supervisor.every(pace, move || {
        if goes_on() {
            beats.fetch_add(1, Ordering::AcqRel);
            teller.unpark();
        }
    });
}

/// When somebody looked, last.
#[derive(Debug, Default)]
struct Looks(Option<Monotonic>);

impl Looks {
    /// Whether so long has passed since the last look that the machine or this process slept, or nobody was there to look: that nothing
    /// went on meanwhile is no standstill.
    fn slept(&mut self, now: Monotonic, pace: Duration) -> bool {
        self.0.replace(now).is_some_and(|before| now.since(before) > pace * 3)
    }
}

/// What stood still.
#[derive(Debug, Default)]
struct Standstills {
    last: Option<String>,
    told: bool,
}

impl Standstills {
    /// What is to be said of it, once: from the second look in a row that sees it, for others may not have had their turn yet after a stop.
    fn lasts(&mut self, now: Option<String>) -> Option<&str> {
        if now.is_none() || now != self.last {
            (self.last, self.told) = (now, false);
            return None;
        }
        if std::mem::replace(&mut self.told, true) { None } else { self.last.as_deref() }
    }
}

/// Whether the threads of volumes go on.
fn all_goes_on(standstill: Option<String>, standstills: &mut Standstills) -> bool {
    let goes_on = standstill.is_none();
    if let Some(what) = standstills.lasts(standstill) {
        log::error!(
            MESSAGE_ID = event::RECORDER_HANGS, CAUSE = what;
            "{what}: a mistake in this program; unless it goes on, the service manager starts the recorder anew"
        );
    }
    goes_on
}

fn tell(recorder: &Weak<Shared>, beats: Option<&AtomicU64>, pace: Duration) {
    let (mut heard, mut line, mut silence) = (0, Line::default(), Silence::default());
    while let Some(shared) = recorder.upgrade() {
        // To stop takes its time, and the service manager limits that itself.
        let stopping = shared.stopping.load(Ordering::SeqCst);
        let now = beats.map(|beats| beats.load(Ordering::Acquire));
        if now.is_some_and(|now| stopping || std::mem::replace(&mut heard, now) != now) {
            notify::alive();
        }
        if let Some(why) = now.and_then(|now| silence.lasts(shared.clock.monotonic(), now, pace)).filter(|_| !stopping)
        {
            log::error!(
                MESSAGE_ID = event::RECORDER_HANGS, CAUSE = why.as_str();
                "{why}; unless it does, the service manager starts the recorder anew"
            );
        }
        if !stopping && let Some(text) = line.renewed(shared.clock.monotonic(), || doing(&shared)) {
            notify::status(text);
        }
        drop(shared);
        std::thread::park_timeout(pace);
    }
}

/// Since when no turn was counted.
#[derive(Debug, Default)]
struct Silence {
    last: Option<(Monotonic, u64)>,
    looks: Looks,
    told: bool,
}

impl Silence {
    /// What is to be said of it, once: well before the service manager has waited long enough, which is for three turns.
    fn lasts(&mut self, now: Monotonic, beats: u64, pace: Duration) -> Option<String> {
        let slept = self.looks.slept(now, pace);
        let &mut (since, _) = match &mut self.last {
            Some(last) if last.1 == beats && !slept => last,
            last => {
                self.told = false;
                last.insert((now, beats))
            }
        };
        let silent = now.since(since);
        (silent >= pace * 2 && !std::mem::replace(&mut self.told, true)).then(|| {
            format!(
                "the thread that serves the cameras has not turned and found all well for {:.1} s",
                silent.as_secs_f64()
            )
        })
    }
}

/// The line as it was told last.
#[derive(Debug, Default)]
struct Line(Option<(Monotonic, String)>);

impl Line {
    /// Another one, if it has changed and is due. None is known: the old one stays.
    fn renewed(&mut self, now: Monotonic, line: impl FnOnce() -> Option<String>) -> Option<&str> {
        if self.0.as_ref().is_some_and(|(told, _)| now.since(*told) < RENEW) {
            return None;
        }
        let line = line()?;
        if self.0.as_ref().is_some_and(|(_, before)| *before == line) {
            return None;
        }
        Some(&self.0.insert((now, line)).1)
    }
}

fn doing(shared: &Shared) -> Option<String> {
    let absent = count(&shared.absent)?;
    Some(words(&shared.supervisor.status(), &shared.store.volumes(), absent))
}

/// How many there are; none if somebody is at them. Whoever feeds the watchdog must not wait for somebody who may wait for a disk.
fn count<T>(list: &Mutex<Vec<T>>) -> Option<usize> {
    match list.try_lock() {
        Ok(list) => Some(list.len()),
        Err(TryLockError::Poisoned(list)) => Some(list.into_inner().len()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// `absent`: volumes that could not be opened yet.
fn words(streams: &[CaptureStatus], volumes: &[VolumeStatus], absent: usize) -> String {
    let wanted = || streams.iter().filter(|s| s.recorded);
    let recording = wanted().filter(|s| s.state == StreamState::Running && s.volume.is_some()).count();
    let healthy = volumes.iter().filter(|v| v.healthy).count();
    format!("recording {recording} of {} streams; {healthy} of {} volumes", wanted().count(), volumes.len() + absent)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::{
        capture::{Env, Settings, fake::FakeFootage},
        sys::RealClock,
        types::{BitRate, ByteSize, StreamKind},
    };

    const PACE: Duration = Duration::from_millis(2);

    fn supervisor() -> Supervisor {
        Supervisor::start(Env {
            clock: Arc::new(RealClock),
            footage: FakeFootage::new(&["v1"]),
            site: "x".into(),
            recorder: "a".parse().unwrap(),
            settings: Settings::default(),
        })
        .unwrap()
    }

    fn until(what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..4000 {
            if done() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("waited 20 s for {what}");
    }

    /// In the time of many turns there is none.
    fn stands_still(beats: &AtomicU64) {
        let before = beats.load(Ordering::SeqCst);
        for _ in 0..50 {
            std::thread::park_timeout(PACE);
            assert_eq!(beats.load(Ordering::SeqCst), before);
        }
    }

    fn goes_on(beats: &AtomicU64) {
        let before = beats.load(Ordering::SeqCst);
        until("another turn", || beats.load(Ordering::SeqCst) > before);
    }

    #[test]
    fn a_dispatcher_that_hangs_does_not_beat() {
        let (supervisor, beats) = (supervisor(), Arc::new(AtomicU64::new(0)));
        beat(&supervisor, PACE, beats.clone(), std::thread::current(), || true);
        goes_on(&beats);
        let (hangs, hanging) = channel();
        let (release, released) = channel::<()>();
        supervisor.every(Duration::from_hours(1), move || {
            hangs.send(()).unwrap();
            // Until the test lets go.
            let _ = released.recv();
        });
        hanging.recv().unwrap();
        stands_still(&beats);
        drop(release);
        goes_on(&beats);
    }

    #[test]
    fn a_dispatcher_that_sees_a_standstill_does_not_beat() {
        let (supervisor, beats) = (supervisor(), Arc::new(AtomicU64::new(0)));
        let (well, seen) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
        let (is_well, looks) = (well.clone(), seen.clone());
        beat(&supervisor, PACE, beats.clone(), std::thread::current(), move || {
            looks.fetch_add(1, Ordering::SeqCst);
            is_well.load(Ordering::SeqCst) == 1
        });
        goes_on(&beats);
        well.store(0, Ordering::SeqCst);
        // One look may have been under way.
        goes_on(&seen);
        stands_still(&beats);
        goes_on(&seen);
        well.store(1, Ordering::SeqCst);
        goes_on(&beats);
    }

    #[test]
    fn a_silence_is_told_once_and_again_after_it_was_broken() {
        let at = |s: i64| Monotonic(s * 1_000_000_000);
        let (pace, mut silence) = (Duration::from_secs(10), Silence::default());
        assert_eq!(silence.lasts(at(0), 0, pace), None);
        assert_eq!(silence.lasts(at(19), 0, pace), None, "the next turn may be a little late");
        assert!(silence.lasts(at(21), 0, pace).unwrap().ends_with("for 21.0 s"));
        assert_eq!(silence.lasts(at(25), 0, pace), None, "it was told");
        assert_eq!(silence.lasts(at(26), 1, pace), None);
        assert_eq!(silence.lasts(at(45), 1, pace), None);
        assert!(silence.lasts(at(46), 1, pace).is_some());
        // As after a sleep.
        assert_eq!(silence.lasts(at(50), 2, pace), None);
        assert_eq!(silence.lasts(at(9000), 2, pace), None, "nobody could turn");
        assert!(silence.lasts(at(9021), 2, pace).unwrap().ends_with("for 21.0 s"));
    }

    #[test]
    fn a_standstill_is_told_once_from_the_second_look_that_sees_it() {
        let (mut all, what) = (Standstills::default(), || Some("x stands still".to_owned()));
        assert_eq!(all.lasts(what()), None, "it may not have had its turn yet");
        assert_eq!(all.lasts(None), None);
        assert_eq!(all.lasts(what()), None);
        assert_eq!(all.lasts(what()), what().as_deref());
        assert_eq!(all.lasts(what()), None, "it was told");
        assert_eq!(all.lasts(Some("y".into())), None);
        assert_eq!(all.lasts(Some("y".into())), Some("y"));
        assert!(!all_goes_on(what(), &mut all) && all_goes_on(None, &mut all));
    }

    #[test]
    fn looks_far_apart_are_a_sleep() {
        let at = |s: i64| Monotonic(s * 1_000_000_000);
        let (pace, mut looks) = (Duration::from_secs(5), Looks::default());
        let slept = [0, 5, 20, 36, 40].map(|s| looks.slept(at(s), pace));
        assert_eq!(slept, [false, false, false, true, false]);
    }

    #[test]
    fn a_list_that_somebody_is_at_is_not_waited_for() {
        let list = Mutex::new(vec![1, 2]);
        let guard = list.lock().unwrap();
        assert_eq!(count(&list), None);
        drop(guard);
        assert_eq!(count(&list), Some(2));
    }

    #[test]
    fn the_line_says_what_is_true_and_is_renewed_when_that_changes() {
        let stream = |recorded, state, volume: Option<&str>| CaptureStatus {
            camera: "gate".parse().unwrap(),
            name: "Cổng".into(),
            stream: StreamKind::Main,
            recorded,
            state,
            cause: None,
            bit_rate: BitRate(0),
            frame_rate: 0.0,
            frames: 0,
            lost_packets: 0,
            clock_error: None,
            volume: volume.map(|v| v.parse().unwrap()),
            size: None,
            codec: None,
        };
        let volume = |healthy| VolumeStatus {
            name: "a1".parse().unwrap(),
            healthy,
            problem: None,
            full: false,
            free: ByteSize(0),
            size: ByteSize(0),
            queued: ByteSize(0),
            writer_latency: None,
            commit_latency: None,
            committed: None,
        };
        let running = stream(true, StreamState::Running, Some("a1"));
        let all = [
            running,
            stream(true, StreamState::Running, None),
            stream(true, StreamState::Waiting, None),
            stream(false, StreamState::Running, None),
        ];
        let line = || words(&all, &[volume(true), volume(false)], 1);
        assert_eq!(line(), "recording 1 of 3 streams; 1 of 3 volumes");

        let at = |s: i64| Monotonic(s * 1_000_000_000);
        let mut told = Line::default();
        let line = || Some(line());
        assert_eq!(told.renewed(at(0), line), Some("recording 1 of 3 streams; 1 of 3 volumes"));
        assert_eq!(told.renewed(at(9), || Some("else".into())), None, "too soon");
        assert_eq!(told.renewed(at(10), line), None, "as before");
        assert_eq!(told.renewed(at(11), || None), None, "it is not known");
        assert_eq!(told.renewed(at(11), || Some("else".into())), Some("else"));
        assert_eq!(told.renewed(at(12), line), None);
    }
}
