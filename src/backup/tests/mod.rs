//! Backups to a folder, whole and cut short, damaged and restored. Footage and stores are tested in `tests/it/backup`.

mod cuts;
mod expiry;
mod faults;
mod held;

use std::{cell::Cell, fs, path::Path, sync::Arc};

use tempfile::TempDir;

use super::{
    catalogue::Catalogue,
    crypt::{Identity, Sealer},
    place::Folder,
    *,
};
use crate::{
    sys::{Clock as _, FakeClock, Pace, RealDisk},
    types::WallNs,
};

/// 2026-11-22T08:00:00Z.
const EIGHT: WallNs = WallNs(1_795_334_400_000_000_000);

/// A place that goes away before or after one of the verbs, as when the process is killed there.
struct Shaky {
    folder: Folder,
    /// Verbs until then; each counts twice, for before and after.
    left: Cell<Option<u32>>,
    /// Files that were put, in order.
    put: std::cell::RefCell<Vec<String>>,
    removed: std::cell::RefCell<Vec<String>>,
}

impl Shaky {
    fn tick(&self) -> Result<(), PlaceError> {
        match self.left.get() {
            None => Ok(()),
            Some(0) => Err(PlaceError::Store { what: "cut", name: String::new(), why: String::new() }),
            Some(n) => {
                self.left.set(Some(n - 1));
                Ok(())
            }
        }
    }

    fn both<T>(&self, act: impl FnOnce() -> Result<T, PlaceError>) -> Result<T, PlaceError> {
        self.tick()?;
        let done = act()?;
        self.tick()?;
        Ok(done)
    }
}

impl Place for Shaky {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), PlaceError> {
        self.both(|| {
            self.folder.put(name, bytes)?;
            self.put.borrow_mut().push(name.to_owned());
            Ok(())
        })
    }
    fn get(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), PlaceError> {
        self.both(|| self.folder.get(name, sink))
    }
    fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        self.both(|| self.folder.size(name))
    }
    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<(), PlaceError> {
        self.both(|| self.folder.list(folder, found))
    }
    fn remove(&self, name: &str) -> Result<(), PlaceError> {
        self.both(|| {
            self.folder.remove(name)?;
            self.removed.borrow_mut().push(name.to_owned());
            Ok(())
        })
    }
}

/// A recorder's state, a place, and the school's key.
struct World {
    dir: TempDir,
    place: Shaky,
    marker: Marker,
    identity: Identity,
    sealer: Sealer,
    clock: FakeClock,
    /// Whether all footage is under a hold.
    held: bool,
    /// What the last backup lacked.
    before: Vec<String>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("place")).unwrap();
        let folder = Folder::new(dir.path().join("place"), Arc::new(RealDisk), Arc::new(Pace::new(None)));
        let marker = Marker::new("school", &"a".parse().unwrap(), EIGHT);
        marker.write(&folder).unwrap();
        let (identity, recipient) = Identity::generate();
        let place = Shaky {
            folder,
            left: Cell::new(None),
            put: std::cell::RefCell::default(),
            removed: std::cell::RefCell::default(),
        };
        let sealer = Sealer::new(vec![recipient]).unwrap();
        Self { dir, place, marker, identity, sealer, clock: FakeClock::at(EIGHT), held: false, before: Vec::new() }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("place")
    }

    fn place(&self) -> &dyn Place {
        &self.place
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::open(&self.dir.path().join("catalogue.db"), self.marker.place).unwrap()
    }

    fn back_up(&self, items: &[Item], keep: Keep) -> Result<Done, BackupError> {
        self.back_up_by(self.place(), items, keep)
    }

    /// By another way to the place.
    fn back_up_by(&self, place: &dyn Place, items: &[Item], keep: Keep) -> Result<Done, BackupError> {
        let started = self.clock.wall();
        let catalogue = self.catalogue();
        let job = Job {
            id: BackupId::new(started),
            started,
            site: "Trường mầm non",
            place,
            marker: &self.marker,
            catalogue: &catalogue,
            sealer: &self.sealer,
            items,
            missing: Vec::new(),
            before: &self.before,
            wanted: &|_| true,
            held: &|_| self.held,
            keep,
            clock: &self.clock,
        };
        run(&job, &mut |_| ())
    }

    fn verify(&self) -> Verified {
        let ids = backups(self.place()).unwrap();
        verify(self.place(), &ids, Some(&self.identity), &mut |_| ()).unwrap()
    }

    fn restore(&self, into: &Path, id: Option<BackupId>) -> Report {
        let order = Order {
            place: self.place(),
            id,
            identity: &self.identity,
            into,
            volume: "restored".parse().unwrap(),
            filter: Filter::default(),
            disk: &RealDisk,
            now: EIGHT,
        };
        restore(&order, &mut |_| ()).unwrap()
    }

    /// Names of objects at the place.
    fn objects(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.place().list("objects", &mut |name, _| all.push(name.to_owned())).unwrap();
        all.sort();
        all
    }
}

fn item(name: &str, bytes: &[u8]) -> Item {
    Item::small(Kind::Export, format!("exports/{name}"), bytes.to_vec()).unwrap()
}

/// Bytes that no two names share.
fn bytes(name: &str, len: usize) -> Vec<u8> {
    name.bytes().cycle().zip(0u8..=250).map(|(a, b)| a.wrapping_mul(31) ^ b).cycle().take(len).collect()
}

fn big(name: &str) -> Item {
    item(name, &bytes(name, usize::try_from(PART).unwrap() + 77))
}

fn is_restored(dir: &Path, item: &Item) {
    let Source::Bytes(bytes) = &item.from else { panic!("an item of a test holds its bytes") };
    let found = fs::read(dir.join(BESIDE).join(item.path.as_str())).unwrap();
    assert!(found == *bytes, "{}", item.path);
}

#[test]
fn what_is_backed_up_comes_back() {
    let world = World::new();
    let items = [item("empty", b""), item("small", b"hello"), big("large")];
    let done = world.back_up(&items, Keep::default()).unwrap();
    assert_eq!((done.sealed.files, done.sealed.objects, done.sealed.new_objects), (3, 4, 4));
    assert!(done.missing.is_empty() && done.sealed.bytes > PART);
    let verified = world.verify();
    assert_eq!((verified.files, verified.damaged), (3, Vec::new()));
    let into = world.dir.path().join("back");
    let report = world.restore(&into, None);
    assert_eq!((report.files, report.there, report.failed), (3, 0, Vec::new()));
    items.iter().for_each(|i| is_restored(&into, i));
    // Again: nothing is written, and what was changed meanwhile stays.
    fs::write(into.join(BESIDE).join("exports/small"), b"HELLO").unwrap();
    let report = world.restore(&into, None);
    assert_eq!((report.files, report.there, report.failed.len()), (0, 2, 1), "{report:?}");
    assert_eq!(fs::read(into.join(BESIDE).join("exports/small")).unwrap(), b"HELLO");
}

#[test]
fn names_at_the_place_tell_nothing() {
    let world = World::new();
    let secret = item("gate-1-secret.mp4", b"a child at the gate");
    world.back_up(std::slice::from_ref(&secret), Keep::default()).unwrap();
    let mut seen = Vec::new();
    for folder in ["objects", "backups", ""] {
        world.place().list(folder, &mut |name, _| seen.push(name.to_owned())).unwrap();
    }
    for name in seen {
        assert!(!name.contains("gate") && !name.contains("secret"), "{name}");
        let text = fs::read(world.root().join(name.trim_start_matches('/'))).unwrap();
        for word in ["gate", "secret", "child", "Trường"] {
            assert!(!text.windows(word.len()).any(|w| w == word.as_bytes()), "{name} tells {word}");
        }
    }
}

#[test]
fn nothing_goes_there_twice() {
    let world = World::new();
    let first = [item("a", b"a"), big("b")];
    world.back_up(&first, Keep::default()).unwrap();
    world.place.put.borrow_mut().clear();
    let second = [first[0].clone(), first[1].clone(), item("c", b"c")];
    let done = world.back_up(&second, Keep::default()).unwrap();
    assert_eq!((done.sealed.objects, done.sealed.new_objects), (4, 1));
    let put = world.place.put.borrow().iter().filter(|n| n.starts_with("objects/")).count();
    assert_eq!(put, 1);
    assert_eq!(world.verify().damaged, []);
    // What is there already need not be readable here any more: a segment whose disk has died is in the next backup all the same.
    let mut gone = first[1].clone();
    gone.from = Source::Files(vec!["/nonexistent".into()]);
    let done = world.back_up(&[gone], Keep::default()).unwrap();
    assert_eq!((done.missing.len(), done.sealed.new_objects), (0, 0));
}

/// Also where the change falls between two runs of a copy that was cut: no file is for two keys.
#[test]
fn who_gets_a_new_key_can_read_the_next_backup_with_it_alone() {
    let mut world = World::new();
    let items = [item("a", b"a"), big("b")];
    world.place.left.set(Some(2 + 4 + 4));
    assert!(world.back_up(&items, Keep::default()).is_err());
    world.place.left.set(None);
    assert_eq!(world.objects().len(), 2, "one of two parts has arrived");
    world.back_up(&items[..1], Keep::default()).unwrap();
    let (identity, recipient) = Identity::generate();
    world.sealer = Sealer::new(vec![recipient]).unwrap();
    world.clock.advance(std::time::Duration::from_hours(1));
    let done = world.back_up(&items, Keep::default()).unwrap();
    world.identity = identity;
    let id = done.sealed.id.clone();
    let found = verify(world.place(), std::slice::from_ref(&id), Some(&world.identity), &mut |_| ()).unwrap();
    assert_eq!((found.files, found.damaged), (2, Vec::new()));
    let into = world.dir.path().join("back");
    let report = world.restore(&into, Some(id));
    assert_eq!((report.files, report.failed), (2, Vec::new()));
    items.iter().for_each(|i| is_restored(&into, i));
    // The same recipients in another order are the same.
    let (_, other) = Identity::generate();
    let both = |list: [&crate::site::Recipient; 2]| Sealer::new(list.map(Clone::clone).to_vec()).unwrap().digest();
    let first = &world.sealer.recipients()[0];
    assert_eq!(both([first, &other]), both([&other, first]));
    assert_ne!(both([first, &other]), world.sealer.digest());
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_there() {
    let world = World::new();
    let mut lost = item("lost", b"1234");
    lost.from = Source::Files(vec!["/nonexistent".into()]);
    let short = world.dir.path().join("short");
    fs::write(&short, b"12").unwrap();
    let mut cut = item("cut", b"12345");
    cut.from = Source::Files(vec!["/nonexistent".into(), short]);
    let done = world.back_up(&[lost, item("there", b"x"), cut], Keep { days: Some(1), ..Keep::default() }).unwrap();
    assert_eq!((done.sealed.files, done.sealed.missing), (1, 2));
    assert!(done.missing[0].starts_with("exports/lost: /nonexistent: "), "{:?}", done.missing);
    assert!(done.missing[1].ends_with("it has 2 bytes instead of 5"), "{:?}", done.missing);
    assert_eq!(done.expired.kept.as_deref(), Some("this backup is not complete"));
    let report = world.restore(&world.dir.path().join("back"), None);
    assert_eq!((report.files, report.missing), (1, done.missing));
}

#[test]
fn a_stranger_reads_it_with_sha256sum() {
    let world = World::new();
    let done = world.back_up(&[item("a", b"a"), big("b")], Keep::default()).unwrap();
    let check = |expected: bool| {
        let out = std::process::Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", &done.sealed.id.list()])
            .current_dir(world.root())
            .output()
            .unwrap();
        assert_eq!(out.status.success(), expected, "{}", String::from_utf8_lossy(&out.stderr));
    };
    check(true);
    let object = world.root().join(&world.objects()[0]);
    let mut flipped = fs::read(&object).unwrap();
    flipped[50] ^= 1;
    fs::write(&object, flipped).unwrap();
    check(false);
}
