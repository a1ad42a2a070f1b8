use std::cell::Cell;

use super::*;
use crate::sys::FakeClock;

const S: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * S;
const NOW: WallNs = WallNs(20_000 * DAY);

struct Bench {
    clock: FakeClock,
    trust: ClockTrust,
    ntp: Cell<bool>,
    asked: Cell<usize>,
}

fn bench(newest: Option<i64>, left: Option<ClockDoubt>) -> Bench {
    let clock = FakeClock::at(NOW);
    let seen = newest.map(|ago| (NOW.offset(-ago), NOW.offset(-ago)));
    let before = Before { doubt: left, seen, trace: None, is_new: newest.is_none() };
    let trust = ClockTrust::new(Arc::new(clock.clone()), before);
    Bench { clock, trust, ntp: Cell::new(false), asked: Cell::new(0) }
}

impl Bench {
    fn look(&self) -> Option<ClockDoubt> {
        self.clock.advance(Duration::from_secs(5));
        self.trust.look(&|| {
            self.asked.set(self.asked.get() + 1);
            self.ntp.get()
        });
        self.trust.doubt()
    }
}

#[test]
fn a_clock_that_goes_on_is_trusted_and_time_that_passes_is_no_step() {
    for newest in [None, Some(0), Some(6 * DAY), Some(-30 * S)] {
        let b = bench(newest, None);
        b.clock.advance(Duration::from_hours(24 * 40));
        b.clock.step(999 * S / 1000);
        assert_eq!(b.look(), None, "{newest:?}");
        b.look();
        assert_eq!(b.asked.get(), 1, "seldom");
    }
}

#[test]
fn a_step_wants_a_persons_word_whatever_a_time_service_says() {
    let b = bench(Some(0), None);
    b.ntp.set(true);
    assert_eq!(b.look(), None);
    b.clock.step(59 * S);
    assert_eq!(b.look(), None);
    b.clock.step(5 * S);
    let slewed = 5 * S / SLEW;
    assert!(matches!(b.look(), Some(ClockDoubt::Stepped { by, .. }) if by == 64 * S - slewed), "two steps together");
    b.clock.step(-64 * S);
    assert!(b.look().is_some(), "set back: a person has to look all the same");
    b.trust.confirm();
    assert_eq!(b.look(), None);
    b.clock.step(-61 * S);
    let left = b.look();
    assert!(matches!(left, Some(ClockDoubt::Stepped { .. })));
    assert_eq!(bench(Some(0), left.clone()).look(), left, "a restart changes nothing");
}

#[test]
fn a_clock_before_or_long_after_what_was_seen_waits_for_a_time_service() {
    for (newest, behind) in [(-61 * S, true), (8 * DAY, false)] {
        let b = bench(Some(newest), None);
        let doubt = b.look().unwrap();
        assert_eq!(matches!(doubt, ClockDoubt::Behind { .. }), behind);
        b.look();
        assert_eq!(b.asked.get(), 1, "not all the time");
        b.ntp.set(true);
        b.clock.advance(ASK);
        assert_eq!(b.look(), None);
    }
}

/// A machine whose battery is empty starts in 1970, and a time service puts that right.
#[test]
fn a_step_out_of_the_past_is_what_a_time_service_is_for() {
    let year = 365 * DAY;
    let b = bench(Some(-year), None);
    assert!(b.look().is_some());
    b.clock.step(year + 3600 * S);
    assert!(matches!(b.look(), Some(ClockDoubt::Unconfirmed { .. })), "it could be right, but nobody says so");
    b.ntp.set(true);
    b.clock.advance(ASK);
    assert_eq!(b.look(), None);
    // Whether the recorder or the time service is first after a long time off makes no difference.
    for newest in [-year, 0] {
        let b = bench(Some(newest), None);
        b.look();
        b.clock.step(2 * year);
        assert!(matches!(b.look(), Some(ClockDoubt::Away { .. })));
        b.ntp.set(true);
        b.clock.advance(ASK);
        assert_eq!(b.look(), None);
        // From then on it is a step as any other, whatever the time service says.
        b.clock.step(year);
        assert!(matches!(b.look(), Some(ClockDoubt::Stepped { .. })));
    }
    // A step that leads back before what was seen, too.
    let b = bench(Some(0), None);
    b.ntp.set(true);
    b.clock.step(-year);
    assert!(matches!(b.look(), Some(ClockDoubt::Stepped { .. })));
}

/// A clock on the board that runs by local time is hours ahead at each start, until a time service has set it.
#[test]
fn until_somebody_says_that_the_clock_is_right_footage_ages_only_while_the_recorder_runs() {
    let b = bench(Some(9 * 3600 * S), None);
    assert_eq!(b.look(), None);
    assert_eq!((b.trust.now(), b.trust.younger()), (NOW.offset(-9 * 3600 * S + 5 * S), 9 * 3600 * S));
    b.clock.step(-8 * 3600 * S);
    assert!(matches!(b.look(), Some(ClockDoubt::Unconfirmed { .. })), "nobody says yet that it is right now");
    assert_eq!(b.trust.now(), NOW.offset(-9 * 3600 * S + 10 * S));
    b.ntp.set(true);
    b.clock.advance(ASK);
    assert_eq!(b.look(), None, "and it takes no person");
    assert_eq!((b.trust.now(), b.trust.younger()), (b.clock.wall(), 0));
    // Where the time service is quick, nobody sees anything of it.
    let b = bench(Some(9 * 3600 * S), None);
    b.look();
    b.clock.step(-8 * 3600 * S);
    b.ntp.set(true);
    assert_eq!((b.look(), b.trust.now()), (None, b.clock.wall()));
}

#[test]
fn a_clock_that_is_set_while_the_recorder_is_off_ages_nothing_however_often() {
    let clock = FakeClock::at(NOW);
    let mut seen = (NOW, NOW);
    for n in 1..=4 {
        clock.step(6 * DAY);
        let before = Before { seen: Some(seen), ..Before::default() };
        let trust = ClockTrust::new(Arc::new(clock.clone()), before);
        clock.advance(Duration::from_hours(1));
        trust.look(&|| false);
        seen = trust.seen().unwrap();
        assert_eq!(seen, (clock.wall(), NOW.offset(n * 3600 * S)));
        assert_eq!(trust.now(), NOW.offset(n * 3600 * S));
        assert!(trust.wants_a_word());
    }
    let before = Before { seen: Some(seen), ..Before::default() };
    let trust = ClockTrust::new(Arc::new(clock.clone()), before);
    trust.confirm();
    assert_eq!((trust.now(), trust.wants_a_word()), (clock.wall(), false));
}

#[test]
fn what_is_not_known_is_a_doubt() {
    let clock = FakeClock::at(NOW);
    let trace = Some(NOW.offset(-DAY));
    let unknown = |ntp| {
        let trust = ClockTrust::new(Arc::new(clock.clone()), Before { trace, ..Before::default() });
        assert!(matches!(trust.doubt(), Some(ClockDoubt::Unknown { newest }) if newest == trace));
        clock.step(400 * DAY);
        trust.look(&|| ntp);
        trust
    };
    assert!(matches!(unknown(false).doubt(), Some(ClockDoubt::Unknown { .. })));
    assert_eq!(unknown(true).doubt(), None);
    let unread = Some(ClockDoubt::Unread { why: "damaged".into() });
    let trust = ClockTrust::new(Arc::new(clock.clone()), Before { doubt: unread.clone(), ..Before::default() });
    trust.look(&|| true);
    assert_eq!(trust.doubt(), unread, "it may have said that a person is waited for");
    trust.confirm();
    assert_eq!(trust.doubt(), None);
}

#[test]
fn an_answer_of_the_time_before_the_clock_was_set_settles_nothing() {
    let b = bench(Some(-365 * DAY), None);
    b.trust.look(&|| {
        b.clock.step(365 * DAY + 3600 * S);
        true
    });
    assert!(matches!(b.trust.doubt(), Some(ClockDoubt::Unconfirmed { .. })));
    b.ntp.set(true);
    assert_eq!(b.look(), None, "it is asked again at once");
}

#[test]
fn a_clock_that_is_moved_bit_by_bit_is_set_and_one_that_is_corrected_is_not() {
    let moved = |by: i64, looks: usize| {
        let b = bench(Some(0), None);
        b.trust.confirm();
        (0..looks).find(|_| {
            b.clock.step(by);
            b.look().is_some()
        })
    };
    assert_eq!(moved(2_500_000, 50_000), None, "500 ppm");
    assert_eq!(moved(-2_500_000, 50_000), None);
    assert_eq!(moved(S - 1, 100), Some(60), "a fifth");
}

#[test]
fn what_was_decided_by_a_clock_that_was_set_since_does_not_stand() {
    let b = bench(Some(0), None);
    b.trust.confirm();
    b.look();
    let decided = b.trust.now();
    b.clock.step(30 * DAY);
    assert!(!b.trust.stands());
    assert_eq!((b.trust.now(), b.trust.wall()), (decided, decided));
    b.look();
    assert!(!b.trust.stands(), "it is in doubt");
    b.trust.confirm();
    assert!(b.trust.stands());
}
