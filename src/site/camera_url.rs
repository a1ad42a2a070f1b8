//! Addresses of camera streams: `rtsp://`, never with a password in them.

use serde_json::json;
use url::Url;

use super::{
    problem::{Code, Problem},
    read::{Node, Reader, Value},
    source::Bytes,
};

/// An RTSP URL (RFC 2326 section 3.2) with a host, without user, password or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CameraUrl(pub(super) Url);

/// What is wrong with it. `None` if nothing is.
fn wrong(text: &str) -> Result<Url, (Code, &'static str)> {
    // Many cameras take user and password as parameters. Looked for first: whatever else is wrong, it isn't shown.
    let lower = text.to_ascii_lowercase();
    let named = ["password=", "passwd=", "pwd=", "pass="].iter().any(|word| lower.contains(word));
    if named || text.contains('@') {
        return Err((Code::UrlPassword, ""));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => return Err((Code::UrlScheme, "")),
        Err(url::ParseError::EmptyHost) => return Err((Code::UrlHost, "")),
        Err(_) => return Err((Code::BadUrl, "")),
    };
    match url.scheme() {
        "rtsp" => {}
        "rtsps" => return Err((Code::UrlScheme, "rtsps")),
        _ => return Err((Code::UrlScheme, "")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err((Code::UrlPassword, ""));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err((Code::UrlHost, ""));
    }
    if url.port() == Some(0) || url.fragment().is_some() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err((Code::BadUrl, ""));
    }
    Ok(url)
}

/// Whether a broken address has more than a port after a colon: what is left of a user part whose `@` was lost.
fn may_hold_a_password(text: &str) -> bool {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    rest.split(['[', ']', '/']).any(|part| {
        part.split_once(':').is_some_and(|(_, port)| port.contains(|c: char| !c.is_ascii_hexdigit() && c != ':'))
    })
}

impl Value for CameraUrl {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        match wrong(r.text(node)?) {
            Ok(url) => Some(Self(url)),
            Err((code, scheme)) => {
                let scheme = if scheme.is_empty() { "@other" } else { scheme };
                let problem = r.problem(code, &node.span()).with("scheme", scheme);
                let hide =
                    code == Code::UrlPassword || may_hold_a_password(node.get_ref().as_str().unwrap_or_default());
                r.report(Problem { hide, ..problem });
                None
            }
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "RTSP address without user and password", "type": "string", "format": "uri", "pattern": "^rtsp://[^@/]+(/[^@]*)?$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged() {
        let code = |text: &str| wrong(text).map(|url| url.to_string()).map_err(|(code, _)| code);
        for ok in [
            "rtsp://10.20.1.11/Streaming/Channels/101",
            "rtsp://camera-3.lan:8554/live?channel=1&subtype=0",
            "rtsp://[fd00::1]:554/1",
            "rtsp://10.0.0.1",
        ] {
            assert_eq!(code(ok).as_deref(), Ok(ok));
        }
        for (text, expected) in [
            ("rtsp://admin:hunter2@10.0.0.1/1", Code::UrlPassword),
            ("rtsp://admin@10.0.0.1/1", Code::UrlPassword),
            ("rtsp://admin:p/w@10.0.0.1/1", Code::UrlPassword),
            ("rtsp://10.0.0.1/user=admin_password=x_channel=1", Code::UrlPassword),
            ("rtsp://10.0.0.1/?user=admin&PWD=x", Code::UrlPassword),
            ("http://10.0.0.1/1", Code::UrlScheme),
            ("rtsps://10.0.0.1/1", Code::UrlScheme),
            ("10.0.0.1/1", Code::UrlScheme),
            ("", Code::UrlScheme),
            ("rtsp:///1", Code::UrlHost),
            ("rtsp:1", Code::UrlHost),
            ("rtsp://10.0.0.1:99999/", Code::BadUrl),
            ("rtsp://10.0.0.1:0/", Code::BadUrl),
            ("rtsp://10.0.0.1/a b", Code::BadUrl),
            ("rtsp://10.0.0.1/a#b", Code::BadUrl),
        ] {
            assert_eq!(code(text), Err(expected), "{text}");
        }
    }
}
