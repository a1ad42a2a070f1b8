//! How a disk of ours is known without being mounted: type and name of its partition, and a seal that is set last.

use crate::types::VolumeName;

/// GPT partition type of a volume for footage. Made once, at random, for custodian.
pub const PARTITION_TYPE: &str = "17001d31-dbea-4556-8d94-9e804872a57c";

/// The label of a volume's XFS where it is not encrypted. Set last: a partition of our type without it is unfinished.
pub const SEAL: &str = "custodian";

/// A GPT partition name holds 36 UTF-16 units.
const LONGEST: usize = 36;

/// The partition's name, `<volume>@<site>`; none if the two are too long for GPT.
pub fn partition_label(site: &str, volume: &VolumeName) -> Option<String> {
    let label = format!("{volume}@{site}");
    (label.len() <= LONGEST && parse_label(&label).is_some()).then_some(label)
}

/// Volume and site of a partition's name.
pub fn parse_label(label: &str) -> Option<(VolumeName, String)> {
    let (volume, site) = label.split_once('@')?;
    // A site's id has the form of all identifiers.
    Some((volume.parse().ok()?, site.parse::<VolumeName>().ok()?.to_string()))
}

/// The subsystem in the LUKS2 header of an encrypted volume: its seal. The header's label is the volume's name.
pub fn subsystem(site: &str) -> String {
    format!("{SEAL}:{site}")
}

/// The name under which an encrypted volume is opened: `/dev/mapper/custodian-<volume>`.
pub fn mapping(volume: &VolumeName) -> String {
    format!("{SEAL}-{volume}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back() {
        let volume: VolumeName = "a1".parse().unwrap();
        let label = partition_label("hoa-huong-duong", &volume).unwrap();
        assert_eq!(label, "a1@hoa-huong-duong");
        assert_eq!(parse_label(&label), Some((volume.clone(), "hoa-huong-duong".to_owned())));
        assert_eq!(partition_label(&"x".repeat(34), &volume), None, "too long");
        assert_eq!(partition_label("Trường", &volume), None, "no identifier");
        for label in ["a1", "a1@", "@x", "A@x", "a@b@c", ""] {
            assert_eq!(parse_label(label), None, "{label}");
        }
    }
}
