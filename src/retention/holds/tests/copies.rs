//! Copies that are missing, damaged, late, or refuse.

use super::*;

fn doubts(keeper: &Keeper) -> Vec<String> {
    keeper.unread().into_iter().map(|(volume, _)| volume.to_string()).collect()
}

#[test]
fn every_volume_that_is_there_has_a_hold_before_it_is_acknowledged() {
    let world = World::new();
    let keeper = world.start(&["v1", "v2"]);
    assert_eq!(add(&keeper, 1), Ok(vec![]));
    let on = |volume: &str| file::parse(&fs::read(world.on(volume)).unwrap()).unwrap().0.holds;
    assert_eq!(on("v1"), keeper.held().holds);
    assert_eq!(on("v1"), on("v2"));
    assert_eq!(fs::read(world.on("v1")).unwrap(), fs::read(world.on("v2")).unwrap());
    assert!(!world.on("v3").exists());

    // The one that comes late gets it, and brings what it knew.
    let elsewhere = World::new();
    let other = elsewhere.start(&["v3"]);
    add(&other, 2).unwrap();
    fs::copy(elsewhere.on("v3"), world.on("v3")).unwrap();
    keeper.mount([world.volume("v3")], NOW);
    assert_eq!(in_force(&keeper), [id(1), id(2)]);
    for volume in VOLUMES {
        assert_eq!(on(volume), keeper.held().holds, "{volume}");
    }
    assert!(keeper.unread().is_empty());
    assert!(keeper.held().spans.hold(&camera("gate"), hours(0, 1)));
}

#[test]
fn any_one_copy_brings_a_hold_back() {
    for left in ["state", "v1", "v2", "v3"] {
        let world = World::new();
        add(&world.start(&VOLUMES), 1).unwrap();
        for path in [world.own(), world.on("v1"), world.on("v2"), world.on("v3")] {
            if !path.starts_with(world.path(left)) {
                fs::remove_file(path).unwrap();
            }
        }
        let keeper = world.start(&VOLUMES);
        assert_eq!(in_force(&keeper), [id(1)], "{left}");
        assert!(keeper.unread().is_empty(), "{:?}", keeper.unread());
    }
}

#[test]
fn without_the_own_copy_nothing_is_deleted_until_all_volumes_were_read() {
    let world = World::new();
    let keeper = world.start(&["v1"]);
    assert!(keeper.held().may_delete(&name("v1")).unwrap_err().contains("v2, v3"));
    assert!(keeper.held().may_delete(&name("v2")).is_err(), "what is not read may hold anything");
    add(&keeper, 1).unwrap();
    drop(keeper);
    // It has an own copy now, which says whom it waits for.
    let keeper = world.start(&["v1", "v2"]);
    assert_eq!(doubts(&keeper), ["v1", "v2"]);
    keeper.mount([world.volume("v3")], NOW);
    assert!(doubts(&keeper).is_empty());
    drop(keeper);
    let keeper = world.start(&["v1"]);
    assert!(keeper.held().may_delete(&name("v1")).is_ok(), "all is known, whoever is away");
    drop(keeper);
    fs::remove_file(world.own()).unwrap();
    let keeper = world.start(&["v1", "v3"]);
    assert_eq!(doubts(&keeper), ["v1", "v3"]);
    // Whoever gives up a disk takes it out of site.toml.
    keeper.expect(Expected { volumes: ["v1", "v3"].map(name).into(), renamed: Vec::new() });
    assert!(doubts(&keeper).is_empty());
}

#[test]
fn a_volume_that_refuses_is_named_and_nothing_is_deleted_there_until_it_took_the_hold() {
    let world = World::new();
    let keeper = world.start(&VOLUMES);
    world.refuse("v2", true);
    let refusals = add(&keeper, 1).unwrap();
    assert_eq!(refusals.iter().map(|r| r.volume.clone()).collect::<Vec<_>>(), [Some(name("v2"))]);
    assert_eq!(in_force(&keeper), [id(1)], "the hold stands");
    assert_eq!(doubts(&keeper), ["v2"]);
    assert!(keeper.held().may_delete(&name("v1")).is_ok());
    keeper.mend(NOW);
    assert_eq!(doubts(&keeper), ["v2"]);
    world.refuse("v2", false);
    keeper.mend(NOW);
    assert!(doubts(&keeper).is_empty());
    assert_eq!(fs::read(world.on("v1")).unwrap(), fs::read(world.on("v2")).unwrap());
}

#[test]
fn what_no_disk_took_is_not_in_force() {
    let world = World::new();
    let keeper = world.start(&VOLUMES);
    add(&keeper, 1).unwrap();
    world.cut_after(0);
    assert!(matches!(add(&keeper, 2), Err(ApplyError::Nowhere(all)) if all.len() == 4));
    assert!(matches!(release(&keeper, 1, 3), Err(ApplyError::Nowhere(_))));
    assert_eq!(in_force(&keeper), [id(1)]);
    assert_eq!(doubts(&keeper), VOLUMES);
}

#[test]
fn a_hold_that_could_be_forgotten_after_a_restart_is_not_acknowledged() {
    let world = World::new();
    let keeper = world.start(&VOLUMES);
    world.refuse("state", true);
    assert_eq!(add(&keeper, 1).unwrap().len(), 1, "every volume has it");
    world.refuse("v2", true);
    assert!(matches!(add(&keeper, 2), Err(ApplyError::Nowhere(all)) if all.len() == 2));
    assert!(matches!(release(&keeper, 1, 3), Err(ApplyError::Nowhere(_))));
    assert_eq!(in_force(&keeper), [id(1)]);
    let on = |volume: &str| file::parse(&fs::read(world.on(volume)).unwrap()).unwrap().0.holds;
    assert_eq!(on("v1"), keeper.held().holds, "what took it is as before");
}

#[test]
fn what_was_not_acknowledged_does_not_come_true_late() {
    let world = World::new();
    let keeper = world.start(&VOLUMES).with_patience(Duration::from_millis(50));
    add(&keeper, 1).unwrap();
    world.refuse("state", true);
    world.hanging.set(Some(world.path("v1")));
    assert!(matches!(release(&keeper, 1, 2), Err(ApplyError::Nowhere(_))));
    let on = |volume: &str| file::parse(&fs::read(world.on(volume)).unwrap()).unwrap().0.holds;
    assert_eq!(on("v2"), keeper.held().holds, "written back");
    world.hanging.set(None);
    while on("v1") == keeper.held().holds {
        std::thread::yield_now();
    }
    world.refuse("state", false);
    let written = || {
        keeper.mend(NOW);
        assert_eq!(in_force(&keeper), [id(1)], "the release was not acknowledged");
        doubts(&keeper).is_empty() && keeper.held().own.is_none()
    };
    while !written() {
        std::thread::yield_now();
    }
    assert_eq!(on("v1"), keeper.held().holds);
}

#[test]
fn a_damaged_copy_is_kept_aside_and_stops_deletion_until_somebody_has_looked() {
    let world = World::new();
    add(&world.start(&VOLUMES), 1).unwrap();
    let mut bytes = fs::read(world.on("v2")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(world.on("v2"), &bytes).unwrap();
    for _ in 0..2 {
        // Another start does not make it better.
        let keeper = world.start(&VOLUMES);
        assert_eq!(doubts(&keeper), ["v2"]);
        let aside = world.damaged("v2");
        assert_eq!(aside.len(), 1);
        assert_eq!(fs::read(world.path("v2").join(&aside[0])).unwrap(), bytes, "as it was");
        assert!(keeper.unread()[0].1.contains(&aside[0]), "{:?}", keeper.unread());
        assert_eq!(fs::read(world.on("v2")).unwrap(), fs::read(world.on("v1")).unwrap(), "it has a good one again");
    }
    let keeper = world.start(&VOLUMES);
    fs::remove_file(world.path("v2").join(&world.damaged("v2")[0])).unwrap();
    keeper.mend(NOW);
    assert!(doubts(&keeper).is_empty());
}

#[test]
fn a_damaged_copy_may_be_the_only_one_that_knew() {
    let world = World::new();
    add(&world.start(&["v2"]), 1).unwrap();
    fs::remove_file(world.own()).unwrap();
    fs::write(world.on("v2"), "{ half").unwrap();
    let keeper = world.start(&VOLUMES);
    assert_eq!(doubts(&keeper), VOLUMES, "nobody knows what it held");
    drop(keeper);
    // It was mended by hand and put back, say from a backup.
    let good = World::new();
    add(&good.start(&["v2"]), 1).unwrap();
    fs::remove_file(world.path("v2").join(&world.damaged("v2")[0])).unwrap();
    fs::copy(good.on("v2"), world.on("v2")).unwrap();
    let keeper = world.start(&VOLUMES);
    assert!(doubts(&keeper).is_empty());
    assert_eq!(in_force(&keeper), [id(1)]);
}

#[test]
fn a_damaged_own_copy_is_made_anew_from_the_volumes() {
    let world = World::new();
    add(&world.start(&VOLUMES), 1).unwrap();
    fs::write(world.own(), "").unwrap();
    let keeper = world.start(&["v1", "v2"]);
    assert_eq!((in_force(&keeper), doubts(&keeper)), (vec![id(1)], vec!["v1".to_owned(), "v2".to_owned()]));
    assert_eq!(world.damaged("state").len(), 1);
    assert!(keeper.held().own_copy().unwrap().contains("damaged"));
    keeper.mount([world.volume("v3")], NOW);
    assert!(doubts(&keeper).is_empty());
}

#[test]
fn what_a_later_version_wrote_is_not_written_over() {
    let world = World::new();
    add(&world.start(&VOLUMES), 1).unwrap();
    let text = fs::read_to_string(world.on("v2")).unwrap();
    let later = text.replace("\"min_reader\": 1", "\"min_reader\": 9");
    fs::write(world.on("v2"), &later).unwrap();
    let keeper = world.start(&VOLUMES);
    assert_eq!(doubts(&keeper), ["v2"]);
    let refusals = add(&keeper, 2).unwrap();
    assert!(refusals[0].why.contains("update custodian"), "{refusals:?}");
    assert_eq!(fs::read_to_string(world.on("v2")).unwrap(), later);
    assert!(world.damaged("v2").is_empty(), "it is not damaged");
}

#[test]
fn a_folder_without_its_disk_gets_no_holds() {
    let world = World::new();
    let keeper = world.start(&VOLUMES);
    let (marker, away) = (world.path("v2").join(volume::MARKER), world.path("marker"));
    fs::rename(&marker, &away).unwrap();
    fs::remove_file(world.on("v2")).unwrap();
    assert_eq!(add(&keeper, 1).unwrap().len(), 1);
    assert!(!world.on("v2").exists());
    fs::rename(&away, &marker).unwrap();
    keeper.mend(NOW);
    assert!(world.on("v2").exists() && doubts(&keeper).is_empty());
}

#[test]
fn a_disk_that_comes_back_does_not_bring_back_what_was_released() {
    let world = World::new();
    add(&world.start(&VOLUMES), 1).unwrap();
    let keeper = world.start(&["v1"]);
    release(&keeper, 1, 2).unwrap();
    keeper.mount([world.volume("v2")], NOW);
    keeper.mount([world.volume("v3")], NOW);
    assert!(in_force(&keeper).is_empty());
    // Its texts go after 90 days; a copy that is older still stands again then, which is what a copy that nobody knows is for.
    keeper.mend(NOW.offset(91 * DAY));
    assert!(!fs::read_to_string(world.on("v1")).unwrap().contains("Hoa"));
    assert_eq!(keeper.held().holds.iter().count(), 0);
}

#[test]
fn nobody_changes_what_is_held_while_somebody_deletes() {
    let world = World::new();
    let keeper = world.start(&VOLUMES);
    let steady = keeper.steady();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| add(&keeper, 1));
        // The copies have it already; it is acknowledged only when that is over.
        while !world.on("v3").exists() || !fs::read_to_string(world.on("v3")).unwrap().contains("Hoa") {
            std::thread::yield_now();
        }
        assert!(!adding.is_finished() && steady.holds.iter().count() == 0);
        drop(steady);
        assert_eq!(adding.join().unwrap(), Ok(vec![]));
    });
    assert_eq!(keeper.steady().holds.iter().count(), 1);
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_and_what_it_writes_late_replaces_nothing() {
    let world = World::new();
    let keeper = world.start(&VOLUMES).with_patience(Duration::from_millis(50));
    world.hanging.set(Some(world.path("v2")));
    for n in [1, 2] {
        let refusals = add(&keeper, n).unwrap();
        assert!(matches!(&refusals[..], [r] if r.volume == Some(name("v2")) && r.why.contains("does not answer")));
    }
    keeper.mend(NOW);
    assert_eq!(doubts(&keeper), ["v2"]);
    world.hanging.set(None);
    // The first write comes to its end, and only then the next one begins.
    let written = || {
        keeper.mend(NOW);
        doubts(&keeper).is_empty()
    };
    while !written() {
        std::thread::yield_now();
    }
    assert_eq!(fs::read(world.on("v2")).unwrap(), fs::read(world.on("v1")).unwrap());
    assert_eq!(in_force(&keeper), [id(1), id(2)]);
}

/// As a reload that promises more.
#[test]
fn another_change_waits_for_whoever_deletes_too() {
    let world = World::new();
    let keeper = world.start(&VOLUMES);
    let changed = std::sync::atomic::AtomicBool::new(false);
    let is_changed = || changed.load(std::sync::atomic::Ordering::SeqCst);
    let steady = keeper.steady();
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| keeper.unsteadily(|| changed.store(true, std::sync::atomic::Ordering::SeqCst)));
        std::thread::park_timeout(Duration::from_millis(200));
        assert!(!is_changed() && !changing.is_finished());
        drop(steady);
        changing.join().unwrap();
    });
    assert!(is_changed());
}
