//! The power fails, or the process is killed, before each change that a command makes, one after the other.

use super::*;

type Act<'a> = &'a dyn Fn(&World, &Env<'_>) -> Result<(), ApplyError>;

/// Prepares a machine, does something that is cut short after ever more changes, and looks at what is left: first as after a kill, then as
/// after a power cut. `sites` are those that may be in force afterwards.
fn at_every_cut(prepare: &dyn Fn() -> World, act: Act<'_>, sites: &[&Site], again: &dyn Fn(&World) -> usize) -> i64 {
    for cut in 0.. {
        assert!(cut < 200, "it ends at some time");
        let mut through = false;
        for power in [false, true] {
            let world = prepare();
            let result = world.cut(cut, |env| act(&world, env));
            through = result.is_ok();
            if world.current().is_some() {
                world.in_force(sites);
            }
            if power {
                world.power_cycle(Duration::ZERO);
                // That can be cut short as well, at a place that wanders with the first one.
                let _ = world.cut(cut % 5, activate);
                world.act(activate).unwrap();
                world.start_recorder();
                if world.current().is_some() && !world.path("state/trial.json").exists() {
                    world.settled(sites[world.in_force(sites)]);
                }
            }
            let end = again(&world);
            world.settled(sites[end]);
        }
        if through {
            return cut;
        }
    }
    unreachable!()
}

fn prepared(sites: &[&Site]) -> World {
    let world = World::new();
    for site in sites {
        world.apply(site).unwrap();
    }
    world
}

const MINUTE: Duration = Duration::from_mins(1);

/// While a site is on trial, which leaves the most behind.
#[test]
fn a_configuration_is_set_aside_wherever_that_is_cut_short_and_a_site_can_be_applied_then() {
    let (old, new) = (site("old", &[("v1", "x")]), site("new", &[("v1", "z"), ("v3", "y")]));
    let on_trial = || {
        let world = prepared(&[&old]);
        world.act(|env| apply(env, world.request(&new, Some(MINUTE)))).unwrap();
        world
    };
    let aside =
        |env: &Env<'_>, n: u32| set_aside(env, Path::new(&format!("set-aside/{n}")), &[], |_| Ok(b"{}".to_vec()));
    let act = |_: &World, env: &Env<'_>| aside(env, 1).map(drop);
    let again = |world: &World| {
        world.act(|env| aside(env, 2)).unwrap();
        assert_eq!(world.current(), None);
        let left = MOVED.iter().filter(|name| world.path("state").join(name).exists()).count();
        assert_eq!(left, 0);
        // Both are there still, under their numbers.
        assert!([1, 2].iter().all(|n| world.path(&format!("state/generations/{n}/site.toml")).exists()));
        // What was mounted goes with the restart that follows.
        world.power_cycle(Duration::ZERO);
        world.start_recorder();
        world.apply(&old).unwrap();
        assert!(world.current().is_some_and(|n| n > 2), "numbers go on");
        0
    };
    let cuts = at_every_cut(&on_trial, &act, &[&old, &new], &again);
    assert!(cuts > 5, "{cuts} changes were seen");
}

#[test]
fn an_apply_that_is_cut_short_is_finished_by_the_next() {
    let (old, new) = (site("old", &[("v1", "x"), ("v2", "y")]), site("new", &[("v1", "z"), ("v3", "y")]));
    let act = |world: &World, env: &Env<'_>| apply(env, world.request(&new, None)).map(drop);
    let again = |world: &World| {
        world.apply(&new).unwrap();
        1
    };
    let cuts = at_every_cut(&|| prepared(&[&old]), &act, &[&old, &new], &again);
    assert!(cuts > 20, "{cuts} changes were seen");
}

#[test]
fn the_first_apply_too() {
    let new = site("new", &[("v1", "z")]);
    let act = |world: &World, env: &Env<'_>| apply(env, world.request(&new, None)).map(drop);
    let again = |world: &World| {
        world.apply(&new).unwrap();
        0
    };
    at_every_cut(&World::new, &act, &[&new], &again);
}

#[test]
fn a_trial_ends_wherever_it_is_cut() {
    let (old, new) = (site("old", &[("v1", "x")]), site("new", &[("v1", "z")]));
    let act = |world: &World, env: &Env<'_>| apply(env, world.request(&new, Some(MINUTE))).map(drop);
    // Nobody confirms: a minute later the timer, or else the next boot, has put the old one back.
    let again = |world: &World| {
        world.clock.advance(2 * MINUTE);
        let timers = world.services.lock().unwrap().timers.len();
        if world.path("state/trial.json").exists() && timers == 0 {
            // Cut between the file and its timer, before the switch.
            assert_eq!(world.in_force(&[&old, &new]), 0);
        }
        world.act(expire).unwrap();
        0
    };
    at_every_cut(&|| prepared(&[&old]), &act, &[&old, &new], &again);
}

#[test]
fn going_back_and_confirming_can_be_cut_short_too() {
    let (old, new) = (site("old", &[("v1", "x")]), site("new", &[("v1", "z"), ("v2", "y")]));
    let back = |_: &World, env: &Env<'_>| rollback(env, Some(1), "test", FREE).map(drop);
    let again = |world: &World| {
        world.act(|env| rollback(env, Some(1), "test", FREE)).unwrap();
        0
    };
    at_every_cut(&|| prepared(&[&old, &new]), &back, &[&old, &new], &again);

    let tried = || {
        let world = prepared(&[&old]);
        world.attempt(&new, MINUTE).unwrap();
        world
    };
    let again = |world: &World| {
        world.act(confirm).unwrap();
        1
    };
    at_every_cut(&tried, &|_, env| confirm(env).map(drop), &[&old, &new], &again);

    let over = || {
        let world = tried();
        world.clock.advance(2 * MINUTE);
        world
    };
    let again = |world: &World| {
        world.act(expire).unwrap();
        0
    };
    at_every_cut(&over, &|_, env| expire(env).map(drop), &[&old, &new], &again);
}

/// Then a generation is made to go back, for the people have changed since.
#[test]
fn going_back_with_other_people_can_be_cut_short_too() {
    let old = site("old", &[("v1", "x")]);
    let new = Site { people: "bob", ..site("new", &[("v1", "z")]) };
    let carried = Site { people: "bob", ..old.clone() };
    let back = |_: &World, env: &Env<'_>| rollback(env, Some(1), "test", FREE).map(drop);
    let again = |world: &World| {
        if world.in_force(&[&old, &new, &carried]) != 2 {
            world.act(|env| rollback(env, Some(1), "test", FREE)).unwrap();
        }
        world.act(activate).unwrap();
        2
    };
    at_every_cut(&|| prepared(&[&old, &new]), &back, &[&old, &new, &carried], &again);
}
