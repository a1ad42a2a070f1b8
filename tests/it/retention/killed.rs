//! Killed in the middle of a sweep, again and again.

use nix::sys::signal::Signal;

use super::*;
use crate::support::wait_for;

#[test]
fn killed_anywhere_in_a_sweep_no_promised_byte_is_lost_and_nothing_is_left_over() {
    let cameras = OwnCameras::start(2);
    let (a, b) = (&cameras.names[0], &cameras.names[1]);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let overdue: Vec<PathBuf> =
        (0..240).map(|n| old(&site, if n % 2 == 0 { a } else { b }, 3 * DAY + n * MINUTE, 1)).collect();
    let promised: Vec<(PathBuf, Vec<u8>)> =
        (1..8).map(|n| old(&site, a, n * HOUR, 1)).map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    for goal in [239, 220, 150, 90, 20] {
        let recorder = site.record();
        wait_for("the sweep to come so far", SOON, || (there(&overdue) <= goal).then_some(()));
        recorder.signal(Signal::SIGKILL);
        recorder.wait(SOON);
        assert!(promised.iter().all(|(path, bytes)| fs::read(path).unwrap() == *bytes));
    }
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("the rest to go", SOON, || (there(&overdue) == 0).then_some(()));
    let told = wait_for("nothing in doubt", SOON, || {
        retention(&recorder).filter(|r| r.reckoned.is_some() && r.suspended.is_empty())
    });
    assert!(told.cameras.iter().all(|c| !c.is_broken()), "what retention removed is not lost: {told:?}");
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    assert!(promised.iter().all(|(path, bytes)| fs::read(path).unwrap() == *bytes));
    assert_index_equals_volume(&site);
    // Each one stands in the ledger as gone; one whose removal was told twice was told before a kill came between.
    let mut gone = std::collections::BTreeSet::new();
    for entry in entries(&site) {
        if let What::Retired { stream, segments, reason, .. } = entry.what {
            assert_eq!(reason, ledger::Reason::MaxDays);
            gone.extend(segments.into_iter().map(|(run, seq)| (stream, run, seq)));
        }
    }
    assert_eq!(gone.len(), 240);
}
