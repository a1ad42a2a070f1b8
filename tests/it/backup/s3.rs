//! A store: as a school meets it, and when the network or the store is ill.

use std::{collections::BTreeSet, fs, sync::Arc, sync::atomic::Ordering, time::Duration};

use custodian::{
    backup::{
        BackupError, BackupId, Done, Item, Job, Keep, Kind, Marker, PART, Place, PlaceError,
        catalogue::Catalogue,
        crypt::Sealer,
        place::{Patience, S3},
        run,
    },
    sys::{Clock as _, Pace, RealClock},
};
use tempfile::TempDir;

use super::server::{KEY, Server};
use crate::support::school::{School, files, text};

fn with_store(server: &Server) -> School {
    let mut school = School::new();
    school.places("{ kind = \"s3\", url_secret = \"offsite\" }");
    school.secrets(&format!("[secrets]\noffsite = \"{}\"\n", server.url()));
    school
}

#[test]
fn a_school_backs_up_to_a_store_verifies_and_restores() {
    let server = Server::start();
    let school = with_store(&server);
    let said = school.fails(&["run"], 1);
    assert!(said.contains("custodian backup init"), "{said}");
    assert!(school.ok(&["init"]).contains("s3:offsite: prepared."));
    let made = school.run();
    assert_eq!((&made["outcome"], &made["to"]), (&"complete".into(), &"s3:offsite".into()));
    assert_eq!(made["sealed"]["new_objects"], made["sealed"]["objects"]);
    assert_eq!(school.run()["sealed"]["new_objects"], 0);
    let written = server.faults.written.lock().unwrap().clone();
    let names: BTreeSet<&String> = written.iter().collect();
    assert_eq!(names.len(), written.len(), "nothing was written twice");

    assert!(school.ok(&["verify", "--identity", "key"]).contains("Damaged: 0."));
    let address = school.path("address");
    fs::write(&address, server.url() + "\n").unwrap();
    let bare = tempfile::tempdir().unwrap();
    let out = crate::support::school::custodian(bare.path())
        .args(["backup", "restore", "latest", "--into", "a1", "--s3"])
        .arg(&address)
        .arg("--identity")
        .arg(school.path("key"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let footage = files(&school.archive.root().join("footage/gate-1"));
    let back = files(&bare.path().join("a1/footage/gate-1"));
    assert_eq!(back.len(), 2);
    for (one, other) in footage.iter().zip(&back) {
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{}", one.display());
    }

    // One bit, in the store's own keeping.
    let object = files(&server.folder().join("objects"))
        .into_iter()
        .rfind(|f| f.extension().is_some_and(|e| e == "age"))
        .unwrap();
    let mut bytes = fs::read(&object).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&object, bytes).unwrap();
    let said = school.fails(&["verify"], 3);
    assert!(said.contains(object.strip_prefix(server.folder()).unwrap().to_str().unwrap()), "{said}");
}

#[test]
fn a_wrong_key_and_a_missing_bucket_are_said_without_any_secret() {
    let server = Server::start();
    let school = with_store(&server);
    let wrong = server.url().replace("s3cr%2Fet", "hunter2");
    school.secrets(&format!("[secrets]\noffsite = \"{wrong}\"\n"));
    let said = school.fails(&["init"], 1);
    assert!(said.contains("the store refuses the access key (SignatureDoesNotMatch"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    school.secrets(&format!("[secrets]\noffsite = \"{}\"\n", server.url().replace("/backups/", "/nowhere/")));
    let said = school.fails(&["init"], 1);
    assert!(said.contains("NoSuchBucket") && !said.contains("s3cr"), "{said}");
    let check = |secret: &str| {
        school.secrets(&format!("[secrets]\noffsite = \"{secret}\"\n"));
        let args = ["check", "--site", "site.toml", "--secrets", "secrets.toml", "--lang", "en"];
        crate::support::school::custodian(&school.path(".")).args(args).output().unwrap()
    };
    let out = check("https://hunter2@host/bucket");
    assert_eq!(out.status.code(), Some(1));
    let said = text(&out.stdout);
    assert!(
        said.contains("the secret offsite is not the address of a store: no KEY:SECRET@") && !said.contains("hunter2"),
        "{said}"
    );
    assert!(said.contains("site.toml:") && check("https://k:s@host/bucket").status.success(), "{said}");
}

/// A backup of some bytes to a store, with little patience.
struct Direct {
    dir: TempDir,
    sealer: Sealer,
    items: Vec<Item>,
}

impl Direct {
    fn new() -> Self {
        let key = age::x25519::Identity::generate().to_public().to_string().parse().unwrap();
        let item = |name: &str, len: u64| {
            let bytes = name.bytes().cycle().take(usize::try_from(len).unwrap()).collect();
            Item::small(Kind::Export, name.to_owned(), bytes).unwrap()
        };
        let items = vec![item("a", 10), item("b", PART + 5), item("c", 0), item("d", 3 * PART)];
        Self { dir: tempfile::tempdir().unwrap(), sealer: Sealer::new(vec![key]).unwrap(), items }
    }

    fn place(server: &Server, rate: Option<&str>) -> S3 {
        let patience = Patience {
            connect: Duration::from_secs(2),
            stall: Duration::from_millis(300),
            retries: 3,
            retry_for: Duration::from_secs(20),
            pause: Duration::from_millis(5),
        };
        let pace = Arc::new(Pace::new(rate.map(|r| r.parse().unwrap())));
        S3::new(&server.url().parse().unwrap(), "custodian-a", pace, patience).unwrap()
    }

    fn back_up(&self, place: &S3) -> Result<Done, BackupError> {
        let recorder = "a".parse().unwrap();
        let marker = if let Ok(marker) = Marker::expect(place, "school", &recorder) {
            marker
        } else {
            let marker = Marker::new("school", &recorder, RealClock.wall());
            marker.write(place)?;
            marker
        };
        let catalogue = Catalogue::open(&self.dir.path().join("catalogue.db"), marker.place)?;
        let started = RealClock.wall();
        let job = Job {
            id: BackupId::new(started),
            started,
            site: "x",
            place,
            marker: &marker,
            catalogue: &catalogue,
            sealer: &self.sealer,
            items: &self.items,
            missing: Vec::new(),
            before: &[],
            wanted: &|_| true,
            held: &|_| false,
            keep: Keep::default(),
            clock: &RealClock,
        };
        run(&job, &mut |_| ())
    }
}

#[test]
fn a_store_that_is_ill_for_a_moment_is_asked_again() {
    let server = Server::start();
    server.faults.errors.store(2, Ordering::SeqCst);
    let done = Direct::new().back_up(&Direct::place(&server, None)).unwrap();
    assert_eq!(done.sealed.objects, 7);
    assert_eq!(server.faults.errors.load(Ordering::SeqCst), 0, "it was ill");
}

#[test]
fn a_store_that_stays_ill_is_named() {
    let server = Server::start();
    let direct = Direct::new();
    direct.back_up(&Direct::place(&server, None)).unwrap();
    server.faults.errors.store(1000, Ordering::SeqCst);
    let e = Direct::place(&server, None).put("objects/x", b"x").unwrap_err();
    let told = e.to_string();
    assert!(told.starts_with("cannot write objects/x") && told.contains("InternalError: We are ill."), "{told}");
    assert!(!told.contains(KEY.1) && !told.contains("s3cr"), "{told}");
}

#[test]
fn a_store_that_does_not_answer_is_given_up() {
    let server = Server::start();
    server.faults.hang.store(true, Ordering::SeqCst);
    let e = Direct::place(&server, None).size("objects/x").unwrap_err();
    assert!(e.to_string().contains("not a byte has moved for 300ms"), "{e}");
}

#[test]
fn a_store_that_dies_in_the_middle_is_continued_when_it_is_back() {
    let server = Server::start();
    // The marker, three objects; then it dies with the next one half sent.
    *server.faults.die_after.lock().unwrap() = Some(4);
    let direct = Arc::new(Direct::new());
    let place = Direct::place(&server, None);
    let running = {
        let direct = direct.clone();
        std::thread::spawn(move || direct.back_up(&place))
    };
    let first: BTreeSet<String> = {
        let faults = server.faults.clone();
        let left = server.dies();
        let e = running.join().unwrap().unwrap_err();
        assert!(matches!(&e, BackupError::Place(PlaceError::Store { .. })), "{e}");
        let first = faults.written.lock().unwrap().iter().filter(|n| n.contains("/objects/")).cloned().collect();
        let server = Server::again(left);
        let done = direct.back_up(&Direct::place(&server, None)).unwrap();
        assert_eq!(done.sealed.objects, 7);
        let second = server.faults.written.lock().unwrap().clone();
        let twice: Vec<&String> = second.iter().filter(|n| BTreeSet::contains(&first, *n)).collect();
        assert_eq!(twice, Vec::<&String>::new());
        assert_eq!(second.iter().filter(|n| n.contains("/objects/")).count(), 4);
        first
    };
    assert_eq!(first.len(), 3);
}

/// The rate holds on the wire too, within an object.
#[test]
fn the_rate_is_kept() {
    let server = Server::start();
    let place = Direct::place(&server, Some("40 Mbit/s"));
    let bytes = vec![7; 2_000_000];
    let began = RealClock.monotonic();
    place.put("x", &bytes).unwrap();
    // 0.4 s, less the tenth of a second that may pass at once.
    let took = RealClock.monotonic().since(began);
    assert!(took >= Duration::from_millis(290), "{took:?}");
    let before = RealClock.monotonic();
    (&place as &dyn Place).check("x", custodian::backup::crypt::digest(&bytes)).unwrap();
    assert!(RealClock.monotonic().since(before) >= Duration::from_millis(290));
}
