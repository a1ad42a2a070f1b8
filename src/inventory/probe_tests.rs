use super::*;
use crate::{inventory::Content, sys::FakeCommands};

/// A machine with a SATA disk, an NVMe system disk, a USB stick, a loop device and memory, as lsblk 2.38.1 writes it.
const LSBLK: &str = include_str!("../../tests/cases/inventory/lsblk.json");

fn answer(text: &str) -> Output {
    Output { code: Some(0), stdout: text.into(), stderr: String::new() }
}

fn lacks() -> io::Result<Output> {
    Err(ErrorKind::NotFound.into())
}

/// Devices of 4 MiB of zeros, and names for two of them.
fn machine(dir: &Path) -> Roots {
    let roots = Roots {
        dev: dir.join("dev"),
        by_id: dir.join("by-id"),
        sys: dir.join("sys"),
        state: "/var/lib/custodian".into(),
        volumes: "/var/lib/custodian/volumes".into(),
    };
    fs::create_dir(&roots.dev).unwrap();
    fs::create_dir(&roots.by_id).unwrap();
    for name in ["sda", "sdb", "sdc", "nvme0n1", "loop0", "loop1"] {
        File::create(roots.dev.join(name)).unwrap().set_len(4 << 20).unwrap();
    }
    for (id, name) in [("ata-WDC_5QJ0A1CD", "sda"), ("wwn-0x5000cca2", "sda"), ("test-loop1", "loop1")] {
        std::os::unix::fs::symlink(roots.dev.join(name), roots.by_id.join(id)).unwrap();
    }
    roots
}

fn blkid(args: &[&str]) -> Output {
    match Path::new(args[3]).file_name().unwrap().to_str().unwrap() {
        "nvme0n1" => answer("ID_PART_TABLE_TYPE=gpt\n"),
        "nvme0n1p1" => answer("ID_FS_TYPE=ext4\n"),
        "sdb" => answer("ID_FS_TYPE=vfat\nID_FS_LABEL_ENC=STICK\n"),
        _ => Output { code: Some(2), ..Output::default() },
    }
}

#[test]
fn a_machine_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let roots = machine(dir.path());
    let commands = FakeCommands::new(|program, args| match program {
        "lsblk" => Ok(answer(LSBLK)),
        "blkid" => Ok(blkid(args)),
        _ => lacks(),
    });
    let survey = survey(&commands, &roots);
    let disks = &survey.inventory.disks;
    assert_eq!(disks.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["loop1", "nvme0n1", "sda", "sdb", "sdc"]);
    let sda = survey.inventory.disk("wwn-0x5000cca2").unwrap();
    assert_eq!(sda.by_id, ["ata-WDC_5QJ0A1CD", "wwn-0x5000cca2"]);
    assert_eq!((sda.model.as_deref(), sda.serial.as_deref()), (Some("WDC WD120EFBX-68B0EN0"), Some("5QJ0A1CD")));
    assert_eq!((sda.transport.as_deref(), sda.removable, sda.system), (Some("sata"), false, false));
    assert_eq!(sda.content, Content::Empty);
    assert_eq!(survey.use_of(sda).unwrap().device, roots.dev.join("sda"));
    let system = &disks[1];
    assert!(system.system && matches!(system.content, Content::Foreign { .. }), "{system:?}");
    assert_eq!(survey.use_of(system).unwrap().mounts, ["/boot", "/"]);
    assert!(disks[3].removable && disks[3].transport.as_deref() == Some("usb"));
    // One lacks: findmnt. The others that lack are no problem.
    assert_eq!(survey.inventory.problems.len(), 1, "{:?}", survey.inventory.problems);
    assert!(commands.asked().iter().any(|line| line.starts_with("smartctl --json=c")));
}

#[test]
fn whatever_fails_nothing_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let roots = machine(dir.path());
    let probed = |blkid: fn() -> io::Result<Output>| {
        let commands = FakeCommands::new(move |program, _| match program {
            "lsblk" => Ok(answer(LSBLK)),
            "blkid" => blkid(),
            _ => lacks(),
        });
        probe(&commands, &roots)
    };
    let failures: [fn() -> io::Result<Output>; 4] = [
        lacks,
        || Err(ErrorKind::TimedOut.into()),
        || Ok(Output { code: None, ..Output::default() }),
        || {
            Ok(Output {
                code: Some(2),
                stderr: "blkid: error: /dev/sda: Input/output error".into(),
                ..Output::default()
            })
        },
    ];
    for failure in failures {
        for disk in probed(failure).disks {
            assert!(matches!(disk.content, Content::Unknown { .. }), "{disk:?}");
        }
    }
    // The device cannot be read.
    fs::remove_file(roots.dev.join("sda")).unwrap();
    let inventory = probed(|| Ok(Output { code: Some(2), ..Output::default() }));
    assert!(inventory.disk("ata-WDC_5QJ0A1CD").is_none(), "its name leads nowhere");
    let sda = inventory.disks.iter().find(|d| d.name == "sda").unwrap();
    assert!(matches!(sda.content, Content::Unknown { .. }), "{sda:?}");
    // One byte is enough.
    let file = File::create(roots.dev.join("sdc")).unwrap();
    file.set_len(4 << 20).unwrap();
    file.write_all_at(&[1], (4 << 20) - 1).unwrap();
    let inventory = probed(|| Ok(Output { code: Some(2), ..Output::default() }));
    let sdc = inventory.disks.iter().find(|d| d.name == "sdc").unwrap();
    assert_eq!(sdc.content, Content::Foreign { found: vec!["data of an unknown kind".to_owned()] });
    // Neither is a machine whose disks cannot be listed.
    let commands = FakeCommands::new(|_, _| Ok(answer("{}")));
    let inventory = probe(&commands, &roots);
    assert!(inventory.disks.is_empty() && inventory.problems.iter().any(|p| p.starts_with("disks")));
}
