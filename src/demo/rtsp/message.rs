//! RTSP requests and responses (RFC 2326 sections 4 to 7).

use std::fmt::Write;

/// Longest header part that is read; a client that sends more is cut off.
const MAX_HEAD: usize = 16 * 1024;
/// Longest body; clients of cameras send none but for `SET_PARAMETER`.
const MAX_BODY: usize = 16 * 1024;

/// What came from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A request.
    Request(Request),
    /// Interleaved data (section 10.12): a receiver report, as a rule. Its channel.
    Data(u8),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) uri: String,
    headers: Vec<(String, String)>,
}

/// Why a client's bytes make no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not RTSP: {0}")]
pub(crate) struct Malformed(&'static str);

impl Request {
    /// A header's value, the name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The path of the URI, without slashes at its ends.
    pub(crate) fn path(&self) -> &str {
        let rest = self
            .uri
            .split_once("://")
            .map_or(self.uri.as_str(), |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        rest.split('?').next().unwrap_or("").trim_matches('/')
    }
}

/// Takes one message from the front of `bytes`, if it is whole: the message and its length.
pub(crate) fn take(bytes: &[u8]) -> Result<Option<(Incoming, usize)>, Malformed> {
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let start = &bytes[blank..];
    if let [b'$', channel, high, low, ..] = *start {
        let len = 4 + usize::from(u16::from_be_bytes([high, low]));
        return Ok((start.len() >= len).then_some((Incoming::Data(channel), blank + len)));
    }
    if start.first() == Some(&b'$') {
        return Ok(None);
    }
    let Some(end) = start.windows(4).position(|w| w == b"\r\n\r\n") else {
        return if start.len() > MAX_HEAD { Err(Malformed("the header is too long")) } else { Ok(None) };
    };
    let head = std::str::from_utf8(&start[..end]).map_err(|_| Malformed("the header is no text"))?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or("").split(' ');
    let (Some(method), Some(uri), Some("RTSP/1.0"), None) = (first.next(), first.next(), first.next(), first.next())
    else {
        return Err(Malformed("the request line is not METHOD URI RTSP/1.0"));
    };
    let headers: Vec<_> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())).collect();
    let request = Request { method: method.to_owned(), uri: uri.to_owned(), headers };
    let body = request.header("Content-Length").map_or(Ok(0), str::parse);
    let body: usize = body.map_err(|_| Malformed("Content-Length is no number"))?;
    if body > MAX_BODY {
        return Err(Malformed("the body is too long"));
    }
    let len = blank + end + 4 + body;
    Ok((bytes.len() >= len).then_some((Incoming::Request(request), len)))
}

/// A response being put together.
#[derive(Debug)]
pub(crate) struct Response {
    text: String,
    body: String,
}

impl Response {
    /// With the status line and the request's `CSeq`.
    pub(crate) fn new(status: u16, request: &Request) -> Self {
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            454 => "Session Not Found",
            455 => "Method Not Valid in This State",
            459 => "Aggregate Operation Not Allowed",
            461 => "Unsupported Transport",
            501 => "Not Implemented",
            _ => "Error",
        };
        let response = Self { text: format!("RTSP/1.0 {status} {reason}\r\n"), body: String::new() };
        match request.header("CSeq") {
            Some(cseq) => response.with("CSeq", cseq),
            None => response,
        }
    }

    /// With a header.
    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{name}: {value}\r\n");
        self
    }

    /// With a body.
    pub(crate) fn body(mut self, kind: &str, body: String) -> Self {
        self = self.with("Content-Type", kind).with("Content-Length", body.len());
        self.body = body;
        self
    }

    /// As it goes onto the wire.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.text.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: &[u8]) -> Request {
        match take(bytes) {
            Ok(Some((Incoming::Request(r), len))) if len == bytes.len() => r,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_taken_one_by_one() {
        let text = b"OPTIONS rtsp://h:1/gate-1/main?x=1 RTSP/1.0\r\ncseq: 7\r\n\r\n";
        let r = request(text);
        assert_eq!((r.method.as_str(), r.path(), r.header("CSeq")), ("OPTIONS", "gate-1/main", Some("7")));
        for len in 0..text.len() {
            assert_eq!(take(&text[..len]), Ok(None), "{len}");
        }
        let data = [b'$', 1, 0, 3, 9, 9, 9, b'$'];
        assert_eq!(take(&data), Ok(Some((Incoming::Data(1), 7))));
        assert_eq!(take(&data[..6]), Ok(None));
        let with_body = b"SET_PARAMETER * RTSP/1.0\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(request(with_body).path(), "*");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(take(b"GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(take(&vec![b'a'; MAX_HEAD + 1]).is_err());
        assert!(take(b"PLAY * RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n").is_err());
        assert!(take(b"PLAY * RTSP/1.0\r\nContent-Length: x\r\n\r\n").is_err());
    }
}
