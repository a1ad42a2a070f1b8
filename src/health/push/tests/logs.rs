//! What stands in the log.

use std::sync::OnceLock;

use super::{
    super::client::Trouble,
    loops::{Work, answer},
    mock::*,
    *,
};

static LINES: Mutex<Vec<(log::Level, String)>> = Mutex::new(Vec::new());

/// Takes all that `-vv` would show, of libraries too.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let ours = record.target().starts_with("custodian");
        if ours || record.level() <= log::Level::Debug {
            LINES.lock().unwrap().push((record.level(), format!("{} {}", record.target(), record.args())));
        }
    }

    fn flush(&self) {}
}

fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// Each trouble once, and its end.
#[tokio::test(start_paused = true)]
async fn each_trouble_once() {
    listen();
    let mut work = Work::of(PushKind::Healthchecks, |n| {
        let said = match n {
            0..3 => answer(404, None, ""),
            // One that is over before the next beat is none.
            4 => answer(500, None, ""),
            6..25 => Err(Trouble::Refused),
            _ => answer(200, None, "OK"),
        };
        (Duration::ZERO, said)
    });
    work.goes_on(600).await;
    assert!(work.texts().len() > 26);
    let all = LINES.lock().unwrap();
    let lines: Vec<_> = all.iter().filter(|(_, l)| l.contains("healthchecks monitor.example (")).collect();
    let levels: Vec<_> = lines.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [log::Level::Error, log::Level::Info, log::Level::Warn, log::Level::Info], "{lines:?}");
    assert!(lines[0].1.contains("it answers 404: the address is wrong"), "{lines:?}");
    assert!(lines[2].1.contains("nobody listens there"), "{lines:?}");
}

/// Neither the address, nor the token, nor what came back.
#[tokio::test]
async fn never_an_address() {
    listen();
    let mock = Mock::new().await;
    let url = format!("http://{}/sesame-path?key=sesame-key", mock.address());
    let pusher = pusher_with(PushKind::Http, &url, Some("sesame-token"), &health()).unwrap();
    let mut told = Told::default();
    let elsewhere = status(302, "Location: http://sesame.invalid/\r\n", "");
    for answer in [status(404, "", "sesame-body"), ok("sesame-body"), elsewhere, "sesame\r\n\r\n".into()] {
        let (asked, verdict) = tokio::join!(mock.answers(answer), pusher.tell(Level::Ok));
        assert!(asked.contains("sesame-path?key=sesame-key") && asked.contains("sesame-token"));
        told.log(pusher.shown(), &verdict, true);
    }
    drop(mock);
    told.log(pusher.shown(), &pusher.tell(Level::Ok).await, true);
    let all = LINES.lock().unwrap();
    assert!(all.iter().filter(|(_, l)| l.contains(pusher.shown())).count() >= 3, "{all:?}");
    assert!(all.iter().any(|(_, l)| l.starts_with("reqwest")), "libraries are heard: {all:?}");
    assert!(!all.iter().any(|(_, l)| l.contains("sesame")), "{all:?}");
}
