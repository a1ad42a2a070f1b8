//! Gathers what a technician gets to see, see [`crate::health::diagnose`].

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{
    health::{
        diagnose::{self, Section},
        mask::Mask,
    },
    inventory::{Content, Inventory},
    site::{Secrets, Site},
    sys::Commands,
    types::{
        CameraId,
        wire::{self, health::Report},
    },
};

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The newest lines of the journal that are looked at.
const LINES: usize = 5000;
/// The journal's text is cut to so many characters, the newest.
const LONGEST: usize = 2 << 20;

/// How the names of units begin that are ours or the system's.
const OWN: [&str; 3] = ["custodian", "var-lib-custodian", "systemd-"];

/// What is known. What is not is told as such.
pub struct Known<'a> {
    /// The site in force.
    pub site: Option<&'a Site>,
    /// Whatever secrets can be read here: to be taken out.
    pub secrets: Option<&'a Secrets>,
    /// The cameras' opaque numbers.
    pub numbers: &'a BTreeMap<CameraId, u32>,
    /// How it is.
    pub report: Option<&'a Report>,
    /// What the recorder says.
    pub status: Option<&'a wire::Status>,
    /// What it says of retention.
    pub retention: Option<&'a wire::Retention>,
    /// What the machine has.
    pub inventory: Option<&'a Inventory>,
}

/// The mask for what is known.
pub fn mask(known: &Known<'_>, host: &str) -> Mask {
    let mut mask = Mask::new(known.site, known.secrets, known.numbers).and(host, "<host>");
    for disk in known.inventory.into_iter().flat_map(|i| &i.disks) {
        for name in disk.serial.iter().chain(&disk.wwn).chain(&disk.by_id) {
            mask = mask.and(name, &format!("<disk {}>", disk.name));
        }
    }
    mask
}

/// All sections.
pub fn sections(known: &Known<'_>, commands: &dyn Commands, host: &str, hours: u32) -> Vec<Section> {
    let mask = mask(known, host);
    let mut all = vec![versions(known, commands)];
    all.extend(known.report.map(diagnose::health));
    all.extend(known.site.map(|site| diagnose::site(site, known.numbers)));
    all.extend(known.status.map(|status| diagnose::recorder(status, known.retention, known.numbers, &mask)));
    all.extend(known.inventory.map(|inventory| machine(inventory, &mask)));
    all.push(Section::masked("units", &units(commands), &mask));
    all.push(journal(commands, &mask, hours, LINES));
    all
}

/// Which programs run here.
pub fn versions(known: &Known<'_>, commands: &dyn Commands) -> Section {
    let said = |program: &str, args: &[&str]| {
        let out = commands.run(program, args, b"", LIMIT).ok().filter(crate::sys::Output::ok)?;
        Some(String::from_utf8_lossy(&out.stdout).lines().next().unwrap_or_default().trim().to_owned())
    };
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Section::of(
        "versions",
        &json!({
            "custodian": env!("CARGO_PKG_VERSION"),
            "recorder": known.status.map(|s| &s.version),
            "system": system.map(|name| name.trim_matches('"')),
            "kernel": said("uname", &["-srvm"]),
            "systemd": said("systemctl", &["--version"]),
            "generation": known.report.and_then(|r| r.generation.as_ref()),
        }),
    )
}

/// The machine: disks without serial numbers, links without addresses.
fn machine(inventory: &Inventory, mask: &Mask) -> Section {
    let content = |content: &Content| match content {
        Content::Empty => json!("empty"),
        Content::Ours(ours) => json!({ "volume": ours.volume, "encrypted": ours.encrypted, "newest": ours.newest }),
        // Names of other file systems are somebody's.
        Content::Foreign { .. } => json!("foreign"),
        Content::Unknown { why } => json!({ "unknown": mask.apply(why) }),
    };
    let disks = inventory.disks.iter().map(|d| {
        json!({
            "name": d.name, "model": d.model.as_ref().map(|m| mask.apply(m)), "size": d.size, "transport": d.transport,
            "removable": d.removable, "read_only": d.read_only, "system": d.system, "content": content(&d.content), "smart": d.smart,
        })
    });
    let mounts = inventory.mounts.iter().map(|m| {
        json!({ "at": mask.apply(&m.at.display().to_string()), "kind": m.kind, "read_only": m.read_only, "size": m.size, "free": m.free })
    });
    let links = inventory
        .links
        .iter()
        .map(|l| json!({ "name": link(&l.name), "up": l.up, "speed": l.speed, "addresses": l.addresses.len() }));
    let problems = inventory.problems.iter().map(|p| mask.apply(p));
    Section::of(
        "machine",
        &json!({
            "disks": disks.collect::<Vec<Value>>(), "mounts": mounts.collect::<Vec<Value>>(),
            "links": links.collect::<Vec<Value>>(), "problems": problems.collect::<Vec<String>>(),
        }),
    )
}

/// Some links are named by their address: `enx` and twelve digits.
fn link(name: &str) -> String {
    let is_address = |rest: &str| rest.len() == 12 && rest.chars().all(|c| c.is_ascii_hexdigit());
    let kind = name.get(..name.len().saturating_sub(12)).filter(|kind| kind.ends_with('x'));
    kind.filter(|kind| is_address(&name[kind.len()..])).map_or_else(|| name.to_owned(), |kind| format!("{kind}<mac>"))
}

/// What a program says, or why it does not.
fn output(commands: &dyn Commands, program: &str, args: &[&str]) -> String {
    match commands.run(program, args, b"", LIMIT) {
        Ok(out) if out.ok() => String::from_utf8_lossy(&out.stdout).into_owned(),
        Ok(out) => format!("{program}: exit code {:?}: {}\n", out.code, out.stderr),
        Err(e) => format!("{program}: {e}\n"),
    }
}

fn units(commands: &dyn Commands) -> String {
    let list = ["list-units", "--all", "--no-pager", "--no-legend", "--plain", "--full"];
    let mut text = output(commands, "systemctl", &[&list[..], &["custodian-*", "var-lib-custodian-*"]].concat());
    let failed = output(commands, "systemctl", &[&list[..], &["--failed"]].concat());
    // Another one's name may say whose it is.
    let (known, others): (Vec<&str>, Vec<&str>) =
        failed.lines().partition(|line| OWN.iter().chain(&["systemctl"]).any(|known| line.starts_with(known)));
    let _ = writeln!(text, "-- failed --\n{}", known.join("\n"));
    if !others.is_empty() {
        let _ = writeln!(text, "{} others: systemctl --failed names them", others.len());
    }
    text
}

/// The journal of our own services and the kernel's warnings, without names.
pub fn journal(commands: &dyn Commands, mask: &Mask, hours: u32, lines: usize) -> Section {
    let since = format!("-{hours}h");
    let count = lines.min(LINES).to_string();
    let common =
        ["--no-pager", "--quiet", "--output=short-iso", "--utc", "--no-hostname", "--since", &since, "--lines", &count];
    let ours = output(commands, "journalctl", &[&common[..], &["--unit", "custodian-*"]].concat());
    let kernel = output(commands, "journalctl", &[&common[..], &["--dmesg", "--priority", "warning"]].concat());
    let text = format!("{}-- kernel --\n{}", newest(&ours), newest(&kernel));
    Section::masked("journal", &text, mask)
}

/// The last [`LONGEST`] characters, from the beginning of a line.
fn newest(text: &str) -> String {
    let over = text.chars().count().saturating_sub(LONGEST);
    if over == 0 {
        return if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    }
    let cut: String = text.chars().skip(over).collect();
    cut.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sys::{FakeCommands, Output};

    fn site() -> Site {
        let text = r#"
[site]
name = "Trường A"
timezone = "Asia/Ho_Chi_Minh"
[area.san]
name = "Sân"
kind = "public"
[recorder.a]
[[recorder.a.volume]]
name = "a-1"
disk = "ata-MODEL_SERIAL7"
size = "12 TB"
[camera.cong]
name = "Cổng chính"
area = "san"
recorder = "a"
main = "rtsp://10.0.0.1/1"
credentials = "viewer"
[camera.cong.register]
model = "Maker X"
"#;
        let text = text.replace("[camera.cong.register]\nmodel", "model");
        crate::site::parse(&text, "site.toml").unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn what_leaves_has_no_name_address_or_secret() {
        let site = site();
        let secrets = "[credentials.viewer]\nusername = \"operator\"\npassword = \"geheim\"\n";
        let secrets = crate::site::secrets::parse(secrets, "secrets.toml").unwrap();
        let commands = FakeCommands::new(|program: &str, args: &[&str]| {
            let said = match program {
                "journalctl" if args.contains(&"--dmesg") => {
                    "2026-11-26T01:00:00+0000 kernel: SERIAL7 at 10.0.0.9 fails\n"
                }
                "journalctl" => {
                    "2026-11-26T01:00:00+0000 custodian[1]: camera cong: operator:geheim@10.0.0.1 refused\n\
                     2026-11-26T01:00:01+0000 custodian[1]: Cổng chính is back on schule-pc\n"
                }
                "systemctl" if args.contains(&"--failed") => {
                    "openvpn@so-3.service loaded failed failed x\nsystemd-udevd.service loaded failed failed x\n"
                }
                "systemctl" => "custodian-record.service loaded active running custodian: records\n",
                "uname" => "Linux 6.12 x86_64\n",
                _ => return Err(io::Error::new(io::ErrorKind::NotFound, "no such program")),
            };
            Ok(Output { code: Some(0), stdout: said.as_bytes().to_vec(), stderr: String::new() })
        });
        let numbers = BTreeMap::from([("cong".parse().unwrap(), 7)]);
        let inventory = Inventory {
            host: "schule-pc".into(),
            disks: vec![crate::inventory::Disk {
                name: "sda".into(),
                by_id: vec!["ata-MODEL_SERIAL7".into()],
                serial: Some("SERIAL7".into()),
                wwn: None,
                model: Some("MODEL".into()),
                size: crate::types::ByteSize(12_000_000_000_000),
                transport: Some("sata".into()),
                removable: false,
                read_only: false,
                system: false,
                content: Content::Foreign { found: vec!["ntfs \"Hanh private\"".into()] },
                smart: None,
            }],
            links: vec![crate::inventory::Link {
                name: "enp1s0".into(),
                mac: Some("00:11:22:33:44:55".into()),
                up: Some(true),
                addresses: vec!["10.0.0.5/24".into()],
                speed: Some(1000),
            }],
            ..Inventory::default()
        };
        let known = Known {
            site: Some(&site),
            secrets: Some(&secrets),
            numbers: &numbers,
            report: None,
            status: None,
            retention: None,
            inventory: Some(&inventory),
        };
        let all = diagnose::text("custodian", &sections(&known, &commands, "schule-pc", 24));
        for leak in [
            "cong",
            "Cổng",
            "operator",
            "geheim",
            "10.0.0",
            "schule-pc",
            "SERIAL7",
            "Hanh",
            "00:11",
            "Trường",
            "Sân",
            "rtsp://10",
            "so-3",
        ] {
            assert!(!all.contains(leak), "{leak} in\n{all}");
        }
        for kept in [
            "camera <camera 7>: <secret>:<secret>@<address> refused",
            "\"model\": \"Maker X\"",
            "\"number\": 7",
            "custodian-record.service loaded",
            "systemd-udevd.service loaded",
            "1 others",
            "Linux 6.12",
            "MODEL",
        ] {
            assert!(all.contains(kept), "{kept} in\n{all}");
        }
    }

    #[test]
    fn what_a_program_does_not_say_is_said() {
        let none = FakeCommands::new(|_: &str, _: &[&str]| Err(io::Error::new(io::ErrorKind::NotFound, "not here")));
        let section = journal(&none, &Mask::default(), 24, 10);
        assert_eq!(section.text, "journalctl: not here\n-- kernel --\njournalctl: not here\n");
        let asked = none.asked().join("\n");
        assert!(asked.contains("--lines 10") && asked.contains("--since -24h"), "{asked}");
    }

    #[test]
    fn a_link_that_is_named_by_its_address_is_not_told_by_it() {
        assert_eq!((link("enx001b44113ab7").as_str(), link("wlx001B44113AB7").as_str()), ("enx<mac>", "wlx<mac>"));
        assert_eq!((link("enp1s0").as_str(), link("éx").as_str()), ("enp1s0", "éx"));
    }

    #[test]
    fn of_much_the_newest_is_kept() {
        let text = format!("{}\nnewest\n", "x".repeat(LONGEST));
        assert_eq!(newest(&text), "newest\n");
        assert_eq!(newest("a"), "a\n");
    }
}
