//! From what the tools said to one of the three states. Pure. A doubt means unknown, and only what is proven is empty.

use std::path::PathBuf;

use serde::Deserialize;
use uuid::Uuid;

use super::{
    Content, OurVolume,
    blkid::{Look, Signature},
    label::{PARTITION_TYPE, SEAL, parse_label, subsystem},
    lsblk::Block,
    model::OF_OURS,
};
use crate::types::{ByteSize, VolumeName, WallNs};

/// What stands at both ends of a disk, where signatures and tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edges {
    /// Zeros only.
    Zero,
    /// Something.
    Data,
    /// They could not be read.
    Failed(String),
}

/// The parts of a volume's marker that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Marker {
    pub(super) site: String,
    pub(super) volume: VolumeName,
    pub(super) id: Uuid,
}

/// What was found where something of the disk is mounted.
#[derive(Debug, Clone)]
pub(super) struct Mounted {
    pub(super) at: PathBuf,
    /// The marker in its root, if there is one that can be read.
    pub(super) marker: Option<Marker>,
    pub(super) newest: Option<WallNs>,
}

/// All that was found out about a disk's content.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) disk: &'a Block,
    pub(super) whole: Look,
    /// Its partitions, as `disk.partitions()` gives them.
    pub(super) parts: Vec<Look>,
    pub(super) edges: Edges,
    pub(super) mounted: Vec<Mounted>,
}

impl Seen<'_> {
    /// Which state it is.
    pub(super) fn content(&self) -> Content {
        let mut looks = std::iter::once(&self.whole).chain(&self.parts);
        let failed = looks.find_map(|look| if let Look::Failed(why) = look { Some(why) } else { None });
        let failed = failed.or(if let Edges::Failed(why) = &self.edges { Some(why) } else { None });
        if let Some(why) = failed {
            return Content::Unknown { why: why.clone() };
        }
        if let Some(content) = self.by_partition().or_else(|| self.by_marker()) {
            return content;
        }
        let bare = self.disk.children.is_empty() && self.disk.mounted().next().is_none() && self.mounted.is_empty();
        if bare && self.whole == Look::Nothing && self.edges == Edges::Zero {
            return Content::Empty;
        }
        Content::Foreign { found: self.found() }
    }

    /// The disk's only partition, if it has one only and nothing beside it.
    fn only_partition(&self) -> Option<(&Block, &Signature)> {
        match (self.disk.children.as_slice(), self.parts.as_slice()) {
            ([part], [Look::Found(look)]) if part.kind == "part" => Some((part, look)),
            _ => None,
        }
    }

    /// A sealed partition of ours.
    fn by_partition(&self) -> Option<Content> {
        let (part, look) = self.only_partition().filter(|(_, look)| is_ours(look))?;
        let (volume, site) = whose(look)?;
        let encrypted = sealed(look, &volume, &site)?;
        let mut ours = OurVolume {
            site,
            volume,
            id: None,
            encrypted,
            device: PathBuf::from("/dev").join(&part.kname),
            mounted: None,
            newest: None,
        };
        if let Some(mounted) = self.mounted.first() {
            match &mounted.marker {
                Some(m) if m.site == ours.site && m.volume == ours.volume => ours.id = Some(m.id),
                Some(m) => {
                    let why = format!(
                        "its partition is volume {} of site {}, the marker on it says volume {} of site {}",
                        ours.volume, ours.site, m.volume, m.site
                    );
                    return Some(Content::Unknown { why });
                }
                None => {
                    let why = format!("mounted at {}, where no marker can be read", mounted.at.display());
                    return Some(Content::Unknown { why });
                }
            }
            ours.mounted = Some(mounted.at.clone());
            ours.newest = mounted.newest;
        }
        Some(Content::Ours(ours))
    }

    /// A file system that carries our marker, whoever made its partition.
    fn by_marker(&self) -> Option<Content> {
        let [Mounted { at, marker: Some(marker), newest }] = self.mounted.as_slice() else { return None };
        let device = match self.disk.children.as_slice() {
            [] => self.disk,
            [part] if part.kind == "part" && part.children.is_empty() => part,
            _ => return None,
        };
        Some(Content::Ours(OurVolume {
            site: marker.site.clone(),
            volume: marker.volume.clone(),
            id: Some(marker.id),
            encrypted: false,
            device: PathBuf::from("/dev").join(&device.kname),
            mounted: Some(at.clone()),
            newest: *newest,
        }))
    }

    /// What stands on a disk that is neither empty nor ours, for people. Never empty.
    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        describe(self.disk, &self.whole, &mut found);
        for (part, look) in self.disk.partitions().zip(&self.parts) {
            describe(part, look, &mut found);
        }
        found.extend(self.disk.holders().iter().map(|h| format!("{} {} ({})", h.kind, ByteSize(h.size), h.name)));
        if found.is_empty() {
            found.push("data of an unknown kind".to_owned());
        }
        found
    }
}

fn is_ours(look: &Signature) -> bool {
    look.part_type.as_deref().is_some_and(|t| t.eq_ignore_ascii_case(PARTITION_TYPE))
}

/// What the partition's name says: volume and site.
fn whose(look: &Signature) -> Option<(VolumeName, String)> {
    parse_label(look.part_label.as_deref()?)
}

/// Whether a partition of our type was finished, and if so, whether it is encrypted.
fn sealed(look: &Signature, volume: &VolumeName, site: &str) -> Option<bool> {
    match look.kind.as_deref()? {
        "xfs" if look.label.as_deref() == Some(SEAL) => Some(false),
        "crypto_LUKS"
            if look.label.as_deref() == Some(volume.as_str())
                && look.subsystem.as_deref() == Some(subsystem(site).as_str()) =>
        {
            Some(true)
        }
        _ => None,
    }
}

fn describe(block: &Block, look: &Look, found: &mut Vec<String>) {
    let (size, name) = (ByteSize(block.size), &block.kname);
    let line = match look {
        Look::Found(look) => {
            let ours = match is_ours(look) {
                false => String::new(),
                true if whose(look).is_some_and(|(volume, site)| sealed(look, &volume, &site).is_some()) => {
                    OF_OURS.to_owned()
                }
                true => format!("unfinished {OF_OURS}"),
            };
            let kind = look.kind.as_deref().or(look.table.as_deref());
            let kind = kind.unwrap_or(if block.kind == "part" { "partition" } else { "signature" });
            let label = look.label.as_deref().or(look.part_label.as_deref());
            let label = label.map(|l| format!(" {l:?}")).unwrap_or_default();
            format!("{ours}{kind}{label} {size} ({name})")
        }
        Look::Several => format!("several signatures {size} ({name})"),
        Look::Nothing if block.kind == "part" => format!("partition {size} ({name})"),
        Look::Nothing | Look::Failed(_) => return,
    };
    found.push(line);
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
