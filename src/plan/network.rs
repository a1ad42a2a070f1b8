//! The files that the system's own services take from a site: networkd, the packet filter, chrony, USBGuard. Pure.
//!
//! What holds for every site stands in `modules/system/`; here is only what one says. They are kept, written and taken back together with the
//! units, and have the name of their folder before theirs: [`NETWORK`] is networkd's, [`SYSTEM`] is ours.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

use super::units::{HEADER, Units};
use crate::{
    site::{BackupPlace, Cidr, Link, Network, Site, Unlock, Wire},
    types::RecorderId,
};

/// networkd's files, beside the folder of units: `/run/systemd/network`.
pub const NETWORK: &str = "network";
/// The others: `/run/systemd/custodian`.
pub const SYSTEM: &str = "custodian";

const FIREWALL: &str = "custodian/firewall.nft";
const TIME: &str = "custodian/time.chrony";
const USB: &str = "custodian/usb.rules";

/// Who takes a file up: the service, if it runs.
pub(super) const TAKERS: [(&str, &str); 4] = [
    // First, for it may shut what the next one would open.
    (FIREWALL, "custodian-firewall-site.service"),
    ("network/", "systemd-networkd.service"),
    (TIME, "chronyd.service"),
    (USB, "usbguard.service"),
];

/// Whether a generated file is no unit of systemd's.
pub fn is_system_file(name: &str) -> bool {
    name.split_once('/').is_some_and(|(folder, _)| matches!(folder, NETWORK | SYSTEM))
}

fn add(text: &mut String, more: fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = text.write_fmt(more);
}

/// Groups of links, by which the packet filter knows the sides (`modules/system/usr/lib/custodian/firewall.nft`).
const SCHOOL_GROUP: u32 = 551;
const CAMERAS_GROUP: u32 = 552;

/// What lets hubs and keyboards in, whatever the site says: what the image has until a site is applied.
const USB_BASE: &str = "\
# Hubs, and keyboards and mice that are nothing else: a stick that says that it is a keyboard, too, stays outside.
allow with-interface match-all { 09:00:* }
allow with-interface match-all { 03:*:* }
";

/// The files of one machine.
pub(super) fn files(site: &Site, recorder: &RecorderId, all: &mut Units) {
    let Some(machine) = site.recorder(recorder) else { return };
    let none = Network::default();
    let network = machine.network.as_ref().unwrap_or(&none);
    links(network, all);
    all.insert(FIREWALL.into(), firewall(site));
    all.insert(TIME.into(), time(network));
    all.insert(USB.into(), usb(site, machine.unlock));
}

/// A side of the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    School,
    Cameras,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::School => "school",
            Self::Cameras => "cameras",
        }
    }

    fn group(self) -> u32 {
        match self {
            Self::School => SCHOOL_GROUP,
            Self::Cameras => CAMERAS_GROUP,
        }
    }
}

/// The link of a side's VLAN. A link has its VLAN for life, so another VLAN is another link; the one of before loses its addresses, and
/// stays on its side for the packet filter.
fn vlan_link(side: Side, wire: &Wire) -> Option<String> {
    wire.vlan.map(|vlan| format!("{}{vlan}", side.name()))
}

/// A link with no addresses at all, not even those that IPv6 makes by itself.
const SILENT: &str =
    "LinkLocalAddressing=no\nIPv6AcceptRA=no\nDHCP=no\nLLMNR=no\nMulticastDNS=no\nLLDP=no\nEmitLLDP=no\n";

fn links(network: &Network, all: &mut Units) {
    let school = network.school.as_ref().map(|w| (Side::School, w));
    let cameras = network.cameras.as_ref().map(|w| (Side::Cameras, w));
    let sides: Vec<(Side, &Wire)> = school.into_iter().chain(cameras).collect();
    // VLANs of a card that carries nothing else; one file for it, whether it is one VLAN or two.
    let mut trunks: Vec<(&Link, Side, String)> = Vec::new();
    let carries = |vlan: &str| format!("VLAN={vlan}\n");
    for (side, wire) in &sides {
        let name = side.name();
        let mut text = format!("{HEADER}[Match]\n");
        if let Some((vlan, link)) = wire.vlan.zip(vlan_link(*side, wire)) {
            all.insert(
                format!("{NETWORK}/10-custodian-{name}.netdev"),
                format!("{HEADER}[NetDev]\nName={link}\nKind=vlan\n\n[VLAN]\nId={vlan}\n"),
            );
            add(&mut text, format_args!("Name={link}\n"));
            if !sides.iter().any(|(_, other)| other.link == wire.link && other.vlan.is_none()) {
                match trunks.iter_mut().find(|(card, ..)| *card == &wire.link) {
                    Some((.., vlans)) => vlans.push_str(&carries(&link)),
                    None => trunks.push((&wire.link, *side, carries(&link))),
                }
            }
        } else {
            text += &matching(&wire.link);
        }
        add(&mut text, format_args!("\n[Link]\nGroup={}\nRequiredForOnline=no\n\n[Network]\n", side.group()));
        if wire.vlan.is_none() {
            let others = sides.iter().filter(|(_, other)| other.link == wire.link);
            text.extend(others.filter_map(|(side, other)| vlan_link(*side, other)).map(|vlan| carries(&vlan)));
        }
        text += &addresses(wire);
        all.insert(format!("{NETWORK}/10-custodian-{name}.network"), text);
    }
    for (card, first, vlans) in trunks {
        let text = format!(
            "{HEADER}[Match]\n{}\n[Link]\nGroup=0\nRequiredForOnline=no\n\n[Network]\n{vlans}{SILENT}",
            matching(card)
        );
        all.insert(format!("{NETWORK}/10-custodian-{}-card.network", first.name()), text);
    }
    if network.school.is_some() {
        all.extend([silent()]);
    }
}

/// What keeps wires down that nothing else speaks of, in the place of the image's file, by which every wire has its address by DHCP.
pub fn silent() -> (String, String) {
    let text = format!(
        "{HEADER}[Match]\nType=ether\nKind=!*\n\n[Link]\nGroup=0\nActivationPolicy=always-down\nRequiredForOnline=no\n\n[Network]\n{SILENT}"
    );
    (format!("{NETWORK}/80-custodian.network"), text)
}

fn matching(link: &Link) -> String {
    match link {
        Link::Name(name) => format!("Name={name}\n"),
        // A VLAN of the card has the card's address, too, but no permanent one.
        Link::Mac(mac) => format!("PermanentMACAddress={mac}\n"),
    }
}

fn addresses(wire: &Wire) -> String {
    let mut dns = String::new();
    wire.dns.iter().for_each(|ip| add(&mut dns, format_args!("DNS={ip}\n")));
    let Some(address) = wire.address else {
        let own = if wire.dns.is_empty() { "" } else { "UseDNS=no\n" };
        return format!(
            "DHCP=yes\nIPv6AcceptRA=yes\nLLMNR=no\nMulticastDNS=no\nLLDP=no\nEmitLLDP=no\n{dns}\n[DHCPv4]\nClientIdentifier=mac\n\
             UseHostname=no\n{own}\n[DHCPv6]\nUseHostname=no\n{own}\n[IPv6AcceptRA]\nUseDomains=no\n{own}"
        );
    };
    let gateway = wire.gateway.map(|ip| format!("Gateway={ip}\n")).unwrap_or_default();
    // IPv6 does not work without an address of the link's own, and nobody wants it where there is none of IPv6.
    let silent = if address.ip().is_ipv6() {
        SILENT.replace("LinkLocalAddressing=no", "LinkLocalAddressing=ipv6")
    } else {
        SILENT.to_owned()
    };
    // A switch that starts again, or a cable that is pulled for a moment, takes no address away and cuts no connection.
    format!("Address={address}\n{gateway}{dns}{silent}ConfigureWithoutCarrier=yes\nIgnoreCarrierLoss=yes\n")
}

/// Ports of services that the site names, at the addresses that it names.
fn firewall(site: &Site) -> String {
    let mut text = format!(
        "{HEADER}flush set inet custodian served\nflush set inet custodian served4\nflush set inet custodian served6\n"
    );
    let health = site.health();
    for (what, door) in [("health.pull", &health.pull), ("health.vendor", &health.vendor)] {
        let Some(listen) = door.as_ref().map(|d| d.listen) else { continue };
        let (ip, port) = (listen.ip(), listen.port());
        let element = match ip {
            _ if ip.is_loopback() => continue,
            _ if ip.is_unspecified() => format!("served {{ {port} }}"),
            IpAddr::V4(ip) => format!("served4 {{ {ip} . {port} }}"),
            IpAddr::V6(ip) => format!("served6 {{ {ip} . {port} }}"),
        };
        add(&mut text, format_args!("# {what}\nadd element inet custodian {element}\n"));
    }
    text
}

fn time(network: &Network) -> String {
    let mut text = HEADER.to_owned();
    for server in &network.ntp {
        add(&mut text, format_args!("server {server} iburst\n"));
    }
    if network.ntp.is_empty() {
        // Debian's own, as its package has it.
        text += "pool 2.debian.pool.ntp.org iburst\n";
    }
    if let Some(net) = network.cameras.as_ref().and_then(|c| c.address).map(|a| Cidr::net(&a)) {
        add(&mut text, format_args!("allow {net}\n"));
    }
    text
}

/// Disks for backups that hang on USB, by their serial numbers. Footage never lies on such.
fn usb(site: &Site, unlock: Unlock) -> String {
    let mut text = format!("{HEADER}{USB_BASE}");
    if unlock == Unlock::UsbKey {
        // Which stick carries the key is not known before it is read.
        text += "# unlock = \"usb-key\"\nallow with-interface match-all { 08:*:* }\n";
        return text;
    }
    for place in site.backup().iter().flat_map(|b| &b.to) {
        let BackupPlace::Disk(disk) = place else { continue };
        if let Some(serial) = usb_serial(disk) {
            add(&mut text, format_args!("# {disk}\nallow serial \"{serial}\" with-interface match-all {{ 08:*:* }}\n"));
        }
    }
    text
}

/// The serial number at the end of a name that udev gives a disk on USB: `usb-VENDOR_MODEL_SERIAL-0:0`.
fn usb_serial(by_id: &str) -> Option<&str> {
    let name = by_id.strip_prefix("usb-")?;
    let (name, unit) = name.rsplit_once('-')?;
    let (_, serial) = name.rsplit_once('_')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    (unit.contains(':') && !serial.is_empty() && serial.chars().all(plain)).then_some(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(network: &str, more: &str) -> Units {
        let site = format!(
            "[site]\nname = \"x\"\ntimezone = \"UTC\"\n[area.y]\nname = \"y\"\nkind = \"public\"\n[recorder.a]\n{network}\n\
             [[recorder.a.volume]]\nname = \"a1\"\npath = \"/a1\"\n[camera.c]\nname = \"c\"\narea = \"y\"\nmain = \"rtsp://10.20.1.11/\"\n{more}"
        );
        let site = crate::site::parse(&site, "site.toml").unwrap_or_else(|e| panic!("{e}"));
        let mut all = Units::new();
        files(&site, &"a".parse().unwrap(), &mut all);
        assert!(all.iter().all(|(name, text)| text.starts_with(HEADER) && is_system_file(name)));
        assert!(all.keys().all(|name| TAKERS.iter().any(|(of, _)| name.starts_with(of))), "each is taken up");
        all
    }

    fn shown(all: &Units) -> String {
        let one = |(name, text): (&String, &String)| format!("== {name}\n{}", text.trim_start_matches(HEADER));
        all.iter().map(one).collect::<Vec<_>>().concat()
    }

    #[test]
    fn two_cards() {
        let network = "network.school = { link = \"enp1s0\", address = \"10.20.0.11/24\", gateway = \"10.20.0.1\", dns = [\"10.20.0.1\"] }\n\
                       network.cameras = { link = \"52:54:00:AB:CD:EF\", address = \"10.20.1.2/24\" }\n\
                       network.ntp = [\"10.20.0.1\", \"ntp.example.vn\"]";
        let more = "[health.pull]\nlisten = \"10.20.0.11:9464\"\ntoken_secret = \"x\"\n\
                    [health.vendor]\nlisten = \"[fd00::3]:9465\"\ntoken_secret = \"y\"\n";
        insta::assert_snapshot!("two_cards", shown(&of(network, more)));
    }

    #[test]
    fn one_card_with_a_vlan_for_the_cameras() {
        let network = "network.school = { link = \"eth0\" }\nnetwork.cameras = { link = \"eth0\", vlan = 20, address = \"10.20.1.2/24\" }";
        let more = "[health.pull]\nlisten = \"0.0.0.0:9464\"\ntoken_secret = \"x\"\n";
        insta::assert_snapshot!("card_and_vlan", shown(&of(network, more)));
    }

    #[test]
    fn one_card_with_two_vlans() {
        let network = "network.school = { link = \"eth0\", vlan = 10, dns = [\"fd00::1\"] }\n\
                       network.cameras = { link = \"eth0\", vlan = 20, address = \"fd00:20::2/64\" }";
        insta::assert_snapshot!("two_vlans", shown(&of(network, "")));
    }

    #[test]
    fn a_site_that_says_nothing_of_its_wires_leaves_them_to_the_image() {
        let all = of("", "[health.pull]\nlisten = \"127.0.0.1:9464\"\ntoken_secret = \"x\"\n");
        insta::assert_snapshot!("nothing", shown(&all));
        let cameras = of("network.cameras = { link = \"eth1\", address = \"10.20.1.2/24\" }", "");
        assert!(
            !cameras.contains_key("network/80-custodian.network"),
            "the school's side is every other wire, by DHCP"
        );
    }

    #[test]
    fn the_image_lets_in_what_every_site_does() {
        assert_eq!(USB_BASE, include_str!("../../modules/system/usr/lib/custodian/usb.rules"));
    }

    #[test]
    fn disks_for_backups_are_let_in_by_their_serial_numbers() {
        let backup = "[backup]\nrecipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\nat = \"02:30\"\n\
                      to = [{ kind = \"disk\", disk = \"usb-WD_My_Book_1230_5758-0:0\" }, { kind = \"disk\", disk = \"ata-X_Y_1\" }]\n";
        let rules = &of("", backup)[USB];
        assert!(rules.contains("allow serial \"5758\" with-interface match-all { 08:*:* }\n"), "{rules}");
        assert_eq!(rules.matches("08:").count(), 1, "{rules}");
        let key = &of("unlock = \"usb-key\"", "")[USB];
        assert!(key.contains("\nallow with-interface match-all { 08:*:* }\n"), "{key}");
        for (name, serial) in [
            ("usb-Kingston_DataTraveler_E0D55EA5-0:0", Some("E0D55EA5")),
            ("usb-X_Y-0:0", Some("Y")),
            ("usb-X-0:0", None),
            ("usb-X_a\"b-0:0", None),
            ("usb-X_Y", None),
            ("ata-X_Y-0:0", None),
        ] {
            assert_eq!(usb_serial(name), serial, "{name}");
        }
    }

    /// Whoever sets the clock says how old footage is; whoever moves the cameras to the school's network lets everybody there reach them.
    #[test]
    fn leadership_is_asked_before_the_cameras_stand_open_or_the_time_comes_from_elsewhere() {
        let site = |network: &str| {
            let text = format!(
                "[site]\nname = \"x\"\ntimezone = \"UTC\"\n[area.y]\nname = \"y\"\nkind = \"public\"\n[recorder.a]\n{network}\n\
                 [[recorder.a.volume]]\nname = \"a1\"\npath = \"/a1\"\n[camera.c]\nname = \"c\"\narea = \"y\"\nmain = \"rtsp://10.20.1.11/\"\n"
            );
            crate::site::parse(&text, "site.toml").unwrap_or_else(|e| panic!("{e}"))
        };
        let change = |before: &str, after: &str| {
            let (before, after, layout) = (site(before), site(after), crate::plan::Layout::new());
            let side = |site| crate::plan::Side { site, layout: &layout, secrets: None };
            let changes = crate::plan::changes(Some(side(&before)), side(&after));
            assert!(changes.len() <= 1, "{changes:?}");
            changes.first().map(|c| (c.guarded, c.lost_seconds > 0))
        };
        let clock = |before: &str, after: &str| {
            let (before, after, layout) = (site(before), site(after), crate::plan::Layout::new());
            let side = |site| crate::plan::Side { site, layout: &layout, secrets: None };
            let changes = crate::plan::changes(Some(side(&before)), side(&after));
            crate::plan::text::change(crate::types::Lang::En, &changes[0]).contains("clock may jump")
        };
        let cameras = "network.cameras = { link = \"eth1\", address = \"10.20.1.2/24\" }";
        let (moved, other) = (cameras.replace("eth1", "eth2"), cameras.replace("1.2/24", "1.3/24"));
        assert_eq!(change("", cameras), Some((false, true)), "that is more");
        assert_eq!(change(cameras, ""), Some((true, true)));
        assert_eq!(change(cameras, &moved), Some((true, true)));
        assert_eq!(change(cameras, &other), Some((false, true)), "only the recorder's own address");
        assert_eq!(change("", "network.ntp = [\"10.20.0.1\"]"), Some((false, false)), "better than the internet's");
        assert_eq!(change("network.ntp = [\"10.20.0.1\"]", "network.ntp = [\"10.20.0.9\"]"), Some((true, false)));
        assert_eq!(change("network.ntp = [\"10.20.0.1\"]", ""), Some((true, false)));
        assert!(clock("", "network.ntp = [\"10.20.0.1\"]"), "chrony starts anew");
        assert!(clock("", cameras) && clock(cameras, &cameras.replace("20.1.2", "30.1.2")), "another net is served");
        assert!(!clock(cameras, &other) && !clock(cameras, &moved), "chrony's file is the same");
        assert_eq!(change("", "network = {}").map(|c| c.0), Some(false), "it reads otherwise and says the same");
    }
}
