//! A plan in words, for a school.

use std::fmt::Display;

use super::{Change, DiskNote, Layout, LinkNote, Note, Recover, Remedy, Short, Step, What};
use crate::{
    lang::t,
    types::{CameraId, Lang, VolumeName},
};

/// How many ids are named before the rest is counted.
const NAMED: usize = 6;

fn list<T: Display>(lang: Lang, items: &[T]) -> String {
    let named: Vec<String> = items.iter().take(NAMED).map(ToString::to_string).collect();
    let text = named.join(", ");
    match items.len().checked_sub(NAMED).filter(|n| *n > 0) {
        Some(more) => t(lang, "plan.and_more", &[("list", &text), ("more", &more.to_string())]),
        None if items.is_empty() => "–".to_owned(),
        None => text,
    }
}

fn days(lang: Lang, key: &str, days: Option<u32>) -> String {
    days.map_or_else(|| t(lang, key, &[]), |d| t(lang, "plan.days", &[("days", &d.to_string())]))
}

/// What a change is, in one sentence.
pub fn change(lang: Lang, change: &Change) -> String {
    let say = |key: &str, values: &[(&str, &str)]| t(lang, &format!("plan.{key}"), values);
    let camera = |key: &str, id: &CameraId, name: &str| say(key, &[("camera", id.as_str()), ("name", name)]);
    match &change.what {
        What::FirstSite { cameras } => say("first_site", &[("cameras", &cameras.to_string())]),
        What::CameraAdded { camera, name, volumes } => say(
            "camera_added",
            &[("camera", camera.as_str()), ("name", name), ("volumes", &list::<VolumeName>(lang, volumes))],
        ),
        What::CameraRemoved { camera, name, max_days } => say(
            "camera_removed",
            &[("camera", camera.as_str()), ("name", name), ("days", &days(lang, "plan.as_disks_allow", *max_days))],
        ),
        What::CameraRenamed { camera, from } => {
            say("camera_renamed", &[("camera", camera.as_str()), ("from", from.as_str())])
        }
        What::CameraStopped { camera: id, name } => camera("camera_stopped", id, name),
        What::CameraStarted { camera: id, name } => camera("camera_started", id, name),
        What::CameraAddress { camera: id, name } => camera("camera_address", id, name),
        What::CameraVolume { camera, from, to } => {
            say("camera_volume", &[("camera", camera.as_str()), ("from", &list(lang, from)), ("to", &list(lang, to))])
        }
        What::CameraRecorder { camera, from, to } => {
            say("camera_recorder", &[("camera", camera.as_str()), ("from", from.as_str()), ("to", to.as_str())])
        }
        What::CameraArea { camera, from, to } => {
            say("camera_area", &[("camera", camera.as_str()), ("from", from.as_str()), ("to", to.as_str())])
        }
        What::CameraWeakened { camera, name, keys } => {
            say("camera_weakened", &[("camera", camera.as_str()), ("name", name), ("keys", &list(lang, keys))])
        }
        What::CameraChanged { camera, name, keys } => {
            say("camera_changed", &[("camera", camera.as_str()), ("name", name), ("keys", &list(lang, keys))])
        }
        What::CameraDetails { camera: id, name } => camera("camera_details", id, name),
        What::Retention { cameras, min_before, min_after, max_before, max_after } => say(
            "retention",
            &[
                ("cameras", &list(lang, cameras)),
                ("min_before", &days(lang, "plan.no_promise", *min_before)),
                ("min_after", &days(lang, "plan.no_promise", *min_after)),
                ("max_before", &days(lang, "plan.no_limit", *max_before)),
                ("max_after", &days(lang, "plan.no_limit", *max_after)),
            ],
        ),
        What::PromiseWeaker => say("promise_weaker", &[]),
        What::PromiseStronger => say("promise_stronger", &[]),
        What::VolumeAdded { volume, recorder, size } => say(
            "volume_added",
            &[
                ("volume", volume.as_str()),
                ("recorder", recorder.as_str()),
                ("size", &size.map_or_else(|| "–".to_owned(), |s| s.to_string())),
            ],
        ),
        What::VolumeRemoved { volume, recorder } => {
            say("volume_removed", &[("volume", volume.as_str()), ("recorder", recorder.as_str())])
        }
        What::VolumeChanged { volume } => say("volume_changed", &[("volume", volume.as_str())]),
        What::RecorderAdded { recorder } => say("recorder_added", &[("recorder", recorder.as_str())]),
        What::RecorderRemoved { recorder } => say("recorder_removed", &[("recorder", recorder.as_str())]),
        What::RecorderChanged { recorder } => say("recorder_changed", &[("recorder", recorder.as_str())]),
        What::Network { recorder, weaker, clock } => {
            let text = say(if *weaker { "network_weaker" } else { "network" }, &[("recorder", recorder.as_str())]);
            if *clock { text + &say("network_clock", &[]) } else { text }
        }
        What::Identity { from, to } => say("identity", &[("from", from.as_str()), ("to", to.as_str())]),
        What::Areas { areas } => say("areas", &[("areas", &list(lang, areas))]),
        What::People => say("people", &[]),
        What::Approvals => say("approvals", &[]),
        What::Health => say("health", &[]),
        What::Backup => say("backup", &[]),
        What::Update => say("update", &[]),
        What::Site => say("site", &[]),
        What::Secrets => say("secrets", &[]),
        What::Wording => say("wording", &[]),
    }
}

/// What comes after it: what is lost, and whose word it wants.
pub fn remarks(lang: Lang, change: &Change) -> Vec<String> {
    let seconds = change.lost_seconds.to_string();
    [
        (change.lost_seconds > 0, t(lang, "plan.lost", &[("seconds", &seconds)])),
        (change.destructive, t(lang, "plan.destructive", &[])),
        (change.guarded, t(lang, "plan.guarded", &[])),
    ]
    .into_iter()
    .filter_map(|(holds, text)| holds.then_some(text))
    .collect()
}

/// What is to be said of a disk, and what to do about it.
pub fn disk(lang: Lang, note: &DiskNote) -> String {
    let (volume, disk) = (note.volume.as_str(), note.disk.as_str());
    let say = |key: &str, more: &[(&str, &str)]| {
        let values = [&[("volume", volume), ("disk", disk)], more].concat();
        t(lang, &format!("plan.disk_{key}"), &values)
    };
    match &note.note {
        Note::Empty => say("empty", &[]),
        Note::Gone { similar } if similar.is_empty() => say("gone", &[]),
        Note::Gone { similar } => say("gone_similar", &[("similar", &list(lang, similar))]),
        Note::Foreign { found } => say("foreign", &[("found", &list(lang, found))]),
        Note::Other { volume, site } => say("other", &[("other", volume.as_str()), ("site", site)]),
        Note::Unknown { why } => say("unknown", &[("why", why)]),
        Note::System => say("system", &[]),
        Note::Removable => say("removable", &[]),
        Note::ReadOnly => say("read_only", &[]),
        Note::TooSmall { stated, size } => {
            say("too_small", &[("stated", &stated.to_string()), ("size", &size.to_string())])
        }
    }
}

/// What is wrong with a network card of the site, and what to do about it.
pub fn link(lang: Lang, note: &LinkNote) -> String {
    match note {
        LinkNote::Gone { place, link, there } => {
            t(lang, "plan.link_gone", &[("place", place), ("link", link), ("there", &list(lang, there))])
        }
        LinkNote::Twice { school, cameras } => t(lang, "plan.link_twice", &[("school", school), ("cameras", cameras)]),
    }
}

/// The arithmetic of a site that is short of room, line by line.
pub fn short(lang: Lang, short: &Short) -> Vec<String> {
    let say = |key: &str, values: &[(&str, &str)]| t(lang, &format!("plan.short_{key}"), values);
    let (needed, usable, missing) = (short.needed.to_string(), short.usable.to_string(), short.missing().to_string());
    let mut lines = Vec::new();
    if short.missing().0 > 0 {
        lines.push(say("sum", &[("needed", &needed), ("usable", &usable), ("missing", &missing)]));
    } else {
        lines.push(say("shares", &[("needed", &needed), ("usable", &usable)]));
    }
    if short.held.0 > 0 {
        lines.push(say("held", &[("held", &short.held.to_string())]));
    }
    for (recorder, missing) in &short.recorders {
        lines.push(say("recorder", &[("recorder", recorder.as_str()), ("missing", &missing.to_string())]));
    }
    lines.push(say("what_fits", &[]));
    let mut option = |remedy: Remedy, text: Option<String>| {
        if let Some(text) = text {
            let smallest = if short.smallest == Some(remedy) { say("smallest", &[]) } else { String::new() };
            lines.push(format!("  - {text}{smallest}"));
        }
    };
    option(Remedy::Moves, short.moves.as_ref().map(|m| say("moves", &[("moves", &moves(m))])));
    option(Remedy::Rate, short.rate.map(|r| say("rate", &[("rate", &rate(r))])));
    option(Remedy::Days, short.days.map(|d| say("days", &[("days", &d.to_string())])));
    option(Remedy::Disks, short.more.map(|m| say("disks", &[("more", &m.to_string())])));
    lines
}

/// Exactly: rounded up it would not fit.
fn rate(rate: crate::types::BitRate) -> String {
    format!("{:.2} Mbit/s", rate.0 as f64 / 1e6)
}

fn moves(layout: &Layout) -> String {
    let one = |(camera, volumes): (&CameraId, &Vec<VolumeName>)| {
        format!("{camera} → {}", volumes.first().map_or("–", VolumeName::as_str))
    };
    layout.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What is done about a volume that this machine cannot open.
pub fn recover(lang: Lang, recover: &Recover) -> String {
    t(lang, "plan.step_recover", &[("volume", recover.volume.as_str()), ("disk", &recover.disk)])
}

/// What a step does.
pub fn step(lang: Lang, step: &Step) -> String {
    let say = |key: &str, unit: &str| t(lang, &format!("plan.step_{key}"), &[("unit", unit)]);
    match step {
        Step::WriteUnit { unit, .. } => say("write", unit),
        Step::RemoveUnit { unit } => say("remove", unit),
        Step::Switch => say("switch", ""),
        Step::ReloadManager => say("reload_manager", ""),
        Step::Start { unit } => say("start", unit),
        Step::Stop { unit } => say("stop", unit),
        Step::Restart { unit } => say("restart", unit),
        Step::Reload { unit } => say("reload", unit),
        Step::Refresh { unit } => say("refresh", unit),
    }
}
