use super::*;
use crate::{inventory::lsblk, sys::Output};

/// A disk as lsblk has it, and what blkid says of it and its partitions: exit code and text.
fn content(
    lsblk_json: &str,
    whole: (i32, &str),
    parts: &[(i32, &str)],
    edges: Edges,
    mounted: Vec<Mounted>,
) -> Content {
    let json = format!(r#"{{"blockdevices":[{lsblk_json}]}}"#);
    let blocks = lsblk::parse(json.as_bytes()).unwrap();
    let look = |(code, text): &(i32, &str)| {
        super::super::blkid::parse(&Output { code: Some(*code), stdout: (*text).into(), stderr: String::new() })
    };
    let parts = parts.iter().map(look).collect();
    Seen { disk: &blocks[0], whole: look(&whole), parts, edges, mounted }.content()
}

const BARE: &str = r#"{"name":"sda","kname":"sda","type":"disk","size":12000138625024}"#;
const ONE: &str = r#"{"name":"sda","kname":"sda","type":"disk","size":12000138625024,"children":[
    {"name":"sda1","kname":"sda1","type":"part","size":12000136527872}]}"#;
const OPEN: &str = r#"{"name":"sda","kname":"sda","type":"disk","size":12000138625024,"children":[
    {"name":"sda1","kname":"sda1","type":"part","size":12000136527872,"children":[
      {"name":"custodian-a1","kname":"dm-0","type":"crypt","size":12000119750656,"mountpoints":["/v/a1"]}]}]}"#;
const GPT: (i32, &str) = (0, "ID_PART_TABLE_UUID=500a72d7\nID_PART_TABLE_TYPE=gpt\n");

fn part(fs: &str) -> String {
    format!("{fs}\nID_PART_ENTRY_SCHEME=gpt\nID_PART_ENTRY_NAME=a1@school\nID_PART_ENTRY_TYPE={PARTITION_TYPE}\n")
}

fn ours(content: &Content) -> (&str, &str, bool) {
    let Content::Ours(v) = content else { panic!("{content:?}") };
    (v.volume.as_str(), v.site.as_str(), v.encrypted)
}

fn found(content: Content) -> Vec<String> {
    let Content::Foreign { found } = content else { panic!("{content:?}") };
    assert!(!found.is_empty());
    found
}

#[test]
fn empty_takes_every_proof() {
    assert_eq!(content(BARE, (2, ""), &[], Edges::Zero, Vec::new()), Content::Empty);
    assert_eq!(found(content(BARE, (2, ""), &[], Edges::Data, Vec::new())), ["data of an unknown kind"]);
    let unknown = |content: Content| matches!(content, Content::Unknown { .. });
    assert!(unknown(content(BARE, (2, ""), &[], Edges::Failed("I/O".into()), Vec::new())));
    assert!(unknown(content(BARE, (4, ""), &[], Edges::Zero, Vec::new())));
    assert!(unknown(content(ONE, GPT, &[(1, "")], Edges::Zero, Vec::new())));
    assert_eq!(found(content(BARE, (8, ""), &[], Edges::Zero, Vec::new())), ["several signatures 12.0 TB (sda)"]);
    // A partition that blkid finds nothing in is still a partition.
    assert_eq!(found(content(ONE, (2, ""), &[(2, "")], Edges::Zero, Vec::new())), ["partition 12.0 TB (sda1)"]);
    let mounted = r#"{"name":"sda","kname":"sda","type":"disk","size":1,"mountpoints":["/x"]}"#;
    found(content(mounted, (2, ""), &[], Edges::Zero, Vec::new()));
}

#[test]
fn ours_is_sealed() {
    let sealed = part("ID_FS_TYPE=xfs\nID_FS_LABEL_ENC=custodian");
    assert_eq!(ours(&content(ONE, GPT, &[(0, &sealed)], Edges::Data, Vec::new())), ("a1", "school", false));
    let sealed = part("ID_FS_TYPE=crypto_LUKS\nID_FS_VERSION=2\nID_FS_LABEL_ENC=a1\nID_FS_SUBSYSTEM=custodian:school");
    assert_eq!(ours(&content(ONE, GPT, &[(0, &sealed)], Edges::Data, Vec::new())), ("a1", "school", true));
    for unfinished in [
        "",
        "ID_FS_TYPE=xfs",
        "ID_FS_TYPE=xfs\nID_FS_LABEL_ENC=else",
        "ID_FS_TYPE=crypto_LUKS",
        "ID_FS_TYPE=crypto_LUKS\nID_FS_LABEL_ENC=a1\nID_FS_SUBSYSTEM=custodian:other",
        "ID_FS_TYPE=crypto_LUKS\nID_FS_LABEL_ENC=a2\nID_FS_SUBSYSTEM=custodian:school",
        "ID_FS_TYPE=ext4\nID_FS_LABEL_ENC=custodian",
    ] {
        let lines = found(content(ONE, GPT, &[(0, &part(unfinished))], Edges::Data, Vec::new()));
        assert!(lines[1].starts_with("unfinished custodian volume "), "{lines:?}");
    }
    // The right content in somebody else's partition is not ours.
    let other = part("ID_FS_TYPE=xfs\nID_FS_LABEL_ENC=custodian")
        .replace(PARTITION_TYPE, "0fc63daf-8483-4772-8e79-3d69d8477de4");
    found(content(ONE, GPT, &[(0, &other)], Edges::Data, Vec::new()));
}

#[test]
fn the_marker_of_what_is_mounted_has_a_say() {
    let id = Uuid::from_u128(7);
    let mounted = |site: &str| {
        let marker = Marker { site: site.to_owned(), volume: "a1".parse().unwrap(), id };
        vec![Mounted { at: "/v/a1".into(), marker: Some(marker), newest: Some(WallNs(5)) }]
    };
    let sealed = part("ID_FS_TYPE=crypto_LUKS\nID_FS_LABEL_ENC=a1\nID_FS_SUBSYSTEM=custodian:school");
    let open = content(OPEN, GPT, &[(0, &sealed)], Edges::Data, mounted("school"));
    let Content::Ours(v) = &open else { panic!("{open:?}") };
    assert_eq!((v.id, v.newest, v.mounted.as_deref()), (Some(id), Some(WallNs(5)), Some("/v/a1".as_ref())));
    assert_eq!(v.device, std::path::Path::new("/dev/sda1"));
    // One that says something else, or none at all, is a doubt.
    for strange in [mounted("other"), vec![Mounted { at: "/v/a1".into(), marker: None, newest: None }]] {
        let content = content(OPEN, GPT, &[(0, &sealed)], Edges::Data, strange);
        assert!(matches!(content, Content::Unknown { .. }), "{content:?}");
    }
    // A whole file system with our marker, made by somebody else.
    let ext4 = (0, "ID_FS_TYPE=ext4\n");
    assert_eq!(ours(&content(BARE, ext4, &[], Edges::Data, mounted("school"))), ("a1", "school", false));
}

#[test]
fn what_is_foreign_is_named() {
    let windows = r#"{"name":"sdb","kname":"sdb","type":"disk","size":500107862016,"children":[
        {"name":"sdb1","kname":"sdb1","type":"part","size":104857600},
        {"name":"sdb2","kname":"sdb2","type":"part","size":499998851072}]}"#;
    let parts =
        [(0, "ID_FS_TYPE=vfat\nID_FS_LABEL_ENC=EFI\n"), (0, "ID_FS_TYPE=ntfs\nID_FS_LABEL_ENC=Windows\\x2010\n")];
    assert_eq!(
        found(content(windows, (0, "ID_PART_TABLE_TYPE=dos\n"), &parts, Edges::Data, Vec::new())),
        ["dos 500 GB (sdb)", "vfat \"EFI\" 105 MB (sdb1)", "ntfs \"Windows 10\" 500 GB (sdb2)"]
    );
    let raid = r#"{"name":"nvme0n1","kname":"nvme0n1","type":"disk","size":1000204886016,"children":[
        {"name":"md0","kname":"md0","type":"raid1","size":1000069595136,"children":[
          {"name":"vg-home","kname":"dm-1","type":"lvm","size":500000000000,"mountpoints":["/home"]}]}]}"#;
    assert_eq!(
        found(content(
            raid,
            (0, "ID_FS_TYPE=linux_raid_member\nID_FS_LABEL_ENC=nas:0\n"),
            &[],
            Edges::Data,
            Vec::new()
        )),
        ["linux_raid_member \"nas:0\" 1.0 TB (nvme0n1)", "raid1 1.0 TB (md0)", "lvm 500 GB (vg-home)"]
    );
    let stick = r#"{"name":"sdc","kname":"sdc","type":"disk","size":31914983424}"#;
    assert_eq!(
        found(content(
            stick,
            (0, "ID_FS_TYPE=iso9660\nID_FS_LABEL_ENC=d-live\nID_PART_TABLE_TYPE=dos\n"),
            &[],
            Edges::Data,
            Vec::new()
        )),
        ["iso9660 \"d-live\" 31.9 GB (sdc)"]
    );
    let luks = (0, "ID_FS_TYPE=crypto_LUKS\nID_FS_VERSION=1\n");
    assert_eq!(found(content(BARE, luks, &[], Edges::Data, Vec::new())), ["crypto_LUKS 12.0 TB (sda)"]);
}

proptest::proptest! {
    /// Whatever the tools say: empty only by every proof, unknown whenever one of them failed.
    #[test]
    fn doubt_is_never_empty(
        whole in proptest::sample::select(vec![0, 2, 4, 8]),
        part in proptest::option::of(proptest::sample::select(vec![0, 2, 4, 8])),
        edges in 0..3,
        mounted: bool,
    ) {
        let lsblk = if part.is_some() { ONE } else { BARE };
        let parts: Vec<(i32, &str)> = part.into_iter().map(|code| (code, "ID_FS_TYPE=xfs\n")).collect();
        let read = match edges {
            0 => Edges::Zero,
            1 => Edges::Data,
            _ => Edges::Failed("I/O".to_owned()),
        };
        let at = mounted.then(|| Mounted { at: "/x".into(), marker: None, newest: None }).into_iter().collect();
        let content = content(lsblk, (whole, "ID_FS_TYPE=xfs\n"), &parts, read, at);
        let failed = whole == 4 || part == Some(4) || edges == 2;
        let proven = whole == 2 && part.is_none() && edges == 0 && !mounted;
        proptest::prop_assert_eq!(matches!(content, Content::Unknown { .. }), failed);
        proptest::prop_assert_eq!(matches!(content, Content::Empty), proven);
    }
}
