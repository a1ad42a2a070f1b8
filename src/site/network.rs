//! The values of `[health]` that name something on the network: addresses, servers, certificates, the unit of a tunnel.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde_json::json;
use url::{Host, Url};
use x509_parser::pem::Pem;

use super::{
    problem::{Code, Problem},
    read::{Node, Reader, Value},
    source::Bytes,
    values::parsed,
};

/// An address to listen at: an IP address of this machine, and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listen(pub(super) SocketAddr);

impl FromStr for Listen {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let address: SocketAddr = text.parse().map_err(|_| ())?;
        if address.port() == 0 || address.ip().is_multicast() { Err(()) } else { Ok(Self(address)) }
    }
}

impl Listen {
    /// Whether only one of the two can be listened at: the same port, and one of them is all addresses, or both are the same.
    pub(super) fn clashes(self, other: Self) -> bool {
        let (a, b) = (self.0, other.0);
        a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
    }
}

impl Value for Listen {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadListen)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "IP address and port, such as \"10.1.2.3:9464\"", "type": "string", "pattern": r"^([0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}$" })
    }
}

/// A mail address (RFC 5321 section 4.1.2), as the library that sends it takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail(pub(super) String);

impl FromStr for Mail {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse::<lettre::Address>().map(|address| Self(address.to_string())).map_err(|_| ())
    }
}

impl Value for Mail {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadMail)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "mail address", "type": "string", "pattern": "^[^@ ]+@[^@ ]+$" })
    }
}

/// A mail server: a name or an IP address (version 6 in brackets where a port follows), and its port if that isn't the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MailServer {
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl FromStr for MailServer {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = match text.rsplit_once(':') {
            _ if text.parse::<IpAddr>().is_ok() => (text, None),
            Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        // What `u16` takes and nobody means: a plus sign, port 0.
        let port = match port {
            Some(port) if port.starts_with(|c: char| c.is_ascii_digit()) => {
                Some(port.parse().ok().filter(|p| *p != 0).ok_or(())?)
            }
            Some(_) => return Err(()),
            None => None,
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            // Version 6 without brackets cannot be told from its port.
            return if ip.is_ipv6() && port.is_some() { Err(()) } else { Ok(Self { host: ip.to_string(), port }) };
        }
        let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || "-.[]:".contains(c));
        let host = match Host::parse(host).map_err(|_| ())? {
            Host::Domain(name) if plain && !name.starts_with(['-', '.']) => name,
            Host::Ipv6(ip) => ip.to_string(),
            // `10.1`, `0x7f000001` and other spellings of an address that are none in a mail.
            Host::Ipv4(_) | Host::Domain(_) => return Err(()),
        };
        Ok(Self { host, port })
    }
}

impl MailServer {
    /// Whether what is said to it stays in the school's own network: an address that no router of the internet carries on, or this machine.
    pub(super) fn is_near(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
            Err(_) => self.host == "localhost",
        }
    }
}

impl Value for MailServer {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadHost)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "host or host:port", "type": "string", "pattern": r"^([A-Za-z0-9.-]+|\[?[0-9A-Fa-f:.]+\]?)(:[0-9]{1,5})?$" })
    }
}

/// A proxy: `http://` or `https://`, a host, a port; nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProxyUrl(pub(super) Url);

impl FromStr for ProxyUrl {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(|_| ())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && !text.contains('@')
            && url.host_str().is_some_and(|h| !h.is_empty())
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.port() != Some(0);
        if plain { Ok(Self(url)) } else { Err(()) }
    }
}

impl Value for ProxyUrl {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let url = r.text(node)?.parse().ok();
        if url.is_none() {
            // A password may stand in what was written: it isn't repeated.
            let problem = r.problem(Code::BadProxy, &node.span());
            r.report(Problem { hide: true, ..problem });
        }
        url
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "proxy, such as \"http://10.1.1.1:3128\"", "type": "string", "format": "uri", "pattern": "^https?://[^@/?#]+/?$" })
    }
}

/// A folder on a server, `https://`; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpsFolder(pub(super) Url);

impl FromStr for HttpsFolder {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(|_| ())?;
        let plain = url.scheme() == "https"
            && !text.contains('@')
            && url.host_str().is_some_and(|h| !h.is_empty())
            && url.query().is_none()
            && url.fragment().is_none()
            && url.port() != Some(0);
        if plain { Ok(Self(url)) } else { Err(()) }
    }
}

impl Value for HttpsFolder {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let url = r.text(node)?.parse().ok();
        if url.is_none() {
            // A password may stand in what was written: it isn't repeated.
            let problem = r.problem(Code::BadFolderUrl, &node.span());
            r.report(Problem { hide: true, ..problem });
        }
        url
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "folder, such as \"https://updates.example.vn/custodian/\"", "type": "string", "format": "uri", "pattern": "^https://[^@?#]+$" })
    }
}

/// X.509 certificates (RFC 5280) in PEM (RFC 7468): at least one, and nothing else that has a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificates(pub(super) String);

/// What a PEM text is instead of certificates.
fn no_certificates(text: &str) -> Option<Code> {
    if text.contains("PRIVATE KEY") {
        return Some(Code::PrivateKey);
    }
    let mut some = false;
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        let Ok(pem) = pem else { return Some(Code::BadCertificates) };
        let right = pem.label == "CERTIFICATE"
            && pem.parse_x509().is_ok()
            // What the parser leaves over is no part of a certificate.
            && x509_parser::parse_x509_certificate(&pem.contents).is_ok_and(|(rest, _)| rest.is_empty());
        if !right {
            return Some(Code::BadCertificates);
        }
        some = true;
    }
    // The reader stops without a word where a mark of beginning is damaged.
    let begun = text.matches("-----BEGIN ").count();
    let whole = Pem::iter_from_buffer(text.as_bytes()).count() == begun;
    (!some || !whole).then_some(Code::BadCertificates)
}

impl Value for Certificates {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        if let Some(code) = no_certificates(text) {
            let problem = r.problem(code, &node.span());
            r.report(Problem { hide: code == Code::PrivateKey, ..problem });
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "certificates (PEM)", "type": "string", "pattern": "-----BEGIN CERTIFICATE-----" })
    }
}

/// A service of systemd that makes a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TunnelUnit(pub(super) String);

impl FromStr for TunnelUnit {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let name = text.strip_suffix(".service").ok_or(())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || ":_.@-\\".contains(c);
        let shape = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(plain)
            && name.matches('@').count() <= 1
            && !name.ends_with('@')
            && text.len() <= 255;
        // A service of custodian or of the system itself is nothing that a vendor's visit starts and stops.
        let lower = name.to_ascii_lowercase();
        let ours = ["custodian", "systemd", "dbus"].iter().any(|own| lower.starts_with(own));
        if shape && !ours { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl Value for TunnelUnit {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadUnit)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "service, such as \"wg-quick@vendor.service\"", "type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9:_.@\\-]*\.service$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_at() {
        for ok in ["10.1.2.3:9464", "[fd00::3]:9464", "0.0.0.0:1", "[::]:65535"] {
            assert_eq!(ok.parse::<Listen>().map(|l| l.0.to_string()).as_deref(), Ok(ok));
        }
        for bad in ["10.1.2.3", "fd00::3:9464", "host:9464", "10.1.2.3:0", "10.1.2.3:65536", "224.0.0.1:80", ""] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
        let clash = |a: &str, b: &str| a.parse::<Listen>().unwrap().clashes(b.parse().unwrap());
        assert!(clash("10.1.2.3:1", "10.1.2.3:1") && clash("0.0.0.0:1", "10.1.2.3:1") && clash("10.1.2.3:1", "[::]:1"));
        assert!(!clash("10.1.2.3:1", "10.1.2.3:2") && !clash("10.1.2.3:1", "10.1.2.4:1"));
    }

    #[test]
    fn mail_servers() {
        let of = |text: &str| text.parse::<MailServer>().map(|s| (s.host, s.port));
        for (text, host, port) in [
            ("mail.example.vn", "mail.example.vn", None),
            ("mail.example.vn:2525", "mail.example.vn", Some(2525)),
            ("10.1.2.3:25", "10.1.2.3", Some(25)),
            ("[fd00::1]:25", "fd00::1", Some(25)),
            ("[fd00::1]", "fd00::1", None),
            ("fd00::1", "fd00::1", None),
            ("localhost", "localhost", None),
        ] {
            assert_eq!(of(text), Ok((host.to_owned(), port)), "{text}");
        }
        for bad in [
            "",
            "mail example.vn",
            "mail:0",
            "mail:+25",
            "mail:x",
            "mail:",
            "smtp://mail",
            "a@b",
            "10.1:25",
            "mail/x",
            "[::1",
            "-x",
        ] {
            assert_eq!(of(bad), Err(()), "{bad}");
        }
        let near = |text: &str| text.parse::<MailServer>().unwrap().is_near();
        for text in ["127.0.0.1", "10.0.0.1:25", "192.168.1.1", "172.31.0.1", "[::1]:25", "fd12::1", "localhost:25"] {
            assert!(near(text), "{text}");
        }
        for text in ["8.8.8.8", "172.32.0.1", "[2001:db8::1]:25", "mail.example.vn", "localhost.example.vn"] {
            assert!(!near(text), "{text}");
        }
    }

    #[test]
    fn folders_on_a_server() {
        for ok in ["https://updates.example.vn", "https://10.1.1.1:8443/custodian/", "https://h/a%20b"] {
            assert!(ok.parse::<HttpsFolder>().is_ok(), "{ok}");
        }
        for bad in [
            "http://h/",
            "file:///x",
            "h/x",
            "https://",
            "https://u:p@h/",
            "https://h/?x",
            "https://h/#x",
            "https://h:0/",
        ] {
            assert!(bad.parse::<HttpsFolder>().is_err(), "{bad}");
        }
    }

    #[test]
    fn proxies() {
        for ok in ["http://10.1.1.1:3128", "https://proxy.example.vn", "http://[fd00::1]:3128/"] {
            assert!(ok.parse::<ProxyUrl>().is_ok(), "{ok}");
        }
        for bad in [
            "10.1.1.1:3128",
            "socks5://h:1",
            "http://u:p@h:1",
            "http://u@h",
            "http://h/x",
            "http://h?x",
            "http://h:0",
            "http://",
            "http://h#x",
        ] {
            assert!(bad.parse::<ProxyUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn certificates_are_parsed() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::new(vec!["ca.example.vn".into()]).unwrap().self_signed(&key).unwrap().pem();
        assert_eq!(no_certificates(&pem), None);
        assert_eq!(no_certificates(&format!("# ours\n{pem}\n{pem}")), None);
        assert_eq!(no_certificates(&format!("{pem}{}", key.serialize_pem())), Some(Code::PrivateKey));
        assert_eq!(no_certificates(""), Some(Code::BadCertificates));
        assert_eq!(no_certificates("MIIB"), Some(Code::BadCertificates));
        let lines: Vec<&str> = pem.lines().collect();
        let short = [&lines[..1], &lines[2..]].concat().join("\n");
        assert_eq!(no_certificates(&short), Some(Code::BadCertificates), "a line is missing");
        let open = lines[..lines.len() - 1].join("\n");
        assert_eq!(no_certificates(&open), Some(Code::BadCertificates), "no end");
        assert_eq!(no_certificates(&format!("{pem}{open}")), Some(Code::BadCertificates), "the second has no end");
        assert_eq!(no_certificates(&pem.replace("CERTIFICATE", "PUBLIC KEY")), Some(Code::BadCertificates));
    }

    #[test]
    fn units_of_a_tunnel() {
        for ok in ["wg-quick@vendor.service", "openvpn-client@it\\x2dvn.service", "tunnel.service"] {
            assert!(ok.parse::<TunnelUnit>().is_ok(), "{ok}");
        }
        for bad in [
            "custodian-record.service",
            "Custodian-web.service",
            "custodian.service",
            "systemd-poweroff.service",
            "dbus.service",
            "reboot.target",
            "wg-quick@vendor",
            ".service",
            "-x.service",
            "a b.service",
            "../x.service",
            "a@b@c.service",
            "wg-quick@.service",
            "x;y.service",
        ] {
            assert!(bad.parse::<TunnelUnit>().is_err(), "{bad}");
        }
    }
}
