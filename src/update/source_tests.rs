//! Versions that are brought from a stick: a machine in memory, sticks that are pulled out, power that fails.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of a type with a lifetime is no such function"
)]

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;
use crate::{
    sys::{Cut, Files as _},
    types::merkle::Hash,
    update::{
        sums::sha256,
        testing::{SOURCE, World},
    },
};

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A stick with what is published, which is pulled out when so many files were read.
struct Stick {
    world: World,
    left: Cell<usize>,
}

#[derive(Debug, thiserror::Error)]
#[error("it was pulled out")]
struct Pulled;

impl Bring for Stick {
    fn bring(&self, name: &str, to: &Path, most: u64) -> Result<Hash, UpdateError> {
        let pulled = || UpdateError::Brought(Box::new(Pulled));
        let bytes = self.world.published(name).ok_or_else(pulled)?;
        assert!(bytes.len() as u64 <= most, "{name}");
        let whole = self.left.get().checked_sub(1);
        let there = if whole.is_some() { &bytes[..] } else { &bytes[..1] };
        self.world.files.write(to, there, 0, None).map_err(|source| UpdateError::Io {
            what: "cannot write",
            path: PathBuf::from(to),
            source,
        })?;
        self.left.set(whole.ok_or_else(pulled)?);
        Ok(sha256(&bytes))
    }

    fn name(&self) -> String {
        "the stick".to_owned()
    }
}

fn brought(world: &World, files: usize, again: Option<&str>) -> Result<Fetched, UpdateError> {
    world.clock.advance(Duration::from_secs(1));
    let stick = Stick { world: world.clone(), left: Cell::new(files) };
    let again = again.map(version);
    world.with(|u| u.fetch_from(Source::Brought(&stick), again.as_ref()))
}

fn word() -> Word {
    Word { by: "lan".into(), reason: "a test".into() }
}

/// A machine whose school has consented to version 0.2.0.
fn consented() -> World {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    world.with(|u| u.fetch(SOURCE, None)).unwrap();
    world.with(|u| u.consent(&version("0.2.0"), word())).unwrap();
    world
}

/// Version and stage of what waits, and what lies there.
fn waits(world: &World) -> (Option<(String, Stage)>, Vec<String>) {
    let state = world.with(|u| u.look()).unwrap().0;
    let candidate = state.candidate.map(|c| (c.version.to_string(), c.stage));
    (candidate, world.files.list("/state/updates".as_ref()).unwrap())
}

#[test]
fn a_version_comes_on_a_stick_like_any_other() {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    assert_eq!(brought(&world, 5, None).unwrap(), Fetched { version: version("0.2.0"), new: true });
    let lies = || world.files.list("/state/updates/offered".as_ref()).unwrap();
    let names = ["SHA256SUMS", "SHA256SUMS.gpg", "custodian_0.2.0.efi", "custodian_0.2.0.root.raw"];
    assert_eq!(lies(), [&names[..], &["custodian_0.2.0.verity.raw"]].concat());
    assert!(matches!(world.with(|u| u.apply()), Err(UpdateError::NoConsent { .. })));
    assert!(!brought(&world, 2, None).unwrap().new, "of one that is here the list is enough");
    world.with(|u| u.consent(&version("0.2.0"), word())).unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.with(|u| u.apply()).unwrap(), version("0.2.0"));
    assert_eq!(world.slot("0.2.0").unwrap(), b"0.2.0.root.raw");
    assert_eq!(world.told(), ["consented", "applied"]);
}

#[test]
fn whatever_is_on_a_stick_what_was_consented_to_stays() {
    let world = consented();
    let as_before = |result: Result<Fetched, UpdateError>| {
        let files = vec!["offered".to_owned(), FILE.to_owned()];
        assert_eq!(waits(&world), (Some(("0.2.0".to_owned(), Stage::Consented)), files), "{result:?}");
        result.unwrap_err()
    };
    world.publish("0.3.0", "");
    for files in 0..5 {
        let e = as_before(brought(&world, files, None));
        assert!(matches!(&e, UpdateError::Brought(e) if e.is::<Pulled>()), "{files}: {e}");
    }
    world.sign(false);
    assert!(matches!(as_before(brought(&world, 5, None)), UpdateError::NotSigned { .. }));
    for end in [".root.raw", ".verity.raw", ".efi"] {
        world.publish("0.3.0", "");
        world.spoil(end);
        let e = as_before(brought(&world, 5, None));
        assert!(matches!(&e, UpdateError::Spoilt { file } if file.ends_with(end)), "{e}");
    }
    world.publish("0.1.0", "");
    assert!(matches!(as_before(brought(&world, 5, None)), UpdateError::NotNewer { .. }));
    world.publish("0.1.5", "");
    assert!(matches!(as_before(brought(&world, 5, None)), UpdateError::NotNewer { .. }));
    world.publish("0.3.0", "");
    let mut narrow = world.clone();
    narrow.free = (1856 << 20) - 1;
    assert!(matches!(as_before(brought(&narrow, 5, None)), UpdateError::Room { .. }));
    // It is still what it was.
    assert_eq!(world.with(|u| u.apply()).unwrap(), version("0.2.0"));
    assert_eq!(world.slot("0.2.0").unwrap(), b"0.2.0.root.raw");
}

#[test]
fn one_that_was_refused_comes_again_if_a_person_says_so() {
    let world = World::new("0.1.0");
    world.publish("0.2.0", "");
    brought(&world, 5, None).unwrap();
    world.with(|u| u.refuse(&version("0.2.0"), word())).unwrap();
    let e = brought(&world, 5, None).unwrap_err();
    assert!(matches!(e, UpdateError::WasRefused { why: Why::Person, .. }), "{e}");
    assert!(brought(&world, 5, Some("0.2.0")).unwrap().new);
    assert_eq!(waits(&world).0, Some(("0.2.0".to_owned(), Stage::Offered)), "it wants consent");
}

#[test]
fn a_cut_anywhere_leaves_nothing_that_stays() {
    let mut cuts = 0;
    for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
        for n in 0.. {
            let world = consented();
            world.publish("0.3.0", "");
            world.files.cut_at(n, how);
            let first = brought(&world, 5, None);
            let cut = world.files.is_off();
            assert!(cut || first.is_ok(), "{first:?}");
            world.files.power_on(lost);
            // What is written is what was consented to, or nothing.
            let before = world.clone();
            match world.with(|u| u.apply()) {
                Ok(version) => {
                    assert_eq!(version.as_str(), "0.2.0", "{how:?} at change {n}");
                    assert_eq!(world.slot("0.2.0").unwrap(), b"0.2.0.root.raw");
                    assert!(cut, "{how:?} at change {n}");
                }
                Err(UpdateError::OtherFiles { .. }) => assert!(cut, "{how:?} at change {n}"),
                Err(e) => {
                    assert!(matches!(e, UpdateError::NoConsent { .. }), "{how:?} at change {n}: {e}");
                    assert_eq!(waits(&before).0, Some(("0.3.0".to_owned(), Stage::Offered)));
                }
            }
            // It is given once more.
            if !matches!(waits(&world).0, Some((_, Stage::Applied))) {
                brought(&world, 5, None).unwrap();
                let files = vec!["offered".to_owned(), FILE.to_owned()];
                assert_eq!(waits(&world), (Some(("0.3.0".to_owned(), Stage::Offered)), files), "{how:?} at {n}");
            }
            if !cut {
                assert!(n > 8, "{n} changes");
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 32, "{cuts} cuts");
}
