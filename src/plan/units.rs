//! The units of systemd that a site asks for on one machine, beside the static ones. Pure.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::{backup, network};
pub use crate::site::{VOLUMES, mount_point};
use crate::{
    inventory::mapping,
    site::{Site, Unlock, Volume, VolumePlace},
    types::{RecorderId, VolumeName},
};

/// Generated units by name: what they say. A drop-in has the name of its folder before it (`x.service.d/site.conf`), and so have files
/// that are no units ([`super::is_system_file`]).
pub type Units = BTreeMap<String, String>;

/// The service that records.
pub const RECORD: &str = "custodian-record.service";
/// The service that serves the pages.
pub const WEB: &str = "custodian-web.service";
/// The service that reports how the recorder is.
pub const HEALTH: &str = "custodian-health.service";

/// How every generated unit begins: by this line apply knows its own.
pub const HEADER: &str = "# Made by custodian apply from site.toml. Changes here are lost.\n";

/// What opens encrypted disks; systems that keep it elsewhere say so when custodian is built.
pub const SYSTEMD_CRYPTSETUP: &str = match option_env!("CUSTODIAN_SYSTEMD_CRYPTSETUP") {
    Some(path) => path,
    None => "/usr/lib/systemd/systemd-cryptsetup",
};

/// The USB key: a stick whose file system has this label, with this file on it.
pub const KEY_LABEL: &str = "CUSTODIAN";
/// How it is mounted, besides: as FAT and as nothing else, for whoever plugs a stick in chooses what the kernel reads; and for root only.
pub const KEY_STICK: &str = "nodev,nosuid,noexec,dmask=0077,fmask=0177";
/// See [`KEY_LABEL`].
pub const KEY_FILE: &str = "custodian.key";
const KEY_FOLDER: &str = "/run/custodian-key";

/// Below `/run`: a volume of which there is a file here is being prepared. Its partition appears before it is one, and systemd would open and mount
/// what is half made.
pub const PREPARING: &str = "custodian-preparing";

fn not_while_prepared(volume: &VolumeName) -> String {
    format!("ConditionPathExists=!/run/{PREPARING}/{volume}\n")
}

/// In the `[Unit]` of each mount: services stop before it is let go of, for all of them come after this target. A mount that is `nofail` has no such
/// order otherwise, and a recorder that still writes keeps it busy. Nothing waits for it when it starts: the target was reached before these
/// units are written.
pub(super) const AFTER_SERVICES: &str = "Before=sysinit.target\n";

/// How long a disk may take to show up before its mount is given up for this boot.
const DEVICE_LIMIT: &str = "15s";

/// The mount unit of a disk's volume.
pub fn mount_unit(volume: &VolumeName) -> String {
    format!("{}.mount", escape_path(&mount_point(volume).display().to_string()))
}

/// The partition of a disk that holds its volume: `disk init` makes one.
pub fn partition(disk: &str) -> String {
    format!("/dev/disk/by-id/{disk}-part1")
}

/// The service that opens an encrypted volume.
pub fn unlock_unit(volume: &VolumeName) -> String {
    format!("custodian-unlock-{volume}.service")
}

/// Whether a unit is a mount.
pub fn is_mount(unit: &str) -> bool {
    unit.rsplit_once('.').is_some_and(|(_, kind)| kind == "mount")
}

/// A path as part of a unit's name, by systemd.unit(5), "string escaping for inclusion in unit names".
pub fn escape_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    if parts.is_empty() {
        return "-".into();
    }
    let mut out = String::new();
    for (i, b) in parts.join("/").bytes().enumerate() {
        match b {
            b'/' => out.push('-'),
            b'.' if i == 0 => out.push_str("\\x2e"),
            b if b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'.') => out.push(char::from(b)),
            // Writing into a String cannot fail.
            b => drop(write!(out, "\\x{b:02x}")),
        }
    }
    out
}

/// A value that systemd must not take for specifiers.
pub(super) fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

/// The units of one machine. A recorder that the site does not have gives none.
pub fn units(site: &Site, recorder: &RecorderId) -> Units {
    let mut units = Units::new();
    let Some(machine) = site.recorder(recorder) else { return units };
    for volume in &machine.volumes {
        if let VolumePlace::Disk(disk) = &volume.place {
            disk_units(volume, disk, machine.unlock, &mut units);
        }
    }
    units.insert(format!("{RECORD}.d/site.conf"), record(recorder, &machine.volumes));
    units.insert(format!("{WEB}.d/site.conf"), web(site));
    units.insert(format!("{HEALTH}.d/site.conf"), health(site, recorder, &machine.volumes));
    if let Some(backup) = site.backup() {
        backup::units(site, backup, recorder, &mut units);
    }
    network::files(site, recorder, &mut units);
    units
}

/// A disk that comes, or comes back, is mounted without anybody's doing.
pub(super) fn comes(mount: &str) -> String {
    format!("{HEADER}[Unit]\nWants={mount}\nJobRunningTimeoutSec={DEVICE_LIMIT}\n")
}

/// A folder that a service may write to, if it is there.
pub(super) fn writable(path: &Path) -> String {
    format!("ReadWritePaths={}\n", quoted(path))
}

/// A path that need not be there, as systemd reads it in a list.
fn quoted(path: &Path) -> String {
    let path = literal(&path.display().to_string()).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"-{path}\"")
}

fn disk_units(volume: &Volume, disk: &str, unlock: Unlock, units: &mut Units) {
    let name = &volume.name;
    let partition = partition(disk);
    let (what, opening) = match unlock {
        Unlock::None => (partition.clone(), String::new()),
        Unlock::Tpm | Unlock::UsbKey | Unlock::Passphrase => {
            units.insert(unlock_unit(name), unlock_service(name, &partition, unlock));
            (format!("/dev/mapper/{}", mapping(name)), format!("Requires={0}\nAfter={0}\n", unlock_unit(name)))
        }
    };
    // `nofail` keeps the mount out of what booting waits for. That a device is waited for only so long can be said at the
    // device alone: systemd reads x-systemd.device-timeout= in fstab, but not here.
    let mount = format!(
        "{HEADER}[Unit]\nDescription=Volume {name} for footage\n{}{opening}{AFTER_SERVICES}\n[Mount]\nWhat={}\nWhere={}\nType=xfs\n\
         Options=nofail,nodev,nosuid,noexec,noatime\nTimeoutSec=3min\n",
        not_while_prepared(name),
        literal(&what),
        mount_point(name).display(),
    );
    units.insert(mount_unit(name), mount);
    units.insert(format!("{}.device.d/custodian.conf", escape_path(&partition)), comes(&mount_unit(name)));
}

fn unlock_service(volume: &VolumeName, partition: &str, unlock: Unlock) -> String {
    let device = escape_path(partition);
    // crypttab(5). Without its key, or when the TPM refuses, a person is asked.
    let (key, options) = match unlock {
        Unlock::Tpm => ("none".to_owned(), "luks,discard,tpm2-device=auto"),
        Unlock::UsbKey => (format!("{KEY_FOLDER}/{KEY_FILE}"), "luks,discard,tries=0"),
        Unlock::Passphrase | Unlock::None => ("none".to_owned(), "luks,discard,tries=0"),
    };
    // The stick is seen by this service alone, for as long as it takes. Where it is not there the mount fails, and a person is asked.
    let stick = if unlock == Unlock::UsbKey {
        format!(
            "PrivateMounts=yes\nExecStartPre=-/usr/bin/mkdir -p {KEY_FOLDER}\n\
             ExecStartPre=-/usr/bin/mount -t vfat -o ro,{KEY_STICK} LABEL={KEY_LABEL} {KEY_FOLDER}\n"
        )
    } else {
        String::new()
    };
    let mapper = mapping(volume);
    format!(
        "{HEADER}[Unit]\nDescription=Opens volume {volume} for footage\n{}DefaultDependencies=no\nIgnoreOnIsolate=yes\n\
         After=cryptsetup-pre.target\nConflicts=umount.target\nBefore=umount.target\nBindsTo={device}.device\n\
         After={device}.device\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutSec=infinity\nKeyringMode=shared\n\
         {stick}ExecStart={SYSTEMD_CRYPTSETUP} attach {mapper} {partition} {key} {options}\n\
         ExecStop={SYSTEMD_CRYPTSETUP} detach {mapper}\n",
        not_while_prepared(volume),
        partition = literal(partition),
    )
}

/// Which recorder this is, and folders that are volumes outside of where the recorder may write anyway.
fn record(recorder: &RecorderId, volumes: &[Volume]) -> String {
    let mut text = format!("{HEADER}[Service]\nEnvironment=CUSTODIAN_RECORDER={recorder}\n");
    for volume in volumes {
        if let VolumePlace::Path(path) = &volume.place {
            text += &writable(path);
        }
    }
    text
}

/// Which recorder this is, and folders for footage outside of where health may not look anyway. It takes site.toml over when it starts: that
/// its fingerprint stands here makes a change of it a reason to start anew.
fn health(site: &Site, recorder: &RecorderId, volumes: &[Volume]) -> String {
    let mut text =
        format!("{HEADER}# {}\n[Service]\nEnvironment=CUSTODIAN_RECORDER={recorder}\n", super::hex(&site.hash()));
    for volume in volumes {
        if let VolumePlace::Path(path) = &volume.place {
            text += "InaccessiblePaths=";
            text += &quoted(path);
            text.push('\n');
        }
    }
    text
}

/// The pages read these when they start: that they stand here makes a change of them a reason to start anew.
fn web(site: &Site) -> String {
    let one_line = |text: &str| text.replace(|c: char| c.is_control(), " ");
    format!(
        "{HEADER}# {}\n# {}, {}\n",
        one_line(site.name()),
        site.timezone().iana_name().unwrap_or("UTC"),
        site.language()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SITE: &str = r#"
[site]
name = "Trường"
timezone = "Asia/Ho_Chi_Minh"
[area.yard]
name = "Sân"
kind = "public"
[recorder.a]
unlock = "none"
[[recorder.a.volume]]
name = "a-1"
disk = "ata-WDC_WD120EFBX_1234"
size = "12 TB"
[recorder.b]
[[recorder.b.volume]]
name = "b1"
disk = "nvme-X_1"
size = "2 TB"
[[recorder.b.volume]]
name = "b2"
path = "/srv/b 2"
[camera.gate]
name = "Cổng"
area = "yard"
recorder = "a"
main = "rtsp://10.0.0.1/1"
"#;

    fn of(recorder: &str) -> Units {
        let site = crate::site::parse(SITE, "site.toml").unwrap();
        units(&site, &recorder.parse().unwrap())
    }

    #[test]
    fn a_disk_has_a_mount_that_nobody_waits_for() {
        let units = of("a");
        let names: Vec<&str> = units.keys().map(String::as_str).filter(|n| !network::is_system_file(n)).collect();
        assert_eq!(
            names,
            [
                "custodian-health.service.d/site.conf",
                "custodian-record.service.d/site.conf",
                "custodian-web.service.d/site.conf",
                r"dev-disk-by\x2did-ata\x2dWDC_WD120EFBX_1234\x2dpart1.device.d/custodian.conf",
                r"var-lib-custodian-volumes-a\x2d1.mount",
            ]
        );
        let mount = &units[names[4]];
        for line in [
            "What=/dev/disk/by-id/ata-WDC_WD120EFBX_1234-part1",
            "Where=/var/lib/custodian/volumes/a-1",
            "ConditionPathExists=!/run/custodian-preparing/a-1",
            "Options=nofail,nodev,nosuid,noexec,noatime",
            "Before=sysinit.target",
        ] {
            assert!(mount.lines().any(|l| l == line), "{line} in {mount}");
        }
        assert!(units[names[0]].contains("CUSTODIAN_RECORDER=a\n"));
        assert!(units[names[1]].contains("CUSTODIAN_RECORDER=a\n"));
        let (other, before) = (SITE.replace("Cổng", "Cổng chính"), &units[names[0]]);
        let other = super::units(&crate::site::parse(&other, "site.toml").unwrap(), &"a".parse().unwrap());
        assert_ne!(&other[names[0]], before, "health takes each change of the site over");
        assert_eq!(other[names[1]], units[names[1]], "the recorder reads it by itself");
        assert!(units.values().all(|text| text.starts_with(HEADER)));
    }

    #[test]
    fn an_encrypted_disk_is_opened_first_and_a_folder_is_not_mounted() {
        let units = of("b");
        assert!(!units.keys().any(|n| n.contains("b2")), "{units:?}");
        assert!(units["custodian-record.service.d/site.conf"].contains("ReadWritePaths=\"-/srv/b 2\"\n"));
        assert!(units["custodian-health.service.d/site.conf"].contains("InaccessiblePaths=\"-/srv/b 2\"\n"));
        let mount = &units["var-lib-custodian-volumes-b1.mount"];
        assert!(mount.contains("What=/dev/mapper/custodian-b1\n"), "{mount}");
        assert!(mount.contains("Requires=custodian-unlock-b1.service\n"), "{mount}");
        let unlock = &units["custodian-unlock-b1.service"];
        for unit in [mount, unlock] {
            assert!(unit.contains("\nConditionPathExists=!/run/custodian-preparing/b1\n"), "{unit}");
        }
        assert!(
            unlock.contains(" attach custodian-b1 /dev/disk/by-id/nvme-X_1-part1 none luks,discard,tpm2"),
            "{unlock}"
        );
        assert!(of("c").is_empty(), "no such recorder");
    }

    #[test]
    fn names_are_escaped_as_systemd_does() {
        for (path, name) in [
            ("/", "-"),
            ("/var/lib/", "var-lib"),
            ("/.a/.b", r"\x2ea-.b"),
            ("/a-b/c_d:e.f", r"a\x2db-c_d:e.f"),
            ("/ổ", r"\xe1\xbb\x95"),
            ("//a//b", "a-b"),
        ] {
            assert_eq!(escape_path(path), name, "{path}");
        }
    }

    /// Back again, by the same section of the manual.
    fn unescape(name: &str) -> Vec<u8> {
        let (mut out, mut rest) = (vec![b'/'], name.as_bytes());
        while let [first, after @ ..] = rest {
            rest = after;
            match first {
                b'-' => out.push(b'/'),
                b'\\' => {
                    out.push(u8::from_str_radix(std::str::from_utf8(&after[1..3]).unwrap(), 16).unwrap());
                    rest = &after[3..];
                }
                b => out.push(*b),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn escaping_loses_nothing(parts in prop::collection::vec("[ -.0-~ổ]{1,8}", 1..4)) {
            let path = format!("/{}", parts.join("/"));
            prop_assert_eq!(unescape(&escape_path(&path)), path.as_bytes());
        }
    }
}
