use super::*;
use crate::{
    ledger::{LedgerError, Log, spool, verify},
    sys::{Cut, FakeClock, FakeFiles, Files as _},
};

const SOON: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct World {
    files: FakeFiles,
    clock: FakeClock,
}

fn begins() -> What {
    What::LogBegins { site: "school".into(), predecessor: None }
}

fn stopped(by: impl Into<String>) -> What {
    What::ServiceStopped { service: "record".into(), by: by.into() }
}

impl World {
    fn new() -> Self {
        let files = FakeFiles::new();
        files.make_dir(&PathBuf::from("/state")).unwrap();
        Self { files, clock: FakeClock::at(WallNs(1000)) }
    }

    fn setup(&self) -> Setup {
        Setup {
            place: Place { dir: "/state/ledger".into(), credential: None, origin: "custodian/school/a/record".into() },
            spool: "/state/spool".into(),
            recorder: "a".parse().unwrap(),
            clock: Arc::new(self.clock.clone()),
            files: Arc::new(self.files.clone()),
            pace: Pace { gather: Duration::from_millis(1), retry: Duration::from_millis(1) },
            gate: Box::new(|log| Gate::Open(if log.size() == 0 { vec![begins()] } else { Vec::new() })),
        }
    }

    fn journal(&self) -> Journal {
        Journal::start(self.setup()).unwrap()
    }

    fn leave(&self, by: &str) -> Result<uuid::Uuid, LedgerError> {
        spool::leave(&self.files, &PathBuf::from("/state/spool"), WallNs(7), stopped(by))
    }

    /// What is in the log: all of it is whole.
    fn log(&self) -> Vec<Entry> {
        let log = Log::open(Arc::new(self.files.clone()), &self.setup().place).unwrap();
        assert_eq!(verify(&log.view(), &[], &mut |_| ()).flaws, []);
        log.view().records(0..log.size()).map(|record| record.unwrap().entry().unwrap()).collect()
    }

    /// The names of those who stopped something, in order.
    fn names(&self) -> Vec<String> {
        let name = |entry: Entry| match entry.what {
            What::ServiceStopped { by, .. } => Some(by),
            _ => None,
        };
        self.log().into_iter().filter_map(name).collect()
    }
}

/// Waits until it is so: the journal has a thread of its own.
fn until(journal: &Journal, so: impl Fn(&Status) -> bool) -> Status {
    let mut state = journal.shared.state();
    let mut turns = 0;
    loop {
        drop(state);
        let status = journal.status();
        if so(&status) {
            return status;
        }
        turns += 1;
        assert!(turns < 20_000, "{status:?}");
        state = journal.shared.changed.wait_timeout(journal.shared.state(), Duration::from_millis(1)).unwrap().0;
    }
}

#[test]
fn entries_come_in_order_and_a_commit_knows_its_numbers() {
    let world = World::new();
    let journal = world.journal();
    journal.put(stopped("a"));
    assert_eq!(journal.commit(vec![stopped("b"), stopped("c")], SOON).unwrap().entries(), 2..4);
    world.clock.advance(Duration::from_nanos(5));
    journal.put(stopped("d"));
    let status = until(&journal, |s| s.size == Some(5));
    assert_eq!((status.at, status.waiting, status.problem), (Some(WallNs(1005)), 0, None));
    journal.put(stopped("e"));
    journal.stop();
    assert_eq!(journal.commit(vec![stopped("f")], SOON), Err(JournalError::Stopped));
    journal.put(stopped("g"));
    assert_eq!(journal.status().dropped, 1);
    assert_eq!(world.names(), ["a", "b", "c", "d", "e"]);
    let log = world.log();
    assert_eq!(log[0].what, begins());
    assert_eq!((log[4].at, log[4].recorder.as_str()), (WallNs(1005), "a"));
    // The next one goes on, and says when the log was written last.
    let journal = world.journal();
    assert_eq!(until(&journal, |s| s.size == Some(6)).at, Some(WallNs(1005)));
    assert_eq!(journal.view().unwrap().size(), 6);
}

#[test]
fn a_disk_in_trouble_is_waited_for_and_costs_nothing() {
    let world = World::new();
    let journal = world.journal();
    until(&journal, |s| s.size == Some(1));
    world.files.break_down(true);
    journal.put(stopped("a"));
    let status = until(&journal, |s| s.problem.is_some());
    assert!(status.problem.unwrap().contains("/state/ledger/public"));
    // Whoever wants to delete something is told that it is not on record; and it never will be.
    let late = journal.commit(vec![stopped("never")], Duration::from_millis(20));
    assert!(matches!(late, Err(JournalError::Withdrawn(why)) if why.contains("/state/ledger/public")));
    journal.put(stopped("b"));
    assert_eq!(journal.status().size, Some(1));
    world.files.break_down(false);
    assert_eq!(journal.commit(vec![stopped("c")], SOON).unwrap().entries(), 3..4);
    until(&journal, |s| s.problem.is_none());
    journal.stop();
    assert_eq!(world.names(), ["a", "b", "c"]);
}

#[test]
fn what_there_is_no_memory_for_is_counted_and_the_log_says_so() {
    let world = World::new();
    let mut setup = world.setup();
    let (open, may) = std::sync::mpsc::channel();
    let mut is_open = false;
    setup.gate = Box::new(move |_| {
        let opens = !is_open && may.try_recv().is_ok();
        is_open |= opens;
        match (is_open, opens) {
            (_, true) => Gate::Open(vec![begins()]),
            (true, _) => Gate::Open(Vec::new()),
            (false, _) => Gate::Wait,
        }
    });
    let journal = Journal::start(setup).unwrap();
    let long = "x".repeat(60_000);
    let most = ROOM / 60_000;
    for _ in 0..most + 5 {
        journal.put(stopped(long.clone()));
    }
    journal.put(stopped("x".repeat(70_000)));
    let status = journal.status();
    assert!(status.dropped >= 6 && status.waiting + usize::try_from(status.dropped).unwrap() == most + 6, "{status:?}");
    assert!(matches!(journal.commit(vec![stopped(long)], SOON), Err(JournalError::Full(_))));
    let long = journal.commit(vec![stopped("x".repeat(70_000))], SOON);
    assert!(matches!(long, Err(JournalError::TooLong(70_000..71_000))));
    open.send(()).unwrap();
    let all = 1 + status.waiting as u64 + 1;
    until(&journal, |s| s.size == Some(all));
    journal.stop();
    let last = world.log().pop().unwrap();
    assert_eq!(last.what, What::Omitted { entries: status.dropped, since: WallNs(1000) });
    assert_eq!(world.log()[0].what, begins(), "before everything that waited");
}

#[test]
fn a_log_that_must_not_be_gone_on_with_is_left_alone() {
    let world = World::new();
    let setup = Setup { gate: Box::new(|_| Gate::Closed("it is an old copy".into())), ..world.setup() };
    let journal = Journal::start(setup).unwrap();
    journal.put(stopped("a"));
    assert_eq!(until(&journal, |s| s.problem.is_some()).problem.unwrap(), "it is an old copy");
    journal.stop();
    assert_eq!(world.log().len(), 0);
}

#[test]
fn a_log_that_cannot_be_opened_is_a_problem_and_no_new_one_is_made() {
    let world = World::new();
    world.journal().stop();
    let checkpoint = PathBuf::from("/state/ledger/public/checkpoint");
    let kept = world.files.read(&checkpoint).unwrap().unwrap();
    world.files.remove(&checkpoint).unwrap();
    let journal = world.journal();
    journal.put(stopped("a"));
    let status = until(&journal, |s| s.problem.is_some());
    assert!(status.problem.unwrap().contains("public/checkpoint is missing"));
    assert_eq!(status.size, None);
    world.files.write(&checkpoint, &kept, 0, None).unwrap();
    assert_eq!(journal.commit(vec![stopped("b")], SOON).unwrap().entries(), 2..3, "given back while it runs");
    drop(journal);
    assert_eq!(world.names(), ["a", "b"]);
}

#[test]
fn what_others_left_is_taken_up() {
    let world = World::new();
    let id = world.leave("early").unwrap();
    let journal = world.journal();
    until(&journal, |s| s.size == Some(2));
    world.leave("late").unwrap();
    until(&journal, |s| s.size == Some(3));
    journal.stop();
    assert_eq!(world.names(), ["early", "late"]);
    let entry = world.log().swap_remove(1);
    assert_eq!((entry.spool, entry.at), (Some(id), WallNs(7)));
    assert!(world.files.list(&PathBuf::from("/state/spool")).unwrap().is_empty());
}

/// Wherever the recorder dies on the way from the spool into the log, the entry is there once; and one that could not be left is
/// not there.
#[test]
fn what_others_left_is_in_the_log_once() {
    let mut cuts = 0;
    for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
        for n in 0.. {
            let world = World::new();
            let mut keeper = Keeper::for_test(world.setup());
            keeper.turn().unwrap();
            world.files.cut_at(n, how);
            let left = ["x", "y"].map(|name| (name, world.leave(name).is_ok()));
            let _ = keeper.turn();
            if !world.files.is_off() {
                break;
            }
            cuts += 1;
            world.files.power_on(lost);
            // Cut once more, elsewhere.
            world.files.cut_at(n % 11, how);
            let _ = Keeper::for_test(world.setup()).turn();
            world.files.power_on(lost);
            Keeper::for_test(world.setup()).turn().unwrap();
            let mut names = world.names();
            names.sort();
            for (name, sure) in left {
                let times = names.iter().filter(|n| *n == name).count();
                assert!(times == 1 || (times == 0 && !sure), "{how:?} at {n}: {name} {times} times");
            }
            assert!(world.files.list(&PathBuf::from("/state/spool")).unwrap().is_empty());
        }
    }
    assert!(cuts > 50, "{cuts} cuts");
}

/// A spool in disorder holds up nothing but itself.
#[test]
fn what_cannot_be_taken_up_holds_up_nothing_else() {
    let world = World::new();
    let journal = world.journal();
    until(&journal, |s| s.size == Some(1));
    world.leave("left").unwrap();
    until(&journal, |s| s.size == Some(2));
    // A folder in the place of an entry is no entry; but one that the disk does not give is to come into the log.
    let spool = PathBuf::from("/state/spool");
    let folder = spool.join(format!("{}.json", uuid::Uuid::new_v4().as_simple()));
    world.files.make_dir(&folder).unwrap();
    let stuck = uuid::Uuid::new_v4();
    world.files.spoil(Some(&spool.join(format!("{}.from-0", stuck.as_simple()))));
    spool::leave_once(&world.files, &spool, (stuck, 0), WallNs(8), stopped("stuck")).unwrap();
    assert_eq!(journal.commit(vec![stopped("a")], SOON).unwrap().entries(), 2..3);
    let problem = until(&journal, |s| s.problem.is_some()).problem.unwrap();
    assert!(problem.contains("what other commands have left"), "{problem}");
    journal.put(stopped("b"));
    until(&journal, |s| s.size == Some(4));
    world.files.spoil(None);
    until(&journal, |s| s.problem.is_none() && s.size == Some(5));
    let refused = folder.with_extension("refused");
    assert_eq!(world.files.list(&spool).unwrap(), [refused.file_name().unwrap().to_str().unwrap()]);
}

#[test]
fn what_did_not_come_in_before_the_end_comes_in_at_the_next_start() {
    let world = World::new();
    let journal = Journal::start(Setup { gate: Box::new(|_| Gate::Wait), ..world.setup() }).unwrap();
    journal.put(stopped("a"));
    let ticket = journal.submit(vec![stopped("whose owner was told")]).unwrap();
    journal.stop();
    assert_eq!(ticket.wait(SOON).unwrap_err(), JournalError::Stopped);
    let journal = world.journal();
    journal.put(stopped("b"));
    until(&journal, |s| s.size == Some(3));
    journal.stop();
    let mut names = world.names();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(world.files.list(&PathBuf::from("/state/spool")).unwrap(), [""; 0]);
}
