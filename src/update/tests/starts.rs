//! Starts that are not as they should be: a loader with a will of its own, hands, a blessing that fails.

use super::*;

/// A loader that prefers another entry is not fought with.
#[test]
fn a_version_that_the_loader_does_not_start_is_restarted_for_once() {
    let world = applied();
    let not_started = |world: &World| {
        let (state, facts, _) = world.with(|u| u.look()).unwrap();
        state.not_started(&facts).map(ToString::to_string)
    };
    // A power cut, or a person's restart, and the other slot by hand: that says nothing of the loader.
    *world.boot.lock().unwrap() += 1;
    assert_eq!(not_started(&world), None);
    world.with(|u| u.restart()).unwrap();
    assert_eq!(not_started(&world), None, "it has not gone down yet");
    *world.boot.lock().unwrap() += 1;
    assert_eq!(not_started(&world).as_deref(), Some("0.2.0"));
    // A person restarts it, and it comes.
    world.restart(|_| true);
    assert_eq!((not_started(&world), stage(&world)), (None, Some(Stage::Trying)));
    // The next one has its own restart.
    world.with(|u| u.good()).unwrap();
    world.bless();
    world.publish("0.3.0", "");
    fetch(&world).unwrap();
    consent(&world, "0.3.0").unwrap();
    apply(&world).unwrap();
    *world.boot.lock().unwrap() += 1;
    assert_eq!(not_started(&world), None);
}

/// systemd-bless-boot cannot rename the entry, or the power goes before: the next start counts again, and is proven again.
#[test]
fn a_good_version_that_still_counts_proves_itself_again_and_is_said_to_be_good_once() {
    let world = applied();
    for n in 0..2 {
        world.restart(|_| true);
        // What operators are told: not of the first time, nor of another try in the same start.
        assert_eq!(world.with(|u| u.good()).unwrap(), n > 0);
        assert_eq!(world.with(|u| u.good()).unwrap(), n > 0);
        let (state, seen) = look(&world);
        assert_eq!((seen, state.is_proven(&version("0.2.0"))), (Seen::Nothing, true));
    }
    assert!(world.entries().contains(&"custodian_0.2.0+1-2.efi".to_owned()), "{:?}", world.entries());
    world.restart(|_| true);
    world.with(|u| u.good()).unwrap();
    world.bless();
    world.restart(|_| true);
    assert_eq!(world.running(), "0.2.0");
    assert_eq!(world.told(), ["consented", "applied", "good"]);
}

/// After the third start the loader takes the version before, although the newer one was good.
#[test]
fn one_whose_counting_cannot_be_ended_is_left_behind_and_that_is_known() {
    let world = applied();
    for _ in 0..3 {
        world.restart(|_| true);
        assert_eq!(world.running(), "0.2.0");
        world.with(|u| u.good()).unwrap();
        assert_eq!(look(&world).0.left_behind(&version("0.2.0")), None);
    }
    world.restart(|_| true);
    assert_eq!(world.running(), "0.1.0");
    let (state, seen) = look(&world);
    assert_eq!((seen, state.fell_back()), (Seen::Nothing, None));
    assert_eq!(state.left_behind(&version("0.1.0")), Some(&version("0.2.0")));
}

/// Somebody starts a version that has failed, past custodian: the loader counts that start, too.
#[test]
fn one_that_failed_and_is_started_by_hand_stays_refused() {
    let world = applied();
    world.restart(|v| v != "0.2.0");
    assert_eq!(look(&world).1, Seen::FellBack);
    assert!(world.restart_with(&version("0.2.0")));
    assert_eq!((world.running(), world.with(|u| u.machine.trial())), ("0.2.0".to_owned(), Trial::Counted));
    world.with(|u| u.good()).unwrap();
    let (state, seen) = look(&world);
    assert_eq!((seen, state.fell_back(), &state.good), (Seen::Nothing, Some(&version("0.2.0")), &None));
    assert_eq!(world.told(), ["consented", "applied", "fell-back"]);
    // Nor is the version that is good written over meanwhile.
    world.publish("0.3.0", "");
    fetch(&world).unwrap();
    consent(&world, "0.3.0").unwrap();
    assert!(matches!(apply(&world), Err(UpdateError::OnTrial { .. })));
    assert!(world.entries().contains(&"custodian_0.1.0.efi".to_owned()), "{:?}", world.entries());
    world.restart(|_| true);
    assert_eq!(world.running(), "0.1.0");
}
