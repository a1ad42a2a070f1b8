//! What is backed up, for whom, and where to.

use std::collections::BTreeMap;

use super::{Checker, people::values};
use crate::{
    site::{
        choices::{BackupKind, BackupWhat},
        model::{Backup, BackupPlace, Recorder, VolumePlace, mount_point},
        problem::{Code, Problem},
        raw,
        read::At,
        source::Bytes,
    },
    types::RecorderId,
};

impl Checker<'_> {
    pub(super) fn backup(&mut self, raw: &raw::Backup, recorders: &BTreeMap<RecorderId, Recorder>) -> Option<Backup> {
        self.areas_exist(raw.areas.as_ref(), "backup.areas");
        let mut to = Vec::new();
        if let Some(places) = &raw.to {
            if places.value.0.is_empty() {
                self.problem(Code::EmptyList, &places.at, "backup.to");
            }
            let mut seen = BTreeMap::new();
            for (i, place) in places.value.0.iter().enumerate() {
                to.extend(self.backup_place(&format!("backup.to[{i}]"), place, recorders, &mut seen));
            }
        }
        if let Some(list) = &raw.recipients {
            if list.value.is_empty() {
                self.problem(Code::EmptyList, &list.at, "backup.recipients");
            }
            let mut seen = BTreeMap::new();
            for (i, one) in list.value.iter().enumerate() {
                let text = one.value.to_string();
                self.once(&mut seen, "@recipient", text.clone(), &text, &one.at, &format!("backup.recipients[{i}]"));
            }
        }
        let all = [BackupWhat::Holds, BackupWhat::Exports, BackupWhat::Databases, BackupWhat::Ledger, BackupWhat::Site];
        Some(Backup {
            what: raw.what.as_ref().map_or_else(|| all.to_vec(), |w| values(Some(w))),
            areas: values(raw.areas.as_ref()),
            recipients: values(raw.recipients.as_ref()),
            at: raw.at.as_ref()?.value.0,
            keep_days: raw.keep_days.as_ref().map(|d| d.value.0),
            rate: raw.rate.as_ref().map(|r| r.value),
            to,
        })
    }

    fn backup_place(
        &mut self,
        key: &str,
        raw: &At<raw::BackupPlace>,
        recorders: &BTreeMap<RecorderId, Recorder>,
        seen: &mut BTreeMap<String, Bytes>,
    ) -> Option<BackupPlace> {
        let (at, raw) = (raw.at.clone(), &raw.value);
        if let Some(name) = &raw.url_secret {
            self.secrets.push((format!("{key}.url_secret"), name.clone()));
        }
        let kind = raw.kind.as_ref()?.value;
        let (wanted, what, place) = match kind {
            BackupKind::Disk => {
                ("disk", "@disk", raw.disk.as_ref().map(|d| (BackupPlace::Disk(d.value.0.clone()), &d.at)))
            }
            BackupKind::Directory => {
                ("path", "@directory", raw.path.as_ref().map(|p| (BackupPlace::Directory(p.value.0.clone()), &p.at)))
            }
            BackupKind::S3 => {
                ("url_secret", "@secret", raw.url_secret.as_ref().map(|s| (BackupPlace::S3(s.value.clone()), &s.at)))
            }
        };
        let key = format!("{key}.{wanted}");
        let Some((place, here)) = place else {
            if !self.reported(&key) {
                let table = format!("[{}]", key.rsplit_once('.').map_or("", |(table, _)| table));
                let problem = Problem::new(Code::MissingKey, at, key);
                self.report(problem.with("name", wanted).with("table", table));
            }
            return None;
        };
        self.once(seen, what, place.label(), place.name(), here, &key);
        // What is lost with a disk for footage is no backup of it.
        let within = recorders.values().flat_map(|r| &r.volumes).find(|v| match (&v.place, &place) {
            (VolumePlace::Disk(volume), BackupPlace::Disk(disk)) => volume == disk,
            (VolumePlace::Path(volume), BackupPlace::Directory(path)) => path.starts_with(volume),
            (VolumePlace::Disk(_), BackupPlace::Directory(path)) => path.starts_with(mount_point(&v.name)),
            _ => false,
        });
        if let Some(volume) = within {
            let mut problem = Problem::new(Code::BackupInside, here.clone(), key).with("found", &volume.name);
            if let Some((_, declared)) = self.declared.volumes.get(&volume.name) {
                problem = problem.other(declared);
            }
            self.report(problem);
        }
        Some(place)
    }
}
