//! Playback and export over real files.

mod clip;
mod commands;
mod hostile;
mod open;
mod players;
mod router;

use std::sync::Arc;

use axum::{Router, body::Body};
use custodian::{
    retrieve::{self, Library},
    sys::FakeClock,
    types::{StreamKind, WallNs, wire},
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::footage::{Archive, EIGHT, Media, SECOND};

/// Two GOPs of 2 s, then one of 4 s, and so on: 640 by 360, B-frames, sound.
fn with_sound(seconds: u32, seed: u32) -> Media {
    let video = format!("testsrc2=size=640x360:rate=25:duration={seconds},hue=h={seed}");
    let sound = format!("sine=frequency=440:sample_rate=16000:duration={seconds}");
    Media::encode(&[
        "-f",
        "lavfi",
        "-i",
        &video,
        "-f",
        "lavfi",
        "-i",
        &sound,
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-b_strategy",
        "0",
        "-g",
        "100",
        "-keyint_min",
        "25",
        "-force_key_frames",
        "expr:eq(mod(n,150)*(mod(n,150)-50),0)",
        "-sc_threshold",
        "0",
        "-c:a",
        "aac",
        "-b:a",
        "32k",
    ])
}

fn camera() -> wire::Camera {
    wire::Camera {
        id: "gate-1".parse().expect("an id"),
        name: "Cổng chính 1".to_owned(),
        area: "Cổng chính".to_owned(),
        streams: vec![StreamKind::Main, StreamKind::Sub],
        configured: true,
    }
}

/// The router over an archive; the clock stands an hour after [`EIGHT`].
fn router(library: Arc<Library>) -> Router {
    router_at(library, EIGHT.offset(3600 * SECOND))
}

fn router_at(library: Arc<Library>, now: WallNs) -> Router {
    retrieve::router(library, Arc::new(|| vec![camera()]), Arc::new(FakeClock::at(now)))
}

/// An answer, its body read to the end.
struct Got {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

async fn ask(router: &Router, method: &str, uri: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = axum::http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.into_body().collect().await.expect("a body").to_bytes().to_vec();
    Got { status, headers, body }
}

async fn get(router: &Router, uri: &str) -> Got {
    ask(router, "GET", uri, &[]).await
}

/// `from=…&to=…`, seconds after [`EIGHT`].
fn span(from: i64, to: i64) -> String {
    format!("from={}&to={}", EIGHT.offset(from * SECOND).0, EIGHT.offset(to * SECOND).0)
}

/// One run of 20 s from eight o'clock on, in files of 10 s or so.
fn one_run() -> (Archive, Media) {
    let media = with_sound(20, 0);
    let mut archive = Archive::new();
    archive.record(crate::footage::run(1, "gate-1", &media, EIGHT, None), &media, 5);
    (archive, media)
}
