//! `/healthz` and `/metrics`: the newest report for whoever asks, without a name and without a picture.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use axum::{
    Router,
    body::HttpBody as _,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::sync::watch;

use super::metrics::{self, Format};
use crate::{
    sys::Clock,
    types::{
        WallNs,
        wire::health::{Level, Report, Value},
    },
};

/// After so many looks without a new report nobody looks any more.
const LOOKS: u32 = 3;

/// Where reports come from.
#[derive(Clone)]
pub struct Reports {
    /// The newest; none: nothing was looked at yet.
    pub latest: watch::Receiver<Option<Arc<Report>>>,
    /// How often it is looked.
    pub every: watch::Receiver<Duration>,
    /// What a report's age is told by.
    pub clock: Arc<dyn Clock>,
}

impl Reports {
    /// The newest report. Its lock is held no longer than this.
    fn latest(&self) -> Option<Arc<Report>> {
        self.latest.borrow().clone()
    }

    /// Seconds since it was looked, if that is too long ago.
    fn overdue(&self, at: WallNs) -> Option<u64> {
        overdue(at, *self.every.borrow(), self.clock.wall()).map(|age| age.as_secs())
    }
}

/// How old a report of `at` is, if that is older than three looks. One from a time to come is as old: the clock was set back, and nobody has
/// looked since.
pub fn overdue(at: WallNs, every: Duration, now: WallNs) -> Option<Duration> {
    let age = Duration::from_nanos(now.since(at).unsigned_abs());
    (age > every * LOOKS).then_some(age)
}

/// The pages, for a socket or a door.
///
/// | request | answer |
/// |---|---|
/// | `GET /healthz` | 200: at most a warning; 503: a failure, no report, or none for three looks. A line of text |
/// | `GET /healthz?verbose` | and a line for each probe that is not as it should be: level, probe, how many |
/// | `GET /metrics` | the metrics, as OpenMetrics where `Accept` prefers it; 503 before the first report |
pub fn router(reports: Reports) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn(bounds))
        .with_state(reports)
}

/// Nothing is taken that nobody needs, and nothing is kept on the way.
async fn bounds(request: Request, next: Next) -> Response {
    let mut response = if request.body().is_end_stream() {
        next.run(request).await
    } else {
        (StatusCode::PAYLOAD_TOO_LARGE, "a question has no body\n").into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn healthz(State(reports): State<Reports>, uri: Uri) -> (StatusCode, String) {
    let Some(report) = reports.latest() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no report yet\n".to_owned());
    };
    let overdue = reports.overdue(report.at);
    let well = report.level < Level::Fail && overdue.is_none();
    let mut text = match overdue {
        Some(age) => format!("the last report is {age} s old: nobody looks any more\n"),
        None => format!("{}\n", report.level),
    };
    if uri.query().is_some_and(|q| q.split('&').any(|pair| pair.split('=').next() == Some("verbose"))) {
        let mut troubles = BTreeMap::<_, usize>::new();
        for finding in report.troubles() {
            // Many cameras with the same trouble have one finding.
            let cameras =
                finding.values.values().find_map(|v| if let Value::Cameras(all) = v { Some(all.len()) } else { None });
            *troubles.entry((std::cmp::Reverse(finding.level), finding.probe)).or_default() += cameras.unwrap_or(1);
        }
        for ((level, probe), count) in troubles {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {probe} {count}", level.0);
        }
    }
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn metrics(State(reports): State<Reports>, headers: HeaderMap) -> Response {
    let Some(report) = reports.latest() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no report yet\n").into_response();
    };
    // Several lines of one header are one list.
    let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let format = Format::asked(Some(&accept.join(",")));
    let answer =
        ([(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")], metrics::render(&report, format));
    answer.into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Method};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        health::metrics::testing::{AT, report},
        sys::FakeClock,
        types::wire::health::{Finding, Probe, Subject},
    };

    struct Asked {
        clock: FakeClock,
        told: watch::Sender<Option<Arc<Report>>>,
        router: Router,
    }

    impl Asked {
        fn new(report: Option<Report>) -> Self {
            let (told, latest) = watch::channel(report.map(Arc::new));
            let clock = FakeClock::at(AT);
            let every = watch::channel(Duration::from_mins(1)).1;
            let reports = Reports { latest, every, clock: Arc::new(clock.clone()) };
            Self { clock, told, router: router(reports) }
        }

        async fn ask(&self, request: Request) -> (StatusCode, HeaderMap, String) {
            let answer = self.router.clone().oneshot(request).await.unwrap();
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, headers, String::from_utf8(body.to_vec()).unwrap())
        }

        async fn get(&self, path: &str) -> (u16, String) {
            let (status, headers, body) = self.ask(Request::get(path).body(Body::empty()).unwrap()).await;
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            (status.as_u16(), body)
        }
    }

    #[tokio::test]
    async fn a_warning_is_well_and_a_failure_is_not() {
        let asked = Asked::new(None);
        assert_eq!(asked.get("/healthz").await, (503, "no report yet\n".to_owned()));
        assert_eq!(asked.get("/metrics").await, (503, "no report yet\n".to_owned()));
        for (level, status) in [(Level::Ok, 200), (Level::Warn, 200), (Level::Fail, 503)] {
            asked.told.send_replace(Some(Arc::new(Report { level, ..report() })));
            assert_eq!(asked.get("/healthz").await, (status, format!("{level}\n")));
        }
    }

    #[tokio::test]
    async fn a_loop_that_hangs_is_found_out() {
        let asked = Asked::new(Some(Report { level: Level::Ok, ..report() }));
        asked.clock.advance(Duration::from_mins(3));
        assert_eq!(asked.get("/healthz").await.0, 200);
        asked.clock.advance(Duration::from_secs(1));
        let (status, text) = asked.get("/healthz").await;
        assert_eq!((status, text.as_str()), (503, "the last report is 181 s old: nobody looks any more\n"));
        // Its metrics say when it was looked, so that whoever reads them sees it too.
        assert_eq!(asked.get("/metrics").await.0, 200);
        // The clock is set back behind the report.
        asked.clock.step(-3_600_000_000_000);
        assert_eq!(asked.get("/healthz").await.0, 503);
    }

    #[tokio::test]
    async fn troubles_are_counted_and_not_named() {
        let mut told = report();
        told.level = Level::Fail;
        told.findings = [(Level::Warn, 1), (Level::Fail, 2), (Level::Fail, 3), (Level::Ok, 4)]
            .map(|(level, n)| Finding::new(Probe::Footage, Some(Subject::Camera(n)), level, "x", AT))
            .to_vec();
        told.findings.push(Finding::new(Probe::Units, Some(Subject::Other("mum".to_owned())), Level::Warn, "x", AT));
        told.findings.push(Finding { silenced: Some(AT), ..Finding::new(Probe::Load, None, Level::Fail, "x", AT) });
        let many = Finding::new(Probe::Gaps, None, Level::Warn, "many", AT);
        told.findings.push(many.with("cameras", Value::Cameras(vec![1, 2, 3, 4])));
        let asked = Asked::new(Some(told));
        let text = "fail\nfail footage 2\nwarn footage 1\nwarn gaps 4\nwarn units 1\n";
        for path in ["/healthz?verbose", "/healthz?verbose=1", "/healthz?a=b&verbose"] {
            assert_eq!(asked.get(path).await, (503, text.to_owned()), "{path}");
        }
        assert_eq!(asked.get("/healthz?verbosely").await, (503, "fail\n".to_owned()));
    }

    #[tokio::test]
    async fn only_questions_are_taken() {
        let asked = Asked::new(Some(report()));
        for path in ["/healthz", "/metrics"] {
            let (_, got) = asked.get(path).await;
            let (status, headers, body) = asked.ask(Request::head(path).body(Body::empty()).unwrap()).await;
            assert_eq!((status.is_server_error(), body.as_str()), (path == "/healthz", ""));
            assert_eq!(headers[header::CONTENT_LENGTH].to_str().unwrap(), got.len().to_string());
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
                let request = Request::builder().method(&method).uri(path).body(Body::empty()).unwrap();
                let (status, headers, _) = asked.ask(request).await;
                assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
                assert_eq!(headers[header::ALLOW], "GET,HEAD");
            }
            let (status, ..) = asked.ask(Request::get(path).body(Body::from("x")).unwrap()).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        }
        assert_eq!(asked.get("/v1/cameras").await.0, 404);
    }

    #[tokio::test]
    async fn openmetrics_is_answered_to_whom_asks_for_it() {
        let asked = Asked::new(Some(report()));
        let (_, headers, body) = asked.ask(Request::get("/metrics").body(Body::empty()).unwrap()).await;
        assert_eq!(headers[header::CONTENT_TYPE], Format::Text.content_type());
        assert!(!body.contains("# EOF"));
        let request = Request::get("/metrics").header("accept", "text/plain;q=0.5");
        let request =
            request.header("accept", "application/openmetrics-text;version=1.0.0").body(Body::empty()).unwrap();
        let (_, headers, body) = asked.ask(request).await;
        assert_eq!(headers[header::CONTENT_TYPE], Format::OpenMetrics.content_type());
        assert!(body.ends_with("\n# EOF\n"));
    }
}
