//! What the volumes keep of a log.

use super::*;

fn deposit(world: &World, at: i64) -> Deposit {
    Deposit {
        recorder: "a".parse().unwrap(),
        at: WallNs(at),
        checkpoint: world.checkpoint(),
        verifier: world.verifier(),
    }
}

#[test]
fn a_deposit_comes_back_and_a_forged_one_does_not() {
    let world = World::with(&entries(0..10));
    let deposit = deposit(&world, 5);
    let text = deposit.to_text();
    assert_eq!(Deposit::parse(text.as_bytes()).unwrap(), deposit);
    assert!(matches!(Deposit::parse(b"{"), Err(DepositError::Json(_))));
    let forged = text.replace("record\\n10\\n", "record\\n11\\n");
    assert_ne!(forged, text);
    assert!(matches!(Deposit::parse(forged.as_bytes()), Err(DepositError::Checkpoint(_))));
    let long = text.replace("\"vkey\": \"", &format!("\"vkey\": \"{}", "x".repeat(9000)));
    assert!(matches!(Deposit::parse(long.as_bytes()), Err(DepositError::TooLong(9000..))));
    let later = text.replace("\"min_reader\": 1", "\"min_reader\": 9");
    assert!(matches!(Deposit::parse(later.as_bytes()), Err(DepositError::TooNew(9))));
}

#[test]
fn the_newest_is_known_and_so_is_a_log_that_contradicts_it() {
    let mut world = World::with(&entries(0..10));
    let old = deposit(&world, 100);
    let copy = World::on(world.files.copy());
    world.log().append(&entries(10..20)).unwrap();
    let new = deposit(&world, 50);
    assert!(new.is_newer(&old) && !old.is_newer(&new), "entries count, whatever the clock said");
    assert_eq!(old.contradicts(&world.view()).unwrap(), None);
    assert_eq!(new.contradicts(&world.view()).unwrap(), None);
    let shorter = Contradiction::Shorter { kept: 20, size: 10 };
    assert_eq!(new.contradicts(&copy.view()).unwrap(), Some(shorter));
    copy.log().append(&entries(70..85)).unwrap();
    assert_eq!(new.contradicts(&copy.view()).unwrap(), Some(Contradiction::Rewritten { kept: 20 }));
    world.place.credential = None;
    let other = World { files: FakeFiles::new(), ..world };
    other.files.make_dir(&PathBuf::from("/state")).unwrap();
    other.log();
    assert!(deposit(&other, 60).is_newer(&new) && !deposit(&other, 40).is_newer(&new));
}
