//! Versions on a stick: a file system as Windows makes it, read by mtools; signatures judged by Debian's systemd-pull.

use std::{fs, path::Path};

use custodian::{
    services::{
        stick::{Stick, StickError},
        updating::OnStick,
    },
    update::{Source, Stage, UpdateError, Version},
};

use super::{MIB, World};
use crate::console::{Played, mtools, stick};

/// Lays what is published into the folder of a stick.
fn lay(world: &World) {
    let image = world.dir.join("stick");
    stick(&image, &[]);
    assert!(mtools(&image, "mmd", &["::update"], b"").ok());
    for entry in fs::read_dir(world.dir.join("source")).unwrap() {
        let path = entry.unwrap().path();
        let out = mtools(&image, "mcopy", &[path.to_str().unwrap(), "::update/"], b"");
        assert!(out.ok(), "{out:?}");
    }
}

/// What comes of looking at it, `tell` being told how far it is.
fn look(world: &World, mut tell: impl FnMut(&str, u64) -> bool) -> Result<Version, UpdateError> {
    let played = Played { device: world.at("stick") };
    let stick = Stick::open(&played, &|_| ()).unwrap();
    let from = OnStick::new(&stick, &mut tell);
    world.with(|u| u.fetch_from(Source::Brought(&from), None)).map(|fetched| fetched.version)
}

fn of_stick(e: &UpdateError) -> Option<&StickError> {
    match e {
        UpdateError::Brought(e) => e.downcast_ref(),
        _ => None,
    }
}

#[test]
fn a_version_on_a_stick_is_offered_and_written() {
    let Some(world) = World::new() else { return };
    world.publish("0.2.0", "keys", 5 * MIB + 512);
    lay(&world);
    let mut told: Vec<(String, u64)> = Vec::new();
    let looked = look(&world, |name, done| {
        told.retain(|(n, _)| n != name);
        told.push((name.to_owned(), done));
        true
    });
    let version = looked.unwrap();
    assert_eq!(version.as_str(), "0.2.0");
    let size = |end: &str| told.iter().find(|(name, _)| name.ends_with(end)).map(|(_, done)| *done);
    assert_eq!((size(".root.raw"), size(".verity.raw")), (Some(5 * MIB as u64 + 512), Some(MIB as u64)));
    let offered = world.dir.join("state/updates/offered");
    for entry in fs::read_dir(world.dir.join("source")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        assert!(fs::read(&path).unwrap() == fs::read(offered.join(name)).unwrap(), "{}", path.display());
    }
    assert_eq!(fs::read_dir(&offered).unwrap().count(), 5);
    assert!(!world.dir.join("state/updates/new").exists());
    world.consent(&version);
    world.with(|u| u.apply()).unwrap();
    assert_eq!(world.names()[3], "custodian_0.2.0");
}

#[test]
fn what_is_wrong_on_a_stick_spoils_nothing() {
    let Some(world) = World::new() else { return };
    world.publish("0.2.0", "keys", MIB);
    let version = world.fetch().unwrap();
    world.consent(&version);
    // Neither what was consented to nor anything else has changed, and nothing lies about.
    let refused = |tell: fn(&str, u64) -> bool| {
        let e = look(&world, tell).unwrap_err();
        let candidate = world.with(|u| u.look()).unwrap().0.candidate.unwrap();
        assert_eq!((candidate.version.as_str(), candidate.stage), ("0.2.0", Stage::Consented), "{e}");
        let dir = world.dir.join("state/updates");
        let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["offered", "state.json"], "{e}");
        assert!(dir.join("offered/custodian_0.2.0.efi").exists(), "{e}");
        e
    };
    let all = |_: &str, _| true;
    let image = world.dir.join("stick");
    let source = |name: &str| world.dir.join("source").join(name);

    stick(&image, &[("SHA256SUMS", b"outside of the folder")]);
    assert_eq!(of_stick(&refused(all)), Some(&StickError::NoUpdate));
    world.publish("0.3.0", "other-keys", MIB);
    lay(&world);
    assert!(matches!(refused(all), UpdateError::NotSigned { .. }));
    world.publish("0.3.0", "keys", MIB);
    fs::remove_file(source("SHA256SUMS.gpg")).unwrap();
    lay(&world);
    assert_eq!(of_stick(&refused(all)), Some(&StickError::Lacks("update/SHA256SUMS.gpg".into())));
    fs::write(source("SHA256SUMS.gpg"), "nonsense").unwrap();
    lay(&world);
    assert!(matches!(refused(all), UpdateError::NotSigned { .. }));
    world.publish("0.3.0", "keys", MIB);
    fs::remove_file(source("custodian_0.3.0.efi")).unwrap();
    lay(&world);
    assert_eq!(of_stick(&refused(all)), Some(&StickError::Lacks("update/custodian_0.3.0.efi".into())));
    world.publish("0.1.0", "keys", MIB);
    lay(&world);
    assert!(matches!(refused(all), UpdateError::NotNewer { .. }));

    // Longer than they may be: the list, and a file of the version, however well it is signed.
    world.publish("0.3.0", "keys", MIB);
    fs::write(source("SHA256SUMS"), vec![b'#'; MIB + 1]).unwrap();
    lay(&world);
    assert_eq!(of_stick(&refused(all)), Some(&StickError::Longer("update/SHA256SUMS".into())));
    world.publish("0.3.0", "keys", MIB);
    fs::write(source("custodian_0.3.0.verity.raw"), vec![0; 64 * MIB + 1]).unwrap();
    lay(&world);
    assert_eq!(of_stick(&refused(all)), Some(&StickError::Longer("update/custodian_0.3.0.verity.raw".into())));

    // A changed file, one of which the end is not there, a stick that is gone, a person who does not want to wait.
    world.publish("0.3.0", "keys", 5 * MIB);
    let root = source("custodian_0.3.0.root.raw");
    let mut bytes = fs::read(&root).unwrap();
    bytes[MIB] ^= 1;
    fs::write(&root, bytes).unwrap();
    lay(&world);
    assert!(matches!(refused(all), UpdateError::Spoilt { file } if file == "custodian_0.3.0.root.raw"));
    world.publish("0.3.0", "keys", 5 * MIB);
    lay(&world);
    let left = |name: &str, done: u64| !(name.ends_with(".root.raw") && done > MIB as u64);
    assert_eq!(of_stick(&refused(left)), Some(&StickError::Left));
    let whole = fs::read(&image).unwrap();
    fs::OpenOptions::new().write(true).open(&image).unwrap().set_len(4 << 20).unwrap();
    let e = refused(all);
    assert!(matches!(e, UpdateError::Spoilt { .. } | UpdateError::Brought(_)), "{e}");
    fs::write(&image, whole).unwrap();
    assert!(matches!(of_stick(&pulled(&world, &image)), Some(StickError::Gone(_))));
    assert!(world.dir.join("state/updates/offered/custodian_0.2.0.efi").exists());

    world.with(|u| u.apply()).unwrap();
    assert_eq!(world.names()[3], "custodian_0.2.0", "what was consented to");
}

/// The stick is pulled out while its second file is read.
fn pulled(world: &World, image: &Path) -> UpdateError {
    let e = look(world, |name, _| {
        if name.ends_with(".gpg") {
            fs::remove_file(image).unwrap();
        }
        true
    });
    e.unwrap_err()
}
