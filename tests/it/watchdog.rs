//! What the recorder tells a service manager, which here is a socket of this test's.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use custodian::sys::{Clock as _, Monotonic, RealClock};
use nix::sys::signal::Signal;

use crate::support::{
    mounts::fuse_possible,
    own::OwnCameras,
    passthrough::Passthrough,
    wait_for,
    watch::{limit, stop, wait_for_problem, wait_until_all_on, wait_until_healthy},
};

/// It wants to hear from the recorder within this.
const LIMIT: Duration = Duration::from_secs(10);

/// A service manager that only listens.
struct Manager {
    heard: Arc<Mutex<Vec<(Monotonic, String)>>>,
    /// When there was nothing to hear, last.
    idle: Arc<AtomicI64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Manager {
    fn at(socket: &Path) -> Self {
        let socket = UnixDatagram::bind(socket).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (heard, idle, over) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicI64::new(0)), Arc::default());
        let (list, last, end): (_, _, Arc<AtomicBool>) = (heard.clone(), idle.clone(), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                let mut word = [0; 512];
                match socket.recv(&mut word) {
                    Ok(n) => {
                        let text = String::from_utf8_lossy(&word[..n]).trim().to_owned();
                        list.lock().unwrap().push((RealClock.monotonic(), text));
                    }
                    Err(_) => last.store(RealClock.monotonic().0, Ordering::SeqCst),
                }
            }
        });
        Self { heard, idle, over, thread: Some(thread) }
    }

    /// When a word was heard, each time.
    fn times(&self, word: &str) -> Vec<Monotonic> {
        self.heard.lock().unwrap().iter().filter(|(_, heard)| heard == word).map(|(at, _)| *at).collect()
    }

    fn wait_for(&self, word: &str, since: Monotonic) -> Monotonic {
        wait_for(word, limit(40), || self.times(word).into_iter().find(|at| *at > since))
    }

    /// The recorder says that it is alive, again and again, and never too late.
    fn is_fed(&self, times: usize) {
        let since = RealClock.monotonic();
        wait_for("words from the watchdog", LIMIT * u32::try_from(times).unwrap(), || {
            let fed: Vec<_> = self.times(ALIVE).into_iter().filter(|at| *at >= since).collect();
            let mut last = since;
            for at in fed.iter().copied().chain([RealClock.monotonic()]) {
                assert!(at.since(last) < LIMIT, "nothing for {:?}", at.since(last));
                last = at;
            }
            (fed.len() >= times).then_some(())
        });
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().unwrap().join();
    }
}

const ALIVE: &str = "WATCHDOG=1";
const START: Monotonic = Monotonic(0);

#[test]
fn a_service_manager_hears_that_the_recorder_is_alive_and_what_it_does() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let manager = Manager::at(&site.path("manager"));
    let recorder = site.record_under(&site.path("manager"), LIMIT);
    manager.wait_for("READY=1", START);
    let all = manager.wait_for("STATUS=recording 2 of 2 streams; 2 of 2 volumes", START);
    manager.is_fed(3);

    // One that hangs says nothing, and says so again when it goes on.
    let pid = recorder.pid();
    recorder.signal(Signal::SIGSTOP);
    wait_for("it to hang", limit(10), || {
        fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ").then_some(())
    });
    let since = RealClock.monotonic();
    wait_for("all that it had said", limit(10), || (manager.idle.load(Ordering::SeqCst) > since.0).then_some(()));
    let said = manager.times(ALIVE).len();
    wait_for("a long silence", LIMIT * 2, || (RealClock.monotonic().since(since) > LIMIT).then_some(()));
    assert_eq!(manager.times(ALIVE).len(), said, "not a word from one that hangs");
    recorder.signal(Signal::SIGCONT);
    manager.wait_for(ALIVE, RealClock.monotonic());
    recorder.wait_until_recording(&cameras.names);
    manager.is_fed(3);

    // The line is renewed when it is not true any more, and not all the time.
    site.readdress(&cameras.names[1], "rtsp://127.0.0.1:9/none");
    site.write(|_| true);
    recorder.signal(Signal::SIGHUP);
    manager.wait_for("STATUS=recording 1 of 2 streams; 2 of 2 volumes", all);
    let lines: Vec<_> = manager.heard.lock().unwrap().iter().filter(|w| w.1.starts_with("STATUS=")).cloned().collect();
    for pair in lines.windows(2) {
        assert!(pair[1].0.since(pair[0].0) > Duration::from_secs(9) && pair[0].1 != pair[1].1, "{lines:?}");
    }
    stop(recorder);
    manager.wait_for("STOPPING=1", START);
}

/// A process that waits for a disk that hangs cannot be ended: it is well again before a failed test ends its recorder.
struct Well<'a>(&'a Passthrough);

impl Drop for Well<'_> {
    fn drop(&mut self) {
        self.0.faults().heal();
    }
}

#[test]
fn a_disk_that_hangs_fails_its_volume_and_the_service_manager_has_no_reason_to_start_anew() {
    if !fuse_possible() {
        return;
    }
    let cameras = OwnCameras::start(4);
    let mut disk = None;
    let site = cameras.site_with(|site| {
        for folder in ["behind", "behind/v1"] {
            fs::create_dir(site.path(folder)).unwrap();
        }
        site.plan_small();
        disk = Some(Passthrough::mount(&site.path("behind/v1"), &site.path("v1")));
    });
    let disk = disk.unwrap();
    let manager = Manager::at(&site.path("manager"));
    let recorder = site.record_under(&site.path("manager"), LIMIT);
    recorder.wait_until_recording(&cameras.names);
    manager.wait_for("STATUS=recording 4 of 4 streams; 2 of 2 volumes", START);
    assert!(!crate::support::watch::cameras_on(&recorder, "v1").is_empty(), "or nobody would notice");
    let _well = Well(&disk);
    disk.faults().hang(true);
    wait_for_problem(&recorder, "v1", "has taken more than 3 s");
    // The writer waits for it still.
    manager.is_fed(4);
    wait_until_all_on(&recorder, "v2");
    manager.wait_for("STATUS=recording 4 of 4 streams; 1 of 2 volumes", START);
    disk.faults().heal();
    wait_until_healthy(&recorder, "v1");
    manager.is_fed(3);
    assert!(!site.log().contains("stands still"), "{}", site.log());
    stop(recorder);
}
