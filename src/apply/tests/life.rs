//! What commands do when nothing is cut.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_change_makes_a_generation_and_no_change_none() {
    let world = World::new();
    let (one, two) = (site("one", &[("v1", "x")]), site("two", &[("v1", "x"), ("v2", "y")]));
    let first = world.apply(&one).unwrap();
    assert_eq!((first.from, first.generation, first.made), (None, Some(1), true));
    world.settled(&one);
    let same = world.apply(&one).unwrap();
    assert_eq!((same.generation, same.made, same.steps.len()), (Some(1), false, 0));
    let second = world.apply(&two).unwrap();
    assert_eq!((second.from, second.generation), (Some(1), Some(2)));
    assert_eq!(world.services.lock().unwrap().restarts, 0, "a new volume restarts nothing");
    world.settled(&two);
    world.reboot(MINUTE);
    world.settled(&two);
    let again = world.act(activate).unwrap();
    let changed: Vec<_> = again.steps.iter().filter(|s| s.outcome == Outcome::Changed).map(|s| &s.step).collect();
    assert_eq!(changed, [&plan::Step::ReloadManager]);
}

#[test]
fn what_others_have_in_the_unit_folder_is_left_alone() {
    let world = World::new();
    world.apply(&site("one", &[("v1", "x")])).unwrap();
    fs::write(world.path("units/other.mount"), "[Mount]\n").unwrap();
    fs::write(world.path("units/binary.service"), [0xff, 0xfe]).unwrap();
    fs::write(world.path("units/stray.mount"), format!("{HEADER}What=gone\n")).unwrap();
    world.act(activate).unwrap();
    let left = RealFiles.list(&world.path("units")).unwrap();
    assert_eq!(left, ["binary.service", "custodian-record.service.d", "other.mount", "v1.mount"]);
}

#[test]
fn a_dead_disk_holds_up_nothing() {
    let world = World::new();
    world.services.lock().unwrap().dead.push("v1.mount".into());
    let report = world.apply(&site("one", &[("v1", "x"), ("v2", "y")])).unwrap();
    let outcomes: Vec<&Outcome> = report
        .steps
        .iter()
        .filter(|d| matches!(&d.step, plan::Step::Start { unit } if plan::is_mount(unit)))
        .map(|d| &d.outcome)
        .collect();
    assert_eq!(outcomes, [&Outcome::NotYet("no such device".into()), &Outcome::Changed]);
    assert!(world.services.lock().unwrap().fed.is_some(), "the recorder was started");
}

#[test]
fn that_nobody_is_told_how_the_recorder_is_holds_up_nothing() {
    let world = World::new();
    let one = site("one", &[("v1", "x")]);
    let wanted = |site: &Site| {
        let mut request = world.request(site, None);
        request.units.insert(format!("{}.d/site.conf", plan::HEALTH), format!("{HEADER}{}\n", site.name));
        request.plan.steps = plan::steps(None, &request.units, true);
        request
    };
    world.services.lock().unwrap().dead.push(plan::HEALTH.into());
    let report = world.act(|env| apply(env, wanted(&one))).unwrap();
    let health = report.steps.iter().find(|d| d.step == plan::Step::Restart { unit: plan::HEALTH.into() }).unwrap();
    assert!(matches!(&health.outcome, Outcome::NotYet(why) if why.contains("it fails")), "{health:?}");
    assert!(list(&RealFiles, &world.path("state")).unwrap()[0].confirmed);
    // Of the recorder it is an error.
    world.services.lock().unwrap().dead.push(RECORD.into());
    let refused = world.act(|env| apply(env, wanted(&site("two", &[("v1", "x")]))));
    assert!(matches!(refused, Err(ApplyError::Unfinished { .. })), "{refused:?}");
}

#[test]
fn what_drifts_is_seen_and_what_is_others_is_not() {
    let world = World::new();
    let (one, two) = (site("one", &[("v1", "x"), ("v2", "y")]), site("two", &[("v1", "x")]));
    let seen = |n| drift(&RealFiles, &world.path("state"), &world.path("units"), n).unwrap();
    world.apply(&one).unwrap();
    assert_eq!(seen(1), []);
    fs::write(world.path("units/other.mount"), "[Mount]\n").unwrap();
    fs::write(world.path("units/stray.mount"), format!("{HEADER}What=gone\n")).unwrap();
    fs::write(world.path("units/v1.mount"), "[Mount]\nWhat=z\n").unwrap();
    fs::remove_file(world.path("units/v2.mount")).unwrap();
    let of = |name: &str| format!("{name}.mount");
    assert_eq!(seen(1), [Drift::Differs(of("v1")), Drift::Missing(of("v2")), Drift::Stray(of("stray"))]);
    world.act(activate).unwrap();
    assert_eq!(seen(1), [], "the next boot puts it right");
    for (name, seen_as) in [("site.toml", Drift::Site), ("secrets.toml", Drift::Secrets)] {
        let path = world.path("state/generations/1").join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}#\n")).unwrap();
        assert_eq!(seen(1), [seen_as], "{name}");
        fs::write(&path, text).unwrap();
    }
    // People stay when a site goes back: what was put together then is what was applied.
    world.apply(&Site { people: "eve", ..two }).unwrap();
    assert_eq!(seen(2), []);
    let back = world.act(|env| rollback(env, Some(1), "test", FREE)).unwrap();
    assert_eq!((back.generation, seen(3)), (Some(3), vec![]));
    assert_eq!(in_work_since(&RealFiles, &world.path("state")).unwrap(), None);
}

#[test]
fn until_when_a_trial_goes_is_told_as_long_as_it_is_one() {
    let world = World::new();
    let ends = |n| trial_ends(&RealFiles, &world.path("state"), n).unwrap();
    world.apply(&site("one", &[])).unwrap();
    let trial = world.attempt(&site("two", &[]), MINUTE).unwrap();
    assert_eq!((ends(1), ends(2)), (None, trial.trial_until));
    assert!(ends(2).is_some());
    world.act(confirm).unwrap();
    assert_eq!(ends(2), None);
}

#[test]
fn a_stale_plan_is_refused_and_says_why() {
    let world = World::new();
    let (one, two) = (site("one", &[]), site("two", &[]));
    world.apply(&one).unwrap();
    let mut request = world.request(&two, None);
    request.plan.base.inventory = Some("before".into());
    request.inventory = Some("now".into());
    request.site.push('\n');
    request.secrets = None;
    world.apply(&two).unwrap();
    let Err(ApplyError::Stale(parts)) = world.act(|env| apply(env, request)) else { panic!("it is stale") };
    assert_eq!(parts, [StalePart::Site, StalePart::Secrets, StalePart::Generation, StalePart::Inventory]);
    world.settled(&two);
}

#[test]
fn only_one_at_a_time() {
    let world = World::new();
    let one = site("one", &[]);
    world.apply(&one).unwrap();
    let file = fs::File::open(world.path("state/apply.lock")).unwrap();
    let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    let request = world.request(&site("two", &[]), None);
    assert!(matches!(world.act(|env| apply(env, request)), Err(ApplyError::Busy)));
    assert!(matches!(world.act(confirm), Err(ApplyError::Busy)));
    // The end of a trial comes once: it waits.
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let outcome = world.act(expire).map(drop);
            let _ = ended.send(outcome.is_ok());
        });
        assert!(end.recv_timeout(Duration::from_millis(100)).is_err(), "it went on beside another command");
        drop(held);
        assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(true));
    });
    world.settled(&one);
}

#[test]
fn a_trial_goes_back_by_itself_unless_it_is_confirmed() {
    let world = World::new();
    let (one, two) = (site("one", &[("v1", "x")]), site("two", &[("v1", "z")]));
    assert!(matches!(world.attempt(&one, MINUTE), Err(ApplyError::TryFirst)));
    world.apply(&one).unwrap();
    let report = world.attempt(&two, MINUTE).unwrap();
    assert_eq!(report.trial_until, Some(world.clock_wall() + MINUTE));
    assert_eq!(world.services.lock().unwrap().timers, BTreeMap::from([(2, MINUTE)]));
    assert!(list(&RealFiles, &world.path("state")).unwrap()[1].on_trial);
    assert!(matches!(world.apply(&site("three", &[])), Err(ApplyError::OnTrial(2))));

    // Not yet; and setting the clock does not change that.
    world.clock.step(3_600_000_000_000);
    assert_eq!(world.act(expire).unwrap().generation, Some(2));
    world.clock.step(-7_200_000_000_000);
    world.clock.advance(MINUTE);
    assert_eq!(world.act(expire).unwrap().generation, Some(1));
    world.settled(&one);

    world.attempt(&two, MINUTE).unwrap();
    assert_eq!(world.act(confirm).unwrap(), (3, true));
    assert_eq!(world.act(confirm).unwrap(), (3, false));
    world.clock.advance(MINUTE);
    assert_eq!(world.act(expire).unwrap().generation, Some(3));
    world.settled(&two);

    world.attempt(&one, MINUTE).unwrap();
    world.clock.advance(MINUTE);
    assert!(matches!(world.act(confirm), Err(ApplyError::Expired)), "too late");
    world.settled(&two);
}

#[test]
fn a_trial_survives_a_reboot_but_not_for_ever() {
    let (one, two) = (site("one", &[]), site("two", &[]));
    let tried = || {
        let world = World::new();
        world.apply(&one).unwrap();
        world.attempt(&two, 5 * MINUTE).unwrap();
        world
    };
    let world = tried();
    assert_eq!(world.reboot(2 * MINUTE).generation, Some(2));
    assert_eq!(world.services.lock().unwrap().timers, BTreeMap::from([(2, 3 * MINUTE)]), "what is left of it");
    // Activating again, as after a cut, arms it again.
    world.services.lock().unwrap().timers.clear();
    world.act(activate).unwrap();
    assert_eq!(world.services.lock().unwrap().timers.len(), 1);
    assert_eq!(world.reboot(10 * MINUTE).generation, Some(1), "it ran out while the machine was off");
    world.settled(&one);

    // A clock that is set back at each boot.
    let world = tried();
    for generation in [2, 2, 1] {
        world.clock.step(-86_400_000_000_000);
        assert_eq!(world.reboot(MINUTE).generation, Some(generation));
        let longest = world.services.lock().unwrap().timers.values().max().copied();
        assert!(longest.unwrap_or_default() <= 5 * MINUTE, "{longest:?}");
    }
    world.settled(&one);
}

#[test]
fn going_back_keeps_the_people() {
    let world = World::new();
    let one = site("one", &[("v1", "x")]);
    let two = Site { people: "bob", ..site("two", &[("v1", "x")]) };
    world.apply(&one).unwrap();
    world.apply(&two).unwrap();
    let report = world.act(|env| rollback(env, None, "ann", FREE)).unwrap();
    assert_eq!((report.generation, report.made), (Some(3), true));
    world.settled(&Site { people: "bob", ..one.clone() });
    let listed = list(&RealFiles, &world.path("state")).unwrap();
    assert_eq!((listed[2].meta.repeats, listed[2].meta.by.as_str()), (Some(1), "ann"));

    // With the same people it is the old generation itself.
    let report = world.act(|env| rollback(env, Some(2), "ann", FREE)).unwrap();
    assert_eq!((report.generation, report.made), (Some(2), false));
    world.settled(&two);
    assert!(matches!(world.act(|env| rollback(env, Some(9), "ann", FREE)), Err(ApplyError::NoSuch(9))));
}

#[test]
fn what_has_no_way_back_is_not_tried() {
    let world = World::new();
    world.apply(&site("BROKEN", &[])).unwrap();
    let other = Site { people: "bob", ..site("two", &[]) };
    assert!(matches!(world.attempt(&other, MINUTE), Err(ApplyError::People { from: 2, to: 1, .. })));
    assert_eq!(world.current(), Some(1));
    world.apply(&other).unwrap();
    assert!(matches!(world.act(|env| rollback(env, Some(1), "x", FREE)), Err(ApplyError::People { .. })));
    world.settled(&other);
}

#[test]
fn confirming_looks_at_the_cameras() {
    let world = World::new();
    let look = |camera: &str, recording, newest: Option<i64>| Look {
        camera: camera.parse().unwrap(),
        recording,
        newest: newest.map(|s| world.clock_wall().offset(s * 1_000_000_000)),
    };
    let say = |looks: Vec<Look>| *world.cameras.lock().unwrap() = Ok(looks);
    world.apply(&site("one", &[])).unwrap();
    // `down` does not record as apply begins, and is not asked about.
    say(vec![look("still", true, Some(-1)), look("down", false, None), look("moved", true, Some(-1))]);
    let mut request = world.request(&site("two", &[]), Some(MINUTE));
    let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect();
    request.touched = Touched { unaffected: ids(&["still", "down"]), changed: ids(&["moved"]), gone: ids(&[]) };
    world.act(|env| apply(env, request)).unwrap();

    let doubts = || match world.act(confirm) {
        Err(ApplyError::Doubts(doubts)) => doubts,
        other => panic!("{other:?}"),
    };
    let (still, moved) = ("still".parse().unwrap(), "moved".parse().unwrap());
    say(vec![look("moved", true, Some(-1))]);
    assert_eq!(doubts(), [Doubt::Stopped { camera: still }, Doubt::NoFootage { camera: moved }]);
    *world.cameras.lock().unwrap() = Err("nobody".into());
    assert_eq!(doubts(), [Doubt::NoAnswer { why: "nobody".into() }]);
    say(vec![look("still", true, Some(2)), look("moved", true, Some(2))]);
    assert_eq!(world.act(confirm).unwrap(), (2, true));
}

#[test]
fn differences_show_no_secret() {
    let world = World::new();
    world.apply(&site("one", &[])).unwrap();
    world.apply(&site("two", &[])).unwrap();
    let diff = diff(&RealFiles, &world.path("state"), 1, 2).unwrap();
    assert!(diff.secrets);
    assert!(diff.site.contains("\n-name = \"one\"\n+name = \"two\"\n"), "{}", diff.site);
    assert!(matches!(super::diff(&RealFiles, &world.path("state"), 1, 7), Err(ApplyError::NoSuch(7))));
}

impl World {
    fn clock_wall(&self) -> WallNs {
        use crate::sys::Clock as _;
        self.clock.wall()
    }
}

/// The recorder does not take the site over, whatever the reason. The way back, and the way on, stay open.
#[test]
fn a_site_that_the_recorder_refuses_is_left_again() {
    let (one, bad) = (site("one", &[("v1", "x")]), site("REFUSED", &[("v1", "x"), ("v2", "y")]));
    let stuck = || {
        let world = World::new();
        world.apply(&one).unwrap();
        assert!(matches!(world.apply(&bad), Err(ApplyError::Unfinished { generation: 2, .. })));
        assert!(world.services.lock().unwrap().running.contains_key("v2.mount"), "all else was done");
        assert!(matches!(world.apply(&bad), Err(ApplyError::Unfinished { .. })), "it says so again");
        assert!(matches!(world.act(confirm), Err(ApplyError::Unfinished { .. })));
        world
    };
    let world = stuck();
    world.act(|env| rollback(env, None, "ann", FREE)).unwrap();
    world.settled(&one);

    let world = stuck();
    let three = site("three", &[("v2", "y")]);
    world.apply(&three).unwrap();
    world.settled(&three);

    let world = World::new();
    world.apply(&one).unwrap();
    assert!(matches!(world.attempt(&bad, MINUTE), Err(ApplyError::Unfinished { .. })));
    world.clock.advance(MINUTE);
    world.act(expire).unwrap();
    world.settled(&one);
}

#[test]
fn going_back_from_what_was_confirmed_may_want_a_word_that_is_kept() {
    let world = World::new();
    let (one, two) = (site("one", &[]), site("two", &[]));
    world.apply(&one).unwrap();
    world.apply(&two).unwrap();
    let no: Consent<'_> = &|now, back, text| Err(format!("{} {} {text}", now.meta.number, back.meta.number));
    let Err(ApplyError::NoWord(asked)) = world.act(|env| rollback(env, None, "ann", no)) else { panic!("not allowed") };
    assert_eq!(asked, format!("2 1 {}", one.text()));
    world.settled(&two);
    let word = plan::guard::Word { who: "ann".into(), reason: "it was better".into() };
    let report = world.act(|env| rollback(env, None, "ann", &|_, _, _| Ok(Some(word.clone())))).unwrap();
    assert_eq!((report.generation, report.made), (Some(3), true));
    assert_eq!(list(&RealFiles, &world.path("state")).unwrap()[2].meta.word, Some(word));
    world.settled(&one);
    // What is on trial would go by itself.
    world.attempt(&two, MINUTE).unwrap();
    world.act(|env| rollback(env, None, "ann", no)).unwrap();
    world.settled(&one);
}

#[test]
fn the_network_comes_up_as_the_site_says_whatever_becomes_of_activation() {
    let world = World::new();
    let (one, two) = (site("one", &[]), site("two", &[("v1", "x")]));
    world.apply(&one).unwrap();
    world.attempt(&two, MINUTE).unwrap();
    let system = |site: &Site| {
        let mut units = site.units();
        units.retain(|name, _| plan::is_system_file(name));
        units
    };
    // Whether the trial is over cannot be told.
    fs::write(world.path("state/trial.json"), "{").unwrap();
    world.power_cycle(2 * MINUTE);
    assert!(matches!(world.act(activate), Err(ApplyError::Damaged { .. })));
    assert_eq!(world.system_files(), system(&two));

    // Nor can the lock be taken.
    fs::remove_file(world.path("state/apply.lock")).unwrap();
    fs::create_dir(world.path("state/apply.lock")).unwrap();
    world.power_cycle(MINUTE);
    assert!(matches!(world.act(activate), Err(ApplyError::Files { .. })));
    assert_eq!(world.system_files(), system(&two));
    fs::remove_dir(world.path("state/apply.lock")).unwrap();

    // What is in force is gone: no wire has addresses that nobody has given it, the cameras' among them.
    let units = world.path("state/generations/2/units");
    fs::rename(&units, world.path("away")).unwrap();
    world.power_cycle(MINUTE);
    assert!(world.act(activate).is_err());
    assert_eq!(world.system_files(), Units::from([plan::silent()]));
    assert!(plan::silent().1.contains("\nActivationPolicy=always-down\n"));

    // When it is there again, nothing of that stays.
    fs::rename(world.path("away"), &units).unwrap();
    fs::remove_file(world.path("state/trial.json")).unwrap();
    world.act(activate).unwrap();
    assert_eq!(world.system_files(), system(&two));
}

#[test]
fn a_word_that_is_given_is_kept_whether_it_was_wanted_or_not() {
    let world = World::new();
    let (one, two) = (site("one", &[]), site("two", &[]));
    world.apply(&one).unwrap();
    world.attempt(&two, MINUTE).unwrap();
    let word = plan::guard::Word { who: "lan".into(), reason: "nothing is recorded".into() };
    let report = world.act(|env| rollback_on(env, 1, &word)).unwrap();
    assert_eq!((report.generation, report.made), (Some(3), true));
    let meta = list(&RealFiles, &world.path("state")).unwrap().remove(2).meta;
    assert_eq!((meta.by.as_str(), meta.word, meta.repeats), ("lan", Some(word), Some(1)));
    world.settled(&one);
}
