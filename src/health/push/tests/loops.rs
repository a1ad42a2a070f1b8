//! When what is told, by a clock that runs as fast as it can.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::watch;

use super::{
    super::{
        client::{Carry, Trouble},
        service::{Answer, Request},
    },
    *,
};

/// How long the answer to the n-th request takes, and what it is.
type Script = Box<dyn Fn(usize) -> (Duration, Result<Answer, Trouble>) + Send + Sync>;

struct Scripted {
    script: Script,
    n: AtomicUsize,
    start: Instant,
    heard: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl Carry for Scripted {
    fn carry<'a>(&'a self, request: &'a Request, _: WallNs) -> BoxFuture<'a, Result<Answer, Trouble>> {
        async {
            let text = request.body.as_ref().map(|(_, b)| String::from_utf8_lossy(b).into_owned()).unwrap_or_default();
            self.heard.lock().unwrap().push((self.start.elapsed(), text));
            let (takes, answer) = (self.script)(self.n.fetch_add(1, Ordering::SeqCst));
            tokio::time::sleep(takes).await;
            answer
        }
        .boxed()
    }
}

/// A pusher at work on a clock that is moved.
pub(super) struct Work {
    reports: Option<watch::Sender<Option<Arc<Report>>>>,
    state: Arc<Mutex<Endpoint>>,
    heard: Arc<Mutex<Vec<(Duration, String)>>>,
    looks: i64,
    _task: tokio::task::JoinSet<()>,
}

#[expect(clippy::unnecessary_wraps, reason = "one of the things that a script can say")]
pub(super) fn answer(status: u16, retry_after: Option<u64>, body: &str) -> Result<Answer, Trouble> {
    Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body: body.into(), body_limit: None })
}

impl Work {
    pub(super) fn of(
        kind: PushKind,
        script: impl Fn(usize) -> (Duration, Result<Answer, Trouble>) + Send + Sync + 'static,
    ) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut pusher = pusher(kind, "https://monitor.example/ping/key/check");
        let network =
            Scripted { script: Box::new(script), n: AtomicUsize::new(0), start: Instant::now(), heard: heard.clone() };
        pusher.network = Box::new(network);
        let (reports, receiver) = watch::channel(None);
        let state = Arc::default();
        let mut task = tokio::task::JoinSet::new();
        task.spawn(pusher.run(receiver, Arc::clone(&state)));
        Self { reports: Some(reports), state, heard, looks: 0, _task: task }
    }

    fn quick(script: impl Fn(usize) -> Result<Answer, Trouble> + Send + Sync + 'static) -> Self {
        Self::of(PushKind::Http, move |n| (Duration::ZERO, script(n)))
    }

    /// Another look: a report that says which it is.
    fn look(&mut self) {
        let mut report = report(Level::Ok, &Names::ours());
        self.looks += 1;
        report.at = NOW.offset(self.looks * 1_000_000_000);
        self.reports.as_ref().unwrap().send_replace(Some(Arc::new(report)));
    }

    /// So many seconds in which it is looked every second.
    pub(super) async fn goes_on(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.look();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// When requests came, seconds after the start.
    fn times(&self) -> Vec<f64> {
        self.heard.lock().unwrap().iter().map(|(t, _)| t.as_secs_f64()).collect()
    }

    fn whole_times(&self) -> Vec<u64> {
        self.heard.lock().unwrap().iter().map(|(t, _)| (*t + Duration::from_millis(500)).as_secs()).collect()
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    fn state(&self) -> Endpoint {
        self.state.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn at_half_of_what_the_monitor_expects() {
    let mut work = Work::quick(|_| answer(200, None, ""));
    work.goes_on(100).await;
    assert_eq!(work.whole_times(), [0, 30, 60, 90]);
    let state = work.state();
    assert_eq!(
        state,
        Endpoint {
            taken: Some(NOW),
            interval: 30,
            witnessed: vec![Witness { ledger: "record".into(), entries: 1234, at: NOW }],
            ..Endpoint::default()
        }
    );
}

/// Each waits about twice as long as the last, and tells what is newest.
#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_with_newer_news() {
    let mut work = Work::quick(|n| answer(if n == 4 { 200 } else { 500 }, None, ""));
    work.goes_on(29).await;
    let times = work.times();
    assert_eq!(times.len(), 5, "{times:?}");
    for (i, longest) in [1.5, 3.0, 6.0, 12.0].into_iter().enumerate() {
        let waited = times[i + 1] - times[i];
        assert!((longest / 3.0 - 0.01..longest + 0.01).contains(&waited), "{times:?}");
    }
    for (time, text) in work.heard.lock().unwrap().iter() {
        // The report of that second.
        let at = NOW.offset((i64::try_from(time.as_secs()).unwrap() + 1) * 1_000_000_000).timestamp();
        assert!(text.contains(&format!("\"at\":\"{at}\"")), "{time:?} {text}");
    }
    assert_eq!(work.state().failing_since, None);
}

#[tokio::test(start_paused = true)]
async fn five_tries_and_then_the_next_beat() {
    let mut work = Work::quick(|_| Err(Trouble::Refused));
    work.goes_on(59).await;
    let times = work.times();
    let (first, second): (Vec<f64>, Vec<f64>) = times.iter().partition(|t| **t < 30.0);
    assert!(first.len() == 5 && second.len() == 5, "{times:?}");
    assert!((30.0..30.01).contains(&second[0]), "{times:?}");
    let state = work.state();
    assert_eq!((state.taken, state.failing_since, state.misconfigured), (None, Some(NOW), false));
    assert_eq!(state.problem.as_deref(), Some("nobody listens there"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_pause_gets_it_within_bounds() {
    let mut work = Work::quick(|n| answer(if n == 0 { 429 } else { 200 }, Some(20), ""));
    work.goes_on(59).await;
    assert_eq!(work.whole_times(), [0, 20, 30]);
    // Beyond the next beat, too.
    let mut work = Work::quick(|n| answer(if n == 0 { 503 } else { 200 }, Some(75), ""));
    work.goes_on(125).await;
    assert_eq!(work.whole_times(), [0, 75, 90, 120]);
    let mut work = Work::quick(|n| answer(if n == 0 { 429 } else { 200 }, Some(86_400), ""));
    work.goes_on(620).await;
    assert_eq!(work.whole_times(), [0, 600]);
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_mends_is_tried_less_and_less() {
    let mut work = Work::quick(|n| answer(if n < 8 { 404 } else { 200 }, None, ""));
    work.goes_on(2_100).await;
    assert_eq!(work.whole_times(), [0, 30, 90, 210, 450, 930, 1_530]);
    let state = work.state();
    assert!(state.misconfigured && state.failing_since == Some(NOW));
    work.goes_on(1_300).await;
    assert_eq!(
        work.whole_times()[7..],
        [
            2_130, 2_730, 2_760, 2_790, 2_820, 2_850, 2_880, 2_910, 2_940, 2_970, 3_000, 3_030, 3_060, 3_090, 3_120,
            3_150, 3_180, 3_210, 3_240, 3_270, 3_300, 3_330, 3_360, 3_390
        ]
    );
    assert!(!work.state().misconfigured && work.state().problem.is_none());
}

/// A monitor that was asked wrongly, and is down when that was put right.
#[tokio::test(start_paused = true)]
async fn an_outage_after_a_refusal_is_an_outage() {
    let mut work = Work::quick(|n| if n == 0 { answer(404, None, "") } else { Err(Trouble::Refused) });
    work.goes_on(29).await;
    assert!(work.state().misconfigured);
    work.goes_on(2).await;
    let state = work.state();
    assert_eq!((state.misconfigured, state.problem.as_deref()), (false, Some("nobody listens there")));
    assert_eq!(state.failing_since, Some(NOW), "it fails all the while");
}

/// One request at a time; a beat that passes meanwhile is left out, the newest follows at once.
#[tokio::test(start_paused = true)]
async fn beats_never_overlap() {
    let mut work = Work::of(PushKind::Http, |n| match n {
        0 => (Duration::from_secs(95), answer(200, None, "")),
        _ => (Duration::from_secs(1), answer(200, None, "")),
    });
    work.goes_on(149).await;
    assert_eq!(work.whole_times(), [0, 95, 120]);
    let at = NOW.offset(96 * 1_000_000_000).timestamp();
    assert!(work.texts()[1].contains(&format!("\"at\":\"{at}\"")), "{:?}", work.texts()[1]);
}

/// healthchecks.io takes five a minute.
#[tokio::test(start_paused = true)]
async fn healthchecks_is_never_asked_more_than_five_times_a_minute() {
    let mut work = Work::of(PushKind::Healthchecks, |_| (Duration::ZERO, answer(500, None, "")));
    work.goes_on(600).await;
    let times = work.times();
    assert!(times.len() >= 45, "{times:?}");
    assert!(times.windows(6).all(|w| w[5] - w[0] >= 59.99), "{times:?}");
}

/// After three looks without a report: whether they stopped, or their maker is gone, or there never was one.
#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_told() {
    for gone in [false, true] {
        let mut work = Work::quick(|_| answer(200, None, ""));
        work.goes_on(10).await;
        if gone {
            work.reports = None;
        }
        tokio::time::sleep(Duration::from_secs(111)).await;
        assert_eq!(work.whole_times(), [0, 30, 60, 90, 120]);
        let up: Vec<_> = work.texts().iter().map(|t| t.contains("\"up\":true,\"looking\":true")).collect();
        assert_eq!(up, [true, true, true, true, false]);
        assert!(work.texts()[4].contains("\"level\":\"fail\",\"up\":false,\"looking\":false"));
        if !gone {
            work.goes_on(31).await;
            assert!(work.texts()[5].contains("\"up\":true"), "{:?}", work.texts());
        }
    }
    for gone in [false, true] {
        let mut work = Work::quick(|_| answer(200, None, ""));
        if gone {
            work.reports = None;
        }
        tokio::time::sleep(Duration::from_secs(119)).await;
        assert_eq!(work.whole_times(), [90]);
        assert!(work.texts()[0].contains("\"at\":null,\"level\":\"fail\",\"up\":false,\"looking\":false"));
    }
}

/// Nor does one wait for the other.
#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_slows_nobody_else() {
    let mut slow = Work::of(PushKind::Http, |_| (Duration::from_secs(10), Err(Trouble::Slow)));
    let mut quick = Work::quick(|_| answer(200, None, ""));
    for _ in 0..65 {
        slow.look();
        quick.goes_on(1).await;
    }
    assert_eq!(quick.whole_times(), [0, 30, 60]);
    let times = slow.times();
    // 10 s, but for what floats lose.
    assert!(times.windows(2).all(|w| w[1] - w[0] >= 9.999), "{times:?}");
}

/// All the way: a server that fails first, and then does not.
#[tokio::test]
async fn over_the_wire_it_is_tried_again_with_newer_news() {
    let mock = super::mock::Mock::new().await;
    let pusher = pusher(PushKind::UptimeKuma, &format!("http://{}/api/push/t", mock.address()));
    let (reports, receiver) = watch::channel(Some(Arc::new(report(Level::Ok, &Names::ours()))));
    let state = Arc::<Mutex<Endpoint>>::default();
    let mut task = tokio::task::JoinSet::new();
    task.spawn(pusher.run(receiver, Arc::clone(&state)));
    let comes = |what: fn(&Endpoint) -> bool| {
        let state = Arc::clone(&state);
        async move {
            while !what(&state.lock().unwrap()) {
                tokio::task::yield_now().await;
            }
        }
    };
    let asked = mock.answers(super::mock::status(500, "", "")).await;
    assert!(asked.starts_with("GET /api/push/t?status=up&msg=ok%3A+"), "{asked}");
    comes(|e| e.failing_since == Some(NOW) && e.problem.as_deref() == Some("it answers 500") && e.taken.is_none())
        .await;
    let mut newer = report(Level::Fail, &Names::ours());
    newer.at = NOW.offset(1);
    reports.send_replace(Some(Arc::new(newer)));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    let asked = mock.answers(super::mock::ok("{\"ok\":true}")).await;
    assert!(asked.starts_with("GET /api/push/t?status=down&msg=fail%3A+"), "{asked}");
    comes(|e| e.taken == Some(NOW) && e.failing_since.is_none() && e.problem.is_none() && !e.witnessed.is_empty())
        .await;
}
