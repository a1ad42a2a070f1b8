//! What is fetched of itself, what stays meanwhile, and cuts while it is.

use super::*;

/// Each day in which there is nothing to fetch is an ordinary one.
#[test]
fn what_nobody_asked_for_and_is_not_there_is_no_trouble_and_a_forgery_is_one() {
    let unasked = |world: &World| world.with(|u| u.fetch_unasked(SOURCE));
    let none = |world: &World| assert_eq!(unasked(world).unwrap(), None);
    let world = World::new("0.1.0");
    none(&world);
    assert_eq!(look(&world).0.looked, None, "the server was not reached");
    world.publish("0.1.0", "");
    none(&world);
    assert!(look(&world).0.looked.is_some());
    for end in ["SHA256SUMS", "SHA256SUMS.gpg", ".root.raw", ".efi"] {
        world.publish("0.2.0", "");
        world.lose(end);
        none(&world);
    }
    world.publish("0.2.0", "");
    world.sign(false);
    let said = unasked(&world).unwrap_err().to_string();
    assert!(said.contains("not signed"), "{said}");
    world.sign(true);
    assert!(unasked(&world).unwrap().unwrap().new);
    world.with(|u| u.refuse(&version("0.2.0"), word())).unwrap();
    none(&world);
    world.publish("0.3.0", "");
    assert!(unasked(&world).unwrap().is_some());
    consent(&world, "0.3.0").unwrap();
    apply(&world).unwrap();
    none(&world);
}

/// What waits is not lost by a look for what is newer.
#[test]
fn what_is_offered_stays_until_its_successor_is_here_and_what_was_consented_to_until_it_is_written() {
    let mut world = World::new("0.1.0");
    world.publish("0.2.0", "");
    fetch(&world).unwrap();
    let looked = look(&world).0.looked.unwrap();
    world.publish("0.3.0", "");
    world.lose(".efi");
    world.clock.advance(Duration::from_secs(1));
    assert!(matches!(fetch(&world), Err(UpdateError::NotFetched { .. })));
    assert_eq!(world.with(|u| u.fetch_unasked(SOURCE)).unwrap(), None);
    let (state, _) = look(&world);
    assert_eq!((state.waits(), state.looked), (Some(&version("0.2.0")), Some(looked)), "it is tried again soon");
    consent(&world, "0.2.0").unwrap();
    world.publish("0.3.0", "");
    assert_eq!(world.with(|u| u.fetch_unasked(SOURCE)).unwrap(), None);
    assert!(look(&world).0.looked.unwrap() > looked);
    assert_eq!(stage(&world), Some(Stage::Consented));
    // Nor for want of room, if somebody asks for the newer one.
    (world.free, world.taken) = (3 << 30, 2 << 30);
    assert!(matches!(fetch(&world), Err(UpdateError::Room { .. })));
    apply(&world).unwrap();
    assert_eq!(world.slot("0.2.0").unwrap(), b"0.2.0.root.raw");
    // What nobody has consented to makes room, and nobody can consent to it then.
    let mut world = World::new("0.1.0");
    world.publish("0.2.0", "");
    fetch(&world).unwrap();
    (world.free, world.taken) = (3 << 30, 2 << 30);
    world.publish("0.3.0", "");
    world.lose(".efi");
    assert!(matches!(fetch(&world), Err(UpdateError::NotFetched { .. })));
    assert!(matches!(consent(&world, "0.2.0"), Err(UpdateError::Nothing)));
    world.publish("0.3.0", "");
    assert_eq!(world.with(|u| u.fetch_unasked(SOURCE)).unwrap().unwrap().version, version("0.3.0"));
    consent(&world, "0.3.0").unwrap();
    // Files that were consented to and are gone are fetched again, or what is newer.
    world.files.remove_dir("/state/updates/offered".as_ref()).unwrap();
    assert!(!world.with(|u| u.fetch_unasked(SOURCE)).unwrap().unwrap().new);
    apply(&world).unwrap();
}

/// The power goes at any change while one version takes the place of another that was offered.
#[test]
fn cuts_while_a_newer_version_is_fetched_leave_one_that_can_be_had() {
    for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
        for n in 0.. {
            let world = World::new("0.1.0");
            world.publish("0.2.0", "");
            fetch(&world).unwrap();
            world.publish("0.3.0", "");
            world.files.cut_at(n, how);
            let first = fetch(&world);
            let cut = world.files.is_off();
            assert!(cut || first.is_ok(), "{first:?}");
            world.files.power_on(lost);
            world.with(|u| u.fetch_unasked(SOURCE)).unwrap();
            consent(&world, "0.3.0").unwrap();
            apply(&world).unwrap();
            assert_eq!(world.slot("0.3.0").unwrap(), b"0.3.0.root.raw", "{how:?} at change {n}");
            if !cut {
                assert!(n > 5, "{n}");
                break;
            }
        }
    }
}

/// One that fell back is tried again, and the power goes at any change: nobody has tried it meanwhile, so it has not failed anew.
#[test]
fn cuts_while_one_that_failed_is_written_again_are_no_failures() {
    for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
        for n in 0.. {
            let world = World::new("0.1.0");
            world.publish("0.2.0", "");
            fetch(&world).unwrap();
            consent(&world, "0.2.0").unwrap();
            apply(&world).unwrap();
            world.restart(|v| v != "0.2.0");
            look(&world);
            world.with(|u| u.fetch(SOURCE, Some(&version("0.2.0")))).unwrap();
            consent(&world, "0.2.0").unwrap();
            world.files.cut_at(n, how);
            let first = apply(&world);
            let cut = world.files.is_off();
            assert!(cut || first.is_ok(), "{first:?}");
            world.files.power_on(lost);
            // Another boot, of the version that is good.
            *world.boot.lock().unwrap() += 1;
            let (state, seen) = look(&world);
            assert_ne!(seen, Seen::FellBack, "{how:?} at change {n}");
            if state.candidate.unwrap().stage != Stage::Applied {
                apply(&world).unwrap();
            }
            world.restart(|_| true);
            assert_eq!((stage(&world), world.running()), (Some(Stage::Trying), "0.2.0".to_owned()), "{how:?} at {n}");
            if !cut {
                assert!(n > 5, "{n}");
                break;
            }
        }
    }
}

#[test]
fn a_refused_version_stays_refused_until_it_is_here_again() {
    let world = applied();
    world.restart(|v| v != "0.2.0");
    look(&world);
    world.lose(".efi");
    let again = |world: &World| world.with(|u| u.fetch(SOURCE, Some(&version("0.2.0"))));
    assert!(matches!(again(&world), Err(UpdateError::NotFetched { .. })));
    assert_eq!(look(&world).0.fell_back(), Some(&version("0.2.0")));
    assert_eq!(world.with(|u| u.fetch_unasked(SOURCE)).unwrap(), None);
    world.publish("0.2.0", "");
    assert_eq!(world.with(|u| u.fetch_unasked(SOURCE)).unwrap(), None);
    assert!(again(&world).unwrap().new);
    assert_eq!((look(&world).0.waits(), look(&world).0.fell_back()), (Some(&version("0.2.0")), None));
}
