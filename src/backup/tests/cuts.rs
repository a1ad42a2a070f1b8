//! Cut short anywhere: the next backup goes on, and brings nothing there twice that had arrived whole.

use std::collections::BTreeSet;

use super::*;

/// Runs backups that are cut after ever more verbs, each followed by one that is not, and looks at what is left.
#[test]
fn wherever_it_is_cut_the_next_one_goes_on() {
    let items = [item("a", b"a"), big("b"), item("c", b"")];
    let mut whole = false;
    for cut in 0.. {
        assert!(cut < 500, "it ends at some time");
        let world = World::new();
        world.place.left.set(Some(cut));
        whole = world.back_up(&items, Keep::default()).is_ok();
        world.place.left.set(None);
        // Half a backup is none.
        let usable = backups(world.place()).unwrap();
        let verified = verify(world.place(), &usable, Some(&world.identity), &mut |_| ()).unwrap();
        assert_eq!(verified.damaged, [], "cut {cut}");
        let arrived: BTreeSet<String> = world.place.put.borrow_mut().drain(..).collect();
        world.clock.advance(std::time::Duration::from_hours(1));
        let done = world.back_up(&items, Keep::default()).unwrap();
        assert_eq!((done.sealed.objects, done.lost), (4, 0), "cut {cut}");
        for name in world.place.put.borrow().iter().filter(|n| n.starts_with("objects/")) {
            assert!(!arrived.contains(name), "cut {cut}: {name} was there");
        }
        assert_eq!(world.objects().len(), 4, "cut {cut}: nothing was brought twice under another name");
        assert_eq!(world.verify().damaged, [], "cut {cut}");
        if whole {
            assert!(cut >= 30, "{cut} verbs were cut");
            break;
        }
    }
    assert!(whole);
}

/// A part that was being written when the power failed may be anything.
#[test]
fn what_has_arrived_broken_is_brought_again() {
    let world = World::new();
    let items = [big("b")];
    // Before the first part is read back.
    world.place.left.set(Some(2 + 2));
    assert!(world.back_up(&items, Keep::default()).is_err());
    world.place.left.set(None);
    let object = world.root().join(&world.objects()[0]);
    let length = fs::metadata(&object).unwrap().len();
    fs::write(&object, vec![0; usize::try_from(length).unwrap()]).unwrap();
    let done = world.back_up(&items, Keep::default()).unwrap();
    assert_eq!((done.sealed.objects, done.sealed.new_objects), (2, 2));
    assert_eq!(world.verify().damaged, []);
}

/// Things that change while they are half there are begun anew.
#[test]
fn a_file_that_changes_in_between_is_backed_up_as_it_is_then() {
    let world = World::new();
    let mut changing = big("b");
    "file:fixed".clone_into(&mut changing.key);
    // Before the second part is written.
    world.place.left.set(Some(2 + 4));
    assert!(world.back_up(std::slice::from_ref(&changing), Keep::default()).is_err());
    world.place.left.set(None);
    assert_eq!(world.objects().len(), 1);
    let mut other = big("x");
    (other.key, other.path) = (changing.key, changing.path);
    let done = world.back_up(std::slice::from_ref(&other), Keep::default()).unwrap();
    assert_eq!((done.sealed.objects, done.missing.len()), (2, 0));
    let into = world.dir.path().join("back");
    world.restore(&into, None);
    is_restored(&into, &other);
}
