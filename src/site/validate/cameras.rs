//! Areas and cameras.

use std::collections::BTreeMap;

use url::Url;

use super::{Checker, Placed, text};
use crate::{
    site::{
        choices::{AreaKind, Privacy, Transport},
        model::{Area, Camera, Register},
        problem::{Code, Problem},
        raw,
        read::{At, Named},
        source::Bytes,
    },
    types::{AreaId, CameraId, RecorderId, StreamKind, VolumeName},
};

/// An area with what is checked against its cameras.
pub(super) struct Checked {
    pub(super) area: Area,
    days: Placed,
    named: Bytes,
    kind_at: Bytes,
}

/// What may not be used twice among cameras.
#[derive(Default)]
struct Used {
    urls: BTreeMap<Url, Bytes>,
    serials: BTreeMap<String, Bytes>,
    macs: BTreeMap<String, Bytes>,
    numbers: BTreeMap<String, Bytes>,
    previously: BTreeMap<CameraId, Bytes>,
}

impl Checker<'_> {
    pub(super) fn areas(
        &mut self,
        named: Option<&At<Named<AreaId, raw::Area>>>,
        above: &Placed,
    ) -> BTreeMap<AreaId, Checked> {
        let mut all = BTreeMap::new();
        for (id, raw) in named.map(|n| n.value.0.as_slice()).unwrap_or_default() {
            let own = raw.retention.as_ref().map(|r| &r.value);
            let days = self.retention(&format!("area.{}.retention", id.value), own, above);
            let (Some(name), Some(kind)) = (&raw.name, &raw.kind) else { continue };
            let area = Area {
                id: id.value.clone(),
                name: name.value.0.clone(),
                kind: kind.value,
                department: text(raw.department.as_ref()),
                reason: text(raw.reason.as_ref()),
                sign: text(raw.sign.as_ref()),
                retention: days.plain(),
            };
            all.insert(id.value.clone(), Checked { area, days, named: id.at.clone(), kind_at: kind.at.clone() });
        }
        all
    }

    pub(super) fn cameras(
        &mut self,
        file: &raw::File,
        areas: &BTreeMap<AreaId, Checked>,
        site_days: &Placed,
    ) -> Vec<Camera> {
        let Some(named) = &file.camera else { return Vec::new() };
        if named.value.0.is_empty() {
            self.problem(Code::NoCamera, &named.at, "camera");
        }
        let present: BTreeMap<CameraId, Bytes> = super::ids(Some(named));
        let mut used = Used::default();
        let mut without_reason = BTreeMap::new();
        let mut all = Vec::new();
        for (id, raw) in &named.value.0 {
            let key = format!("camera.{}", id.value);
            let area = raw.area.as_ref().and_then(|a| self.area_of(a, &format!("{key}.area"), areas));
            if let Some(area) = area.filter(|a| a.area.kind.wants_reason() && a.area.reason.is_none()) {
                without_reason.entry(area.area.id.clone()).or_insert((area, id.at.clone()));
            }
            self.unique(&key, raw, &mut used);
            self.previously(&key, raw, &present, &mut used);
            all.extend(self.camera(id, raw, area, site_days));
        }
        for (id, (area, camera)) in without_reason {
            let problem = Problem::new(Code::ReasonNeeded, area.named.clone(), format!("area.{id}.reason"));
            self.report(problem.other(&camera).with("area", &area.area.name));
        }
        all
    }

    fn area_of<'a>(&mut self, id: &At<AreaId>, key: &str, areas: &'a BTreeMap<AreaId, Checked>) -> Option<&'a Checked> {
        let declared = self.declared.areas.take();
        let there = self.exists("@area", declared.as_ref(), id, key);
        self.declared.areas = declared;
        let area = areas.get(&id.value).filter(|_| there)?;
        if area.area.kind.privacy() == Privacy::Refused {
            let problem = Problem::new(Code::AreaRefused, id.at.clone(), key).other(&area.kind_at);
            self.report(problem.with("area", &area.area.name).with("kind", kind_word(area.area.kind)));
        }
        Some(area)
    }

    fn unique(&mut self, key: &str, raw: &raw::Camera, used: &mut Used) {
        if let Some(main) = &raw.main {
            self.once(
                &mut used.urls,
                "@url",
                main.value.0.clone(),
                main.value.0.as_str(),
                &main.at,
                &format!("{key}.main"),
            );
        }
        match (&raw.main, &raw.sub) {
            (Some(main), Some(sub)) if main.value == sub.value => {
                let problem = Problem::new(Code::SameAsMain, sub.at.clone(), format!("{key}.sub"));
                self.report(problem.other(&main.at));
            }
            (_, Some(sub)) => {
                self.once(
                    &mut used.urls,
                    "@url",
                    sub.value.0.clone(),
                    sub.value.0.as_str(),
                    &sub.at,
                    &format!("{key}.sub"),
                );
            }
            _ => {}
        }
        if let Some(t) = &raw.serial {
            self.once(&mut used.serials, "@serial", t.value.0.clone(), &t.value.0, &t.at, &format!("{key}.serial"));
        }
        if let Some(t) = &raw.mac {
            self.once(&mut used.macs, "@mac", t.value.0.clone(), &t.value.0, &t.at, &format!("{key}.mac"));
        }
        if let Some(t) = &raw.number {
            self.once(&mut used.numbers, "@inventory", t.value.0.clone(), &t.value.0, &t.at, &format!("{key}.number"));
        }
    }

    fn previously(&mut self, key: &str, raw: &raw::Camera, present: &BTreeMap<CameraId, Bytes>, used: &mut Used) {
        let key = format!("{key}.previously");
        for old in raw.previously.as_ref().map(|p| p.value.as_slice()).unwrap_or_default() {
            if let Some(there) = present.get(&old.value) {
                let problem = Problem::new(Code::StillThere, old.at.clone(), &key);
                self.report(problem.other(there).with("found", &old.value));
            }
            self.once(&mut used.previously, "@old", old.value.clone(), old.value.as_str(), &old.at, &key);
        }
    }

    /// The recorder: stated, else that of the pinned volume, else the only one.
    fn recorder_of(&mut self, id: &At<CameraId>, raw: &raw::Camera, key: &str) -> Option<RecorderId> {
        let volume = raw.volume.as_ref().and_then(|v| self.pinned(v, &format!("{key}.volume")));
        if let Some(stated) = &raw.recorder {
            let declared = self.declared.recorders.take();
            let there = self.exists("@recorder", declared.as_ref(), stated, &format!("{key}.recorder"));
            self.declared.recorders = declared;
            if let Some((of, at)) = volume.filter(|(of, _)| there && *of != stated.value) {
                let pin = raw.volume.as_ref()?;
                let problem = Problem::new(Code::VolumeElsewhere, pin.at.clone(), format!("{key}.volume")).other(&at);
                self.report(problem.with("found", &pin.value).with("recorder", of).with("wanted", &stated.value));
            }
            return there.then(|| stated.value.clone());
        }
        if raw.volume.is_some() || ["recorder", "volume"].iter().any(|k| self.reported(&format!("{key}.{k}"))) {
            return volume.map(|(of, _)| of);
        }
        let names: Vec<String> = self.declared.recorders.iter().flatten().map(|(r, _)| r.to_string()).collect();
        match (&self.declared.recorders, names.as_slice()) {
            (Some(all), [_]) => all.keys().next().cloned(),
            (Some(_), [_, ..]) => {
                let problem = Problem::new(Code::RecorderNeeded, id.at.clone(), format!("{key}.recorder"));
                self.report(problem.with("known", names.join(", ")));
                None
            }
            _ => None,
        }
    }

    fn pinned(&mut self, pin: &At<VolumeName>, key: &str) -> Option<(RecorderId, Bytes)> {
        let found = self.declared.volumes.get(&pin.value).cloned();
        // Where the recorders could not be read, their volumes aren't known.
        if found.is_none() && self.declared.recorders.is_some() {
            let all = self.declared.volumes.iter().map(|(name, (_, at))| (name.clone(), at.clone())).collect();
            self.exists("@volume", Some(&all), pin, key);
        }
        found
    }

    fn camera(
        &mut self,
        id: &At<CameraId>,
        raw: &raw::Camera,
        area: Option<&Checked>,
        site_days: &Placed,
    ) -> Option<Camera> {
        let key = format!("camera.{}", id.value);
        let recorder = self.recorder_of(id, raw, &key);
        if let (Some(copies), Some(recorder)) = (&raw.copies, &recorder)
            && copies.value.0 > 1
            && self.declared.volumes.values().filter(|(of, _)| of == recorder).count() < 2
        {
            let problem = Problem::new(Code::TwoVolumesNeeded, copies.at.clone(), format!("{key}.copies"));
            self.report(problem.with("recorder", recorder));
        }
        let own = raw.retention.as_ref().map(|r| &r.value);
        let days = self.retention(&format!("{key}.retention"), own, area.map_or(site_days, |a| &a.days));
        let record = self.record(raw, &key);
        if let Some(name) = &raw.credentials {
            self.credentials.push((format!("{key}.credentials"), name.clone()));
        }
        if let Some(person) = &raw.responsible {
            let declared = self.declared.people.take();
            self.exists("@person", declared.as_ref(), person, &format!("{key}.responsible"));
            self.declared.people = declared;
        }
        let area = area?;
        Some(Camera {
            id: id.value.clone(),
            previously: raw
                .previously
                .as_ref()
                .map(|p| p.value.iter().map(|o| o.value.clone()).collect())
                .unwrap_or_default(),
            name: raw.name.as_ref()?.value.0.clone(),
            area: area.area.id.clone(),
            recorder: recorder?,
            volume: raw.volume.as_ref().map(|v| v.value.clone()),
            enabled: raw.enabled.as_ref().is_none_or(|e| e.value),
            main: raw.main.as_ref()?.value.0.clone(),
            sub: raw.sub.as_ref().map(|s| s.value.0.clone()),
            transport: raw.transport.as_ref().map_or(Transport::Tcp, |t| t.value),
            credentials: raw.credentials.as_ref().map(|c| c.value.clone()),
            record,
            schedule: raw.schedule.as_ref().map(|s| s.value.iter().map(|h| h.value).collect()).unwrap_or_default(),
            bitrate: raw.bitrate.as_ref().map(|b| b.value),
            sub_bitrate: raw.sub_bitrate.as_ref().map(|b| b.value),
            audio_bitrate: raw.audio_bitrate.as_ref().map(|b| b.value),
            priority: raw.priority.as_ref().map_or(5, |p| p.value.0),
            copies: raw.copies.as_ref().map_or(1, |c| c.value.0),
            retention: days.plain(),
            register: Register {
                number: text(raw.number.as_ref()),
                place: text(raw.place.as_ref()),
                responsible: raw.responsible.as_ref().map(|p| p.value.clone()),
                department: text(raw.department.as_ref()).or_else(|| area.area.department.clone()),
                model: text(raw.model.as_ref()),
                serial: text(raw.serial.as_ref()),
                mac: raw.mac.as_ref().map(|m| m.value.0.clone()),
                bought: raw.bought.as_ref().map(|b| b.value.0),
                sign: text(raw.sign.as_ref()).or_else(|| area.area.sign.clone()),
            },
        })
    }

    fn record(&mut self, raw: &raw::Camera, key: &str) -> Vec<StreamKind> {
        let Some(list) = &raw.record else { return vec![StreamKind::Main] };
        let no_sub = raw.sub.is_none() && !self.reported(&format!("{key}.sub"));
        let key = format!("{key}.record");
        if list.value.is_empty() {
            // A camera that is not to be recorded says `enabled = false`, or hours.
            self.problem(Code::EmptyList, &list.at, &key);
        }
        let mut seen = BTreeMap::new();
        for kind in &list.value {
            self.once(&mut seen, "@stream", kind.value, kind.value.as_str(), &kind.at, &key);
            if kind.value == StreamKind::Sub && no_sub {
                self.problem(Code::NoSub, &kind.at, &key);
            }
        }
        seen.into_keys().collect()
    }
}

/// The kind's name as the catalog has it.
fn kind_word(kind: AreaKind) -> String {
    format!("@{kind}")
}
