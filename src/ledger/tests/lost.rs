//! A log that lacks something, or has something else, is not gone on with; and no new one is made beside it.

use super::*;

/// A log of 300 entries with a key of its own, something done to it, and then opened. Nothing may have changed.
fn opened_after(spoil: impl FnOnce(&World)) -> LedgerError {
    let mut world = World::new();
    world.place.credential = None;
    world.log().append(&entries(0..300)).unwrap();
    spoil(&world);
    let before = world.files.all(&PathBuf::from("/"));
    let error = world.open().err().expect("it is not gone on with");
    assert_eq!(world.files.all(&PathBuf::from("/")), before, "{error}");
    error
}

fn in_log(name: &str) -> PathBuf {
    PathBuf::from("/state/ledger").join(name)
}

#[test]
fn what_is_missing_is_named() {
    for name in ["key", "public/checkpoint", "public/vkey", "public/tile/0/001.p/44", "public/tile/entries/001.p/44"] {
        let error = opened_after(|world| world.files.remove(&in_log(name)).unwrap());
        assert!(matches!(&error, LedgerError::Lost { path } if *path == in_log(name)), "{name}: {error}");
    }
    let error = opened_after(|world| world.files.remove_dir(&in_log("public")).unwrap());
    assert!(error.to_string().contains("move the log's folder elsewhere"), "{error}");
}

#[test]
fn what_is_not_what_was_written_is_named() {
    let overwrite = |name: &'static str, bytes: &'static [u8]| {
        opened_after(move |world| world.files.write(&in_log(name), bytes, 0, None).unwrap())
    };
    assert!(matches!(overwrite("key", &[1; 32]), LedgerError::OtherKey { .. }));
    assert!(overwrite("key", &[1; 31]).to_string().contains("has 32 bytes, this has 31"));
    assert!(matches!(overwrite("public/vkey", b"x"), LedgerError::Verifier { .. }));
    assert!(matches!(overwrite("public/checkpoint", b"x\n\nx\n"), LedgerError::Checkpoint { .. }));
    assert!(matches!(overwrite("public/tile/0/001.p/44", &[0; 44 * 32]), LedgerError::Damaged { .. }));
    assert!(matches!(overwrite("public/tile/0/001.p/44", &[0; 7]), LedgerError::Damaged { .. }));
    assert!(matches!(overwrite("public/tile/1/000.p/1", &[0; 32]), LedgerError::Damaged { .. }));
    assert!(matches!(overwrite("next", b"x"), LedgerError::Checkpoint { .. }));
}

#[test]
fn an_older_checkpoint_that_was_put_back_is_seen_by_who_kept_a_newer_one() {
    let world = World::with(&entries(0..10));
    let old = world.checkpoint();
    world.log().append(&entries(10..20)).unwrap();
    let kept = world.checkpoint();
    world.files.write(&in_log("public/checkpoint"), old.note().as_bytes(), 0, None).unwrap();
    world.log().append(&entries(30..45)).unwrap();
    assert_eq!(world.flaws(&[old, kept]), [Flaw::Rewritten { kept: 20 }]);
}

#[test]
fn the_key_may_be_held_by_the_service_manager() {
    let world = World::with(&entries(0..3));
    assert!(world.files.read(&in_log("key")).unwrap().is_none(), "it is nowhere else");
    world.files.write(&PathBuf::from("/credentials/key"), &[1; 32], 0, None).unwrap();
    assert!(matches!(world.open(), Err(LedgerError::OtherKey { .. })));
    world.files.write(&PathBuf::from("/credentials/key"), b"none", 0, None).unwrap();
    assert!(matches!(world.open(), Err(LedgerError::Lost { .. })));
    world.files.remove(&PathBuf::from("/credentials/key")).unwrap();
    assert!(matches!(world.open(), Err(LedgerError::Lost { .. })));
}

#[test]
fn a_log_keeps_its_name() {
    let mut world = World::with(&entries(0..3));
    world.place.origin = "custodian/renamed/b/record".into();
    world.log().append(&entries(3..4)).unwrap();
    assert_eq!(world.verifier().name(), "custodian/school/a/record");
    let mut world = World::new();
    world.place.origin = "a school/a/record".into();
    assert!(matches!(world.open(), Err(LedgerError::Name(_))));
}

#[test]
fn entries_have_a_longest() {
    let world = World::new();
    let mut log = world.log();
    assert!(matches!(log.append(&[entry(0), vec![b'x'; LONGEST + 1]]), Err(LedgerError::TooLong(65_536))));
    assert_eq!(log.append(&[]).unwrap(), 0..0);
    assert_eq!(log.append(&[entry(0)]).unwrap(), 0..1);
}
