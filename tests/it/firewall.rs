//! The packet filter, as the kernel carries it out: machines made of network namespaces knock at every port of one that has our rules.
//! What is let in is seen by a second table behind ours, which no packet reaches that ours has dropped.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{netns::Net, wait_for};

const SITE: &str = r#"
[site]
name = "x"
timezone = "UTC"
[area.y]
name = "y"
kind = "public"
[recorder.a]
[[recorder.a.volume]]
name = "a1"
path = "/a1"
[camera.c]
name = "c"
area = "y"
main = "rtsp://10.20.1.11/"
[health.pull]
listen = "0.0.0.0:9464"
token_secret = "x"
[health.vendor]
listen = "10.9.0.2:9465"
token_secret = "y"
"#;

fn policy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/system/usr/lib").join(name)
}

/// What apply writes of a site for the packet filter.
fn generated(site: &str) -> String {
    let Ok(site) = custodian::site::parse(site, "site.toml") else { panic!("the site is wrong") };
    custodian::plan::units(&site, &"a".parse().unwrap()).remove("custodian/firewall.nft").unwrap()
}

/// Behind ours: remembers what came so far, and begins a connection.
const WITNESS: &str = "
table inet witness {
    set in { type ifname . inet_proto . inet_service; size 200000; flags dynamic; }
    set v6 { type ifname . inet_service; size 200000; flags dynamic; }
    set pings { type ifname . inet_proto; flags dynamic; }
    set routers { type ifname; flags dynamic; }
    set passed { type ifname . inet_service; flags dynamic; }
    chain input {
        type filter hook input priority filter + 10;
        icmp type echo-request add @pings { iifname . meta l4proto }
        icmpv6 type echo-request add @pings { iifname . meta l4proto }
        ct state established,related return
        meta nfproto ipv4 meta l4proto { tcp, udp } add @in { iifname . meta l4proto . th dport }
        meta nfproto ipv6 meta l4proto { tcp, udp } add @v6 { iifname . th dport }
        icmpv6 type nd-router-advert add @routers { iifname }
    }
    chain forward {
        type filter hook forward priority filter + 10;
        meta l4proto { tcp, udp } add @passed { iifname . th dport }
    }
}
";

/// The recorder in the middle; the school, a camera and a stranger's tunnel at its links.
fn machines() -> Net {
    let net = Net::new(&["recorder", "school", "camera", "stranger"]);
    for (other, link, group, ours, theirs) in [
        ("school", "rschool", 551, ["10.20.0.11/24", "fd00:20::11/64"], ["10.20.0.50/24", "fd00:20::50/64"]),
        ("camera", "rcamera", 552, ["10.20.1.2/24", "fd00:21::2/64"], ["10.20.1.11/24", "fd00:21::11/64"]),
        ("stranger", "rstranger", 0, ["10.9.0.2/24", "fd00:9::2/64"], ["10.9.0.1/24", "fd00:9::1/64"]),
    ] {
        net.join(("recorder", link), (other, "eth0"));
        net.run("recorder", &["ip", "link", "set", link, "group", &group.to_string()]);
        for (machine, link, addresses) in [("recorder", link, ours), (other, "eth0", theirs)] {
            for address in addresses {
                // Duplicates are not looked for: an address is there at once.
                let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
                net.run(machine, &[&["ip", "address", "add", address, "dev", link], nodad].concat());
            }
        }
    }
    // Everybody sends everything to the recorder, and the camera has addresses that are the school's.
    for (machine, v4, v6) in [("school", "10.20.0.11", "fd00:20::11"), ("camera", "10.20.1.2", "fd00:21::2")] {
        net.run(machine, &["ip", "route", "add", "default", "via", v4]);
        net.run(machine, &["ip", "-6", "route", "add", "default", "via", v6]);
    }
    for forged in ["10.20.0.60/32", "fd00:20::60/128"] {
        net.run("camera", &["ip", "address", "add", forged, "dev", "lo"]);
    }
    net.run(
        "recorder",
        &[
            "/lib/systemd/systemd-sysctl",
            "--prefix=/net/ipv4",
            "--prefix=/net/ipv6",
            policy("sysctl.d/90-custodian.conf").to_str().unwrap(),
        ],
    );
    net.feed("recorder", &["nft", "-f", "-"], WITNESS);
    net
}

fn load(net: &Net, site: &str) {
    net.run("recorder", &["nft", "-f", policy("custodian/firewall.nft").to_str().unwrap()]);
    net.feed("recorder", &["nft", "-f", "-"], &generated(site));
}

fn knock(net: &Net, from: &str, args: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/knock.py");
    net.run(from, &[&["python3", script.to_str().unwrap()], args].concat());
}

/// What a set of the witness holds, its parts with dots between them.
fn seen(net: &Net, set: &str) -> BTreeSet<String> {
    let said = net.run("recorder", &["nft", "-j", "list", "set", "inet", "witness", set]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let elements = said["nftables"].as_array().unwrap().iter().find_map(|o| o["set"]["elem"].as_array());
    let plain = |e: &serde_json::Value| {
        let e = e.get("elem").map_or(e, |inner| &inner["val"]);
        let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        e["concat"].as_array().map_or_else(|| text(e), |parts| parts.iter().map(text).collect::<Vec<_>>().join("."))
    };
    elements.into_iter().flatten().map(plain).collect()
}

fn forget(net: &Net) {
    for set in ["in", "v6", "pings", "routers", "passed"] {
        net.run("recorder", &["nft", "flush", "set", "inet", "witness", set]);
    }
}

fn set(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn of_all_ports_those_are_open_that_the_site_serves() {
    if !Net::possible() {
        return;
    }
    let net = machines();
    // All of it, by addresses of the link itself, of the other links, and of everybody on it.
    let knocks = |net: &Net| {
        for address in ["10.20.1.2", "10.20.0.11", "10.9.0.2", "fd00:21::2", "fd00:20::11"] {
            knock(net, "camera", &["udp", address]);
            knock(net, "camera", &["tcp", address]);
        }
        knock(net, "camera", &["large", "10.20.1.2", "123"]);
        for address in ["10.20.0.11", "10.9.0.2", "10.20.1.2", "fd00:20::11"] {
            knock(net, "school", &["udp", address]);
            knock(net, "school", &["tcp", address]);
        }
        knock(net, "stranger", &["udp", "10.9.0.2"]);
        knock(net, "stranger", &["tcp", "10.9.0.2"]);
        knock(net, "stranger", &["tcp", "fd00:9::2"]);
        for (from, v4, v6, link) in
            [("camera", "10.20.1.2", "fd00:21::2", "eth0"), ("school", "10.20.0.11", "fd00:20::11", "eth0")]
        {
            knock(net, from, &["echo", v4]);
            knock(net, from, &["echo", v6]);
            knock(net, from, &["router", "ff02::1", "0", link]);
        }
        knock(net, "school", &["dhcp", "10.20.0.255", "0", "10.20.0.50"]);
        knock(net, "camera", &["dhcp", "10.20.1.255", "0", "10.20.1.11"]);
    };

    // Before a site is in force: the time, and what a network cannot do without.
    net.run("recorder", &["nft", "-f", policy("custodian/firewall.nft").to_str().unwrap()]);
    for (from, address) in [("camera", "10.20.1.2"), ("camera", "fd00:21::2"), ("school", "10.20.0.11")] {
        knock(&net, from, &["udp", address]);
        knock(&net, from, &["tcp", address]);
    }
    knock(&net, "school", &["dhcp", "10.20.0.255", "0", "10.20.0.50"]);
    wait_for("the last knock", Duration::from_secs(10), || seen(&net, "in").contains("rschool.udp.68").then_some(()));
    assert_eq!(seen(&net, "in"), set(&["rcamera.udp.123", "rschool.udp.68"]));
    assert_eq!(seen(&net, "v6"), set(&["rcamera.123"]));

    // The ports that the site serves: at every address for the school, at one for whoever comes by that one's link.
    load(&net, SITE);
    forget(&net);
    knocks(&net);
    wait_for("the last knock", Duration::from_secs(10), || seen(&net, "in").contains("rschool.udp.68").then_some(()));
    assert_eq!(seen(&net, "in"), set(&["rcamera.udp.123", "rschool.tcp.9464", "rschool.udp.68", "rstranger.tcp.9465"]));
    assert_eq!(seen(&net, "v6"), set(&["rcamera.123", "rschool.9464"]));
    assert_eq!(seen(&net, "pings"), set(&["rschool.icmp", "rschool.ipv6-icmp"]));
    assert_eq!(seen(&net, "routers"), set(&["rschool"]));
    assert_eq!(seen(&net, "passed"), set(&[]));

    // A site that serves nothing shuts them, and one that cannot be loaded changes nothing.
    let nothing = SITE.split("[health.pull]").next().unwrap();
    load(&net, nothing);
    let rules = || net.run("recorder", &["nft", "list", "table", "inet", "custodian"]);
    let before = rules();
    let broken = generated(SITE) + "add element inet custodian served { none }\n";
    assert!(!net.try_feed("recorder", &["nft", "-f", "-"], &broken));
    assert_eq!(rules(), before);
    forget(&net);
    knock(&net, "school", &["tcp", "10.20.0.11"]);
    knock(&net, "camera", &["bind", "10.20.1.2", "123"]);
    wait_for("the last knock", Duration::from_secs(10), || (!seen(&net, "in").is_empty()).then_some(()));
    assert_eq!(seen(&net, "in"), set(&["rcamera.udp.123"]));

    // Without our table all of it is seen: those who knock do knock, and the witness is not blind.
    net.run("recorder", &["nft", "delete", "table", "inet", "custodian"]);
    knock(&net, "camera", &["tcp", "10.20.1.2"]);
    knock(&net, "camera", &["echo", "10.20.1.2"]);
    knock(&net, "camera", &["router", "ff02::1", "0", "eth0"]);
    wait_for("all ports", Duration::from_secs(10), || {
        (seen(&net, "in").len() > 60_000 && !seen(&net, "pings").is_empty() && !seen(&net, "routers").is_empty())
            .then_some(())
    });
}

#[test]
fn fragments_forged_addresses_and_the_way_through_lead_nowhere() {
    if !Net::possible() {
        return;
    }
    let net = machines();
    load(&net, SITE);
    // The kernel is told to pass packets on, as if somebody had been at it.
    for key in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
        net.run("recorder", &["sysctl", "-qw", key]);
    }
    let through = |net: &Net| {
        knock(net, "camera", &["bind", "10.20.0.50", "53"]);
        knock(net, "camera", &["bind", "fd00:20::50", "53"]);
        knock(net, "school", &["bind", "10.20.1.11", "554"]);
    };
    // From an address of the school's by the cameras' link: even to the time.
    let forged = |net: &Net| {
        knock(net, "camera", &["bind", "10.20.1.2", "123", "10.20.0.60"]);
        knock(net, "camera", &["bind", "fd00:21::2", "123", "fd00:20::60"]);
    };
    through(&net);
    forged(&net);
    knock(&net, "camera", &["tiny", "10.20.1.2", "22", "10.20.1.11"]);
    knock(&net, "camera", &["large", "10.20.1.2", "9464"]);
    knock(&net, "school", &["tiny", "10.20.0.11", "22", "10.20.0.50"]);
    // These are let in: fragments are put together first.
    knock(&net, "camera", &["large", "10.20.1.2", "123"]);
    knock(&net, "school", &["tiny", "10.20.0.11", "9464", "10.20.0.50"]);
    wait_for("the last knock", Duration::from_secs(10), || seen(&net, "in").contains("rschool.tcp.9464").then_some(()));
    assert_eq!(seen(&net, "in"), set(&["rcamera.udp.123", "rschool.tcp.9464"]));
    assert_eq!(seen(&net, "v6"), set(&[]));
    assert_eq!(seen(&net, "passed"), set(&[]));
    forget(&net);
    forged(&net);
    knock(&net, "camera", &["bind", "fd00:21::2", "123"]);
    wait_for("the last knock", Duration::from_secs(10), || (!seen(&net, "v6").is_empty()).then_some(()));
    assert_eq!(seen(&net, "in"), set(&[]), "IPv4 from a forged address");

    // The recorder speaks to cameras, and they answer.
    let answers = "import socket\ns = socket.create_server(('10.20.1.11', 554))\nprint('there', flush=True)\nc, _ = s.accept()\nc.sendall(b'RTSP/1.0 200 OK')\n";
    let mut camera = net.command("camera", &["python3", "-c", answers]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(camera.stdout.as_mut().unwrap()), &mut line).unwrap();
    let asks = "import socket\nprint(socket.create_connection(('10.20.1.11', 554), 10).recv(99).decode())";
    assert_eq!(net.run("recorder", &["python3", "-c", asks]).trim(), "RTSP/1.0 200 OK");
    assert!(camera.wait().unwrap().success());

    // Without our table the way through is open: the kernel does as it was told.
    net.run("recorder", &["nft", "delete", "table", "inet", "custodian"]);
    through(&net);
    wait_for("the way through", Duration::from_secs(10), || {
        (seen(&net, "passed") == set(&["rcamera.53", "rschool.554"])).then_some(())
    });
}

/// Every shape of what a site can open is understood, and so is what rescue mode adds.
#[test]
fn nft_understands_what_is_generated() {
    if !Net::possible() {
        return;
    }
    let net = Net::new(&["alone"]);
    let base = fs::read_to_string(policy("custodian/firewall.nft")).unwrap();
    net.feed("alone", &["nft", "-f", "-"], &base);
    for listen in ["127.0.0.1:9464", "10.1.2.3:9464", "0.0.0.0:9464", "[::]:9464", "[fd00::3]:9464"] {
        let rules = generated(&SITE.replace("0.0.0.0:9464", listen));
        assert_eq!(rules.contains("# health.pull"), !listen.starts_with("127."), "{rules}");
        net.feed("alone", &["nft", "-c", "-f", "-"], &rules);
        // Twice: what was there is replaced.
        net.feed("alone", &["nft", "-f", "-"], &rules);
        net.feed("alone", &["nft", "-f", "-"], &rules);
    }
    net.run("alone", &["nft", "-f", policy("custodian/firewall-rescue.nft").to_str().unwrap()]);
    let open = net.run("alone", &["nft", "list", "set", "inet", "custodian", "served"]);
    assert!(open.contains("80"), "{open}");
    // The file that the unit loads takes apply's where there is one, and is content where there is none.
    let dir = tempfile::tempdir().unwrap();
    let wrapper = fs::read_to_string(policy("custodian/firewall-site.nft")).unwrap();
    let at = format!("{}/firewall*.nft", dir.path().display());
    let wrapper = wrapper.replace("/run/systemd/custodian/firewall*.nft", &at);
    assert!(wrapper.contains(&at));
    net.feed("alone", &["nft", "-f", "-"], &wrapper);
    fs::write(dir.path().join("firewall.nft"), generated(SITE)).unwrap();
    net.feed("alone", &["nft", "-f", "-"], &wrapper);
    let open = net.run("alone", &["nft", "list", "set", "inet", "custodian", "served"]);
    assert!(open.contains("{ 9464 }"), "{open}");
}

/// The units that load it: before any link is up, and nothing is up without it.
#[test]
fn there_is_no_network_without_the_packet_filter() {
    let dir = tempfile::tempdir().unwrap();
    let units = ["custodian-firewall", "custodian-firewall-site", "custodian-firewall-rescue"].map(|name| {
        let name = format!("{name}.service");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/units").join(&name)).unwrap();
        let at = dir.path().join(name);
        fs::write(&at, text.replace("/usr/sbin/nft", "/bin/true")).unwrap();
        at
    });
    if let Ok(out) =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units).env("LC_ALL", "C").output()
    {
        assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).trim()), (Some(0), ""));
    }
    let unit =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/units/custodian-firewall.service"))
            .unwrap();
    assert!(unit.contains("\nBefore=network-pre.target systemd-networkd.service\n") && !unit.contains("\nExecStop="));
    let networkd = fs::read_to_string(policy("systemd/system/systemd-networkd.service.d/custodian.conf")).unwrap();
    assert!(networkd.contains("\nRequires=custodian-firewall.service\nAfter=custodian-firewall.service\n"));
}
