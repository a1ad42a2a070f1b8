//! How each kind of service wants to be told, and what its answers mean.
//!
//! | kind | request | taken |
//! |---|---|---|
//! | Uptime Kuma | `GET …/api/push/<token>?status=up&msg=…&ping=<ms>` | 200 with `{"ok":true}` |
//! | healthchecks | `POST <address>`, or `<address>/fail`, with a text | 2xx with `OK` or `Created` |
//! | Gatus | `POST …/api/v1/endpoints/<key>/external?success=…&error=…&duration=…`, a bearer token | 2xx, empty |
//! | http | `POST` with JSON | 2xx |
//!
//! As uptime-kuma 2.5 (server/routers/api-router.js), healthchecks 4 (hc/api/views.py, templates/docs/http_api.md) and gatus 5
//! (api/external_endpoint.go) have it.

use std::time::Duration;

use reqwest::{Method, header::HeaderValue};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::{PushError, beat::Beat};
use crate::{
    site::{PushKind, Secret},
    types::merkle::Hash,
};

/// The longest message in an address, encoded. Gatus reads addresses and headers of 4 KiB in all at its smallest, proxies some more.
const LINE: usize = 1_500;
/// The longest text: as much as a healthchecks server keeps if nobody says more.
const PAGE: usize = 10_000;
/// Requests a minute that healthchecks.io takes for one check.
const PER_MINUTE: usize = 5;

/// An endpoint: its kind and address.
pub(super) struct Service {
    kind: PushKind,
    url: Url,
    authorization: Option<HeaderValue>,
    names: bool,
    shown: String,
}

/// What is asked of it.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) authorization: Option<HeaderValue>,
    /// Its type, and the bytes.
    pub(super) body: Option<(&'static str, Vec<u8>)>,
    /// So many bytes of the body, or of the message, have to be kept for the checkpoints to be kept; none: it has none.
    checkpoints_end: Option<usize>,
}

/// What it answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long it wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// How many bytes of a text it keeps, if it says so.
    pub(super) body_limit: Option<usize>,
    /// The beginning of its body.
    pub(super) body: Vec<u8>,
}

/// What that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It took it, with the checkpoints or without.
    Taken {
        /// Whether the checkpoints are with it now.
        witnessed: bool,
    },
    /// It may take it later.
    Later(String, Option<Duration>),
    /// It will not take it until somebody changes the address, the token, or the monitor.
    Wrong(String),
}

/// An address without what its page wrote behind it for us to fill in.
fn without(mut url: Url, ours: &[&str]) -> Url {
    let kept: Vec<_> = url
        .query_pairs()
        .filter(|(k, _)| !ours.contains(&&**k))
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    if kept.len() < url.query_pairs().count() {
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    url.set_fragment(None);
    url
}

fn encoded(text: &str) -> usize {
    form_urlencoded::byte_serialize(text.as_bytes()).map(str::len).sum()
}

impl Service {
    pub(super) fn new(kind: PushKind, url: &Secret, token: Option<&Secret>, names: bool) -> Result<Self, PushError> {
        let fingerprint = Hash(Sha256::digest(url.reveal()).into()).to_string();
        let mut url = Url::parse(url.reveal()).map_err(|_| PushError::Address)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(PushError::Address);
        }
        let shown = format!("{} {} ({})", kind, url.host_str().unwrap_or_default(), &fingerprint[..8]);
        let segments: Vec<_> = url.path_segments().into_iter().flatten().filter(|s| !s.is_empty()).collect();
        match (kind, &segments[..]) {
            (PushKind::UptimeKuma, [.., "api", "push", _]) => url = without(url, &["status", "msg", "ping"]),
            (PushKind::Gatus, [.., "api", "v1", "endpoints", _, "external"]) => {
                url = without(url, &["success", "error", "duration"]);
            }
            (PushKind::Healthchecks, [.., id, signal]) if Uuid::parse_str(id).is_ok() && is_signal(signal) => {
                return Err(PushError::Path(kind));
            }
            (PushKind::Healthchecks, [.., _]) => {
                url.path_segments_mut().map_err(|()| PushError::Address)?.pop_if_empty();
                url = without(url, &["rid"]);
            }
            (PushKind::Http, _) => url = without(url, &[]),
            _ => return Err(PushError::Path(kind)),
        }
        if token.is_none() && kind == PushKind::Gatus {
            return Err(PushError::NoToken);
        }
        let named = !url.username().is_empty() || url.password().is_some();
        if token.is_some() && named {
            return Err(PushError::Twice);
        }
        let bearer = |t: &Secret| HeaderValue::try_from(format!("Bearer {}", t.reveal())).map_err(|_| PushError::Token);
        let mut authorization = token.map(bearer).transpose()?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Self { kind, url, authorization, names, shown })
    }

    /// Its kind, its host, and the first 8 digits of the SHA-256 of its address: all that is ever shown of it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// How often it may be asked within a minute at most.
    pub(super) fn per_minute(&self) -> Option<usize> {
        (self.kind == PushKind::Healthchecks).then_some(PER_MINUTE)
    }

    pub(super) fn names(&self) -> bool {
        self.names
    }

    pub(super) fn request(&self, beat: &Beat) -> Request {
        let mut url = self.url.clone();
        let authorization = self.authorization.clone();
        let carries = |end: usize| (!beat.checkpoints.is_empty()).then_some(end);
        let (method, body, checkpoints_end) = match self.kind {
            PushKind::UptimeKuma => {
                let status = if beat.up() { "up" } else { "down" };
                let message = beat.line(LINE, true, encoded);
                let ping = beat.cost_ms.to_string();
                url.query_pairs_mut().extend_pairs([("status", status), ("msg", &message), ("ping", &ping)]);
                // Old servers answer nothing but GET.
                (Method::GET, None, carries(0))
            }
            PushKind::Healthchecks => {
                if !beat.up()
                    && let Ok(mut segments) = url.path_segments_mut()
                {
                    segments.push("fail");
                }
                let (page, end) = beat.page(PAGE);
                (Method::POST, Some(("text/plain; charset=utf-8", page.into_bytes())), carries(end))
            }
            PushKind::Gatus => {
                let duration = format!("{}ms", beat.cost_ms);
                let mut pairs = url.query_pairs_mut();
                pairs.append_pair("success", if beat.up() { "true" } else { "false" });
                if !beat.up() {
                    // It reads this of a failure only; so no checkpoint goes there.
                    pairs.append_pair("error", &beat.line(LINE, false, encoded));
                }
                pairs.append_pair("duration", &duration);
                drop(pairs);
                (Method::POST, None, None)
            }
            PushKind::Http => {
                // Numbers, texts and lists of them: there is nothing in it that could not be written.
                let json = serde_json::to_vec(beat).unwrap_or_default();
                (Method::POST, Some(("application/json", json)), carries(0))
            }
        };
        Request { method, url, authorization, body, checkpoints_end }
    }

    pub(super) fn verdict(&self, request: &Request, answer: &Answer) -> Verdict {
        let status = answer.status;
        let later = || Verdict::Later(format!("it answers {status}"), answer.retry_after);
        match status {
            200..300 => self.taken(request, answer),
            // For whatever goes wrong, inside it too; only one of the reasons is ours to mend.
            404 if self.kind == PushKind::UptimeKuma => match KumaAnswer::of(&answer.body) {
                Some(KumaAnswer { ok: false, msg: Some(msg) }) if !msg.starts_with("Monitor not found") => later(),
                _ => Verdict::Wrong("it answers 404: there is no such monitor, or it is paused".into()),
            },
            408 | 429 | 500.. => later(),
            401 | 403 => Verdict::Wrong(format!("it answers {status}: the token or the address is wrong")),
            404 => Verdict::Wrong("it answers 404: the address is wrong".into()),
            _ => Verdict::Wrong(format!("it answers {status}")),
        }
    }

    /// A login page of something in between also answers 200.
    fn taken(&self, request: &Request, answer: &Answer) -> Verdict {
        let text = String::from_utf8_lossy(&answer.body);
        let taken = match (self.kind, text.trim()) {
            (PushKind::UptimeKuma, _) => KumaAnswer::of(&answer.body).is_some_and(|a| a.ok),
            // As the hosted service answers an address with a UUID that it does not know, or that is asked too often.
            (PushKind::Healthchecks, "OK (not found)") => {
                return Verdict::Wrong("it knows no such check: the address is wrong".into());
            }
            (PushKind::Healthchecks, "OK (rate limited)") => {
                return Verdict::Later("it is asked too often".into(), answer.retry_after);
            }
            (PushKind::Healthchecks, text) => matches!(text, "OK" | "Created"),
            (PushKind::Gatus, text) => text.is_empty(),
            (PushKind::Http, _) => true,
        };
        if !taken {
            return Verdict::Wrong(
                "it does not answer as such a service does: the address or the kind is wrong".into(),
            );
        }
        let kept = |end: usize| answer.body_limit.is_none_or(|limit| end <= limit);
        Verdict::Taken { witnessed: request.checkpoints_end.is_some_and(kept) }
    }
}

fn is_signal(segment: &str) -> bool {
    matches!(segment, "fail" | "start" | "log") || segment.bytes().all(|b| b.is_ascii_digit())
}

#[derive(Deserialize)]
struct KumaAnswer {
    ok: bool,
    msg: Option<String>,
}

impl KumaAnswer {
    fn of(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}
