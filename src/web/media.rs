//! `/api/…` to the recorder's `/v1/…`: only what pages and players need, byte for byte, ranges included.

use std::{path::Path, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::types::wire::Problem;

/// Request headers that are passed on: conditions and ranges (RFC 9110 sections 13 and 14).
const TO_RECORDER: [HeaderName; 4] =
    [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// Response headers that are passed back.
const TO_BROWSER: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::CACHE_CONTROL,
];

/// The recorder, over its socket. Cheap to clone.
#[derive(Clone)]
pub(super) struct Recorder {
    client: reqwest::Client,
}

impl Recorder {
    /// Connects when first asked, and again whenever the recorder was away.
    pub(super) fn at(socket: &Path) -> reqwest::Result<Self> {
        // Nothing is encrypted on it: a machine that knows no certificates asks all the same.
        let none: [reqwest::Certificate; 0] = [];
        let client = reqwest::Client::builder()
            .unix_socket(socket.to_owned())
            .tls_certs_only(none)
            .connect_timeout(Duration::from_secs(2))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client })
    }

    /// A request for a path below `/v1/`, query included, which the caller has checked.
    pub(super) fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://recorder/v1/{path}"))
    }
}

/// Whether the pages may ask for that path (below `/v1/`, without the query).
///
/// Written out rather than passed on whole: what the recorder's socket learns later is not thereby public.
fn allowed(path: &str) -> bool {
    let plain = |s: &str| {
        !s.is_empty() && !s.starts_with('.') && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let parts: Vec<&str> = path.split('/').collect();
    parts.iter().all(|part| plain(part))
        && match parts.as_slice() {
            ["cameras" | "timeline" | "fragments" | "kept"] | ["segments", _, _, _] => true,
            ["hls", _, file] => Path::new(file).extension().is_some_and(|e| e == "m3u8"),
            _ => false,
        }
}

/// `GET` and `HEAD /api/{path}`.
pub(super) async fn proxy(State(recorder): State<Recorder>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches("/api/");
    if !allowed(path) {
        return problem(StatusCode::NOT_FOUND, format!("there is no /api/{path}"));
    }
    let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
    let mut ask = recorder.ask(request.method().clone(), &format!("{path}{query}"));
    for name in TO_RECORDER {
        if let Some(value) = request.headers().get(&name) {
            ask = ask.header(name, value);
        }
    }
    let answer = match ask.send().await {
        Ok(answer) => answer,
        Err(e) => {
            log::debug!("the recorder does not answer /v1/{path}: {e}");
            return problem(StatusCode::SERVICE_UNAVAILABLE, "the recorder does not answer".to_owned());
        }
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    for name in TO_BROWSER {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    response
}

fn problem(status: StatusCode, error: String) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(Problem { error })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_paths_are_passed_on() {
        for path in ["cameras", "timeline", "fragments", "kept", "segments/a1/b2/3", "hls/gate-1/main.m3u8"] {
            assert!(allowed(path), "{path}");
        }
        for path in [
            "",
            "cameras/",
            "retention",
            "clip/gate-1/main.mp4",
            "live/gate-1/main",
            "segments/a/b",
            "segments/a/b/c/d",
            "segments/../x/y",
            "segments/a/b/..",
            "segments/a/b/%2e%2e",
            "segments//b/c",
            "hls/gate-1/main.mp4",
            "hls/../x.m3u8",
            "../status",
            "reload",
            "hls/gate-1/.m3u8",
        ] {
            assert!(!allowed(path), "{path}");
        }
    }
}
