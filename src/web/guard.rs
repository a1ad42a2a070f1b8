//! What a request must look like before anything is answered, and what every answer carries.
//!
//! A server on loopback can be reached by every page that the browser shows. Three ways in are closed: a foreign name
//! that resolves to 127.0.0.1 (DNS rebinding: the `Host` is then that name), a WebSocket or fetch from another origin
//! (the `Origin` is then the other one), and an embedding without CORS (`Sec-Fetch-Site`, and
//! `Cross-Origin-Resource-Policy` on the answer).

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{WebConfig, pages};
use crate::lang;

/// Scripts and styles only from files of this server; nothing from elsewhere; no frames around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

const FIXED: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It does not name a loopback host.
    Host,
    /// Another site asks.
    Origin,
}

/// The middleware.
pub(super) async fn guard(State(config): State<WebConfig>, request: Request, next: Next) -> Response {
    let mut response = match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            log::warn!("a request was refused: {}", why(refusal, request.headers()));
            let language = pages::language(&config, request.headers());
            let text = match refusal {
                Refusal::Host => lang::t(language, "web.refused_host", &[]),
                Refusal::Origin => lang::t(language, "web.refused_origin", &[]),
            };
            (StatusCode::FORBIDDEN, text).into_response()
        }
    };
    for (name, value) in FIXED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn why(refusal: Refusal, headers: &HeaderMap) -> String {
    let name = match refusal {
        Refusal::Host => header::HOST,
        Refusal::Origin => header::ORIGIN,
    };
    format!("its {name} is {:?}", headers.get(&name))
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| Refusal::Host)?,
        _ => return Err(Refusal::Host),
    };
    // A request line may carry a host too (absolute form); it must not say something else.
    if !is_loopback(host) || uri.authority().is_some_and(|a| a.as_str() != host) {
        return Err(Refusal::Host);
    }
    if let Some(origin) = headers.get(header::ORIGIN)
        && origin.to_str().ok().and_then(|o| o.strip_prefix("http://")) != Some(host)
    {
        return Err(Refusal::Origin);
    }
    let fetch = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    match fetch("sec-fetch-site") {
        // Absent: not a browser, or an old one, whose Origin was looked at above.
        None | Some("same-origin" | "none") => Ok(()),
        // Following a link to a page from elsewhere is harmless: the other site sees nothing of it.
        Some(_) if fetch("sec-fetch-mode") == Some("navigate") && fetch("sec-fetch-dest") == Some("document") => Ok(()),
        Some(_) => Err(Refusal::Origin),
    }
}

/// Whether `host`, with or without a port, is `localhost` or a loopback address written out.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = match name.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').and_then(|v6| v6.parse().ok()).map(IpAddr::V6),
        None => name.parse().ok().map(IpAddr::V4),
    };
    address.is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        check(&Uri::from_static("/"), &headers)
    }

    #[test]
    fn loopback_hosts_are_answered() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"] {
            assert_eq!(asked(&[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn foreign_hosts_are_refused() {
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "", ":80"]
        {
            assert_eq!(asked(&[("host", host)]), Err(Refusal::Host), "{host}");
        }
        for host in ["10.0.0.1", "[fe80::1]", "[::1", "::1", "127.0.0.1@evil.example", "0.0.0.0:8080"] {
            assert_eq!(asked(&[("host", host)]), Err(Refusal::Host), "{host}");
        }
        assert_eq!(asked(&[]), Err(Refusal::Host), "no host at all");
        assert_eq!(asked(&[("host", "localhost"), ("host", "localhost")]), Err(Refusal::Host), "two hosts");
    }

    #[test]
    fn foreign_origins_are_refused() {
        let host = ("host", "127.0.0.1:8080");
        assert_eq!(asked(&[host, ("origin", "http://127.0.0.1:8080")]), Ok(()));
        for origin in
            ["http://evil.example", "null", "http://127.0.0.1:9090", "https://127.0.0.1:8080", "http://localhost:8080"]
        {
            assert_eq!(asked(&[host, ("origin", origin)]), Err(Refusal::Origin), "{origin}");
        }
    }

    #[test]
    fn other_sites_may_link_but_not_embed() {
        let host = ("host", "localhost:8080");
        assert_eq!(asked(&[host, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(asked(&[host, ("sec-fetch-site", "same-site")]), Err(Refusal::Origin));
        let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(asked(&[link[0], link[1], link[2], ("sec-fetch-dest", "document")]), Ok(()));
        assert_eq!(asked(&[link[0], link[1], link[2], ("sec-fetch-dest", "iframe")]), Err(Refusal::Origin));
        assert_eq!(
            asked(&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]),
            Err(Refusal::Origin)
        );
    }

    #[test]
    fn a_request_line_that_names_another_host_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost:8080"));
        assert_eq!(check(&Uri::from_static("http://evil.example/"), &headers), Err(Refusal::Host));
    }
}
