//! What else the machine has: mounts, units, network links.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Link, Mount, Unit};
use crate::types::ByteSize;

/// findmnt's command line.
pub(super) const FINDMNT: [&str; 6] =
    ["--json", "--bytes", "--list", "--real", "--output", "TARGET,SOURCE,FSTYPE,OPTIONS,SIZE,AVAIL"];

#[derive(Deserialize)]
struct Found {
    filesystems: Vec<FoundMount>,
}

#[derive(Deserialize)]
struct FoundMount {
    target: String,
    source: Option<String>,
    fstype: Option<String>,
    options: Option<String>,
    size: Option<u64>,
    avail: Option<u64>,
}

/// What is mounted from block devices, from findmnt's JSON.
pub(super) fn mounts(json: &[u8]) -> serde_json::Result<Vec<Mount>> {
    let found: Found = serde_json::from_slice(json)?;
    let mut mounts: Vec<Mount> = found
        .filesystems
        .into_iter()
        .filter_map(|m| {
            let source = m.source.filter(|s| s.starts_with("/dev/"))?;
            let options = m.options.unwrap_or_default();
            Some(Mount {
                at: m.target.into(),
                source,
                kind: m.fstype.unwrap_or_default(),
                read_only: options.split(',').any(|o| o == "ro"),
                size: ByteSize(m.size.unwrap_or(0)),
                free: ByteSize(m.avail.unwrap_or(0)),
            })
        })
        .collect();
    mounts.sort_by(|a, b| a.at.cmp(&b.at));
    Ok(mounts)
}

/// systemctl's command line.
pub(super) const SYSTEMCTL: [&str; 5] = ["list-units", "--all", "--output=json", "custodian-*", "var-lib-custodian-*"];

#[derive(Deserialize)]
struct ListedUnit {
    unit: String,
    active: String,
    sub: String,
}

/// Units, from systemctl's JSON.
pub(super) fn units(json: &[u8]) -> serde_json::Result<Vec<Unit>> {
    let listed: Vec<ListedUnit> = serde_json::from_slice(json)?;
    let mut units: Vec<Unit> =
        listed.into_iter().map(|u| Unit { name: u.unit, active: u.active, sub: u.sub }).collect();
    units.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(units)
}

#[derive(Deserialize)]
struct ListedLink {
    ifname: String,
    #[serde(default)]
    addr_info: Vec<ListedAddress>,
}

#[derive(Deserialize)]
struct ListedAddress {
    local: String,
    prefixlen: u8,
}

/// The addresses of each link, from the JSON of `ip --json address`.
pub(super) fn addresses(json: &[u8]) -> serde_json::Result<BTreeMap<String, Vec<String>>> {
    let listed: Vec<ListedLink> = serde_json::from_slice(json)?;
    let of = |l: ListedLink| {
        let addresses = l.addr_info.iter().map(|a| format!("{}/{}", a.local, a.prefixlen)).collect();
        (l.ifname, addresses)
    };
    Ok(listed.into_iter().map(of).collect())
}

/// A link from the texts that the kernel has of it (`/sys/class/net/<name>/…`), each as `read` gives it.
pub(super) fn link(name: &str, read: impl Fn(&str) -> Option<String>, addresses: Vec<String>) -> Link {
    Link {
        name: name.to_owned(),
        mac: read("address").filter(|mac| mac.chars().any(|c| !matches!(c, '0' | ':'))),
        // Reading the carrier of a link that is switched off is an error: then it has none.
        up: read("operstate").map(|_| read("carrier").as_deref() == Some("1")),
        addresses,
        // -1 stands for "not known".
        speed: read("speed").and_then(|s| s.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_from_block_devices_only() {
        let json = br#"{"filesystems":[
            {"target":"/","source":"/dev/vda","fstype":"ext4","options":"rw,relatime","size":270553174016,"avail":72610680832},
            {"target":"/mnt","source":"/dev/sdb1[/sub]","fstype":"btrfs","options":"ro,relatime","size":null,"avail":null},
            {"target":"/net","source":"nas:/x","fstype":"nfs4","options":"rw"}]}"#;
        let found = mounts(json).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].kind.as_str(), found[0].read_only, found[0].free),
            ("ext4", false, ByteSize(72_610_680_832))
        );
        assert!(found[1].read_only);
        assert!(mounts(b"{").is_err());
    }

    #[test]
    fn units_and_links() {
        let json =
            br#"[{"unit":"custodian-web.service","load":"loaded","active":"active","sub":"running","description":"x"},
            {"unit":"custodian-record.service","load":"loaded","active":"failed","sub":"failed","description":"y"}]"#;
        let found = units(json).unwrap();
        assert_eq!((found[0].name.as_str(), found[0].active.as_str()), ("custodian-record.service", "failed"));
        let json = br#"[{"ifindex":4,"ifname":"eth0","address":"02:fc:00:00:00:01","addr_info":[
            {"family":"inet","local":"192.0.2.2","prefixlen":24},{"family":"inet6","local":"fd00::2","prefixlen":64}]}]"#;
        assert_eq!(addresses(json).unwrap()["eth0"], ["192.0.2.2/24", "fd00::2/64"]);
        let read = |name: &str| {
            let text = match name {
                "address" => "02:fc:00:00:00:01",
                "operstate" => "down",
                "speed" => "-1",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let link = link("eth0", read, Vec::new());
        assert_eq!((link.up, link.speed, link.mac.is_some()), (Some(false), None, true));
    }
}
