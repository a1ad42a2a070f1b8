//! The power fails between any two writes of a change; then all of the copies are there, or only one of them.

use super::*;

type Act = dyn Fn(&Keeper) -> Result<Vec<Refusal>, ApplyError>;

/// Does something that is cut short after ever more writes. `before` and `after` are the holds in force, by what was acknowledged: what
/// was not may have come to either.
fn at_every_cut(prepare: &dyn Fn(&Keeper), act: &Act, before: &[HoldId], after: &[HoldId]) {
    let mut acknowledged = 0;
    for cut in 0..8 {
        // What is left: everything, everything but the recorder's own folder, or all volumes but one and not the folder.
        for lost in [&[][..], &["state"], &["state", "v1", "v2"], &["state", "v2", "v3"], &["v1", "v2", "v3"]] {
            let world = World::new();
            let keeper = world.start(&VOLUMES);
            prepare(&keeper);
            world.cut_after(cut);
            let outcome = act(&keeper);
            drop(keeper);
            world.cut_after(WHOLE);
            for folder in lost {
                let file = if *folder == "state" { world.own() } else { world.on(folder) };
                let _ = fs::remove_file(file);
            }
            let refused: Vec<String> = (outcome.iter().flatten())
                .map(|r| r.volume.as_ref().map_or("state".to_owned(), ToString::to_string))
                .collect();
            let survivor_took_it =
                ["state", "v1", "v2", "v3"].iter().any(|f| !lost.contains(f) && !refused.contains(&(*f).to_owned()));
            let keeper = world.start(&VOLUMES);
            let found = in_force(&keeper);
            if outcome.is_ok() && survivor_took_it {
                acknowledged += 1;
                assert_eq!(found, after, "cut {cut}, lost {lost:?}, refused {refused:?}");
            } else {
                assert!(found == before || found == after, "cut {cut}, lost {lost:?}: {found:?}");
            }
            assert!(world.damaged("state").is_empty() && keeper.unread().is_empty(), "{:?}", keeper.unread());
        }
    }
    assert!(acknowledged > 20, "{acknowledged}");
}

#[test]
fn an_acknowledged_hold_outlives_every_cut() {
    at_every_cut(&|_| (), &|keeper| add(keeper, 1), &[], &[id(1)]);
    at_every_cut(&|keeper| drop(add(keeper, 1)), &|keeper| add(keeper, 2), &[id(1)], &[id(1), id(2)]);
}

#[test]
fn a_release_is_there_whole_or_not_at_all() {
    let prepare = |keeper: &Keeper| {
        add(keeper, 1).unwrap();
        add(keeper, 2).unwrap();
    };
    at_every_cut(&prepare, &|keeper| release(keeper, 1, 3), &[id(1), id(2)], &[id(2)]);
}

#[test]
fn an_extension_outlives_every_cut() {
    for cut in 0..8 {
        for lost in VOLUMES {
            let world = World::new();
            let keeper = world.start(&VOLUMES);
            add(&keeper, 1).unwrap();
            world.cut_after(cut);
            let outcome = extend(&keeper, 1, 30, 2);
            drop(keeper);
            world.cut_after(WHOLE);
            fs::remove_file(world.on(lost)).unwrap();
            let keeper = world.start(&VOLUMES);
            let end = keeper.held().holds.get(id(1)).unwrap().extent().span().end;
            let (short, long) = (NOW.offset(HOUR), NOW.offset(30 * HOUR));
            // With one write let through and its copy lost, nobody has it.
            if outcome.is_ok() && cut > 1 {
                assert_eq!(end, long, "cut {cut}, lost {lost}");
            } else {
                assert!(end == short || end == long);
            }
        }
    }
}

#[test]
fn a_start_that_is_cut_short_loses_nothing() {
    for cut in 0..8 {
        for broken in ["state", "v2"] {
            let world = World::new();
            add(&world.start(&VOLUMES), 1).unwrap();
            let path = if broken == "state" { world.own() } else { world.on(broken) };
            fs::write(path, "{").unwrap();
            world.cut_after(cut);
            drop(world.start(&VOLUMES));
            world.cut_after(WHOLE);
            let keeper = world.start(&VOLUMES);
            assert_eq!(in_force(&keeper), [id(1)], "cut {cut}");
            assert_eq!(world.damaged(broken).len(), 1, "cut {cut}: it is kept");
        }
    }
}
