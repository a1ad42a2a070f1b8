//! The units that backups ask for on one machine. Pure.

use std::path::{Path, PathBuf};

use super::units::{AFTER_SERVICES, HEADER, Units, comes, escape_path, is_mount, literal, partition, writable};
use crate::{
    site::{Backup, BackupPlace, Site},
    types::RecorderId,
};

/// The service that makes backups.
pub const BACKUP: &str = "custodian-backup.service";
/// What starts it.
pub const BACKUP_TIMER: &str = "custodian-backup.timer";

/// Below this folder the disks for backups are mounted, each under its name below `/dev/disk/by-id`.
pub const BACKUP_DISKS: &str = "/var/lib/custodian/backup-disks";

/// Where a disk for backups is mounted.
pub fn backup_mount_point(disk: &str) -> PathBuf {
    Path::new(BACKUP_DISKS).join(disk)
}

/// Whether a unit is the mount of a volume for footage, and not of a disk for backups.
pub fn is_volume_mount(unit: &str) -> bool {
    is_mount(unit) && !unit.starts_with(&format!("{}-", escape_path(BACKUP_DISKS)))
}

/// When backups are made, where they may be written, and the disks that are mounted for them.
pub(super) fn units(site: &Site, backup: &Backup, recorder: &RecorderId, units: &mut Units) {
    let mut service = format!("{HEADER}[Service]\nEnvironment=CUSTODIAN_RECORDER={recorder}\n");
    for place in &backup.to {
        match place {
            BackupPlace::Directory(path) => service += &writable(path),
            BackupPlace::Disk(disk) => backup_disk(disk, units),
            BackupPlace::S3(_) => {}
        }
    }
    units.insert(format!("{BACKUP}.d/site.conf"), service);
    let zone = site.timezone().iana_name().unwrap_or("UTC");
    let timer = format!("{HEADER}[Timer]\nOnCalendar=\nOnCalendar=*-*-* {} {zone}\n", backup.at.strftime("%H:%M:%S"));
    units.insert(format!("{BACKUP_TIMER}.d/site.conf"), timer);
}

/// The first partition of a disk for backups, with whatever file system is on it: what lies there is encrypted by itself.
fn backup_disk(disk: &str, units: &mut Units) {
    let (partition, at) = (partition(disk), backup_mount_point(disk).display().to_string());
    let unit = format!("{}.mount", escape_path(&at));
    let mount = format!(
        "{HEADER}[Unit]\nDescription=Disk {} for backups\n{AFTER_SERVICES}\n[Mount]\nWhat={}\nWhere={}\n\
         Options=nofail,nodev,nosuid,noexec,noatime\nTimeoutSec=3min\n",
        literal(disk),
        literal(&partition),
        literal(&at),
    );
    units.insert(format!("{}.device.d/custodian.conf", escape_path(&partition)), comes(&unit));
    units.insert(unit, mount);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = r#"
[site]
name = "x"
timezone = "Asia/Ho_Chi_Minh"
[area.yard]
name = "Sân"
kind = "public"
[recorder.a]
[[recorder.a.volume]]
name = "a1"
path = "/srv/a1"
[camera.gate]
name = "Cổng"
area = "yard"
main = "rtsp://10.0.0.1/1"
"#;

    #[test]
    fn backups_have_their_time_their_folders_and_their_disks() {
        let text = format!(
            "{SITE}\n[backup]\nrecipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\nat = \"02:30\"\n\
             to = [{{ kind = \"directory\", path = \"/mnt/na s\" }}, {{ kind = \"disk\", disk = \"usb-Y_1-0:0\" }}, \
             {{ kind = \"s3\", url_secret = \"x\" }}]\n"
        );
        let site = crate::site::parse(&text, "site.toml").unwrap();
        let units = super::super::units(&site, &"a".parse().unwrap());
        let timer = &units["custodian-backup.timer.d/site.conf"];
        assert!(timer.ends_with("OnCalendar=\nOnCalendar=*-*-* 02:30:00 Asia/Ho_Chi_Minh\n"), "{timer}");
        let service = &units["custodian-backup.service.d/site.conf"];
        assert!(service.ends_with("CUSTODIAN_RECORDER=a\nReadWritePaths=\"-/mnt/na s\"\n"), "{service}");
        let mount = r"var-lib-custodian-backup\x2ddisks-usb\x2dY_1\x2d0:0.mount";
        assert!(
            units[mount].contains(
                "What=/dev/disk/by-id/usb-Y_1-0:0-part1\nWhere=/var/lib/custodian/backup-disks/usb-Y_1-0:0\n"
            )
        );
        assert!(units.values().any(|text| text.contains(&format!("Wants={mount}\n"))));
        assert!(is_mount(mount) && !is_volume_mount(mount));
        assert!(is_volume_mount(r"var-lib-custodian-volumes-a\x2d1.mount"));
        assert!(
            !super::super::units(&crate::site::parse(SITE, "site.toml").unwrap(), &"a".parse().unwrap())
                .keys()
                .any(|n| n.contains("backup")),
            "a site without backups has none of it"
        );
    }
}
