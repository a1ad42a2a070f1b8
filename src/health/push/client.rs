//! One request over the network, within 10 s.

use std::{io, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{
    Certificate, Method, Proxy, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
    redirect,
};
use tokio_rustls::rustls;
use url::Url;

use super::{
    PushError,
    service::{Answer, Request},
};
use crate::types::WallNs;

/// From the first packet to the last byte of the answer, redirects included.
const TRY: Duration = Duration::from_secs(10);
/// No more is read of an answer.
const LONGEST: usize = 64 << 10;
const REDIRECTS: usize = 3;

/// Why there was no answer. Says nothing of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Slow,
    Name,
    Refused,
    Unreachable,
    Certificate,
    Broken,
    Elsewhere,
    Circle,
}

impl Trouble {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Slow => "it does not answer within 10 s",
            Self::Name => "its name is not known to the name service",
            Self::Refused => "nobody listens there",
            Self::Unreachable => "it cannot be reached",
            Self::Certificate => "its certificate is not to be trusted",
            Self::Broken => "what it answers is no HTTP, or breaks off",
            Self::Elsewhere => "it redirects to another host, port or scheme: give its new address",
            Self::Circle => "it redirects again and again",
        }
    }

    /// Whether only somebody who changes the address ends it.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Elsewhere | Self::Circle)
    }

    fn of(e: &reqwest::Error) -> Self {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(e);
        while let Some(e) = next {
            if let Some(rustls::Error::InvalidCertificate(_)) = e.downcast_ref() {
                return Self::Certificate;
            }
            // The connector has no other way to say so.
            if e.to_string() == "dns error" {
                return Self::Name;
            }
            let io = e.downcast_ref::<io::Error>();
            if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
            // The source of such a one is that of the error within it.
            next = match io.and_then(io::Error::get_ref) {
                Some(within) => Some(within),
                None => e.source(),
            };
        }
        if e.is_connect() { Self::Unreachable } else { Self::Broken }
    }
}

/// What carries requests: the network, or a test.
pub(super) trait Carry: Send + Sync {
    fn carry<'a>(&'a self, request: &'a Request, now: WallNs) -> BoxFuture<'a, Result<Answer, Trouble>>;
}

/// The network, by the site's proxy or none, never by one that the environment names.
pub(super) struct Network(reqwest::Client);

impl Network {
    /// `ca`: certificates (PEM) that count beside those of the system.
    pub(super) fn new(proxy: Option<&Url>, ca: Option<&str>) -> Result<Self, PushError> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // A beat is half a minute after the other: a connection that was kept is mostly a dead one.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("custodian/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = proxy {
            builder = builder.proxy(Proxy::all(proxy.as_str()).map_err(|_| PushError::Proxy)?);
        }
        if let Some(pem) = ca {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| PushError::Ca)?;
            if certificates.is_empty() {
                return Err(PushError::Ca);
            }
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map(Self).map_err(|e| PushError::Client(e.without_url()))
    }

    async fn follow(&self, request: &Request, now: WallNs) -> Result<Answer, Trouble> {
        let Request { mut method, mut url, body, authorization, .. } = request.clone();
        for _ in 0..=REDIRECTS {
            let mut asking = self.0.request(method.clone(), url.clone());
            if let Some(value) = &authorization {
                asking = asking.header(AUTHORIZATION, value);
            }
            asking = match body.clone() {
                _ if method != Method::POST => asking,
                Some((kind, bytes)) => asking.header(CONTENT_TYPE, kind).body(bytes),
                // Else it is not said that there is none, and some servers answer 411.
                None => asking.header(CONTENT_LENGTH, 0),
            };
            let answer = asking.send().await.map_err(|e| Trouble::of(&e))?;
            match answer.status() {
                // A client may make GET of a POST; then the failure that is told would be lost.
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {}
                StatusCode::SEE_OTHER => method = Method::GET,
                _ => return read(answer, now).await,
            }
            let place = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok()).ok_or(Trouble::Broken)?;
            let next = url.join(place).map_err(|_| Trouble::Broken)?;
            if next.origin() != url.origin() {
                return Err(Trouble::Elsewhere);
            }
            url = next;
        }
        Err(Trouble::Circle)
    }
}

impl Carry for Network {
    fn carry<'a>(&'a self, request: &'a Request, now: WallNs) -> BoxFuture<'a, Result<Answer, Trouble>> {
        let limited = tokio::time::timeout(TRY, self.follow(request, now));
        async { limited.await.unwrap_or(Err(Trouble::Slow)) }.boxed()
    }
}

async fn read(mut answer: Response, now: WallNs) -> Result<Answer, Trouble> {
    let status = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    let body_limit = header("ping-body-limit").and_then(|n| n.parse().ok());
    let retry_after = retry_after(answer.headers(), now);
    let mut body = Vec::new();
    while body.len() < LONGEST
        && let Some(bytes) = answer.chunk().await.map_err(|e| Trouble::of(&e))?
    {
        body.extend_from_slice(&bytes[..bytes.len().min(LONGEST - body.len())]);
    }
    Ok(Answer { status, retry_after, body_limit, body })
}

/// RFC 9110, section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: WallNs) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(at.duration_since(now.timestamp()).try_into().unwrap_or(Duration::ZERO))
}
