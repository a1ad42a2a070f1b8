//! A short proof that the parts of two inventories on which plans rest are the same.

use sha2::{Digest as _, Sha256};

use super::{Content, Disk, Inventory};

impl Inventory {
    /// SHA-256, hexadecimal, over the disks' identities, sizes and states. Names that change with the order of
    /// starting, temperatures, free space, what is mounted, and footage coming in do not change it.
    pub fn fingerprint(&self) -> String {
        let mut lines: Vec<String> = self.disks.iter().map(line).collect();
        lines.sort_unstable();
        let mut hash = Sha256::new();
        hash.update(b"custodian inventory 1\n");
        for line in lines {
            hash.update(line.as_bytes());
        }
        hash.finalize().iter().fold(String::with_capacity(64), |text, b| text + &format!("{b:02x}"))
    }
}

fn line(d: &Disk) -> String {
    let content = match &d.content {
        Content::Empty => serde_json::json!(["empty"]),
        Content::Ours(v) => serde_json::json!(["ours", v.site, v.volume, v.encrypted]),
        // What exactly a foreign disk holds is nothing that a plan rests on: it leaves it alone.
        Content::Foreign { .. } => serde_json::json!(["foreign"]),
        Content::Unknown { .. } => serde_json::json!(["unknown"]),
    };
    let facts =
        serde_json::json!([d.by_id, d.serial, d.wwn, d.size, d.removable, d.read_only, d.system, d.transport, content]);
    format!("{facts}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inventory::{OurVolume, Smart},
        types::{ByteSize, WallNs},
    };

    fn disk(name: &str) -> Disk {
        Disk {
            name: name.to_owned(),
            by_id: vec![format!("ata-{name}")],
            serial: Some("1".to_owned()),
            wwn: None,
            model: None,
            size: ByteSize(1000),
            transport: None,
            removable: false,
            read_only: false,
            system: false,
            content: Content::Ours(OurVolume {
                site: "s".to_owned(),
                volume: "a1".parse().unwrap(),
                id: None,
                encrypted: true,
                device: "/dev/sda1".into(),
                mounted: None,
                newest: None,
            }),
            smart: None,
        }
    }

    #[test]
    fn what_a_plan_rests_on_and_nothing_else() {
        let base = Inventory { disks: vec![disk("sda"), disk("sdb")], ..Inventory::default() };
        let with = |change: fn(&mut Inventory)| {
            let mut other = base.clone();
            change(&mut other);
            other.fingerprint() == base.fingerprint()
        };
        assert_eq!(base.fingerprint().len(), 64);
        assert!(with(|i| i.disks.reverse()));
        assert!(with(|i| i.disks[0].name = "sdc".to_owned()));
        assert!(with(|i| i.host = "other".to_owned()));
        assert!(with(
            |i| i.disks[0].smart = Some(Smart { passed: None, temperature: Some(40), hours: None, bad_sectors: None })
        ));
        assert!(with(|i| {
            let Content::Ours(v) = &mut i.disks[0].content else { return };
            v.newest = Some(WallNs(5));
            v.mounted = Some("/x".into());
        }));
        assert!(!with(|i| i.disks[0].size = ByteSize(1001)));
        assert!(!with(|i| i.disks[0].serial = None));
        assert!(!with(|i| i.disks[0].content = Content::Empty));
        assert!(!with(|i| i.disks[0].read_only = true));
        assert!(!with(|i| i.disks.truncate(1)));
        assert!(!with(|i| {
            let Content::Ours(v) = &mut i.disks[0].content else { return };
            v.site = "other".to_owned();
        }));
    }
}
