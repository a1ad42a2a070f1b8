//! Media that fail: each fault is named, and nothing is made worse.

use std::{cell::RefCell, sync::atomic::Ordering};

use super::*;
use crate::sys::FaultyDisk;

/// Where a place was hit, and what must be said of it.
fn flip(world: &World, name: &str, at: usize) {
    let path = world.root().join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn one_flipped_bit_is_found_and_named() {
    let world = World::new();
    let items = [item("a", b"first"), big("b")];
    let id = world.back_up(&items, Keep::default()).unwrap().sealed.id;
    for object in world.objects() {
        let len = usize::try_from(fs::metadata(world.root().join(&object)).unwrap().len()).unwrap();
        for at in [0, len / 2, len - 1] {
            flip(&world, &object, at);
            for identity in [None, Some(&world.identity)] {
                let found = verify(world.place(), std::slice::from_ref(&id), identity, &mut |_| ()).unwrap();
                assert_eq!(found.damaged.len(), 1, "{object} {at}: {found:?}");
                assert_eq!(found.damaged[0].object.as_deref(), Some(object.as_str()));
                assert_eq!(found.damaged[0].file.is_some(), identity.is_some());
            }
            flip(&world, &object, at);
        }
    }
    for name in [id.manifest(), id.list(), id.record()] {
        flip(&world, &name, 3);
        let found = verify(world.place(), std::slice::from_ref(&id), None, &mut |_| ()).unwrap();
        assert_eq!(found.damaged[0].object.as_deref(), Some(name.as_str()), "{found:?}");
        flip(&world, &name, 3);
    }
    assert_eq!(world.verify().damaged, []);
}

#[test]
fn what_is_gone_is_named_and_backed_up_again() {
    let world = World::new();
    let items = [item("a", b"first"), item("b", b"second")];
    world.back_up(&items, Keep::default()).unwrap();
    let object = world.objects()[0].clone();
    fs::remove_file(world.root().join(&object)).unwrap();
    let found = world.verify();
    assert_eq!(found.damaged.len(), 1);
    assert_eq!((found.damaged[0].object.as_deref(), &*found.damaged[0].what), (Some(&*object), "it is gone"));
    let report = world.restore(&world.dir.path().join("back"), None);
    assert_eq!((report.files, report.failed.len()), (1, 1), "the rest is restored: {report:?}");
    let done = world.back_up(&items, Keep::default()).unwrap();
    assert_eq!((done.lost, done.sealed.new_objects), (1, 1));
    let whole = verify(world.place(), &[done.sealed.id], Some(&world.identity), &mut |_| ()).unwrap();
    assert_eq!(whole.damaged, []);
}

#[test]
fn another_key_is_said_to_be_another() {
    let world = World::new();
    world.back_up(&[item("a", b"a")], Keep::default()).unwrap();
    let (other, _) = Identity::generate();
    let ids = backups(world.place()).unwrap();
    let e = verify(world.place(), &ids, Some(&other), &mut |_| ()).unwrap_err();
    assert!(e.to_string().contains("cannot be decrypted with this key"), "{e}");
}

/// The list of contents is encrypted, not signed: whoever can write at the place can put another one there, but not with another one's digest.
#[test]
fn a_list_of_contents_that_was_exchanged_is_noticed() {
    let world = World::new();
    let one = world.back_up(&[item("a", b"a")], Keep::default()).unwrap().sealed.id;
    let two = world.back_up(&[item("b", b"b")], Keep::default()).unwrap().sealed.id;
    fs::copy(world.root().join(one.manifest()), world.root().join(two.manifest())).unwrap();
    let found = verify(world.place(), std::slice::from_ref(&two), Some(&world.identity), &mut |_| ()).unwrap();
    assert_eq!(found.damaged[0].object, Some(two.manifest()));
    // Even if the record was changed with it.
    let mut record = clear_record(world.place(), &two).unwrap();
    record.manifest = clear_record(world.place(), &one).unwrap().manifest;
    fs::write(world.root().join(two.record()), serde_json::to_vec(&record).unwrap()).unwrap();
    let found = verify(world.place(), std::slice::from_ref(&two), Some(&world.identity), &mut |_| ()).unwrap();
    assert!(found.damaged[0].what.contains("cannot be used"), "{found:?}");
}

#[test]
fn a_full_medium_fails_and_what_has_arrived_counts() {
    let world = World::new();
    let disk = FaultyDisk::default();
    let faults = disk.faults();
    let folder = Folder::new(world.root(), Arc::new(disk), Arc::new(Pace::new(None)));
    let world = World { place: Shaky { folder, ..world.place }, ..world };
    let items = [item("a", b"a"), big("b")];
    world.back_up(&items[..1], Keep { days: Some(1), ..Keep::default() }).unwrap();
    world.clock.advance(std::time::Duration::from_hours(100));
    faults.no_room.store(true, Ordering::SeqCst);
    let e = world.back_up(&items, Keep { days: Some(1), ..Keep::default() }).unwrap_err();
    assert!(matches!(&e, BackupError::Place(PlaceError::Full { .. })), "{e}");
    assert_eq!(backups(world.place()).unwrap().len(), 1, "the old one stays until there is a new one");
    faults.no_room.store(false, Ordering::SeqCst);
    let done = world.back_up(&items, Keep { days: Some(1), ..Keep::default() }).unwrap();
    assert_eq!((done.expired.backups.len(), done.sealed.new_objects), (1, 2));
}

/// What is wrong with a medium.
enum Fault {
    /// A file cannot be read, until it is written anew and lies elsewhere.
    Unreadable(RefCell<String>),
    /// It gives back less than was written to it.
    Short,
}

/// A folder on such a medium.
struct Faulty(Folder, Fault);

impl Faulty {
    fn new(world: &World, fault: Fault) -> Self {
        Self(Folder::new(world.root(), Arc::new(RealDisk), Arc::new(Pace::new(None))), fault)
    }

    fn unreadable(world: &World, name: &str) -> Self {
        Self::new(world, Fault::Unreadable(name.to_owned().into()))
    }
}

impl Place for Faulty {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), PlaceError> {
        let arrives = match &self.1 {
            Fault::Unreadable(file) => {
                file.replace_with(|file| if file == name { String::new() } else { std::mem::take(file) });
                bytes
            }
            Fault::Short => &bytes[..bytes.len() - 1],
        };
        self.0.put(name, arrives)
    }
    fn get(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), PlaceError> {
        match &self.1 {
            Fault::Unreadable(file) if *file.borrow() == name => {
                let source = std::io::Error::from_raw_os_error(5);
                Err(PlaceError::Io { what: "cannot read", name: name.to_owned(), source })
            }
            _ => self.0.get(name, sink),
        }
    }
    fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        self.0.size(name)
    }
    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<(), PlaceError> {
        self.0.list(folder, found)
    }
    fn remove(&self, name: &str) -> Result<(), PlaceError> {
        self.0.remove(name)
    }
}

#[test]
fn what_cannot_be_read_at_the_place_is_damage_and_the_rest_is_looked_at() {
    let world = World::new();
    let id = world.back_up(&[item("a", b"a"), item("b", b"b")], Keep::default()).unwrap().sealed.id;
    let mut names = world.objects();
    names.extend([id.manifest(), id.list(), id.record()]);
    for name in names {
        let place = Faulty::unreadable(&world, &name);
        for identity in [None, Some(&world.identity)] {
            let found = verify(&place, std::slice::from_ref(&id), identity, &mut |_| ()).unwrap();
            let told: Vec<&str> = found.damaged.iter().filter_map(|d| d.object.as_deref()).collect();
            assert_eq!(told, [name.as_str()], "{found:?}");
            assert!(found.damaged[0].what.starts_with("it cannot be read: "), "{found:?}");
            assert!(!name.starts_with("objects/") || found.objects == 3, "{found:?}");
        }
        fs::rename(world.root().join(MARKER), world.root().join("away")).unwrap();
        assert!(verify(&place, std::slice::from_ref(&id), None, &mut |_| ()).is_err(), "the place itself is away");
        fs::rename(world.root().join("away"), world.root().join(MARKER)).unwrap();
    }
}

#[test]
fn a_part_that_cannot_be_read_back_is_written_again() {
    let world = World::new();
    let items = [big("b")];
    // Written, and not read back.
    world.place.left.set(Some(2 + 2));
    assert!(world.back_up(&items, Keep::default()).is_err());
    world.place.left.set(None);
    let place = Faulty::unreadable(&world, &world.objects()[0]);
    let done = world.back_up_by(&place, &items, Keep::default()).unwrap();
    assert_eq!((done.sealed.new_objects, done.missing.len()), (2, 0));
}

#[test]
fn what_does_not_come_back_as_it_was_written_is_no_backup() {
    let world = World::new();
    let short = Faulty::new(&world, Fault::Short);
    let e = world.back_up_by(&short, &[item("a", b"a")], Keep::default()).unwrap_err();
    assert!(matches!(e, BackupError::Place(PlaceError::Altered { .. })), "{e}");
    assert_eq!(backups(world.place()).unwrap(), []);
}

#[test]
fn a_place_without_marker_or_with_a_strange_one_is_refused() {
    let world = World::new();
    let recorder = "a".parse().unwrap();
    assert!(Marker::expect(world.place(), "school", &recorder).is_ok());
    let other = Marker::expect(world.place(), "other", &recorder);
    assert!(matches!(other, Err(MarkerError::Other { .. })));
    assert!(matches!(Marker::expect(world.place(), "school", &"b".parse().unwrap()), Err(MarkerError::Other { .. })));
    fs::write(world.root().join(MARKER), "{").unwrap();
    assert!(matches!(Marker::read(world.place()), Err(MarkerError::Damaged(_))));
    fs::remove_file(world.root().join(MARKER)).unwrap();
    let e = Marker::read(world.place()).unwrap_err();
    assert!(e.to_string().contains("not mounted"), "{e}");
}
