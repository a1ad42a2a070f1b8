//! Recorders and their volumes.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Checker, text};
use crate::{
    site::{
        choices::Unlock,
        model::{Recorder, Volume, VolumePlace},
        problem::{Code, Problem},
        raw,
        read::{At, Named},
        source::Bytes,
    },
    types::{RecorderId, VolumeName},
};

/// Where each volume was declared, and of which recorder it is.
pub(super) type Volumes = BTreeMap<VolumeName, (RecorderId, Bytes)>;

/// What may not be used twice among volumes.
#[derive(Default)]
struct Used {
    names: BTreeMap<VolumeName, Bytes>,
    disks: BTreeMap<String, Bytes>,
    paths: BTreeMap<(RecorderId, PathBuf), Bytes>,
}

impl Checker<'_> {
    pub(super) fn recorders(
        &mut self,
        named: Option<&At<Named<RecorderId, raw::Recorder>>>,
    ) -> BTreeMap<RecorderId, Recorder> {
        let Some(named) = named else { return BTreeMap::new() };
        if named.value.0.is_empty() {
            self.problem(Code::NoRecorder, &named.at, "recorder");
        }
        let mut used = Used::default();
        let mut addresses = BTreeMap::new();
        let mut control_room: Option<Bytes> = None;
        let mut all = BTreeMap::new();
        for (id, raw) in &named.value.0 {
            let key = format!("recorder.{}", id.value);
            if let Some(here) = raw.control_room.as_ref().filter(|c| c.value) {
                if let Some(first) = &control_room {
                    let problem = Problem::new(Code::ControlRooms, here.at.clone(), format!("{key}.control_room"));
                    self.report(problem.other(first));
                }
                control_room.get_or_insert_with(|| here.at.clone());
            }
            let mut volumes = Vec::new();
            if let Some(list) = &raw.volume {
                if list.value.is_empty() {
                    self.problem(Code::NoVolume, &list.at, format!("{key}.volume"));
                }
                for (i, volume) in list.value.iter().enumerate() {
                    volumes.extend(self.volume(&id.value, &format!("{key}.volume[{i}]"), volume, &mut used));
                }
            }
            all.insert(
                id.value.clone(),
                Recorder {
                    id: id.value.clone(),
                    address: text(raw.address.as_ref()),
                    fingerprint: text(raw.fingerprint.as_ref()),
                    control_room: raw.control_room.as_ref().is_some_and(|c| c.value),
                    unlock: raw.unlock.as_ref().map_or(Unlock::Tpm, |u| u.value),
                    volumes,
                    network: raw.network.as_ref().map(|n| self.network(&key, &n.value, &mut addresses)),
                },
            );
        }
        all
    }

    fn volume(&mut self, recorder: &RecorderId, key: &str, raw: &At<raw::Volume>, used: &mut Used) -> Option<Volume> {
        let (at, raw) = (raw.at.clone(), &raw.value);
        if let Some(name) = &raw.name {
            self.once(
                &mut used.names,
                "@volume",
                name.value.clone(),
                name.value.as_str(),
                &name.at,
                &format!("{key}.name"),
            );
            self.declared.volumes.entry(name.value.clone()).or_insert_with(|| (recorder.clone(), name.at.clone()));
        }
        let written = |field: &str| self.reported(&format!("{key}.{field}"));
        let (bad_disk, bad_path, bad_size) = (written("disk"), written("path"), written("size"));
        let place = match (&raw.disk, &raw.path) {
            (Some(disk), Some(path)) => {
                let problem = Problem::new(Code::DiskOrPath, path.at.clone(), format!("{key}.path"));
                self.report(problem.other(&disk.at));
                None
            }
            (Some(disk), None) => {
                self.once(
                    &mut used.disks,
                    "@disk",
                    disk.value.0.clone(),
                    &disk.value.0,
                    &disk.at,
                    &format!("{key}.disk"),
                );
                if raw.size.is_none() && !bad_size {
                    self.problem(Code::NoSize, &disk.at, format!("{key}.size"));
                }
                Some(VolumePlace::Disk(disk.value.0.clone()))
            }
            (None, Some(path)) => {
                let shown = path.value.0.display().to_string();
                let place = (recorder.clone(), path.value.0.clone());
                self.once(&mut used.paths, "@directory", place, &shown, &path.at, &format!("{key}.path"));
                Some(VolumePlace::Path(path.value.0.clone()))
            }
            (None, None) => {
                if !bad_disk && !bad_path {
                    self.problem(Code::DiskOrPath, &at, key);
                }
                None
            }
        };
        Some(Volume { name: raw.name.as_ref()?.value.clone(), place: place?, size: raw.size.as_ref().map(|s| s.value) })
    }
}
