use super::*;
use crate::sys::{Cut, FakeClock, FakeFiles, RealClock, RealFiles};

const PIN: &str = "294173";
const WRONG: &str = "294174";
const NOON: WallNs = WallNs(1_795_334_400_000_000_000);

struct Machine {
    files: FakeFiles,
    clock: FakeClock,
    boot: &'static str,
    code: SealedCode,
}

impl Machine {
    fn new() -> Self {
        let files = FakeFiles::new();
        files.make_dir(Path::new("/state")).unwrap();
        let machine = Self { files, clock: FakeClock::at(NOON), boot: "one\n", code: SealedCode::make().unwrap() };
        machine.factors().create(&Pin::choose(PIN).unwrap(), &machine.code).unwrap();
        machine
    }

    fn factors(&self) -> Factors<'_> {
        Factors { cost: Cost::LEAST, ..Factors::new(&self.files, &self.clock, Path::new("/state"), self.boot) }
    }

    fn pin(&self, typed: &str) -> String {
        said(self.factors().check_pin(typed))
    }

    fn sealed(&self, typed: &str, reason: &str) -> String {
        said(self.factors().check_sealed(typed, reason))
    }

    /// Switches it off and on, with another clock: time since boot begins again.
    fn reboot(&mut self, wall: WallNs) {
        (self.boot, self.clock) = ("another\n", FakeClock::at(wall));
    }
}

fn said(result: Result<(), FactorError>) -> String {
    match result {
        Ok(()) => "in".to_owned(),
        Err(FactorError::Wrong(next)) => format!("wrong, {} s", next.as_secs()),
        Err(FactorError::Wait(left)) => format!("wait {} s", left.as_secs()),
        Err(e) => format!("{e:?}").split('(').next().unwrap().to_owned(),
    }
}

#[test]
fn guessing_becomes_slow_and_the_right_one_ends_it() {
    let machine = Machine::new();
    for next in [0, 0, 0, 60] {
        assert_eq!(machine.pin(WRONG), format!("wrong, {next} s"));
    }
    // Not even the right one is looked at before it is time.
    assert_eq!(machine.pin(PIN), "wait 60 s");
    assert_eq!(machine.pin("12"), "Malformed", "which says nothing about the PIN");
    for (wait, next) in [(60, 300), (300, 900), (900, 3600), (3600, 3600), (3600, 3600)] {
        machine.clock.advance(Duration::from_secs(wait - 1));
        assert_eq!(machine.pin(WRONG), "wait 1 s");
        machine.clock.advance(Duration::from_secs(1));
        assert_eq!(machine.pin(WRONG), format!("wrong, {next} s"));
    }
    assert_eq!(machine.factors().wait(Factor::Pin).unwrap(), Duration::from_hours(1));
    assert_eq!(machine.factors().wait(Factor::Sealed).unwrap(), Duration::ZERO, "each has its own count");
    machine.clock.advance(Duration::from_hours(1));
    assert_eq!(machine.pin(PIN), "in");
    assert_eq!(machine.pin(WRONG), "wrong, 0 s", "counted from the beginning");
}

#[test]
fn neither_the_clock_nor_a_reboot_helps_who_guesses() {
    const YEAR: i64 = 365 * 86_400 * 1_000_000_000;
    let mut machine = Machine::new();
    for _ in 0..6 {
        let wait = machine.factors().wait(Factor::Pin).unwrap();
        machine.clock.advance(wait);
        assert!(machine.pin(WRONG).starts_with("wrong"));
    }
    assert_eq!(machine.pin(PIN), "wait 900 s");
    for step in [YEAR, -3 * YEAR, i64::MAX / 4] {
        machine.clock.step(step);
        assert_eq!(machine.pin(PIN), "wait 900 s", "the clock was set by {step} ns");
    }
    // What counts after a reboot is how long the machine has been up since: here longer than the wait.
    machine.boot = "a second boot";
    assert_eq!(machine.pin(WRONG), "wrong, 3600 s");
    for wall in [WallNs(0), NOON.offset(YEAR), WallNs(i64::MAX)] {
        machine.reboot(wall);
        assert_eq!(machine.pin(PIN), "wait 2600 s");
    }
    machine.clock.advance(Duration::from_secs(2600));
    assert_eq!(machine.pin(PIN), "in");
}

#[test]
fn a_try_that_is_cut_short_counts() {
    for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
        // The first change is the count, the second what came of it.
        for change in [0, 1] {
            let mut machine = Machine::new();
            for _ in 0..3 {
                machine.pin(WRONG);
            }
            machine.files.cut_at(change, how);
            assert_eq!(machine.pin(PIN), "Io", "{how:?} {change}: nobody was let in");
            machine.files.power_on(lost);
            machine.reboot(NOON);
            machine.clock = FakeClock::at(NOON);
            let failed = machine.factors().read().unwrap().pin.tries.failed;
            let kept = matches!((how, lost), (Cut::Seen, false) | (Cut::After, _));
            let expected = match (change, kept) {
                (0, false) => 3,
                (0, true) | (1, false) => 4,
                _ => 0,
            };
            assert_eq!(failed, expected, "{how:?} {change} {lost}");
        }
    }
    // A wrong one makes one change only, and no answer is given before it is durable.
    let machine = Machine::new();
    machine.files.cut_at(0, Cut::Seen);
    assert_eq!(machine.pin(WRONG), "Io");
    machine.files.power_on(true);
    machine.files.break_down(true);
    assert_eq!(machine.pin(PIN), "Io", "a disk that does not take the count lets nobody in");
    machine.files.break_down(false);
    machine.files.fill(true);
    assert_eq!(machine.pin(PIN), "Io");
}

#[test]
fn each_use_of_the_sealed_code_is_on_record_and_it_stays_valid() {
    let machine = Machine::new();
    let code = machine.code.reveal();
    assert_eq!(machine.sealed(&code.to_uppercase(), "fewer days, as the board decided"), "in");
    machine.clock.advance(Duration::from_hours(1));
    assert_eq!(machine.sealed(&code, &"x".repeat(1000)), "in");
    let other = SealedCode::make().unwrap().reveal();
    assert_eq!(machine.sealed(&other, "none"), "wrong, 0 s");
    assert_eq!(machine.sealed(PIN, "none"), "Malformed");
    let uses = machine.factors().uses().unwrap();
    assert_eq!(uses[0], Use { at: NOON, reason: "fewer days, as the board decided".into() });
    assert_eq!((uses.len(), uses[1].reason.len()), (2, LONGEST));
    // What cannot be put on record is not a use.
    machine.files.cut_at(1, Cut::Before);
    assert_eq!(machine.sealed(&code, "secretly"), "Io");
    machine.files.power_on(true);
    assert_eq!(machine.factors().uses().unwrap().len(), 2);
    for n in 0..USES {
        assert_eq!(machine.sealed(&code, &n.to_string()), "in");
    }
    let uses = machine.factors().uses().unwrap();
    assert_eq!((uses.len(), &*uses[0].reason, &*uses[USES - 1].reason), (USES, "0", "999"));
}

#[test]
fn no_file_or_a_damaged_one_lets_nobody_in() {
    let machine = Machine::new();
    let path = Path::new("/state").join(FILE);
    let whole = machine.files.read(&path).unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&whole).contains(PIN));
    machine.files.remove(&path).unwrap();
    assert_eq!(machine.pin(PIN), "NotSet");
    let newer = String::from_utf8(whole.clone()).unwrap().replace("\"format\":1", "\"format\":2");
    for text in [&whole[..whole.len() / 2], b"", b"{}", newer.as_bytes()] {
        machine.files.write(&path, text, 0, None).unwrap();
        assert_eq!(machine.pin(PIN), "Damaged");
    }
}

#[test]
fn a_real_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let code = SealedCode::make().unwrap();
    let factors = Factors::new(&RealFiles, &RealClock, dir.path(), "b");
    factors.create(&Pin::choose(PIN).unwrap(), &code).unwrap();
    factors.check_pin(PIN).unwrap();
    factors.check_sealed(&code.reveal(), "a test").unwrap();
    let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
