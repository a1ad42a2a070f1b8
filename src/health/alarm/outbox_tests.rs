use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::{
    sys::{Cut, FakeFiles},
    types::wire::health::Machine,
};

const SECOND: i64 = 1_000_000_000;

fn wants() -> Vec<Wants> {
    let want = |key: &str, from_level, at_once| Wants { key: key.to_owned(), from_level, at_once };
    vec![want("mail", Level::Warn, 500), want("hook", Level::Fail, 1)]
}

fn open(files: &FakeFiles) -> Outbox {
    Outbox::open(Arc::new(files.clone()), "/health/alarms.json".into(), wants())
}

fn files() -> FakeFiles {
    let files = FakeFiles::new();
    files.make_dir(Path::new("/health")).unwrap();
    files
}

/// A look at second `at` that finds cameras at these levels, since the second beside them.
fn report(at: i64, cameras: &[(u32, Level, i64)]) -> Report {
    let finding = |(number, level, since): &(u32, Level, i64)| {
        let subject = Some(Subject::Camera(*number));
        Finding::new(Probe::Footage, subject, *level, "late", WallNs(since * SECOND))
    };
    Report {
        format: 1,
        at: WallNs(at * SECOND),
        recorder: Some("rec1".parse().unwrap()),
        version: "0.1.0".into(),
        recording: None,
        level: Level::Ok,
        findings: cameras.iter().map(finding).collect(),
        cameras: Vec::new(),
        volumes: Vec::new(),
        machine: Machine::default(),
        generation: None,
        checkpoints: Vec::new(),
        silences: Vec::new(),
        cost_us: 0,
    }
}

/// What camera's level turned, as a look says it.
fn turn(from: Level, at: i64, camera: u32, level: Level) -> Turn {
    let finding = report(at, &[(camera, level, at)]).findings.remove(0);
    Turn { at: WallNs(at * SECOND), from, finding }
}

/// What a receiver is sent, and takes.
fn sent(outbox: &mut Outbox, n: usize) -> Option<Vec<(Kind, Level, Level)>> {
    let message = outbox.next(n, WallNs(0)).unwrap()?;
    outbox.told(n).unwrap();
    Some(message.events.iter().map(|e| (e.kind, e.from, e.finding.level)).collect())
}

use Level::{Fail, Ok as Fine, Warn};

#[test]
fn each_is_told_once_and_its_end_too_in_the_range_that_was_asked_for() {
    let mut outbox = open(&files());
    outbox
        .put(&[turn(Fine, 1, 1, Warn), turn(Fine, 1, 2, Fail)], &report(1, &[(1, Warn, 1), (2, Fail, 1)]), false)
        .unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Raised, Fine, Warn), (Kind::Raised, Fine, Fail)]);
    assert_eq!(sent(&mut outbox, 1).unwrap(), [(Kind::Raised, Fine, Fail)]);
    // The same looks again: nothing new.
    outbox.put(&[], &report(2, &[(1, Warn, 1), (2, Fail, 1)]), false).unwrap();
    assert_eq!((sent(&mut outbox, 0), sent(&mut outbox, 1)), (None, None));
    outbox
        .put(&[turn(Warn, 3, 1, Fail), turn(Fail, 3, 2, Warn)], &report(3, &[(1, Fail, 3), (2, Warn, 3)]), false)
        .unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Changed, Warn, Fail), (Kind::Changed, Fail, Warn)]);
    assert_eq!(sent(&mut outbox, 1).unwrap(), [(Kind::Ended, Fail, Warn)], "one at a time for a webhook");
    assert_eq!(sent(&mut outbox, 1).unwrap(), [(Kind::Raised, Fine, Fail)]);
    outbox.put(&[turn(Fail, 4, 1, Fine), turn(Warn, 4, 2, Fine)], &report(4, &[]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Ended, Fail, Fine), (Kind::Ended, Warn, Fine)]);
    assert_eq!(sent(&mut outbox, 1).unwrap(), [(Kind::Ended, Fail, Fine)]);
    assert_eq!((sent(&mut outbox, 0), sent(&mut outbox, 1)), (None, None));
}

#[test]
fn what_is_over_before_it_could_be_told_is_told_once_with_both() {
    let mut outbox = open(&files());
    outbox.put(&[turn(Fine, 1, 1, Fail)], &report(1, &[(1, Fail, 1)]), false).unwrap();
    // Nobody listens: it is certain that nobody has it.
    let raise = outbox.next(0, WallNs(0)).unwrap().unwrap();
    outbox.failed(0, &BTreeSet::new(), true).unwrap();
    outbox.put(&[turn(Fail, 2, 1, Fine)], &report(2, &[]), false).unwrap();
    let both = outbox.next(0, WallNs(0)).unwrap().unwrap();
    let event = &both.events[0];
    assert_ne!(both.id, raise.id);
    assert_eq!((event.kind, event.from, event.raised_by), (Kind::Ended, Fine, None));
    assert_eq!((event.began, event.at, event.first.level), (WallNs(SECOND), WallNs(2 * SECOND), Fail));
    outbox.told(0).unwrap();
    assert_eq!(outbox.next(0, WallNs(0)).unwrap(), None);
}

#[test]
fn what_somebody_may_have_is_sent_again_as_it_was_and_its_end_after_it() {
    let files = files();
    let mut outbox = open(&files);
    outbox.put(&[turn(Fine, 1, 1, Fail)], &report(1, &[(1, Fail, 1)]), false).unwrap();
    let raise = outbox.next(0, WallNs(7)).unwrap().unwrap();
    outbox.put(&[turn(Fail, 2, 1, Fine)], &report(2, &[]), false).unwrap();
    let mut outbox = open(&files);
    assert_eq!(outbox.next(0, WallNs(9)).unwrap().unwrap(), raise, "to the byte, though the process is another");
    // One of two addresses took it: the rest is sent the same.
    outbox.failed(0, &[1].into(), true).unwrap();
    outbox.failed(0, &BTreeSet::new(), true).unwrap();
    let rest = outbox.next(0, WallNs(9)).unwrap().unwrap();
    assert_eq!((rest.id, &rest.taken), (raise.id, &[1].into()));
    outbox.told(0).unwrap();
    let end = outbox.next(0, WallNs(9)).unwrap().unwrap();
    assert_eq!((end.events[0].kind, end.events[0].raised_by), (Kind::Ended, Some(raise.id)));
}

#[test]
fn announced_work_raises_nothing_until_it_is_over_and_ends_are_told() {
    let mut outbox = open(&files());
    let silent = |mut report: Report| {
        report.findings.iter_mut().for_each(|f| f.silenced = Some(WallNs(99 * SECOND)));
        report
    };
    outbox.put(&[turn(Fine, 1, 1, Fail)], &report(1, &[(1, Fail, 1)]), false).unwrap();
    sent(&mut outbox, 0).unwrap();
    outbox.put(&[], &silent(report(2, &[(1, Warn, 2), (2, Fail, 1)])), false).unwrap();
    assert_eq!(sent(&mut outbox, 0), None);
    outbox.put(&[turn(Fail, 3, 1, Fine)], &silent(report(3, &[(2, Fail, 1)])), false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Ended, Fail, Fine)]);
    outbox.put(&[], &report(4, &[(2, Fail, 1)]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Raised, Fine, Fail)]);
}

#[test]
fn turns_that_were_missed_are_made_up_for_by_the_report() {
    let mut outbox = open(&files());
    outbox.put(&[], &report(1, &[(1, Fail, 1)]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0), None, "a first look is not believed");
    outbox.put(&[], &report(2, &[(1, Fail, 1)]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Raised, Fine, Fail)]);
    for at in [3, 4, 4] {
        outbox.put(&[], &report(at, &[]), false).unwrap();
        assert_eq!(sent(&mut outbox, 0), None, "a look or two do not mention it");
    }
    outbox.put(&[], &report(5, &[]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Ended, Fail, Fine)]);
}

#[test]
fn what_is_said_of_all_ends_no_alarm_of_one() {
    let whole = |at, level, code: &str| {
        let mut all = report(at, &[]);
        all.findings.push(Finding::new(Probe::Footage, None, level, code, WallNs(2 * SECOND)));
        all
    };
    let mut outbox = open(&files());
    outbox.put(&[turn(Fine, 1, 3, Fail)], &report(1, &[(3, Fail, 1)]), false).unwrap();
    sent(&mut outbox, 0).unwrap();
    // All fail; what comes back then is the one that failed before.
    (3..12).for_each(|at| outbox.put(&[], &whole(at, Fail, "none"), false).unwrap());
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Raised, Fine, Fail)], "of all");
    outbox.put(&[], &report(12, &[(3, Fail, 1)]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0), None);
    // That all others are well says nothing of this one.
    (13..16).for_each(|at| outbox.put(&[], &whole(at, Fine, "partly"), false).unwrap());
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Ended, Fail, Fine); 2], "of it, and of all");
}

#[test]
fn what_is_not_known_ends_no_alarm() {
    let of = |code: &str, subject, level| Finding::new(Probe::Kept, subject, level, code, WallNs(SECOND));
    let short = of("short", Some(Subject::Camera(3)), Fail);
    let mut outbox = open(&files());
    let mut broken = report(2, &[]);
    broken.findings.push(short);
    outbox.put(&[], &broken, false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Raised, Fine, Fail)]);
    for at in 3..12 {
        let mut silent = report(at, &[]);
        silent.findings.push(of("unknown", None, Warn));
        outbox.put(&[], &silent, false).unwrap();
        assert_eq!(sent(&mut outbox, 0), None, "the recorder is down");
    }
    for at in 12..20 {
        outbox.put(&[], &Report { recorder: None, ..report(at, &[]) }, false).unwrap();
        assert_eq!(sent(&mut outbox, 0), None, "there is no site to look by");
    }
    broken.at = WallNs(20 * SECOND);
    outbox.put(&[], &broken, false).unwrap();
    assert_eq!(sent(&mut outbox, 0), None, "it was told");
}

#[test]
fn what_only_says_that_something_else_is_in_the_way_raises_nothing() {
    let code = Code::find(Probe::Generation, "unknown").unwrap();
    assert_eq!(code.kind, Manner::Quiet);
    let mut outbox = open(&files());
    let mut quiet = report(2, &[]);
    quiet.findings.push(Finding::new(Probe::Generation, None, Warn, code.text, WallNs(SECOND)));
    outbox.put(&[], &quiet, false).unwrap();
    assert_eq!(sent(&mut outbox, 0), None);
}

#[test]
fn a_receiver_that_is_new_hears_what_is_so_and_one_that_is_gone_leaves_nothing() {
    let files = files();
    let mut outbox = open(&files);
    outbox.put(&[turn(Fine, 1, 1, Fail)], &report(1, &[(1, Fail, 1)]), false).unwrap();
    sent(&mut outbox, 0).unwrap();
    let other = vec![Wants { key: "other".into(), from_level: Warn, at_once: 9 }];
    let mut outbox = Outbox::open(Arc::new(files.clone()), "/health/alarms.json".into(), other);
    outbox.put(&[], &report(2, &[(1, Fail, 1)]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Raised, Fine, Fail)]);
    let text = String::from_utf8(files.read(Path::new("/health/alarms.json")).unwrap().unwrap()).unwrap();
    assert!(text.contains("\"other\"") && !text.contains("\"mail\""), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_is_begun_anew() {
    let files = files();
    files.write(Path::new("/health/alarms.json"), b"{\"format\": 1, \"rec", 0o600, None).unwrap();
    let mut outbox = open(&files);
    outbox.put(&[turn(Fine, 1, 1, Fail)], &report(1, &[(1, Fail, 1)]), false).unwrap();
    assert_eq!(sent(&mut outbox, 0).unwrap(), [(Kind::Raised, Fine, Fail)]);
}

#[test]
fn a_disk_that_cannot_be_written_holds_nothing_up() {
    let files = files();
    let mut outbox = open(&files);
    files.break_down(true);
    outbox.put(&[turn(Fine, 1, 1, Fail)], &report(1, &[(1, Fail, 1)]), false).unwrap_err();
    outbox.next(0, WallNs(0)).unwrap_err();
    let message = outbox.next(0, WallNs(0)).unwrap().unwrap();
    assert_eq!(message.events[0].kind, Kind::Raised);
    outbox.told(0).unwrap_err();
    assert_eq!(outbox.next(0, WallNs(0)).unwrap(), None);
    // Once it can be, it is, though nothing has changed since.
    files.break_down(false);
    outbox.put(&[], &report(2, &[(1, Fail, 1)]), false).unwrap();
    let mut again = open(&files);
    assert_eq!(again.next(0, WallNs(0)).unwrap(), None, "it was told");
}

#[test]
fn the_log_has_a_trouble_once_and_its_end() {
    let broken = || Err(io::ErrorKind::StorageFull.into());
    let level = |was_behind, written: io::Result<()>| news(was_behind, &written).map(|(level, _)| level);
    assert_eq!(level(false, broken()), Some(log::Level::Error));
    assert_eq!(level(true, broken()), None);
    assert_eq!(level(true, Ok(())), Some(log::Level::Info));
    assert_eq!(level(false, Ok(())), None);
}

#[test]
fn the_box_is_bounded_and_loses_the_oldest_end_first() {
    let mut outbox = open(&files());
    // A receiver that is never reached; troubles come and go.
    let most = u32::try_from(MOST).unwrap();
    let all = |at, range: std::ops::Range<u32>, from, to| range.map(|n| turn(from, at, n, to)).collect::<Vec<_>>();
    outbox.put(&all(1, 0..most + 3, Fine, Fail), &report(1, &[]), false).unwrap();
    outbox.put(&all(2, 0..5, Fail, Fine), &report(2, &[]), false).unwrap();
    outbox.put(&all(3, 5..most, Fail, Fine), &report(3, &[]), false).unwrap();
    outbox.put(&all(4, most + 3..most + 10, Fine, Fail), &report(4, &[]), false).unwrap();
    let mut events = Vec::new();
    while let Some(message) = outbox.next(0, WallNs(0)).unwrap() {
        events.extend(message.events);
        outbox.told(0).unwrap();
    }
    let cameras: Vec<_> = events.iter().map(|e| (e.kind, e.finding.subject.clone().unwrap())).collect();
    assert_eq!(cameras.len(), MOST);
    let camera = |n| Subject::Camera(n);
    assert_eq!(cameras[0], (Kind::Ended, camera(7)), "seven went, the first five of them first");
    assert_eq!(cameras[MOST - 8..][..2], [(Kind::Ended, camera(most - 1)), (Kind::Raised, camera(most + 3))]);
}

/// What happens to a camera, or to the process.
#[derive(Debug, Clone, Copy)]
enum Step {
    Level(u32, Level),
    /// A receiver is tried: it takes the message, refuses it, or the answer is lost.
    Try(usize, Answer),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Takes,
    Refuses,
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    let level = prop_oneof![Just(Fine), Just(Warn), Just(Fail)];
    let answer = prop_oneof![2 => Just(Answer::Takes), 1 => Just(Answer::Refuses), 1 => Just(Answer::Lost)];
    prop_oneof![
        (0..3_u32, level).prop_map(|(camera, level)| Step::Level(camera, level)),
        (0..2_usize, answer).prop_map(|(n, answer)| Step::Try(n, answer)),
    ]
}

/// The world: how the cameras are, what was told of them before, and what the receivers have got.
struct World {
    files: FakeFiles,
    outbox: Outbox,
    at: i64,
    cameras: BTreeMap<u32, (Level, i64)>,
    /// Messages by receiver, each once: they know it by its number.
    got: [BTreeMap<Uuid, Message>; 2],
    order: [Vec<Uuid>; 2],
}

impl World {
    fn new() -> Self {
        let files = files();
        let outbox = open(&files);
        Self { files, outbox, at: 0, cameras: BTreeMap::new(), got: Default::default(), order: Default::default() }
    }

    fn look(&mut self, turns: &[Turn]) {
        let cameras: Vec<_> = self.cameras.iter().map(|(n, (level, since))| (*n, *level, *since)).collect();
        // A file that cannot be written is the end of the process here: see `crash`.
        let _ = self.outbox.put(turns, &report(self.at, &cameras), false);
    }

    fn take(&mut self, step: Step) {
        self.at += 1;
        match step {
            Step::Level(camera, level) => {
                let (was, _) = self.cameras.get(&camera).copied().unwrap_or((Fine, 0));
                if was != level {
                    self.cameras.insert(camera, (level, self.at));
                    self.look(&[turn(was, self.at, camera, level)]);
                }
            }
            Step::Try(n, answer) => {
                // Sent only if it was written down.
                let Ok(Some(message)) = self.outbox.next(n, WallNs(self.at)) else { return };
                if answer != Answer::Refuses {
                    match self.got[n].get(&message.id) {
                        Some(before) => assert_eq!(before.events, message.events, "another message by the same number"),
                        None => self.order[n].push(message.id),
                    }
                    self.got[n].insert(message.id, message);
                }
                let _ = match answer {
                    Answer::Takes => self.outbox.told(n),
                    Answer::Refuses => self.outbox.failed(n, &BTreeSet::new(), true),
                    Answer::Lost => self.outbox.failed(n, &BTreeSet::new(), false),
                };
            }
        }
    }

    /// The machine loses its power, or the process its life, and comes back.
    fn restart(&mut self, lost: bool) {
        self.files.power_on(lost);
        self.outbox = open(&self.files);
        self.at += 1;
        self.look(&[]);
    }

    /// Everybody is told everything.
    fn settle(&mut self) {
        for n in 0..2 {
            for _ in 0..100 {
                self.take(Step::Try(n, Answer::Takes));
            }
            assert_eq!(self.outbox.next(n, WallNs(0)).unwrap(), None);
        }
    }

    /// Of each alarm a receiver was told that it begins once at most, that it is over once, and in that order; and what it believes is so.
    fn judge(&self) {
        for (n, from_level) in [(0, Warn), (1, Fail)] {
            let mut open: BTreeMap<u32, (Uuid, Level)> = BTreeMap::new();
            let mut ended = BTreeSet::new();
            for event in self.order[n].iter().flat_map(|id| &self.got[n][id].events) {
                let Some(Subject::Camera(camera)) = event.finding.subject else { panic!("{event:?}") };
                assert!(!ended.contains(&event.alarm), "told after its end: {event:?}");
                match event.kind {
                    Kind::Raised => {
                        assert!(open.insert(camera, (event.alarm, event.finding.level)).is_none(), "twice: {event:?}");
                    }
                    Kind::Changed => {
                        let (alarm, level) = open.insert(camera, (event.alarm, event.finding.level)).unwrap();
                        assert_eq!((alarm, level), (event.alarm, event.from));
                        assert_ne!(level, event.finding.level, "nothing has changed");
                    }
                    Kind::Ended => {
                        let was = open.get(&camera).copied().filter(|(alarm, _)| *alarm == event.alarm);
                        assert_eq!(was.is_some(), event.raised_by.is_some(), "{event:?}");
                        if was.is_some() {
                            open.remove(&camera);
                        }
                        ended.insert(event.alarm);
                    }
                }
            }
            let believed: BTreeMap<_, _> = open.iter().map(|(camera, (_, level))| (*camera, *level)).collect();
            let loud = self.cameras.iter().filter(|(_, (level, _))| *level >= from_level);
            let is: BTreeMap<_, _> = loud.map(|(camera, (level, _))| (*camera, *level)).collect();
            assert_eq!(believed, is, "receiver {n}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The power is cut at every change of the file, in each of three ways, and what was not durable is lost or not.
    #[test]
    fn each_alarm_is_told_once_and_its_end_wherever_the_power_is_cut(steps in prop::collection::vec(step(), 1..14)) {
        let mut cuts = 0;
        for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
            for n in 0.. {
                let mut world = World::new();
                world.files.cut_at(n, how);
                let mut was_cut = false;
                for step in &steps {
                    world.take(*step);
                    if world.files.is_off() {
                        world.restart(lost);
                        was_cut = true;
                        cuts += 1;
                    }
                }
                world.files.cut_at(u64::MAX / 2, how);
                world.at += 1;
                world.look(&[]);
                world.settle();
                world.judge();
                if !was_cut {
                    break;
                }
            }
        }
        prop_assert!(cuts > 0 || steps.iter().all(|s| !matches!(s, Step::Level(_, Warn | Fail))), "nothing was cut");
    }
}
