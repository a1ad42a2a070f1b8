//! Starts that are not as they should be: a loader with a will of its own, hands, a blessing that fails.

use super::*;

/// A loader that prefers another entry is not fought with.
#[test]
fn a_version_that_the_loader_does_not_start_is_restarted_for_once() {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    fetch(&world).unwrap();
    consent(&world, "0.2.0").unwrap();
    apply(&world).unwrap();
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
