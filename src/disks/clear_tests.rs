use std::{fs, io, os::unix::fs::symlink, path::Path};

use super::*;
use crate::{
    inventory::{Roots, survey},
    sys::{FakeCommands, Output},
};

/// The survey of a machine with one disk `sda` of 1 MiB of zeros and what lsblk and blkid say of it.
fn machine(lsblk: &str, blkid: &'static str) -> Survey {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("by-id")).unwrap();
    fs::File::create(at("sda")).unwrap().set_len(1 << 20).unwrap();
    symlink(at("sda"), at("by-id").join("ata-1")).unwrap();
    let json = format!(
        r#"{{"blockdevices":[{{"name":"sda","kname":"sda","type":"disk","size":1048576,"serial":"1","model":"M"{lsblk}}}]}}"#
    );
    let commands = FakeCommands::new(move |program, args| match program {
        "lsblk" => Ok(Output { code: Some(0), stdout: json.clone().into(), stderr: String::new() }),
        "blkid" if args.last().is_some_and(|d| Path::new(d).ends_with("sda")) && blkid.is_empty() => {
            Ok(Output { code: Some(2), ..Output::default() })
        }
        "blkid" => Ok(Output { code: Some(0), stdout: blkid.into(), stderr: String::new() }),
        _ => Err(io::ErrorKind::NotFound.into()),
    });
    let roots = Roots {
        dev: dir.path().to_owned(),
        by_id: at("by-id"),
        sys: at("sys"),
        ..Roots::new(Path::new("/var/lib/custodian"), Path::new("/var/lib/custodian/volumes"))
    };
    survey(&commands, &roots)
}

fn wanted() -> Wanted {
    Wanted { site: "school".into(), volume: "a1".parse().unwrap(), size: ByteSize(1_048_576), removable: false }
}

#[test]
fn an_empty_disk_takes_the_token_of_its_facts() {
    let survey = machine("", "");
    let facts = judge_init(&survey, "ata-1", Some(&wanted())).unwrap();
    let disk = clear_init(&survey, "ata-1", &wanted(), &facts.token(Verb::Init)).unwrap();
    assert_eq!((disk.label.as_str(), disk.device.file_name().unwrap().to_str()), ("a1@school", Some("sda")));
    let wrong = |token: Token| clear_init(&survey, "ata-1", &wanted(), &token).unwrap_err();
    assert_eq!(wrong(facts.token(Verb::Erase)), Refusal::Token(TokenError::OtherVerb));
    assert_eq!(wrong("0000-0000-0000-0000".parse().unwrap()), Refusal::Token(TokenError::OtherDisk));
    assert_eq!(judge_erase(&survey, "ata-1").unwrap_err(), Refusal::Empty);
    assert_eq!(clear_release(&survey, "ata-1").unwrap_err(), Refusal::NotOurs);
    // The token of a disk that somebody has used since.
    let used = machine("", "ID_FS_TYPE=ext4\n");
    let facts = judge_erase(&used, "ata-1").unwrap();
    let old = Facts { content: Content::Foreign { found: vec!["else".into()] }, ..facts };
    assert_eq!(
        clear_erase(&used, "ata-1", &old.token(Verb::Erase)).unwrap_err(),
        Refusal::Token(TokenError::OtherContent)
    );
}

#[test]
fn what_speaks_against_a_disk() {
    let init = |lsblk: &str, blkid: &'static str, wanted: Wanted| {
        judge_init(&machine(lsblk, blkid), "ata-1", Some(&wanted)).unwrap_err()
    };
    let empty = machine("", "");
    assert_eq!(judge_init(&empty, "ata-2", None).unwrap_err(), Refusal::NoDisk { by_id: "ata-2".into() });
    assert_eq!(judge_init(&empty, "ata-1", None).unwrap_err(), Refusal::NotInSite);
    assert_eq!(init(r#","mountpoints":["/"]"#, "", wanted()), Refusal::System);
    assert_eq!(init(r#","mountpoints":["/mnt"]"#, "", wanted()), Refusal::Mounted { at: "/mnt".into() });
    let raid = r#","children":[{"name":"md0","kname":"md0","type":"raid1","size":1}]"#;
    assert_eq!(init(raid, "ID_FS_TYPE=linux_raid_member\n", wanted()), Refusal::Held { by: "md0".into() });
    assert_eq!(init(r#","ro":true"#, "", wanted()), Refusal::ReadOnly);
    assert_eq!(init(r#","rm":true"#, "", wanted()), Refusal::Removable);
    assert_eq!(init(r#","hotplug":true"#, "", wanted()), Refusal::Removable);
    assert!(judge_init(&machine(r#","rm":true"#, ""), "ata-1", Some(&Wanted { removable: true, ..wanted() })).is_ok());
    assert!(matches!(init("", "ID_FS_TYPE=ntfs\n", wanted()), Refusal::Foreign { found } if found.starts_with("ntfs")));
    let long = Wanted { site: "x".repeat(40), ..wanted() };
    assert!(matches!(init("", "", long), Refusal::LongName { .. }));
    // 98 % of what is stated is enough: makers count differently.
    let stated = |size| Wanted { size: ByteSize(size), ..wanted() };
    assert!(judge_init(&empty, "ata-1", Some(&stated(1_048_576 * 100 / 98))).is_ok());
    assert!(matches!(init("", "", stated(1_048_576 * 100 / 98 + 2)), Refusal::TooSmall { .. }));
}

#[test]
fn what_speaks_against_a_volume() {
    let ours = format!(
        "ID_FS_TYPE=xfs\nID_FS_LABEL_ENC=custodian\nID_PART_ENTRY_NAME=a1@school\nID_PART_ENTRY_TYPE={}\n",
        crate::inventory::PARTITION_TYPE
    );
    let ours: &'static str = Box::leak(ours.into_boxed_str());
    let part = r#","children":[{"name":"sda1","kname":"sda1","type":"part","size":1}]"#;
    let survey = machine(part, ours);
    let refused = judge_init(&survey, "ata-1", Some(&wanted())).unwrap_err();
    assert_eq!(refused, Refusal::Ours { site: "school".into(), volume: "a1".parse().unwrap(), newest: None });
    let token = judge_erase(&survey, "ata-1").unwrap().token(Verb::Erase);
    let doomed = clear_erase(&survey, "ata-1", &token).unwrap();
    assert_eq!(doomed.partitions.len(), 1);
    assert!(clear_release(&survey, "ata-1").unwrap().mounts.is_empty());
    // In use it cannot be erased.
    let mounted = r#","children":[{"name":"sda1","kname":"sda1","type":"part","size":1,"mountpoints":["/mnt"]}]"#;
    assert_eq!(
        clear_erase(&machine(mounted, ours), "ata-1", &token).unwrap_err(),
        Refusal::Mounted { at: "/mnt".into() }
    );
}
