//! Who is let in, and how much one address may try.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::{
    health::lock,
    sys::{Clock, Monotonic},
};

/// Failures with the token, of one address within [`WINDOW`]; after that none of its requests is looked at.
pub(super) const TOKENS: u32 = 10;
/// Connections that nothing was let in by, of one address within [`WINDOW`]; after that its next ones are dropped before they cost anything.
pub(super) const VAIN: u32 = 60;
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses that failures are remembered of.
const ADDRESSES: usize = 1024;
/// Bytes of a request's body.
const BODY: usize = 64 << 10;
/// Until an answer begins.
const ANSWER: Duration = Duration::from_secs(30);

/// An address as limits count it: an IPv6 network of 64 bits is one, for whoever has one address of it has all.
pub(super) fn counted(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    since: Monotonic,
    count: u32,
}

/// Failures by address.
pub(super) struct Failures {
    most: u32,
    by: Mutex<HashMap<IpAddr, Tally>>,
    clock: Arc<dyn Clock>,
}

impl Failures {
    pub(super) fn new(most: u32, clock: Arc<dyn Clock>) -> Self {
        Self { most, by: Mutex::default(), clock }
    }

    /// For how long the address is still not listened to; none: it is.
    pub(super) fn barred(&self, ip: IpAddr) -> Option<Duration> {
        let tally = *lock(&self.by).get(&counted(ip))?;
        let age = self.clock.monotonic().since(tally.since);
        WINDOW.checked_sub(age).filter(|left| tally.count >= self.most && !left.is_zero())
    }

    /// Counts one, and logs the first of a window and the one that bars: an attack does not fill the journal.
    pub(super) fn note(&self, door: &str, ip: IpAddr, what: &str) {
        let now = self.clock.monotonic();
        let ip = counted(ip);
        let mut by = lock(&self.by);
        if !by.contains_key(&ip) && by.len() >= ADDRESSES {
            by.retain(|_, tally| now.since(tally.since) < WINDOW);
            if by.len() >= ADDRESSES
                && let Some(oldest) = by.iter().min_by_key(|(_, tally)| tally.since).map(|(ip, _)| *ip)
            {
                by.remove(&oldest);
            }
        }
        let tally = by.entry(ip).or_insert(Tally { since: now, count: 0 });
        if now.since(tally.since) >= WINDOW {
            *tally = Tally { since: now, count: 0 };
        }
        tally.count += 1;
        let count = tally.count;
        drop(by);
        if count == 1 {
            log::warn!("the door {door} did not let {ip} in: {what}");
        } else if count == self.most {
            log::warn!(
                "the door {door} did not let {ip} in {count} times and no longer listens to it for a while: {what}"
            );
        }
    }
}

/// A token, of which only the digest is kept.
#[derive(Clone, Copy)]
pub(super) struct Token([u8; 32]);

impl Token {
    pub(super) fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether an `Authorization` header bears it (RFC 6750, 2.1). Takes as long whatever it bears: the digests are compared, all bytes of
    /// them.
    fn is_in(&self, authorization: &HeaderValue) -> bool {
        let bytes = authorization.as_bytes();
        let Some((scheme, token)) = bytes.iter().position(|b| *b == b' ').map(|at| bytes.split_at(at)) else {
            return false;
        };
        let digest: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        let differs = self.0.iter().zip(digest).fold(0, |all, (a, b)| all | (a ^ b));
        scheme.eq_ignore_ascii_case(b"bearer") && differs == 0
    }
}

/// What the guard of a door knows.
pub(super) struct Guard {
    pub(super) door: &'static str,
    pub(super) token: Option<Token>,
    pub(super) failures: Failures,
}

/// A connection, to its guard.
#[derive(Clone)]
pub(super) struct At {
    pub(super) guard: Arc<Guard>,
    pub(super) peer: SocketAddr,
    /// Whether anything was let in by it.
    pub(super) any: Arc<AtomicBool>,
}

/// The middleware, for one connection.
pub(super) async fn let_in(State(at): State<At>, request: Request, next: Next) -> Response {
    let mut response = match timeout(ANSWER, answer(&at, request, next)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "this takes too long\n").into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(At { guard, peer, any }: &At, request: Request, next: Next) -> Response {
    if let Some(left) = guard.failures.barred(peer.ip()) {
        let after = [(header::RETRY_AFTER, (left.as_secs() + 1).to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, after, "too many failures\n").into_response();
    }
    if let Some(token) = &guard.token {
        let mut borne = request.headers().get_all(header::AUTHORIZATION).iter();
        let what = match (borne.next(), borne.next()) {
            (Some(one), None) if token.is_in(one) => None,
            (None, _) => Some("no token"),
            _ => Some("a wrong token"),
        };
        if let Some(what) = what {
            guard.failures.note(guard.door, peer.ip(), what);
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"custodian\"")];
            return (StatusCode::UNAUTHORIZED, challenge, "a bearer token is wanted\n").into_response();
        }
    }
    any.store(true, Ordering::Relaxed);
    let bounded = request.map(|body| Body::new(http_body_util::Limited::new(body, BODY)));
    next.run(bounded).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sys::FakeClock, types::WallNs};

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = Token::new("s3cret");
        let is_in = |text: &str| token.is_in(&HeaderValue::from_str(text).unwrap());
        for good in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            assert!(is_in(good), "{good}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "s3cret",
            "Basic s3cret",
            "Bearer s3cre",
            "Bearer s3cret2",
            "Bearer S3CRET",
            "Bearers3cret",
        ] {
            assert!(!is_in(bad), "{bad}");
        }
        assert!(!token.is_in(&HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap()));
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_no_other() {
        let clock = FakeClock::at(WallNs(0));
        let failures = Failures::new(TOKENS, Arc::new(clock.clone()));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 1..TOKENS {
            failures.note("pull", ip("fd00::1:0:0:0:1"), "x");
            assert_eq!(failures.barred(ip("fd00::1:0:0:0:1")), None);
        }
        clock.advance(Duration::from_secs(20));
        // Another address of the same network is the same one.
        failures.note("pull", ip("fd00::1:0:0:0:2"), "x");
        assert_eq!(failures.barred(ip("fd00::1:0:0:0:3")), Some(Duration::from_secs(40)));
        assert_eq!(failures.barred(ip("fd00::2:0:0:0:3")), None);
        clock.advance(Duration::from_secs(40));
        assert_eq!(failures.barred(ip("fd00::1:0:0:0:3")), None);
        failures.note("pull", ip("fd00::1:0:0:0:2"), "x");
        assert_eq!(failures.barred(ip("fd00::1:0:0:0:3")), None, "it begins anew");
        assert_eq!(counted(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }

    #[test]
    fn many_addresses_take_no_more_memory() {
        let clock = FakeClock::at(WallNs(0));
        let failures = Failures::new(TOKENS, Arc::new(clock.clone()));
        for n in 0..5000_u32 {
            failures.note("pull", IpAddr::from(n.to_be_bytes()), "x");
            clock.advance(Duration::from_micros(1));
        }
        assert_eq!(lock(&failures.by).len(), ADDRESSES);
        assert!(lock(&failures.by).contains_key(&IpAddr::from(4999_u32.to_be_bytes())), "the oldest go");
    }
}
