//! Who may look: Basic and Digest (RFC 2617; MD5 as cameras do, RFC 7616 with `qop`).

use md5::{Digest as _, Md5};

use super::message::Request;

/// How a camera asks for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// Digest as in RFC 2069, without `qop`: what most cameras do.
    #[default]
    Digest,
    /// Digest with `qop="auth"`.
    DigestQop,
    /// Basic: the password in clear.
    Basic,
    /// Nobody is asked.
    None,
}

/// A user with a password, and how they are to be proven.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) auth: Auth,
    pub(crate) username: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("auth", &self.auth).finish_non_exhaustive()
    }
}

const REALM: &str = "custodian demo";

impl Gate {
    /// The `WWW-Authenticate` header for a connection's nonce.
    pub(crate) fn challenge(&self, nonce: &str) -> String {
        match self.auth {
            Auth::Basic | Auth::None => format!("Basic realm=\"{REALM}\""),
            Auth::Digest => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\""),
            Auth::DigestQop => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\""),
        }
    }

    /// Whether a request proves the password.
    pub(crate) fn admits(&self, request: &Request, nonce: &str) -> bool {
        if self.auth == Auth::None {
            return true;
        }
        let Some((scheme, rest)) = request.header("Authorization").and_then(|h| h.split_once(' ')) else {
            return false;
        };
        if self.auth == Auth::Basic {
            let wanted = base64(format!("{}:{}", self.username, self.password).as_bytes());
            return scheme.eq_ignore_ascii_case("basic") && rest.trim() == wanted;
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return false;
        }
        let fields = fields(rest);
        let get = |name: &str| fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let (Some(uri), Some(response)) = (get("uri"), get("response")) else { return false };
        if get("username") != Some(&self.username) || get("realm") != Some(REALM) || get("nonce") != Some(nonce) {
            return false;
        }
        let secret = md5(&format!("{}:{REALM}:{}", self.username, self.password));
        let asked = md5(&format!("{}:{uri}", request.method));
        let wanted = match (self.auth, get("qop"), get("nc"), get("cnonce")) {
            (Auth::DigestQop, Some("auth"), Some(nc), Some(cnonce)) => {
                md5(&format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{asked}"))
            }
            // A client that does not know of qop may leave it out (RFC 2617 section 3.2.2).
            (Auth::Digest | Auth::DigestQop, None, ..) => md5(&format!("{secret}:{nonce}:{asked}")),
            _ => return false,
        };
        response.eq_ignore_ascii_case(&wanted)
    }
}

/// `name=value` and `name="value"`, separated by commas.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').map_or((after, ""), |(v, r)| (v.trim_end(), r)),
        };
        out.push((name.trim().to_owned(), value.to_owned()));
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    out
}

fn md5(text: &str) -> String {
    use std::fmt::Write;
    Md5::digest(text.as_bytes()).iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Base64 (RFC 4648 section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            out.push(if i <= chunk.len() { char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::rtsp::message::{Incoming, take};

    fn request(authorization: &str) -> Request {
        let text = format!("DESCRIBE rtsp://h/a RTSP/1.0\r\nAuthorization: {authorization}\r\n\r\n");
        match take(text.as_bytes()) {
            Ok(Some((Incoming::Request(r), _))) => r,
            other => panic!("{other:?}"),
        }
    }

    fn gate(auth: Auth) -> Gate {
        Gate { auth, username: "Mufasa".into(), password: "Circle Of Life".into() }
    }

    #[test]
    fn base64_as_in_rfc_4648() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn md5_as_in_rfc_1321() {
        assert_eq!(md5("abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn only_the_password_opens() {
        let answer = |password: &str, method: &str| {
            let secret = md5(&format!("Mufasa:{REALM}:{password}"));
            let response = md5(&format!("{secret}:n1:{}", md5(&format!("{method}:rtsp://h/a"))));
            format!(
                "Digest username=\"Mufasa\", realm=\"{REALM}\", nonce=\"n1\", uri=\"rtsp://h/a\", response=\"{response}\""
            )
        };
        let g = gate(Auth::Digest);
        assert!(g.admits(&request(&answer("Circle Of Life", "DESCRIBE")), "n1"));
        assert!(!g.admits(&request(&answer("Circle of Life", "DESCRIBE")), "n1"), "another password");
        assert!(!g.admits(&request(&answer("Circle Of Life", "SETUP")), "n1"), "another method's answer");
        assert!(!g.admits(&request(&answer("Circle Of Life", "DESCRIBE")), "n2"), "another nonce");
        assert!(!g.admits(&request("Basic TXVmYXNhOkNpcmNsZSBPZiBMaWZl"), "n1"), "another scheme");
        assert!(gate(Auth::Basic).admits(&request("Basic TXVmYXNhOkNpcmNsZSBPZiBMaWZl"), "n1"));
        assert!(!gate(Auth::Basic).admits(&request("Basic TXVmYXNhOg=="), "n1"));
    }
}
