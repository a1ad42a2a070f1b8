//! `custodian inventory`: what the machine has.

use std::{path::PathBuf, process::ExitCode};

use jiff::tz::TimeZone;

use super::{
    check::site_file,
    chosen,
    table::{self, Cell, Mood, Table},
    time::Shown,
};
use crate::{
    inventory::{self, Content, Disk, Inventory, NOT_ROOT, Roots, Smart},
    lang::t,
    services::paths,
    site,
    sys::RealCommands,
    types::{Lang, WallNs},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    json: bool,
}

/// The site's language and zone, where there is a site; else the environment's language and UTC.
pub(super) fn manners(flag: Option<Lang>, site: Option<&site::Site>) -> (Lang, Shown) {
    let zone = site.map_or(TimeZone::UTC, |s| s.timezone().clone());
    (chosen(flag, site.map(site::Site::language)), Shown::new(zone))
}

pub(super) fn run(args: &Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let site = site::load(&site_file(None)).ok();
    let (lang, shown) = manners(flag, site.as_ref());
    let roots = Roots::new(&args.state, paths::VOLUMES.as_ref());
    let found = inventory::probe(&RealCommands, &roots);
    let text = if args.json {
        let mut json = serde_json::to_value(&found)?;
        json["fingerprint"] = found.fingerprint().into();
        serde_json::to_string_pretty(&json)? + "\n"
    } else {
        as_text(&found, &shown, lang, table::coloured())
    };
    table::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(found: &Inventory, shown: &Shown, lang: Lang, colour: bool) -> String {
    let mut text = t(lang, "inventory.head", &[("host", &found.host), ("zone", shown.zone())]) + "\n";
    let named = names(&found.disks, lang);
    for table in [disks(&found.disks, shown, lang), named, mounts(found, lang), units(found, lang), links(found, lang)]
    {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table.render(colour));
        }
    }
    if found.disks.is_empty() {
        text.push_str(&t(lang, "inventory.no_disks", &[]));
        text.push('\n');
    }
    for problem in &found.problems {
        text.push('\n');
        text.push_str(&t(lang, "inventory.problem", &[("problem", problem)]));
    }
    text.trim_end().to_owned() + "\n"
}

fn or_dash(text: Option<&str>) -> Cell {
    text.unwrap_or("–").into()
}

fn disks(disks: &[Disk], shown: &Shown, lang: Lang) -> Table {
    let mut table = Table::default()
        .column(t(lang, "inventory.disk", &[]), false)
        .column(t(lang, "inventory.connection", &[]), false)
        .column(t(lang, "inventory.size", &[]), true)
        .column(t(lang, "inventory.model", &[]), false)
        .column(t(lang, "inventory.serial", &[]), false)
        .column(t(lang, "inventory.health", &[]), false)
        .column(t(lang, "inventory.content", &[]), false);
    for d in disks {
        let removable = d.removable.then(|| t(lang, "inventory.removable", &[]));
        let how: Vec<String> = d.transport.clone().into_iter().chain(removable).collect();
        table.row(vec![
            d.name.as_str().into(),
            how.join(&comma(lang)).into(),
            d.size.to_string().into(),
            or_dash(d.model.as_deref()),
            or_dash(d.serial.as_deref()),
            health(d.smart.as_ref(), lang),
            content(d, shown, lang),
        ]);
    }
    table
}

fn health(smart: Option<&Smart>, lang: Lang) -> Cell {
    let Some(smart) = smart else { return "–".into() };
    let verdict = match smart.passed {
        Some(true) => Some(t(lang, "inventory.passed", &[])),
        Some(false) => Some(t(lang, "inventory.failing", &[])),
        None => None,
    };
    let bad = smart.bad_sectors.filter(|n| *n > 0);
    let parts = [
        verdict,
        smart.temperature.map(|c| format!("{c} °C")),
        smart.hours.map(|h| format!("{h} h")),
        bad.map(|n| t(lang, "inventory.bad_sectors", &[("count", &n.to_string())])),
    ];
    let mood = match (smart.passed, bad) {
        (Some(false), _) => Mood::Bad,
        (_, Some(_)) => Mood::Warn,
        (Some(true), None) => Mood::Good,
        (None, None) => Mood::Plain,
    };
    Cell::new(parts.into_iter().flatten().collect::<Vec<_>>().join(&comma(lang)), mood)
}

/// What is on a disk, in words.
pub(super) fn content(disk: &Disk, shown: &Shown, lang: Lang) -> Cell {
    let (words, mood) = match &disk.content {
        Content::Empty => (t(lang, "inventory.empty", &[]), Mood::Plain),
        Content::Ours(v) => {
            let lock = if v.encrypted { "inventory.encrypted" } else { "inventory.plain" };
            let words = t(
                lang,
                "inventory.ours",
                &[("volume", v.volume.as_str()), ("site", &v.site), ("lock", &t(lang, lock, &[]))],
            );
            let at = v.mounted.as_ref().map(|at| at.display().to_string());
            let at = at.map(|at| t(lang, "inventory.mounted_at", &[("at", &at)]));
            let newest = v.newest.map(|at| newest(at, shown, lang));
            let words = [Some(words), at, newest].into_iter().flatten().collect::<Vec<_>>();
            (words.join(&comma(lang)), Mood::Good)
        }
        Content::Foreign { found } => (t(lang, "inventory.foreign", &[("found", &found.join(", "))]), Mood::Plain),
        Content::Unknown { why } if why == NOT_ROOT => (t(lang, "inventory.not_root", &[]), Mood::Warn),
        Content::Unknown { why } => (t(lang, "inventory.unknown", &[("why", why)]), Mood::Warn),
    };
    let words = if disk.system { t(lang, "inventory.system", &[("content", &words)]) } else { words };
    Cell::new(words, mood)
}

/// What stands between the parts of a list.
fn comma(lang: Lang) -> String {
    t(lang, "inventory.comma", &[])
}

/// How new the newest footage is.
pub(super) fn newest(at: WallNs, shown: &Shown, lang: Lang) -> String {
    t(lang, "inventory.newest", &[("time", &shown.second(at))])
}

/// The name that site.toml should use: the one with maker and serial number, else whatever there is.
pub(super) fn best_name(disk: &Disk) -> Option<&str> {
    let plain = disk.by_id.iter().find(|n| !n.starts_with("wwn-") && !n.starts_with("nvme-eui."));
    plain.or_else(|| disk.by_id.first()).map(String::as_str)
}

fn names(disks: &[Disk], lang: Lang) -> Table {
    let mut table =
        Table::default().column(t(lang, "inventory.disk", &[]), false).column(t(lang, "inventory.name", &[]), false);
    for (disk, name) in disks.iter().filter_map(|d| Some((d, best_name(d)?))) {
        table.row(vec![disk.name.as_str().into(), name.into()]);
    }
    table
}

fn mounts(found: &Inventory, lang: Lang) -> Table {
    let mut table = Table::default()
        .column(t(lang, "inventory.mount", &[]), false)
        .column(t(lang, "inventory.source", &[]), false)
        .column(t(lang, "inventory.kind", &[]), false)
        .column(t(lang, "inventory.size", &[]), true)
        .column(t(lang, "inventory.free", &[]), true)
        .column(String::new(), false);
    for m in &found.mounts {
        let note = if m.read_only { t(lang, "inventory.read_only", &[]) } else { String::new() };
        table.row(vec![
            m.at.display().to_string().into(),
            m.source.as_str().into(),
            m.kind.as_str().into(),
            m.size.to_string().into(),
            m.free.to_string().into(),
            note.into(),
        ]);
    }
    table
}

fn units(found: &Inventory, lang: Lang) -> Table {
    let mut table =
        Table::default().column(t(lang, "inventory.unit", &[]), false).column(t(lang, "inventory.state", &[]), false);
    for u in &found.units {
        let mood = match u.active.as_str() {
            "active" => Mood::Good,
            "failed" => Mood::Bad,
            _ => Mood::Plain,
        };
        table.row(vec![u.name.as_str().into(), Cell::new(format!("{} ({})", u.active, u.sub), mood)]);
    }
    table
}

fn links(found: &Inventory, lang: Lang) -> Table {
    let mut table = Table::default()
        .column(t(lang, "inventory.link", &[]), false)
        .column(t(lang, "inventory.state", &[]), false)
        .column(t(lang, "inventory.speed", &[]), true)
        .column(t(lang, "inventory.addresses", &[]), false)
        .column("MAC".to_owned(), false);
    for l in &found.links {
        let state = match l.up {
            Some(true) => Cell::new(t(lang, "inventory.up", &[]), Mood::Good),
            Some(false) => t(lang, "inventory.down", &[]).into(),
            None => "–".into(),
        };
        let speed = l.speed.map(|s| format!("{s} Mbit/s"));
        table.row(vec![
            l.name.as_str().into(),
            state,
            or_dash(speed.as_deref()),
            l.addresses.join(", ").into(),
            or_dash(l.mac.as_deref()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of which everything is known, and one of which little is.
    fn machine() -> Inventory {
        serde_json::from_value(serde_json::json!({
            "host": "recorder-a",
            "disks": [
                {"name": "nvme0n1", "by_id": ["nvme-eui.002538", "nvme-Samsung_SSD_980_S64D"], "serial": "S64D", "wwn": "eui.002538",
                 "model": "Samsung SSD 980", "size": 500_107_862_016_u64, "transport": "nvme", "removable": false,
                 "read_only": false, "system": true,
                 "content": {"state": "foreign", "found": ["gpt 500 GB (nvme0n1)", "ext4 500 GB (nvme0n1p2)"]}, "smart": null},
                {"name": "sda", "by_id": ["ata-WDC_WD120EFBX_5QJ0A1CD", "wwn-0x5000cca2"], "serial": "5QJ0A1CD", "wwn": "0x5000cca2",
                 "model": "WDC WD120EFBX", "size": 12_000_138_625_024_u64, "transport": "sata", "removable": false,
                 "read_only": false, "system": false,
                 "content": {"state": "ours", "site": "hoa-huong-duong", "volume": "a1", "id": null, "encrypted": true,
                             "device": "/dev/sda1", "mounted": "/var/lib/custodian/volumes/a1",
                             "newest": 1_795_336_198_000_000_000_i64},
                 "smart": {"passed": true, "temperature": 34, "hours": 1234, "bad_sectors": 8}},
                {"name": "sdb", "by_id": [], "serial": null, "wwn": null, "model": null, "size": 31_914_983_424_u64,
                 "transport": "usb", "removable": true, "read_only": false, "system": false,
                 "content": {"state": "unknown", "why": "not root"}, "smart": null},
                {"name": "sdc", "by_id": ["ata-ST8000"], "serial": "W1", "wwn": null, "model": "ST8000", "size": 8_001_563_222_016_u64,
                 "transport": "sata", "removable": false, "read_only": false, "system": false,
                 "content": {"state": "empty"},
                 "smart": {"passed": false, "temperature": null, "hours": null, "bad_sectors": 0}},
            ],
            "mounts": [{"at": "/", "source": "/dev/nvme0n1p2", "kind": "ext4", "read_only": true, "size": 1_000_000_000_u64, "free": 5_000_000}],
            "units": [{"name": "custodian-record.service", "active": "active", "sub": "running"}],
            "links": [{"name": "enp1s0", "mac": "02:fc:00:00:00:01", "up": true, "addresses": ["10.20.1.2/24"], "speed": 1000}],
            "problems": ["mounts cannot be listed: findmnt: no end after 20s"],
        }))
        .unwrap()
    }

    #[test]
    fn tables_for_people() {
        let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
        for lang in [Lang::En, Lang::Vi, Lang::Zh] {
            insta::assert_snapshot!(format!("inventory_{lang}"), as_text(&machine(), &shown, lang, false));
        }
    }
}
