//! A recorder between two networks, on a machine with the image's own networkd, nftables and chrony: what a site says of its wires comes into
//! force, at each start and on a change, and is taken back.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Appliance, current, modules};
use crate::support::{
    container::{Machine, wired_possible},
    netns::Net,
    own::OwnCameras,
    wait_for,
};

/// The policy as it lies in the image, but for masks, and what a container cannot do.
fn policy() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/system");
    let wanted = [
        "usr/lib/custodian/firewall.nft",
        "usr/lib/custodian/firewall-site.nft",
        "usr/lib/custodian/usb.rules",
        "usr/lib/systemd/network/80-custodian.network",
        "usr/lib/systemd/networkd.conf.d/custodian.conf",
        "usr/lib/systemd/resolved.conf.d/custodian.conf",
        "usr/lib/systemd/system/systemd-networkd.service.d/custodian.conf",
        "usr/lib/systemd/system/chrony.service.d/custodian.conf",
        "usr/lib/systemd/system/usbguard.service.d/custodian.conf",
        "usr/lib/tmpfiles.d/custodian-system.conf",
        "etc/chrony/chrony.conf",
    ];
    let mut binds: Vec<_> = wanted.iter().map(|path| (root.join(path), format!("/{path}"))).collect();
    for unit in ["custodian-firewall.service", "custodian-firewall-site.service"] {
        binds.push((modules().join(unit), format!("/etc/systemd/system/{unit}")));
    }
    binds
}

struct Wired {
    appliance: Appliance,
    /// Whether this kernel knows VLANs: then the cameras are in one.
    vlan: bool,
}

impl Wired {
    fn new(cameras: &OwnCameras) -> Self {
        let appliance = Appliance::new(cameras);
        for unit in ["systemd-networkd.service", "chrony.service"] {
            symlink(format!("/usr/lib/systemd/system/{unit}"), appliance.path("wants").join(unit)).unwrap();
        }
        let site = "custodian-firewall-site.service";
        symlink(format!("../{site}"), appliance.path("wants").join(site)).unwrap();
        // This machine's clock is not the container's to set. The image has no /etc/default.
        let clock = "[Unit]\nConditionCapability=\n[Service]\nEnvironmentFile=\nExecStart=\nExecStart=!/usr/sbin/chronyd -x $DAEMON_OPTS\n";
        fs::write(appliance.path("chrony.conf"), clock).unwrap();
        let net = Net::new(&["probe"]);
        let probe = ["ip", "link", "add", "link", "lo", "name", "probe", "type", "vlan", "id", "1"];
        let vlan = net.command("probe", &probe).output().unwrap().status.success();
        Self { appliance, vlan }
    }

    /// The recorder's link on the cameras' side.
    fn cameras(&self) -> &'static str {
        if self.vlan { "cameras20" } else { "cucam" }
    }

    /// Boots it with new wires: what the kernel knew of them before is gone with the power.
    fn boot(&self) -> (Machine, Net) {
        self.boot_with(policy())
    }

    fn boot_with(&self, mut more: Vec<(PathBuf, String)>) -> (Machine, Net) {
        let net = Net::new(&["recorder", "school", "camera"]);
        net.lay("recorder", "cuschool", ("school", "eth0"));
        net.lay("recorder", "cucam", ("camera", "eth0"));
        net.run("school", &["ip", "address", "add", "10.20.0.50/24", "dev", "eth0"]);
        let mut link = "eth0";
        if self.vlan {
            link = "v20";
            net.run("camera", &["ip", "link", "add", "link", "eth0", "name", link, "type", "vlan", "id", "20"]);
            net.run("camera", &["ip", "link", "set", link, "up"]);
        }
        net.run("camera", &["ip", "address", "add", "10.20.1.11/24", "dev", link]);
        more.push((self.appliance.path("chrony.conf"), "/etc/systemd/system/chrony.service.d/test.conf".into()));
        let binds = self.appliance.binds(&more);
        let binds: Vec<(PathBuf, &str)> = binds.iter().map(|(here, there)| (here.clone(), there.as_str())).collect();
        (Machine::boot_wired(self.appliance.dir.path(), &binds, &net.name("recorder")), net)
    }

    /// The site, with the recorder's own address on the school's side.
    fn site(&self, school: &str, cameras: &[(&str, &str)]) {
        self.appliance.site(cameras);
        let path = self.appliance.path("etc/site.toml");
        let vlan = if self.vlan { "vlan = 20, " } else { "" };
        let network = format!(
            "[recorder.a.network]\nschool = {{ link = \"cuschool\", address = \"{school}\", gateway = \"10.20.0.50\" }}\n\
             cameras = {{ link = \"cucam\", {vlan}address = \"10.20.1.2/24\" }}\nntp = [\"10.20.0.50\"]\n\
             [health.pull]\nlisten = \"0.0.0.0:9464\"\ntoken_secret = \"pull\"\n"
        );
        let text = [fs::read_to_string(&path).unwrap(), network].concat();
        fs::write(path, text).unwrap();
        let secrets = self.appliance.path("etc/secrets.toml");
        let text = fs::read_to_string(&secrets).unwrap() + "[secrets]\npull = \"0123456789abcdef\"\n";
        fs::write(secrets, text).unwrap();
    }
}

/// What the time service answers on that side.
fn time(net: &Net, machine: &str, server: &str) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/sntp.py");
    let out = net.command(machine, &["python3", script.to_str().unwrap(), server]).output().unwrap();
    out.status.success().then(|| String::from_utf8(out.stdout).unwrap().trim().to_owned())
}

/// Addresses of version 4 and the group of a link, if it is up.
fn link(machine: &Machine, name: &str) -> Option<(Vec<String>, u64)> {
    let said = machine.try_run(&["ip", "-details", "-json", "address", "show", "dev", name, "up"]);
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).ok()?;
    let link = said.as_array()?.iter().find(|l| l["ifname"] == name)?;
    let addresses = link["addr_info"].as_array()?.iter().filter(|a| a["family"] == "inet");
    let addresses = addresses.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"])).collect();
    let group = link["group"].as_str()?.parse().unwrap_or(0);
    Some((addresses, group))
}

fn wait_for_link(machine: &Machine, name: &str, address: &[&str], group: u64) {
    let wanted = (address.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>(), group);
    wait_for(&format!("{name} to be {wanted:?}"), Duration::from_secs(20), || {
        (link(machine, name).as_ref() == Some(&wanted)).then_some(())
    });
}

/// Which run of a service this is, and how often it was told to take files up.
fn run_of(machine: &Machine, unit: &str) -> String {
    machine.run(&["systemctl", "show", "--property=InvocationID,ActiveState", unit])
}

#[test]
fn loop_a_machine_is_wired_as_its_site_says() {
    if !wired_possible() || !Net::possible() {
        return;
    }
    let cameras = OwnCameras::start(1);
    let wired = Wired::new(&cameras);
    let one = [("gate", "rtsp://10.20.1.11/1")];
    let (machine, net) = wired.boot();
    let filtered = machine.run(&["sh", "-c", "tr '\\0' ' ' < /proc/$(pidof -s chronyd)/cmdline"]);
    assert!(filtered.contains(" -F 1 "), "{filtered}");
    let served = |machine: &Machine| machine.run(&["nft", "list", "set", "inet", "custodian", "served"]);
    assert!(!served(&machine).contains("elements"), "nothing is open before there is a site");
    assert_eq!(time(&net, "camera", "10.20.1.2"), None);

    wired.site("10.20.0.11/24", &one);
    machine.run(&["custodian", "volume", "init", "v1"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    // Links without hardware are cards for plan while they are in use: an address of IPv6 is enough.
    for link in ["cuschool", "cucam"] {
        machine.run(&["ip", "link", "set", link, "up"]);
        let has_one = || !machine.run(&["ip", "-6", "-brief", "address", "show", "dev", link]).is_empty();
        wait_for("an address of its own", Duration::from_secs(20), || has_one().then_some(()));
    }
    machine.run(&["custodian", "apply"]);
    wait_for_link(&machine, "cuschool", &["10.20.0.11/24"], 551);
    wait_for_link(&machine, wired.cameras(), &["10.20.1.2/24"], 552);
    if wired.vlan {
        wait_for_link(&machine, "cucam", &[], 0);
    }
    assert!(served(&machine).contains("9464"));
    let route = machine.run(&["ip", "route", "show", "default"]);
    assert!(route.contains("via 10.20.0.50 dev cuschool"), "{route}");

    // The cameras have the time though no server answers the recorder; the school's side does not, by two locks.
    wait_for("the time", Duration::from_secs(20), || time(&net, "camera", "10.20.1.2").filter(|t| t == "10 0"));
    assert_eq!(time(&net, "school", "10.20.0.11"), None);
    machine.run(&["nft", "add", "rule", "inet", "custodian", "school", "accept"]);
    machine.run(&["nft", "insert", "rule", "inet", "custodian", "school", "accept"]);
    assert_eq!(time(&net, "school", "10.20.0.11"), None, "chrony serves the cameras' net alone");
    machine.run(&["systemctl", "restart", "custodian-firewall.service"]);
    wait_for("what the site opens to be loaded again", Duration::from_secs(20), || {
        let up = |unit: &str| run_of(&machine, unit).contains("ActiveState=active\n");
        (served(&machine).contains("9464") && up("systemd-networkd.service")).then_some(())
    });
    machine.run(&["usbguard-rule-parser", "-f", "/run/systemd/custodian/usb.rules"]);

    // Other cameras: nobody hears of it but the recorder.
    let services =
        ["systemd-networkd.service", "chrony.service", "custodian-firewall-site.service", "custodian-firewall.service"];
    let before = services.map(|unit| run_of(&machine, unit));
    wired.site("10.20.0.11/24", &[one[0], ("yard", "rtsp://10.20.1.12/1")]);
    let said = machine.run(&["custodian", "apply"]);
    assert!(!said.contains("networkd") && !said.contains("chronyd"), "{said}");
    assert_eq!(services.map(|unit| run_of(&machine, unit)), before);

    // Another address on the school's side, on trial: the cameras' side does not notice, and nobody confirms.
    let watch = "ip monitor address link > /tmp/monitor 2>&1 & echo $! > /tmp/monitor.pid";
    machine.run(&["sh", "-c", watch]);
    wired.site("10.20.0.12/24", &[one[0], ("yard", "rtsp://10.20.1.12/1")]);
    machine.run(&["custodian", "apply", "--try", "30s"]);
    wait_for_link(&machine, "cuschool", &["10.20.0.12/24"], 551);
    assert_eq!(current(&machine), "3");
    wait_for("the trial to end by itself", Duration::from_mins(1), || (current(&machine) == "2").then_some(()));
    wait_for_link(&machine, "cuschool", &["10.20.0.11/24"], 551);
    machine.run(&["sh", "-c", "kill $(cat /tmp/monitor.pid)"]);
    let monitor = machine.run(&["cat", "/tmp/monitor"]);
    assert!(monitor.contains("10.20.0.12/24"), "{monitor}");
    assert!(!monitor.contains(wired.cameras()) && !monitor.contains("10.20.1.2"), "{monitor}");
    assert_eq!(time(&net, "camera", "10.20.1.2").as_deref(), Some("10 0"));
    machine.cut();

    // After a power cut it is wired so from the first packet on: by files that were there before networkd was.
    drop(net);
    let (machine, net) = wired.boot();
    wait_for_link(&machine, "cuschool", &["10.20.0.11/24"], 551);
    wait_for_link(&machine, wired.cameras(), &["10.20.1.2/24"], 552);
    wait_for("the time", Duration::from_secs(20), || time(&net, "camera", "10.20.1.2").filter(|t| t == "10 0"));
    assert!(served(&machine).contains("9464"));
    let journal = machine.run(&["journalctl", "--no-pager", "-u", "systemd-networkd.service"]);
    assert!(!journal.contains("DHCP"), "{journal}");
    let journal = machine.run(&["journalctl", "--no-pager", "--boot"]);
    assert!(!journal.contains("ordering cycle"), "{journal}");
    machine.cut();

    // A packet filter that does not load: no network, and what is not there says so.
    drop(net);
    let broken = wired.appliance.path("firewall.nft");
    fs::write(&broken, "table inet custodian { chain input { type filter hook nowhere; } }\n").unwrap();
    let mut policy = policy();
    policy.iter_mut().find(|(_, at)| at.ends_with("/firewall.nft")).unwrap().0 = broken;
    let (machine, _net) = wired.boot_with(policy);
    for (unit, state) in [("systemd-networkd.service", "inactive"), ("custodian-firewall.service", "failed")] {
        let said = machine.try_run(&["systemctl", "is-active", unit]).stdout;
        assert_eq!(String::from_utf8_lossy(&said).trim(), state, "{unit}");
    }
    assert_eq!(link(&machine, "cuschool"), None);
    machine.cut();
}
