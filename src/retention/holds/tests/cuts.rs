//! The power is cut at every write of a change, before it, in its middle and after it; then all copies are there, or only some of them.

use super::*;
use crate::sys::{Cut, FakeFiles, Files as _};

type Act = dyn Fn(&Keeper) -> Result<Vec<Refusal>, ApplyError>;

/// Folders and markers are real; what is written into them is in memory.
struct Machine {
    world: World,
    files: FakeFiles,
}

impl Machine {
    fn new() -> Self {
        let (world, files) = (World::new(), FakeFiles::new());
        for folder in ["state", "v1", "v2", "v3"] {
            let path = world.path(folder);
            let above: Vec<&Path> = path.ancestors().filter(|p| p.parent().is_some()).collect();
            above.into_iter().rev().for_each(|p| files.make_dir(p).unwrap());
        }
        Self { world, files }
    }

    fn start(&self) -> Keeper {
        self.world.start_on(Arc::new(self.files.clone()), &VOLUMES)
    }

    fn file(&self, folder: &str) -> PathBuf {
        if folder == "state" { self.world.own() } else { self.world.on(folder) }
    }
}

/// Which folders are lost after the cut.
const LOST: [&[&str]; 5] = [&[], &["state"], &["state", "v1", "v2"], &["state", "v2", "v3"], &["v1", "v2", "v3"]];

/// Every place to cut, and whether what was not durable is lost.
fn cuts() -> impl Iterator<Item = (u64, Cut, bool)> {
    let how = [Cut::Before, Cut::Seen, Cut::After];
    (0..5).flat_map(move |n| how.into_iter().flat_map(move |how| [true, false].map(|lost| (n, how, lost))))
}

/// Does something that is cut short at every write, loses some folders, and looks what a new start finds. `check` gets that, and
/// whether a copy that is left had taken the change.
fn at_every_cut(prepare: &dyn Fn(&Keeper), act: &Act, check: &dyn Fn(&Keeper, bool)) {
    let mut taken = 0;
    for (n, how, not_durable) in cuts() {
        for lost in LOST {
            let machine = Machine::new();
            let keeper = machine.start();
            prepare(&keeper);
            machine.files.cut_at(n, how);
            let outcome = act(&keeper);
            drop(keeper);
            machine.files.power_on(not_durable);
            for folder in lost {
                machine.files.remove(&machine.file(folder)).unwrap();
            }
            let refused = |folder: &str| {
                let refusals = outcome.as_ref().map_or(&[][..], Vec::as_slice);
                let name = |r: &Refusal| r.volume.as_ref().map_or("state".to_owned(), ToString::to_string);
                refusals.iter().any(|r| name(r) == folder)
            };
            let left = ["state", "v1", "v2", "v3"].into_iter().filter(|f| !lost.contains(f));
            let took_it = outcome.is_ok() && left.into_iter().any(|folder| !refused(folder));
            taken += usize::from(took_it);
            let keeper = machine.start();
            check(&keeper, took_it);
            assert!(keeper.unread().is_empty(), "{:?}", keeper.unread());
            assert!(keeper.held().own_copy().is_none());
        }
    }
    assert!(taken > 40, "{taken}");
}

#[test]
fn an_acknowledged_hold_outlives_every_cut() {
    at_every_cut(&|_| (), &|keeper| add(keeper, 1), &|keeper, took_it| {
        let found = in_force(keeper);
        assert!(found == [id(1)] || (!took_it && found.is_empty()), "{found:?}");
    });
    at_every_cut(&|keeper| drop(add(keeper, 1)), &|keeper| add(keeper, 2), &|keeper, took_it| {
        let found = in_force(keeper);
        assert!(found == [id(1), id(2)] || (!took_it && found == [id(1)]), "{found:?}");
    });
}

#[test]
fn a_release_is_there_whole_or_not_at_all() {
    let prepare = |keeper: &Keeper| {
        add(keeper, 1).unwrap();
        add(keeper, 2).unwrap();
    };
    at_every_cut(&prepare, &|keeper| release(keeper, 1, 3), &|keeper, took_it| {
        let found = in_force(keeper);
        assert!(found == [id(2)] || (!took_it && found == [id(1), id(2)]), "{found:?}");
    });
}

#[test]
fn an_extension_outlives_every_cut() {
    at_every_cut(&|keeper| drop(add(keeper, 1)), &|keeper| extend(keeper, 1, 30, 2), &|keeper, took_it| {
        let end = keeper.held().holds.get(id(1)).unwrap().extent().span().end;
        assert!(end == NOW.offset(30 * HOUR) || (!took_it && end == NOW.offset(HOUR)), "{end}");
    });
}

#[test]
fn a_start_that_is_cut_short_loses_nothing() {
    for (n, how, not_durable) in cuts() {
        for broken in ["state", "v2"] {
            let machine = Machine::new();
            add(&machine.start(), 1).unwrap();
            machine.files.write(&machine.file(broken), b"{", 0, None).unwrap();
            machine.files.cut_at(n, how);
            drop(machine.start());
            machine.files.power_on(not_durable);
            let keeper = machine.start();
            assert_eq!(in_force(&keeper), [id(1)], "{n} {how:?}");
            let names = machine.files.list(&machine.world.path(broken)).unwrap();
            let aside: Vec<&String> = names.iter().filter(|n| n.contains(".damaged-")).collect();
            assert_eq!(aside.len(), 1, "{n} {how:?}: {names:?}");
        }
    }
}
