use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use Level::{Fail, Ok as Well, Warn};

const LOOK: i64 = 30 * 1_000_000_000;

/// A recorder looked at every 30 s.
struct Bench {
    steady: Steady,
    looks: i64,
    ground: Ground,
}

impl Default for Bench {
    fn default() -> Self {
        Self { steady: Steady::default(), looks: 0, ground: ground(1..=4) }
    }
}

/// A site of these cameras.
fn ground(cameras: std::ops::RangeInclusive<u32>) -> Ground {
    Ground::Known(cameras.collect(), BTreeSet::from(["a1".parse().unwrap()]))
}

impl Bench {
    fn now(&self) -> WallNs {
        WallNs(1_000_000 + self.looks * LOOK)
    }

    fn look(&mut self, found: Vec<Finding>) -> (Vec<Finding>, Vec<Turn>) {
        self.looks += 1;
        // As it would be after a restart of the service.
        self.steady = serde_json::from_str(&serde_json::to_string(&self.steady).unwrap()).unwrap();
        self.steady.settle(found, &self.ground, (self.now(), self.looks * LOOK))
    }

    /// A look that finds one thing, after one that found that it is well: what is said, and what was told.
    fn one(&mut self, level: Level) -> (String, String) {
        let (said, turns) = self.look(vec![load(level)]);
        let turn = |t: &Turn| format!("{}→{}", t.from, t.finding.level);
        let unsteady = |f: &Finding| if f.unsteady { "~" } else { "" };
        (
            said.iter().map(|f| format!("{}{}", unsteady(f), f.level)).collect::<Vec<_>>().join(" "),
            turns.iter().map(turn).collect::<Vec<_>>().join(" "),
        )
    }

    fn all(&mut self, levels: &[Level]) -> Vec<(String, String)> {
        levels.iter().map(|level| self.one(*level)).collect()
    }
}

fn load(level: Level) -> Finding {
    Finding::new(Probe::Load, None, level, if level == Well { "easy" } else { "high" }, WallNs(7))
}

fn camera(n: u32, level: Level) -> Finding {
    Finding::new(Probe::Footage, Some(Subject::Camera(n)), level, "late", WallNs(7))
}

fn plain(probe: Probe, level: Level, code: &str) -> Finding {
    Finding::new(probe, None, level, code, WallNs(7))
}

/// What is said and told, in short.
fn short(looked: &(Vec<Finding>, Vec<Turn>)) -> (Vec<String>, Vec<String>) {
    let subject = |f: &Finding| match &f.subject {
        Some(Subject::Camera(n)) => format!("c{n}"),
        _ => "all".into(),
    };
    let said = looked.0.iter().map(|f| format!("{} {} {}", subject(f), f.level, f.code)).collect();
    let told =
        looked.1.iter().map(|t| format!("{} {}→{} {}", subject(&t.finding), t.from, t.finding.level, t.finding.code));
    (said, told.collect())
}

fn strings(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn a_level_is_taken_over_when_it_was_seen_twice() {
    let mut bench = Bench::default();
    let looks = bench.all(&[Well, Fail, Fail, Fail, Well, Well, Well]);
    let is = [("ok", ""), ("ok", ""), ("fail", "ok→fail"), ("fail", ""), ("fail", ""), ("ok", "fail→ok"), ("ok", "")];
    assert_eq!(looks, strings(&is));
    let looks = Bench::default().all(&[Well, Fail, Well, Fail, Well]);
    assert_eq!(looks[..4], strings(&[("ok", ""), ("ok", ""), ("ok", ""), ("ok", "")]));
    let looks = Bench::default().all(&[Well, Warn, Warn, Fail, Fail, Warn, Warn]);
    let is = [
        ("ok", ""),
        ("ok", ""),
        ("warn", "ok→warn"),
        ("warn", ""),
        ("fail", "warn→fail"),
        ("fail", ""),
        ("warn", "fail→warn"),
    ];
    assert_eq!(looks, strings(&is));
}

#[test]
fn the_first_look_ever_is_said_as_it_is_and_told_when_it_was_seen_twice() {
    let looks = Bench::default().all(&[Fail, Fail]);
    assert_eq!(looks, strings(&[("fail", ""), ("fail", "ok→fail")]));
    let looks = Bench::default().all(&[Fail, Well, Well]);
    assert_eq!(looks, strings(&[("fail", ""), ("ok", ""), ("ok", "")]));
    let looks = Bench::default().all(&[Fail, Warn, Warn]);
    assert_eq!(looks, strings(&[("fail", ""), ("warn", "ok→warn"), ("warn", "")]));
}

#[test]
fn what_cannot_flap_is_said_at_once() {
    let smart = |level, code: &str| {
        Finding::new(Probe::Disk, Some(Subject::Volume("a1".parse().unwrap())), level, code, WallNs(7))
    };
    let mut bench = Bench::default();
    bench.look(vec![smart(Well, "well")]);
    let (said, turns) = bench.look(vec![smart(Fail, "smart")]);
    assert_eq!((said[0].level, turns.len()), (Fail, 1));
    // Found at the first look ever, too.
    let (said, turns) = Bench::default().look(vec![smart(Fail, "smart")]);
    assert_eq!((said[0].level, turns.len()), (Fail, 1));
}

#[test]
fn since_is_when_the_level_came() {
    let mut bench = Bench::default();
    bench.all(&[Well, Fail, Fail, Fail]);
    let third = WallNs(1_000_000 + 3 * LOOK);
    let (said, _) = bench.look(vec![load(Fail).with("load", crate::types::wire::health::Value::Percent(250.0))]);
    assert_eq!(said[0].since, third);
    assert!(said[0].values.contains_key("load"), "its values are the newest");
}

#[test]
fn what_comes_and_goes_is_held_at_its_worst_until_it_was_quiet() {
    let mut bench = Bench::default();
    bench.all(&[Well, Fail, Fail, Well, Well, Fail, Fail, Well, Well, Fail]);
    assert_eq!(
        bench.one(Fail),
        ("~fail".into(), "ok→fail".into()),
        "the third beginning within an hour is one too many"
    );
    // For a quarter of an hour after the last change.
    for n in 0..30 {
        assert_eq!(bench.one(Well), ("~fail".into(), String::new()), "{n}");
    }
    assert_eq!(bench.one(Well), ("ok".into(), "fail→ok".into()));
    assert_eq!(bench.one(Well), ("ok".into(), String::new()));
    // Looks that differ once each are beginnings as well, else it could come and go for ever unseen.
    let mut bench = Bench::default();
    let looks = bench.all(&[Well, Fail, Well, Warn, Well, Warn, Well]);
    let (last, before) = looks.split_last().unwrap();
    assert!(before.iter().all(|(said, told)| said == "ok" && told.is_empty()), "{before:?}");
    assert_eq!(*last, ("~fail".into(), "ok→fail".into()), "at its worst");
    // Warn is all that has come for an hour: what was worse before that is forgotten.
    let mut bench = Bench::default();
    bench.all(&[Well, Fail, Well]);
    (0..120).for_each(|_| drop(bench.one(Well)));
    let looks = bench.all(&[Warn, Well, Warn, Well, Warn, Well]);
    assert_eq!(looks.last().unwrap().0, "~warn");
}

#[test]
fn one_outage_is_not_unsteady_however_bad_it_becomes() {
    let outage = [Warn, Warn, Fail, Fail, Warn, Warn, Well, Well];
    let told = ["", "ok→warn", "", "warn→fail", "", "fail→warn", "", "warn→ok"];
    let mut bench = Bench::default();
    bench.one(Well);
    for _ in 0..2 {
        let looks = bench.all(&outage);
        assert_eq!(looks.iter().map(|(_, told)| &**told).collect::<Vec<_>>(), told);
        assert!(looks.iter().all(|(said, _)| !said.starts_with('~')), "{looks:?}");
    }
    assert_eq!(bench.all(&outage)[1], ("~fail".into(), "ok→fail".into()), "the third of an hour");
    // What goes up and down without an end does so unseen no more than what ends each time.
    let mut bench = Bench::default();
    let looks = bench.all(&[Well, Warn, Warn, Fail, Fail, Warn, Warn, Fail, Fail, Warn, Warn, Fail, Fail, Warn, Warn]);
    assert_eq!(looks.last().unwrap().0, "~fail");
    // What is said at once, and of nobody in between.
    let mut bench = Bench::default();
    let offered = || plain(Probe::Update, Warn, "security");
    bench.look(vec![load(Well)]);
    for n in 0..3 {
        let (said, _) = bench.look(vec![load(Well), offered()]);
        assert_eq!(said.iter().any(|f| f.unsteady), n == 2, "{n}");
        (0..3).for_each(|_| drop(bench.look(vec![load(Well)])));
    }
}

#[test]
fn turns_that_lie_far_apart_are_not_unsteady() {
    let mut bench = Bench::default();
    bench.one(Well);
    for _ in 0..6 {
        let looks = bench.all(&[Fail, Fail, Well, Well]);
        assert_eq!(looks, strings(&[("ok", ""), ("fail", "ok→fail"), ("fail", ""), ("ok", "fail→ok")]));
        (0..120).for_each(|_| drop(bench.one(Well)));
    }
}

#[test]
fn a_subject_that_is_no_longer_found_is_over() {
    let mut bench = Bench::default();
    let all = || plain(Probe::Footage, Well, "partly");
    bench.look(vec![all()]);
    bench.look(vec![all(), camera(3, Fail)]);
    let looked = short(&bench.look(vec![all(), camera(3, Fail)]));
    assert_eq!(looked, (vec!["all ok partly".into(), "c3 fail late".into()], vec!["c3 ok→fail late".into()]));
    let held = short(&bench.look(vec![all()]));
    assert_eq!(held, (vec!["all ok partly".into(), "c3 fail late".into()], vec![]));
    let over = short(&bench.look(vec![all()]));
    assert_eq!(over, (vec!["all ok partly".into()], vec!["c3 fail→ok over".into()]));
    assert_eq!(short(&bench.look(vec![all()])), (vec!["all ok partly".into()], vec![]));
}

#[test]
fn what_is_said_of_all_is_not_told_of_each_again() {
    let mut bench = Bench::default();
    let each = || vec![plain(Probe::Footage, Well, "partly"), camera(1, Fail), camera(2, Fail)];
    let all = || vec![plain(Probe::Footage, Fail, "none")];
    bench.look(vec![plain(Probe::Footage, Well, "recorded")]);
    bench.look(each());
    assert_eq!(bench.look(each()).1.len(), 2);
    // All fail: the cameras are still said until that is.
    let looked = short(&bench.look(all()));
    assert_eq!(looked.0, ["all ok partly", "c1 fail late", "c2 fail late"]);
    let looked = short(&bench.look(all()));
    assert_eq!(looked, (vec!["all fail none".into()], vec!["all ok→fail none".into()]));
    (0..40).for_each(|_| assert_eq!(short(&bench.look(all())), (vec!["all fail none".into()], vec![])));
    // Most come back; one that was told before is not told again, one that is well is over.
    let one = || vec![plain(Probe::Footage, Well, "partly"), camera(1, Fail)];
    assert_eq!(short(&bench.look(one())).1, Vec::<String>::new());
    let looked = short(&bench.look(one()));
    assert_eq!(looked.1, ["all fail→ok partly"]);
    bench.look(one());
    let rest: Vec<String> = (0..3).flat_map(|_| short(&bench.look(one())).1).collect();
    assert!(rest.iter().all(|t| t == "c2 fail→ok over"), "{rest:?}");
}

#[test]
fn nothing_is_over_while_the_site_cannot_be_read() {
    let broken = || vec![plain(Probe::Generation, Fail, "broken"), plain(Probe::Units, Well, "well")];
    let unit = || Finding::new(Probe::Units, Some(Subject::Other("x.service".into())), Fail, "failed", WallNs(7));
    let found = || vec![plain(Probe::Footage, Well, "partly"), camera(3, Fail)];
    let mut bench = Bench::default();
    let both = || found().into_iter().chain([unit()]).collect();
    (0..3).for_each(|_| drop(bench.look(both())));
    bench.ground = Ground::Unknown;
    let told: Vec<_> = (0..9).flat_map(|_| short(&bench.look(broken())).1).collect();
    assert_eq!(told, ["all fail→ok over", "all ok→fail broken"], "what needs no site is judged");
    bench.ground = ground(1..=4);
    let back: Vec<_> = (0..3).flat_map(|_| bench.look(found()).1).map(|t| t.finding.probe).collect();
    assert_eq!(back, [Probe::Generation], "the camera is as it was");
    let over: Vec<_> =
        (0..3).flat_map(|_| short(&bench.look(vec![plain(Probe::Footage, Well, "recorded")])).1).collect();
    assert_eq!(over, ["c3 fail→ok over"]);
}

#[test]
fn what_is_no_longer_of_the_site_is_over_at_once() {
    let mut bench = Bench::default();
    let all = || plain(Probe::Footage, Well, "partly");
    let disk = || Finding::new(Probe::Disk, Some(Subject::Volume("a1".parse().unwrap())), Fail, "smart", WallNs(7));
    bench.look(vec![all()]);
    for level in [Fail, Fail, Well, Well, Fail, Fail, Well, Well, Fail, Fail] {
        let found = if level == Fail { vec![all(), camera(4, Fail), disk()] } else { vec![all(), disk()] };
        bench.look(found);
    }
    let (said, _) = bench.look(vec![all(), camera(4, Fail), disk()]);
    assert!(said.iter().any(|f| f.unsteady && f.subject == Some(Subject::Camera(4))), "{said:?}");
    bench.ground = ground(1..=3);
    let looked = short(&bench.look(vec![all(), disk()]));
    assert_eq!(looked, (vec!["all ok partly".into(), "all fail smart".into()], vec!["c4 fail→ok over".into()]));
    // Also while the same is said of all, and of a volume.
    bench.ground = Ground::Known(BTreeSet::new(), BTreeSet::new());
    let looked = short(&bench.look(vec![plain(Probe::Disk, Fail, "x")]));
    assert_eq!(looked.1, ["all fail→ok over"]);
}

#[test]
fn what_stands_beside_the_whole_ends_by_itself() {
    let beside = |level| Finding::new(Probe::Clock, Some(Subject::Other("step".into())), level, "stepped", WallNs(7));
    let wrong = || plain(Probe::Clock, Fail, "offset");
    let mut bench = Bench::default();
    (0..2).for_each(|_| drop(bench.look(vec![wrong(), beside(Warn)])));
    let told: Vec<_> = (0..3).flat_map(|_| bench.look(vec![wrong()]).1).map(|t| key_of(&t.finding)).collect();
    assert_eq!(told, [(Probe::Clock, Some(Subject::Other("step".into())))]);
    // Not where nothing is known: whether a backup is still too old, for one.
    let old = || Finding::new(Probe::Backup, Some(Subject::Other("backup-1-s3".into())), Fail, "old", WallNs(7));
    let mut bench = Bench::default();
    (0..3).for_each(|_| drop(bench.look(vec![old()])));
    let unknown = || vec![plain(Probe::Backup, Warn, "unknown")];
    assert!((0..9).all(|_| bench.look(unknown()).1.is_empty()));
    assert!((0..9).all(|_| bench.look(vec![old()]).1.is_empty()), "it was told");
}

#[test]
fn nothing_is_told_while_it_is_silenced_and_it_is_if_it_lasts() {
    let silenced = |bench: &Bench, until: i64| {
        let mut finding = load(Fail);
        finding.silenced = Some(WallNs(bench.now().0 + until * LOOK));
        finding
    };
    let mut bench = Bench::default();
    bench.one(Well);
    for n in (2..6).rev() {
        let finding = silenced(&bench, n);
        let (said, turns) = bench.look(vec![finding]);
        assert!(turns.is_empty());
        assert_eq!(said[0].silenced.is_some(), said[0].level == Fail);
    }
    assert_eq!(bench.one(Fail), ("fail".into(), "ok→fail".into()), "it lasts");
    // The end of what was told before is told.
    let finding = silenced(&bench, 5);
    assert!(bench.look(vec![finding]).1.is_empty());
    bench.one(Well);
    assert_eq!(bench.one(Well).1, "fail→ok");
}

#[test]
fn what_only_stands_in_the_way_of_knowing_is_not_told() {
    let mut bench = Bench::default();
    bench.look(vec![plain(Probe::Gaps, Well, "few")]);
    let unknown = || vec![plain(Probe::Gaps, Warn, "unknown")];
    bench.look(unknown());
    let (said, turns) = bench.look(unknown());
    assert_eq!((said[0].code.as_str(), said[0].level, turns.len()), ("unknown", Warn, 0));
    bench.look(vec![plain(Probe::Gaps, Well, "few")]);
    assert!(bench.look(vec![plain(Probe::Gaps, Well, "few")]).1.is_empty());
}

#[test]
fn time_since_boot_begins_anew_with_a_boot() {
    let mut bench = Bench::default();
    bench.all(&[Well, Fail, Fail, Well, Well, Fail, Fail, Well, Well, Fail, Fail, Well]);
    // The machine starts again: what was a moment ago was a moment ago.
    bench.looks = 0;
    for n in 0..29 {
        assert_eq!(bench.one(Well).0, "~fail", "{n}");
    }
    assert!((0..3).any(|_| bench.one(Well).0 == "ok"));
}

#[test]
fn of_two_findings_of_one_subject_the_worse_is_said() {
    let (said, _) = Steady::default().settle(vec![load(Well), load(Fail), load(Warn)], &ground(1..=4), (WallNs(0), 0));
    assert_eq!(said.iter().map(|f| f.level).collect::<Vec<_>>(), [Fail]);
}

/// What one look finds: of all together, and of four cameras.
fn looks() -> impl Strategy<Value = Vec<(Level, [Option<Level>; 4], bool)>> {
    let level = || prop::sample::select(vec![Well, Well, Well, Warn, Fail, Fail]);
    let camera = || prop::option::weighted(0.7, level());
    let cameras = (camera(), camera(), camera(), camera()).prop_map(|(a, b, c, d)| [a, b, c, d]);
    // Each is seen so many times in a row.
    let stretch = (level(), cameras, prop::bool::weighted(0.1), 1..5_usize);
    prop::collection::vec(stretch, 1..40)
        .prop_map(|all| all.into_iter().flat_map(|(a, c, s, n)| std::iter::repeat_n((a, c, s), n)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn whatever_is_found(looks in looks(), steps in prop::collection::vec(-50_000..50_000_i64, 200)) {
        let mut bench = Bench::default();
        let mut told: BTreeMap<(Probe, Option<Subject>), Level> = BTreeMap::new();
        let mut failing: BTreeMap<Option<Subject>, u32> = BTreeMap::new();
        let (mut before, mut rises) = (BTreeMap::<Option<Subject>, Level>::new(), BTreeMap::<Option<Subject>, u32>::new());
        for (n, (all, cameras, silent)) in looks.iter().enumerate() {
            let mut found = vec![load(*all)];
            found.extend(cameras.iter().zip(1..).filter_map(|(level, n)| {
                let mut finding = camera(n, (*level)?);
                finding.code = if finding.level == Well { "recorded" } else { "late" }.into();
                Some(finding)
            }));
            bench.looks += 1;
            // The wall clock is set at will; only the time since boot counts.
            let now = WallNs(bench.now().0 + steps[n % steps.len()] * LOOK);
            if *silent {
                found.iter_mut().filter(|f| f.level > Well).for_each(|f| f.silenced = Some(WallNs(now.0 + 1)));
            }
            let bad: BTreeSet<Option<Subject>> =
                found.iter().filter(|f| f.level == Fail).map(|f| f.subject.clone()).collect();
            failing.retain(|subject, _| bad.contains(subject));
            bad.into_iter().for_each(|subject| *failing.entry(subject).or_default() += 1);
            let levels: BTreeMap<_, _> = found.iter().map(|f| (f.subject.clone(), f.level)).collect();
            for (subject, level) in &levels {
                let rises = rises.entry(subject.clone()).or_default();
                *rises += u32::from(*level > before.get(subject).copied().unwrap_or_default());
            }
            // Each beginning takes a rise at least.
            before = levels;
            let (said, turns) = bench.steady.settle(found, &bench.ground, (now, bench.looks * LOOK));
            for finding in said.iter().filter(|f| f.unsteady) {
                prop_assert!(rises[&finding.subject] >= 3, "{:?}", finding);
            }
            for turn in &turns {
                let before = told.insert(key_of(&turn.finding), turn.finding.level).unwrap_or_default();
                prop_assert_eq!(turn.from, before, "a turn goes on from the last one");
                prop_assert_ne!(turn.from, turn.finding.level, "no turn without a change of level");
                prop_assert!(turn.finding.level == Well || turn.finding.silenced.is_none());
            }
            let keys: BTreeSet<_> = turns.iter().map(|t| key_of(&t.finding)).collect();
            prop_assert_eq!(keys.len(), turns.len(), "of each at most one");
            // Never is a failure hidden for more than two looks.
            for (subject, _) in failing.iter().filter(|(_, looks)| **looks >= 2) {
                let said = said.iter().find(|f| f.subject == *subject);
                prop_assert_eq!(said.map(|f| f.level), Some(Fail), "{:?}", subject);
            }
        }
        // Once all is well for long enough, all that was raised has ended, once.
        for _ in 0..35 {
            let turns = bench.look(vec![load(Well)]).1;
            told.extend(turns.iter().map(|t| (key_of(&t.finding), t.finding.level)));
        }
        prop_assert!(told.values().all(|level| *level == Well), "{:?}", told);
        (0..130).for_each(|_| drop(bench.look(vec![load(Well)])));
        prop_assert_eq!(bench.steady.entries.len(), 1, "and what has gone is forgotten");
    }
}

fn key_of(finding: &Finding) -> (Probe, Option<Subject>) {
    (finding.probe, finding.subject.clone())
}
