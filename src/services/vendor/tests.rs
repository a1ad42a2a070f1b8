use super::*;
use crate::sys::{FakeClock, FakeFiles};

const HOUR: i64 = 3_600_000_000_000;
const SALT: &str = "000102030405060708090a0b0c0d0e0f";

fn place(files: &FakeFiles, clock: &FakeClock, boot: &str) -> Place {
    files.make_dir("/health".as_ref()).unwrap();
    let (files, clock) = (Arc::new(files.clone()), Arc::new(clock.clone()));
    let (folder, spool, ledger) = ("/health".into(), "/spool".into(), "/ledger/public".into());
    Place { folder, spool, ledger, files, clock, boot: boot.into() }
}

fn allow(until: i64) -> VendorAllow {
    VendorAllow { until: WallNs(until), by: "lan".into(), reason: "disk a-1 fails".into(), salt: SALT.into() }
}

/// What was left for the ledger, without its ids.
fn left(files: &FakeFiles) -> Vec<String> {
    let spool = std::path::Path::new("/spool");
    let mut all: Vec<(i64, String)> = files
        .list(spool)
        .unwrap()
        .iter()
        .map(|name| {
            let left: serde_json::Value =
                serde_json::from_slice(&files.read(&spool.join(name)).unwrap().unwrap()).unwrap();
            let what = &left["what"];
            let route = what["route"].as_str().unwrap_or_default();
            (left["at"].as_i64().unwrap(), format!("{} {route}", what["change"].as_str().unwrap()))
        })
        .collect();
    all.sort();
    all.into_iter().map(|(_, text)| text.trim().to_owned()).collect()
}

#[test]
fn it_is_shut_until_it_is_allowed_and_ends_by_itself() {
    let (files, clock) = (FakeFiles::new(), FakeClock::at(WallNs(HOUR)));
    let vendor = Vendor::open(place(&files, &clock, "b1")).unwrap();
    let open = vendor.is_open();
    assert!(!*open.borrow() && vendor.until().is_none());
    assert!(vendor.uses("GET /metrics").is_err(), "nobody is let in");
    vendor.allow(allow(3 * HOUR)).unwrap();
    assert!(*open.borrow());
    clock.advance(Duration::from_secs(1));
    vendor.uses("GET /metrics").unwrap();
    clock.advance(Duration::from_hours(1));
    assert_eq!(vendor.access(None).uses, 1);
    // A restart of the service changes nothing.
    let again = Vendor::open(place(&files, &clock, "b1")).unwrap();
    assert!(*again.is_open().borrow());
    clock.advance(Duration::from_hours(1));
    vendor.look();
    assert!(!*open.borrow() && vendor.until().is_none());
    assert!(vendor.uses("GET /metrics").is_err());
    assert_eq!(left(&files), ["used GET /metrics", "ended"]);
    vendor.look();
    assert_eq!(left(&files).len(), 2, "its end is told once");
}

#[test]
fn neither_a_step_of_the_clock_nor_a_boot_prolongs_it() {
    let (files, clock) = (FakeFiles::new(), FakeClock::at(WallNs(10 * HOUR)));
    let vendor = Vendor::open(place(&files, &clock, "b1")).unwrap();
    vendor.allow(allow(11 * HOUR)).unwrap();
    clock.step(-5 * HOUR);
    clock.advance(Duration::from_secs(3599));
    assert!(vendor.until().is_some());
    clock.advance(Duration::from_secs(1));
    assert!(vendor.until().is_none(), "the clock was set back");
    vendor.allow(allow(clock.wall().0 + HOUR)).unwrap();
    let after = Vendor::open(place(&files, &clock, "b2")).unwrap();
    assert!(!*after.is_open().borrow(), "it ends with its boot");
    assert_eq!(left(&files), ["ended", "ended"]);
}

#[test]
fn what_cannot_be_told_is_not_answered() {
    let (files, clock) = (FakeFiles::new(), FakeClock::at(WallNs(HOUR)));
    let vendor = Vendor::open(place(&files, &clock, "b1")).unwrap();
    for length in [0, HOUR / 60, 24 * 8 * HOUR] {
        assert!(matches!(vendor.allow(allow(HOUR + length)), Err(VendorError::Length)), "{length}");
    }
    assert!(matches!(vendor.allow(VendorAllow { salt: "x".into(), ..allow(2 * HOUR) }), Err(VendorError::Salt)));
    files.break_down(true);
    assert!(vendor.allow(allow(2 * HOUR)).is_err());
    assert!(!*vendor.is_open().borrow(), "what is not kept is not allowed");
    files.break_down(false);
    vendor.allow(allow(2 * HOUR)).unwrap();
    files.break_down(true);
    assert!(vendor.uses("GET /v1/report").is_err(), "the ledger comes first");
    assert!(vendor.end().is_err());
    vendor.look();
    assert!(!*vendor.is_open().borrow(), "the door is shut whatever the disk says");
    files.break_down(false);
    vendor.look();
    assert_eq!(left(&files), ["ended"]);
}

#[test]
fn who_asks_without_end_does_not_fill_the_ledger() {
    let (files, clock) = (FakeFiles::new(), FakeClock::at(WallNs(HOUR)));
    let vendor = Vendor::open(place(&files, &clock, "b1")).unwrap();
    vendor.allow(allow(3 * HOUR)).unwrap();
    let burst = pace::BURST as usize;
    let served = (0..3 * burst).filter(|_| vendor.uses("GET /nothing").is_ok()).count();
    assert_eq!(served, burst);
    let told = left(&files);
    assert_eq!(told.len(), burst + 1);
    assert_eq!(told.iter().filter(|entry| entry.ends_with("(refused: too often)")).count(), 1);
    clock.advance(Duration::from_secs(10));
    assert_eq!((0..100).filter(|_| vendor.uses("GET /nothing").is_ok()).count(), 10);
    assert!(matches!(vendor.uses("GET /nothing"), Err(VendorError::TooOften)));
    assert_eq!(left(&files).len(), burst + 11);
}

#[test]
fn what_was_ended_stays_so_on_a_full_disk_and_is_told_once() {
    let (files, clock) = (FakeFiles::new(), FakeClock::at(WallNs(HOUR)));
    let vendor = Vendor::open(place(&files, &clock, "b1")).unwrap();
    vendor.allow(allow(3 * HOUR)).unwrap();
    files.fill(true);
    assert!(vendor.end().is_err());
    vendor.look();
    assert!(!*vendor.is_open().borrow() && vendor.until().is_none());
    let again = Vendor::open(place(&files, &clock, "b1")).unwrap();
    assert!(!*again.is_open().borrow(), "health was started again");
    assert!(vendor.allow(allow(2 * HOUR)).is_err(), "that the one before has ended is told first");
    files.fill(false);
    vendor.look();
    assert_eq!(left(&files), ["ended"]);

    // The ledger takes it, and a restart comes before that is noted.
    vendor.allow(allow(3 * HOUR)).unwrap();
    vendor.end().unwrap();
    let (path, changes) = (std::path::Path::new("/health/vendor.json"), files.changes());
    let text = String::from_utf8(files.read(path).unwrap().unwrap()).unwrap();
    assert!(text.contains("\"left\": true"), "{text}");
    (0..5).for_each(|_| vendor.look());
    assert_eq!(files.changes(), changes, "what is settled is let be");
    files.write(path, text.replace("\"left\": true", "\"left\": false").as_bytes(), 0o600, None).unwrap();
    Vendor::open(place(&files, &clock, "b1")).unwrap();
    assert_eq!(left(&files), ["ended", "ended"], "one of each permission");
}
