//! What lsblk says: block devices as a tree, from a disk down to whatever is built on it.

use serde::{Deserialize, Deserializer};

/// The columns that are asked for.
pub(super) const COLUMNS: &str = "NAME,KNAME,TYPE,SIZE,RO,RM,HOTPLUG,VENDOR,MODEL,SERIAL,WWN,TRAN,MOUNTPOINTS";

/// A block device and what is built on it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Block {
    /// For people; a mapping's own name.
    pub(super) name: String,
    /// The kernel's name.
    pub(super) kname: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(deserialize_with = "number")]
    pub(super) size: u64,
    #[serde(default, deserialize_with = "flag")]
    pub(super) ro: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) rm: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) hotplug: bool,
    #[serde(default, deserialize_with = "text")]
    pub(super) vendor: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) model: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) serial: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) wwn: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) tran: Option<String>,
    #[serde(default)]
    mountpoints: Vec<Option<String>>,
    #[serde(default)]
    pub(super) children: Vec<Block>,
}

impl Block {
    /// Where it is mounted itself; `[SWAP]` for swap.
    pub(super) fn mounted(&self) -> impl Iterator<Item = &str> {
        self.mountpoints.iter().flatten().map(String::as_str).filter(|at| !at.is_empty())
    }

    /// It and all that is built on it.
    pub(super) fn tree(&self) -> Vec<&Self> {
        let mut all = vec![self];
        all.extend(self.children.iter().flat_map(Self::tree));
        all
    }

    /// Its partitions.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(|c| c.kind == "part")
    }

    /// What is built on it or its partitions: mappings, RAID, LVM.
    pub(super) fn holders(&self) -> Vec<&Self> {
        self.tree().into_iter().skip(1).filter(|b| b.kind != "part").collect()
    }

    /// A disk, or something that is treated as one.
    pub(super) fn is_disk(&self) -> bool {
        // zram is memory, and mmcblk0boot0 is firmware's.
        let other = self.kname.starts_with("zram") || self.kname.contains("boot");
        matches!(self.kind.as_str(), "disk" | "loop") && self.size > 0 && !other
    }
}

#[derive(Deserialize)]
struct Answer {
    blockdevices: Vec<Block>,
}

/// Reads lsblk's JSON. What is built on a device comes in the order of names and numbers; lsblk has it as the kernel happens to list it, and
/// what is said of a disk must be the same each time.
pub(super) fn parse(json: &[u8]) -> serde_json::Result<Vec<Block>> {
    fn sort(blocks: &mut [Block]) {
        blocks.sort_by(|a, b| (a.kname.len(), &a.kname).cmp(&(b.kname.len(), &b.kname)));
        blocks.iter_mut().for_each(|block| sort(&mut block.children));
    }
    let mut all = serde_json::from_slice::<Answer>(json)?.blockdevices;
    all.iter_mut().for_each(|block| sort(&mut block.children));
    Ok(all)
}

/// lsblk has written numbers and flags as texts in some versions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Flag(bool),
    Number(u64),
    Text(String),
    Nothing(()),
}

fn number<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    match Loose::deserialize(d)? {
        Loose::Number(n) => Ok(n),
        Loose::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Loose::Flag(_) | Loose::Nothing(()) => Ok(0),
    }
}

fn flag<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(match Loose::deserialize(d)? {
        Loose::Flag(flag) => flag,
        Loose::Number(n) => n != 0,
        Loose::Text(text) => text == "1",
        Loose::Nothing(()) => false,
    })
}

fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(d)?;
    Ok(text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_come_in_the_order_of_their_numbers() {
        let part = |n: u8| format!(r#"{{"name":"sda{n}","kname":"sda{n}","type":"part","size":1}}"#);
        let parts = [10, 2, 1].map(part).join(",");
        let json = format!(
            r#"{{"blockdevices":[{{"name":"sda","kname":"sda","type":"disk","size":9,"children":[{parts}]}}]}}"#
        );
        let all = parse(json.as_bytes()).unwrap();
        let names: Vec<&str> = all[0].partitions().map(|p| p.kname.as_str()).collect();
        assert_eq!(names, ["sda1", "sda2", "sda10"]);
    }

    #[test]
    fn versions_differ_in_how_they_write_numbers() {
        let old = br#"{"blockdevices":[{"name":"sda","kname":"sda","type":"disk","size":"500","ro":"0","rm":"1","hotplug":true,
            "vendor":"ATA     ","model":null,"serial":"","mountpoints":[null,"/x"],
            "children":[{"name":"a","kname":"dm-0","type":"crypt","size":1,"ro":false,"rm":0,"hotplug":null}]}]}"#;
        let all = parse(old).unwrap();
        let disk = &all[0];
        assert_eq!((disk.size, disk.ro, disk.rm, disk.hotplug), (500, false, true, true));
        assert_eq!((disk.vendor.as_deref(), disk.serial.as_deref()), (Some("ATA"), None));
        assert_eq!(disk.mounted().collect::<Vec<_>>(), ["/x"]);
        assert_eq!(disk.holders()[0].name, "a");
        assert!(parse(b"{}").is_err());
        assert!(parse(b"").is_err());
    }
}
