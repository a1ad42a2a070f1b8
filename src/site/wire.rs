//! The values of `[recorder.<id>.network]`: links, addresses with their nets, servers for the time.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde_json::json;

use super::{
    network::MailServer,
    problem::Code,
    read::{Node, Reader, Value},
    source::Bytes,
    values::{mac, parsed},
};

/// How a recorder is wired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// The school's side; none: every wire that is not the cameras'.
    pub school: Option<Wire>,
    /// The cameras' side, where they have one of their own. Always has an address.
    pub cameras: Option<Wire>,
    /// Servers for the time: names or IP addresses. None: those of the system.
    pub ntp: Vec<String>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The network card.
    pub link: Link,
    /// The VLAN on it, where packets carry a tag.
    pub vlan: Option<u16>,
    /// The recorder's address; none: by DHCP.
    pub address: Option<Cidr>,
    /// The way to everywhere else.
    pub gateway: Option<IpAddr>,
    /// Who knows names.
    pub dns: Vec<IpAddr>,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// By the name that the system gives it.
    Name(String),
    /// By its address, lower case with colons.
    Mac(String),
}

/// What means something else to the kernel.
const TAKEN: [&str; 3] = ["lo", "all", "default"];
/// With a number, what custodian calls the links that it makes for VLANs.
const OURS: [&str; 2] = ["school", "cameras"];

impl FromStr for Link {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(mac) = mac(text) {
            return Ok(Self::Mac(mac));
        }
        // The kernel takes 15 bytes; networkd reads `*`, `?`, `[` and `!` as patterns.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = text.len() <= 15
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(plain)
            && text.contains(|c: char| c.is_ascii_alphabetic());
        let taken = TAKEN.contains(&text) || OURS.iter().any(|own| text.starts_with(own));
        if name && !taken { Ok(Self::Name(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Name(text) | Self::Mac(text)) = self;
        f.write_str(text)
    }
}

impl Value for Link {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadLink)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "network card: its name or MAC address", "type": "string", "pattern": "^[0-9A-Za-z][0-9A-Za-z._:-]*$" })
    }
}

/// A machine's address together with its net (RFC 4632): `10.20.0.11/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    ip: IpAddr,
    prefix: u8,
}

/// Whether a machine may have that address for its own.
fn is_a_machines(ip: IpAddr) -> bool {
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || broadcast || mapped)
}

impl Cidr {
    /// The machine's address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The first address of the net, and how many bits are common to all of it: `10.20.0.0/24`.
    #[must_use]
    pub fn net(&self) -> Self {
        let ip = match self.ip {
            IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(
                ip.to_bits() & u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0),
            )),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(
                ip.to_bits() & u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0),
            )),
        };
        Self { ip, prefix: self.prefix }
    }

    /// Whether an address lies in the net.
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && Self { ip, prefix: self.prefix }.net() == self.net()
    }

    /// Whether some address lies in both nets.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.ip) || other.contains(self.ip) || {
            let wider = if self.prefix <= other.prefix { (self, other) } else { (other, self) };
            wider.0.contains(wider.1.net().ip)
        }
    }
}

impl FromStr for Cidr {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (ip, prefix) = text.split_once('/').ok_or(())?;
        let ip: IpAddr = ip.parse().map_err(|_| ())?;
        let digits = !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_digit());
        let prefix: u8 = if digits { prefix.parse().map_err(|_| ())? } else { return Err(()) };
        let this = Self { ip, prefix };
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        // A net of everything is none. The first address of a net is its name, the last one of IPv4 speaks to all; nets of two have neither (RFC 3021, RFC 6164).
        if prefix == 0 || prefix > bits || !is_a_machines(ip) {
            return Err(());
        }
        let host = bits - prefix;
        let last = match ip {
            IpAddr::V4(ip) => host >= 2 && !ip.to_bits() & (u32::MAX >> prefix) == 0,
            IpAddr::V6(_) => false,
        };
        if host >= 2 && (this.net().ip == ip || last) { Err(()) } else { Ok(this) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

impl Value for Cidr {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadCidr)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "address with the length of its net, such as \"10.20.0.11/24\"", "type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$" })
    }
}

/// Another machine's IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ip(pub(super) IpAddr);

impl FromStr for Ip {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().ok().filter(|ip| is_a_machines(*ip)).map(Self).ok_or(())
    }
}

impl Value for Ip {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadIp)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "IP address", "type": "string", "pattern": "^[0-9A-Fa-f.:]+$" })
    }
}

/// A server for the time: a name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeServer(pub(super) String);

impl FromStr for TimeServer {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let server: MailServer = text.parse()?;
        let brackets = text.starts_with('[');
        if server.port.is_some() || brackets { Err(()) } else { Ok(Self(server.host)) }
    }
}

impl Value for TimeServer {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadTimeServer)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "name or IP address of a time server", "type": "string", "pattern": "^[0-9A-Za-z.:-]+$" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links() {
        for ok in ["enp1s0", "eth0", "enx525400123456", "a.b_c-d", "abcdefghijklmno"] {
            assert_eq!(ok.parse(), Ok(Link::Name(ok.into())), "{ok}");
        }
        assert_eq!("52-54-00-AB-cd-EF".parse(), Ok(Link::Mac("52:54:00:ab:cd:ef".into())));
        for bad in [
            "",
            "lo",
            "school",
            "cameras20",
            "all",
            "en*",
            "en p",
            "-x",
            "abcdefghijklmnop",
            "52:54:00:ab:cd",
            "ö",
            "1",
            "a\n",
        ] {
            assert_eq!(bad.parse::<Link>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn addresses_with_their_nets() {
        let net = |text: &str| text.parse::<Cidr>().map(|c| c.net().to_string());
        assert_eq!(net("10.20.1.2/24").as_deref(), Ok("10.20.1.0/24"));
        assert_eq!(net("10.20.1.130/25").as_deref(), Ok("10.20.1.128/25"));
        assert_eq!(net("10.0.0.0/31").as_deref(), Ok("10.0.0.0/31"), "a net of two");
        assert_eq!(net("10.0.0.1/32").as_deref(), Ok("10.0.0.1/32"));
        assert_eq!(net("fd00::1:2/112").as_deref(), Ok("fd00::1:0/112"));
        for bad in [
            "10.20.1.2",
            "10.20.1.0/24",
            "10.20.1.255/24",
            "10.20.1.2/0",
            "10.20.1.2/33",
            "10.20.1.2/+8",
            "10.20.1.2/",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "0.0.0.0/8",
            "255.255.255.255/32",
            "::1/128",
            "fd00::/64",
            "::ffff:10.0.0.1/96",
            "host/24",
            "10.1/16",
        ] {
            assert_eq!(bad.parse::<Cidr>(), Err(()), "{bad}");
        }
        let overlaps = |a: &str, b: &str| a.parse::<Cidr>().unwrap().overlaps(&b.parse().unwrap());
        assert!(overlaps("10.20.0.11/16", "10.20.1.2/24") && overlaps("10.20.1.2/24", "10.20.0.11/16"));
        assert!(!overlaps("10.20.0.11/24", "10.20.1.2/24") && !overlaps("10.20.0.11/24", "fd00::1/64"));
    }

    proptest! {
        #[test]
        fn a_net_holds_its_machine_and_no_neighbour_of_the_net(bits in any::<u32>(), prefix in 1..=30_u8) {
            let text = format!("{}/{prefix}", Ipv4Addr::from_bits(bits));
            if let Ok(cidr) = text.parse::<Cidr>() {
                prop_assert!(cidr.contains(cidr.ip()));
                prop_assert_eq!(text.parse::<Cidr>(), Ok(cidr));
                let IpAddr::V4(first) = cidr.net().ip() else { unreachable!() };
                let outside = first.to_bits().wrapping_sub(1);
                prop_assert!(!cidr.contains(IpAddr::V4(Ipv4Addr::from_bits(outside))));
            }
        }
    }

    #[test]
    fn servers_for_the_time() {
        for ok in ["10.20.0.1", "ntp.example.vn", "fd00::1", "time"] {
            assert_eq!(ok.parse(), Ok(TimeServer(ok.into())), "{ok}");
        }
        for bad in ["", "ntp:123", "10.20.0.1:123", "[fd00::1]", "ntp example", "a\nb"] {
            assert_eq!(bad.parse::<TimeServer>(), Err(()), "{bad}");
        }
        assert!("10.20.0.1".parse::<Ip>().is_ok() && "127.0.0.1".parse::<Ip>().is_err() && "gw".parse::<Ip>().is_err());
    }
}
