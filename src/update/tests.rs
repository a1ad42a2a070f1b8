//! Whole lives of updates on a machine in memory, and cuts at every change of it.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of a type with a lifetime is no such function"
)]

use std::time::Duration;

use super::*;
use crate::{
    sys::{Cut, Files as _},
    types::WallNs,
    update::testing::{SOURCE, World},
};

mod fetching;
mod starts;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn word() -> Word {
    Word { by: "hiệu trưởng".into(), reason: "security".into() }
}

fn fetch(world: &World) -> Result<Fetched, UpdateError> {
    world.clock.advance(Duration::from_secs(1));
    world.with(|u| u.fetch(SOURCE, None))
}

fn consent(world: &World, v: &str) -> Result<bool, UpdateError> {
    world.clock.advance(Duration::from_secs(1));
    world.with(|u| u.consent(&version(v), word()))
}

fn apply(world: &World) -> Result<Version, UpdateError> {
    world.clock.advance(Duration::from_secs(1));
    world.with(|u| u.apply())
}

fn look(world: &World) -> (State, Seen) {
    world.clock.advance(Duration::from_secs(1));
    let (state, _, seen) = world.with(|u| u.look()).unwrap();
    (state, seen)
}

/// A machine on which the next version is written, with the school's consent.
fn applied() -> World {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    fetch(&world).unwrap();
    consent(&world, "0.2.0").unwrap();
    apply(&world).unwrap();
    world
}

fn stage(world: &World) -> Option<Stage> {
    look(world).0.candidate.map(|c| c.stage)
}

#[test]
fn an_update_comes_up_and_stays() {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    assert_eq!(fetch(&world).unwrap(), Fetched { version: version("0.2.0"), new: true });
    assert!(!fetch(&world).unwrap().new);
    assert_eq!(look(&world).0.waits(), Some(&version("0.2.0")));
    let refused = apply(&world).unwrap_err();
    assert!(matches!(refused, UpdateError::NoConsent { .. }), "{refused}");
    assert!(matches!(consent(&world, "0.3.0"), Err(UpdateError::OtherVersion { .. })));
    assert!(consent(&world, "0.2.0").unwrap() && !consent(&world, "0.2.0").unwrap());
    assert_eq!(world.told(), ["consented"]);
    assert_eq!(apply(&world).unwrap(), version("0.2.0"));
    assert_eq!(world.slot("0.2.0").unwrap(), b"0.2.0.root.raw");
    assert!(matches!(apply(&world), Err(UpdateError::UnderWay { .. })));
    assert!(matches!(fetch(&world), Err(UpdateError::UnderWay { .. })));
    assert_eq!((stage(&world), world.running()), (Some(Stage::Applied), "0.1.0".to_owned()));
    world.restart(|_| true);
    assert_eq!((stage(&world), world.running()), (Some(Stage::Trying), "0.2.0".to_owned()));
    world.clock.advance(Duration::from_secs(1));
    world.with(|u| u.good()).unwrap();
    world.bless();
    let (state, _) = look(&world);
    assert_eq!((state.candidate.is_none(), state.good.unwrap().version), (true, version("0.2.0")));
    assert_eq!(world.told(), ["consented", "applied", "good"]);
    assert_eq!(world.entries(), ["custodian_0.1.0.efi", "custodian_0.2.0.efi"]);
    // Nothing that is not needed lies about.
    assert_eq!(world.files.list("/state/updates".as_ref()).unwrap(), [FILE]);
    // The same version is nothing to update to, and an older one even less.
    assert!(matches!(fetch(&world), Err(UpdateError::NotNewer { .. })));
    world.publish("0.1.9", "");
    assert!(matches!(fetch(&world), Err(UpdateError::NotNewer { .. })));
}

#[test]
fn one_that_does_not_come_up_is_remembered_and_never_offered_again_by_itself() {
    let world = applied();
    world.restart(|v| v != "0.2.0");
    assert_eq!(world.running(), "0.1.0");
    let (state, seen) = look(&world);
    assert_eq!((seen, state.fell_back(), &state.candidate), (Seen::FellBack, Some(&version("0.2.0")), &None));
    assert_eq!(look(&world).1, Seen::Nothing, "it is said once");
    assert_eq!(world.told(), ["consented", "applied", "fell-back"]);
    assert!(matches!(fetch(&world), Err(UpdateError::WasRefused { why: Why::FellBack, .. })));
    assert!(matches!(consent(&world, "0.2.0"), Err(UpdateError::Nothing)));
    // A person takes note.
    world.with(|u| u.refuse(&version("0.2.0"), word())).unwrap();
    let (state, _) = look(&world);
    assert_eq!((state.fell_back(), state.refused.len()), (None, 1));
    // A person wants it all the same: it is written anew, and has its tries again.
    world.publish("0.2.0", "");
    assert!(world.with(|u| u.fetch(SOURCE, Some(&version("0.2.0")))).unwrap().new);
    consent(&world, "0.2.0").unwrap();
    apply(&world).unwrap();
    assert!(world.entries().contains(&"custodian_0.2.0+3-0.efi".to_owned()), "{:?}", world.entries());
    world.restart(|_| true);
    world.with(|u| u.good()).unwrap();
    world.bless();
    assert_eq!(look(&world).0.good.unwrap().version, version("0.2.0"));
    assert!(look(&world).0.refused.is_empty());
}

#[test]
fn one_that_comes_up_and_is_not_good_is_tried_again_and_then_left() {
    let world = applied();
    for _ in 0..3 {
        world.restart(|_| true);
        assert_eq!((stage(&world), world.running()), (Some(Stage::Trying), "0.2.0".to_owned()));
    }
    world.restart(|_| true);
    assert_eq!((look(&world).1, world.running()), (Seen::FellBack, "0.1.0".to_owned()));
}

#[test]
fn a_loader_that_cannot_be_asked_makes_nothing_good() {
    let world = applied();
    world.restart(|_| true);
    world.blind(true);
    let (state, seen) = look(&world);
    assert_eq!((seen, state.candidate.map(|c| c.stage), state.good), (Seen::Nothing, Some(Stage::Applied), None));
    // Nor when it is known that it is tried.
    world.blind(false);
    assert_eq!(stage(&world), Some(Stage::Trying));
    world.blind(true);
    assert!(matches!(fetch(&world), Err(UpdateError::NotNewer { .. } | UpdateError::UnderWay { .. })));
    let (state, seen) = look(&world);
    assert_eq!((seen, state.candidate.map(|c| c.stage), state.good), (Seen::Nothing, Some(Stage::Trying), None));
    assert_eq!(world.told(), ["consented", "applied"]);
    // So it is known, too, that it fell back.
    world.blind(false);
    world.restart(|v| v != "0.2.0");
    assert_eq!(look(&world).1, Seen::FellBack);
}

#[test]
fn what_is_not_signed_or_not_what_was_signed_is_not_offered() {
    let world = World::new("0.1.0");
    let none = |world: &World| {
        assert!(matches!(fetch(world), Err(UpdateError::NotSigned { .. } | UpdateError::NotFetched { .. })));
        assert!(look(world).0.candidate.is_none());
        assert!(world.files.list("/state/updates".as_ref()).unwrap().iter().all(|name| name == FILE));
    };
    none(&world);
    world.publish("0.2.0", "");
    world.sign(false);
    none(&world);
    world.publish("0.2.0", "");
    world.spoil(".verity.raw");
    none(&world);
    world.publish("0.2.0", "");
    world.spoil(SUMS_END);
    none(&world);
    world.publish("0.2.0", "");
    assert!(fetch(&world).unwrap().new);
}

/// A list that was changed is not signed; what was appended to it is no line.
const SUMS_END: &str = ".efi";

#[test]
fn consent_is_to_the_files_that_lie_here_and_to_no_others() {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    fetch(&world).unwrap();
    consent(&world, "0.2.0").unwrap();
    // Built again under the same name: to that nobody has consented.
    world.publish("0.2.0", "other");
    assert!(fetch(&world).unwrap().new);
    assert!(matches!(apply(&world), Err(UpdateError::NoConsent { .. })));
    consent(&world, "0.2.0").unwrap();
    // Somebody exchanges what lies here.
    world.files.write("/state/updates/offered/SHA256SUMS".as_ref(), b"other", 0, None).unwrap();
    assert!(matches!(apply(&world), Err(UpdateError::OtherFiles { .. })));
    world.files.remove_dir("/state/updates/offered".as_ref()).unwrap();
    assert!(matches!(apply(&world), Err(UpdateError::OtherFiles { .. })));
    assert_eq!(world.slot("0.2.0"), None);
    // A newer one takes its place; an older one does not.
    world.publish("0.3.0", "");
    fetch(&world).unwrap();
    world.publish("0.2.0", "");
    assert!(matches!(fetch(&world), Err(UpdateError::NotNewer { .. })));
    assert_eq!(look(&world).0.waits(), Some(&version("0.3.0")));
}

#[test]
fn nothing_is_written_that_the_ledger_was_not_told_of() {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    fetch(&world).unwrap();
    world.files.fill(true);
    assert!(consent(&world, "0.2.0").is_err() && apply(&world).is_err());
    assert_eq!(world.slot("0.2.0"), None);
    world.files.fill(false);
    consent(&world, "0.2.0").unwrap();
    apply(&world).unwrap();
}

#[test]
fn a_full_disk_and_a_slot_that_cannot_be_written_leave_what_runs() {
    let mut world = World::new("0.1.0");
    world.publish("0.2.0", "");
    world.free = 1 << 30;
    assert!(matches!(fetch(&world), Err(UpdateError::Room { .. })));
    world.free = 4 << 30;
    fetch(&world).unwrap();
    consent(&world, "0.2.0").unwrap();
    world.writing_fails(true);
    let said = apply(&world).unwrap_err().to_string();
    assert!(said.contains("No space left"), "{said}");
    assert_eq!(stage(&world), Some(Stage::Writing));
    world.restart(|_| true);
    assert_eq!((stage(&world), world.running()), (Some(Stage::Writing), "0.1.0".to_owned()));
    world.writing_fails(false);
    apply(&world).unwrap();
    assert_eq!(stage(&world), Some(Stage::Applied));
}

#[test]
fn a_version_that_cannot_be_written_is_given_up_and_makes_room_once_it_is_refused() {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    fetch(&world).unwrap();
    consent(&world, "0.2.0").unwrap();
    world.writing_fails(true);
    for _ in 0..3 {
        assert_eq!(look(&world).0.given_up(), None);
        assert!(apply(&world).is_err());
    }
    assert_eq!(look(&world).0.given_up(), Some(&version("0.2.0")));
    world.publish("0.3.0", "");
    assert!(matches!(fetch(&world), Err(UpdateError::UnderWay { .. })));
    world.with(|u| u.refuse(&version("0.2.0"), word())).unwrap();
    assert!(fetch(&world).unwrap().new);
    assert_eq!(look(&world).0.given_up(), None);
    world.writing_fails(false);
    consent(&world, "0.3.0").unwrap();
    apply(&world).unwrap();
    assert_eq!((stage(&world), look(&world).0.given_up()), (Some(Stage::Applied), None));
}

#[test]
fn a_person_can_refuse_until_it_runs() {
    let world = World::new("0.1.0");
    for written in [false, true] {
        let v = if written { "0.3.0" } else { "0.2.0" };
        world.publish(v, "");
        fetch(&world).unwrap();
        if written {
            consent(&world, v).unwrap();
            apply(&world).unwrap();
        }
        world.with(|u| u.refuse(&version(v), word())).unwrap();
        assert_eq!(world.entries(), ["custodian_0.1.0.efi"], "it will not be started");
        assert!(matches!(fetch(&world), Err(UpdateError::WasRefused { why: Why::Person, .. })));
        world.restart(|_| true);
        assert_eq!((world.running(), look(&world).1), ("0.1.0".to_owned(), Seen::Nothing));
    }
    assert!(matches!(world.with(|u| u.refuse(&version("0.1.0"), word())), Err(UpdateError::Runs { .. })));
    assert!(matches!(world.with(|u| u.refuse(&version("0.9.0"), word())), Err(UpdateError::Nothing)));
}

/// The other slot may be started for once without the new version being taken for one that failed.
#[test]
fn the_older_slot_started_by_hand_refuses_nothing() {
    let world = applied();
    // As by `bootctl set-oneshot`: another boot, of the version before, and nothing counted.
    *world.boot.lock().unwrap() += 1;
    assert_eq!((look(&world).1, stage(&world)), (Seen::Nothing, Some(Stage::Applied)));
    world.restart(|_| true);
    assert_eq!(stage(&world), Some(Stage::Trying));
}

#[test]
fn a_state_of_a_later_version_is_not_written_over() {
    let world = World::new("0.1.0");
    world.files.make_dir("/state/updates".as_ref()).unwrap();
    let file = "/state/updates/state.json".as_ref();
    for text in ["{\"format\":2,\"min_reader\":2}", "{", "[]"] {
        world.files.write(file, text.as_bytes(), 0, None).unwrap();
        world.publish("0.2.0", "");
        assert!(matches!(fetch(&world), Err(UpdateError::Damaged { .. })), "{text}");
        assert_eq!(world.files.read(file).unwrap().unwrap(), text.as_bytes());
    }
    // One that this version can read, with more in it.
    let later = serde_json::json!({ "format": 2, "min_reader": 1, "looked": 5, "candidate": null, "good": null, "refused": [], "notes": [], "x": 1 });
    world.files.write(file, later.to_string().as_bytes(), 0, None).unwrap();
    assert_eq!(look(&world).0.looked, Some(WallNs(5)));
}

/// The power goes at any change of any file, the loader's and the slots' included. Whatever is given again afterwards ends where it would have,
/// and the version that ran is never touched before another one is good.
#[test]
fn cuts_anywhere_end_in_the_same_place() {
    let mut cuts = 0;
    for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
        for n in 0.. {
            let world = World::new("0.1.0");
            world.publish("0.2.0", "");
            let life = |world: &World| -> Result<(), UpdateError> {
                if world.running() == "0.1.0" && look_at(world)?.candidate.is_none_or(|c| c.stage == Stage::Offered) {
                    fetch(world)?;
                    consent(world, "0.2.0")?;
                }
                if world.running() == "0.1.0" && look_at(world)?.candidate.is_some_and(|c| c.stage != Stage::Applied) {
                    apply(world)?;
                }
                Ok(())
            };
            world.files.cut_at(n, how);
            let first = life(&world);
            let cut = world.files.is_off();
            assert!(cut || first.is_ok(), "{first:?}");
            world.files.power_on(lost);
            assert!(world.entries().contains(&"custodian_0.1.0.efi".to_owned()));
            world.restart(|_| true);
            life(&world).unwrap();
            if world.running() == "0.1.0" {
                world.restart(|_| true);
            }
            assert_eq!(world.running(), "0.2.0", "{how:?} at change {n}");
            world.with(|u| u.good()).unwrap();
            world.bless();
            let (state, _) = look(&world);
            assert_eq!(
                (state.good.unwrap().version, state.candidate),
                (version("0.2.0"), None),
                "{how:?} at change {n}"
            );
            let told = world.told();
            let once = |change: &str| told.iter().filter(|c| *c == change).count();
            assert!(once("consented") >= 1 && once("good") == 1 && once("fell-back") == 0, "{told:?}");
            assert_eq!(world.slot("0.2.0").unwrap(), b"0.2.0.root.raw");
            if !cut {
                assert!(n > 12, "{n} changes");
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 48, "{cuts} cuts");
}

fn look_at(world: &World) -> Result<State, UpdateError> {
    world.clock.advance(Duration::from_secs(1));
    world.with(|u| u.look()).map(|(state, ..)| state)
}

mod random_lives {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Publish(u8),
        Fetch,
        Again(u8),
        Consent(u8),
        Apply,
        Refuse(u8),
        Restart(u8),
        ByHand(u8),
        Good,
        Look,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (2u8..6).prop_map(Act::Publish),
            Just(Act::Fetch),
            (2u8..6).prop_map(Act::Again),
            (2u8..6).prop_map(Act::Consent),
            (2u8..6).prop_map(Act::Consent),
            Just(Act::Apply),
            Just(Act::Apply),
            (2u8..6).prop_map(Act::Refuse),
            // Versions from this one on do not come up.
            (2u8..7).prop_map(Act::Restart),
            (1u8..6).prop_map(Act::ByHand),
            Just(Act::Good),
            Just(Act::Look),
        ]
    }

    fn number(v: &str) -> u8 {
        v.split('.').nth(1).and_then(|n| n.parse().ok()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn what_runs_was_consented_to_and_what_was_refused_stays_away(acts in prop::collection::vec(act(), 1..40)) {
            let world = World::new("0.1.0");
            let v = |n: u8| version(&format!("0.{n}.0"));
            let (mut consented, mut good) = (vec![1u8], vec![1u8]);
            for act in acts {
                let before = world.running();
                match act {
                    Act::Publish(n) => world.publish(&format!("0.{n}.0"), ""),
                    Act::Fetch => {
                        let refused: Vec<Version> = look(&world).0.refused.into_iter().map(|r| r.version).collect();
                        if let Ok(fetched) = fetch(&world) {
                            prop_assert!(!refused.contains(&fetched.version));
                            prop_assert!(fetched.version > version(&before));
                        }
                    }
                    Act::Again(n) => drop(world.with(|u| u.fetch(SOURCE, Some(&v(n))))),
                    Act::Consent(n) => {
                        if consent(&world, &format!("0.{n}.0")).is_ok() {
                            consented.push(n);
                        }
                    }
                    Act::Apply => {
                        if let Ok(written) = apply(&world) {
                            prop_assert!(consented.contains(&number(written.as_str())));
                        }
                    }
                    Act::Refuse(n) => drop(world.with(|u| u.refuse(&v(n), word()))),
                    Act::Restart(bad) => {
                        world.restart(|v| number(v) < bad || good.contains(&number(v)));
                        let running = number(&world.running());
                        prop_assert!(consented.contains(&running), "{running} runs, and nobody wanted it");
                    }
                    Act::ByHand(n) => {
                        world.restart_with(&v(n));
                    }
                    Act::Good => {
                        world.with(|u| u.good()).unwrap();
                        let running = version(&world.running());
                        if look(&world).0.refused.iter().all(|r| r.version != running) {
                            world.bless();
                            good.push(number(running.as_str()));
                        }
                    }
                    Act::Look => drop(look(&world)),
                }
                // What runs can be started again.
                let running = world.running();
                let entry = "custodian_".to_owned() + &running;
                prop_assert!(world.entries().iter().any(|e| e.starts_with(&entry)));
                // There is always one to which the loader comes by itself.
                let counts = |e: &String| e.contains('+');
                prop_assert!(world.entries().iter().any(|e| !counts(e)), "{:?}", world.entries());
                let (state, _) = look(&world);
                let candidate = state.candidate.map(|c| c.version);
                prop_assert!(state.refused.iter().all(|r| Some(&r.version) != candidate.as_ref()));
                prop_assert!(state.notes.iter().all(|note| note.left));
            }
        }
    }
}
