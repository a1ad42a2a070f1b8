//! What a technician gets to see of a recorder: one plain text that a person can read through before it leaves.
//!
//! Everything structured is told from an allowed list: what a later version adds to a structure stays at school until somebody adds it
//! here. Only the journal is somebody else's text; [`Mask`] goes over it. There is no way from footage to here.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use super::mask::Mask;
use crate::{
    site::{Site, VolumePlace},
    types::{
        CameraId,
        wire::{self, health::Report},
    },
};

/// A part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name: `versions`, `health`, `site`, `recorder`, `machine`, `units`, `journal`. What it holds is said in the catalogs, `diagnose.<name>`.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

impl Section {
    /// Of a structure.
    pub fn of(name: &'static str, value: &Value) -> Self {
        Self { name, text: format!("{value:#}\n") }
    }

    /// Of somebody else's text, masked.
    pub fn masked(name: &'static str, text: &str, mask: &Mask) -> Self {
        Self { name, text: mask.apply(text) }
    }
}

/// What stands before each section, so that a program can find them again.
const RULE: &str = "=====";

/// The whole text.
pub fn text(head: &str, sections: &[Section]) -> String {
    let mut out = String::new();
    for line in head.lines() {
        let _ = writeln!(out, "# {line}");
    }
    for section in sections {
        let _ = write!(out, "\n{RULE} {} {RULE}\n{}", section.name, section.text);
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

/// How it is, without names.
pub fn health(report: &Report) -> Section {
    Section::of("health", &json!(report.masked()))
}

/// What is wanted: cameras by number.
pub fn site(site: &Site, numbers: &BTreeMap<CameraId, u32>) -> Section {
    let cameras: Vec<Value> = site
        .cameras()
        .iter()
        .map(|c| {
            json!({
                "number": numbers.get(&c.id), "recorder": c.recorder, "enabled": c.enabled,
                "area": site.area(&c.area).map(|a| a.kind.as_str()), "model": c.register.model,
                "transport": c.transport.as_str(), "sub": c.sub.is_some(), "credentials": c.credentials.is_some(),
                "record": c.record, "scheduled": !c.schedule.is_empty(), "bitrate": c.bitrate, "sub_bitrate": c.sub_bitrate,
                "priority": c.priority, "copies": c.copies, "pinned": c.volume,
                "min_days": c.retention.min_days, "max_days": c.retention.max_days,
            })
        })
        .collect();
    let recorders: Vec<Value> = site
        .recorders()
        .map(|r| {
            let volumes = r.volumes.iter().map(|v| {
                let kind = if matches!(v.place, VolumePlace::Disk(_)) { "disk" } else { "path" };
                json!({ "name": v.name, "kind": kind, "size": v.size })
            });
            json!({ "id": r.id, "unlock": r.unlock.as_str(), "control_room": r.control_room, "volumes": volumes.collect::<Vec<_>>() })
        })
        .collect();
    let health = site.health();
    Section::of(
        "site",
        &json!({
            "timezone": site.timezone().iana_name(), "language": site.language().as_str(),
            "when_short": site.when_short().as_str(), "promise": site.promise().as_str(),
            "min_days": site.retention().min_days, "max_days": site.retention().max_days,
            "areas": site.areas().len(), "roles": site.roles().len(), "people": site.people().len(),
            "push": health.push.iter().map(|p| p.kind.as_str()).collect::<Vec<_>>(), "alarms": health.alarms.len(),
            "pull": health.pull.is_some(), "vendor": health.vendor.is_some(),
            "backup": site.backup().map(|b| b.to.iter().map(|t| t.kind().as_str()).collect::<Vec<_>>()),
            "recorders": recorders, "cameras": cameras,
        }),
    )
}

/// What the recorder says of itself: streams by the number of their camera. A cause has words of the camera's in its detail; its kind is told.
pub fn recorder(
    status: &wire::Status,
    retention: Option<&wire::Retention>,
    numbers: &BTreeMap<CameraId, u32>,
    mask: &Mask,
) -> Section {
    let streams: Vec<Value> = status
        .streams
        .iter()
        .map(|s| {
            json!({
                "number": numbers.get(&s.camera), "stream": s.stream, "recorded": s.recorded, "out_of_hours": s.out_of_hours,
                "state": s.state, "cause": s.cause.as_ref().map(|c| c.kind), "bit_rate": s.bit_rate, "frame_rate": s.frame_rate,
                "newest_committed": s.newest_committed, "gap_seconds_today": s.gap_seconds_today,
                "lost_packets": s.lost_packets, "clock_error": s.clock_error, "volume": s.volume, "size": s.size, "codec": s.codec,
            })
        })
        .collect();
    let masked = |text: &Option<String>| text.as_ref().map(|text| mask.apply(text));
    let volumes: Vec<Value> = status
        .volumes
        .iter()
        .map(|v| {
            json!({
                "name": v.name, "healthy": v.healthy, "problem": masked(&v.problem), "full": v.full, "free": v.free, "size": v.size,
                "queued": v.queued, "writer_latency": v.writer_latency, "commit_latency": v.commit_latency,
            })
        })
        .collect();
    let ledger = status.ledger.as_ref().map(|l| {
        json!({ "entries": l.entries, "at": l.at, "waiting": l.waiting, "dropped": l.dropped, "problem": masked(&l.problem) })
    });
    let kept = retention.map(|r| {
        let cameras = r.cameras.iter().map(|c| {
            json!({
                "number": numbers.get(&c.camera), "min_days": c.min_days, "max_days": c.max_days, "per_day": c.per_day, "held": c.held,
                "kept": c.kept, "steady_days": c.steady_days, "affected_day": c.affected_day, "stopped": c.stopped, "substream": c.substream,
            })
        });
        let suspended = r.suspended.iter().map(|s| json!({ "volume": s.volume, "doubt": s.doubt, "why": mask.apply(&s.why) }));
        json!({
            "reckoned": r.reckoned, "younger_seconds": r.younger_seconds, "volumes": r.volumes,
            "suspended": suspended.collect::<Vec<_>>(), "cameras": cameras.collect::<Vec<_>>(),
        })
    });
    Section::of(
        "recorder",
        &json!({
            "recorder": status.recorder, "version": status.version, "started": status.started, "now": status.now,
            "queued": status.queued, "index_problem": masked(&status.index_problem), "ledger": ledger,
            "streams": streams, "volumes": volumes, "retention": kept,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        health::{fixture, steady::Steady},
        types::wire::health::Witnessed,
    };

    #[test]
    fn what_the_site_is_called_is_in_neither_report_nor_site() {
        let facts = fixture::well(1);
        let site = facts.site.as_ref().unwrap().0.clone();
        let log = format!("custodian/{}/a/record", site.id());
        let mut report = fixture::look(&facts, &[], &mut Steady::default(), 0).0;
        let witnessed =
            |checkpoint: String| Witnessed { ledger: "record".into(), checkpoint, entries: 12, at: fixture::NOW };
        let ours = witnessed(format!("{log}\n12\nQUJD\n\n— {log} REVG\n"));
        let odd = witnessed(format!("{log}\n12\nQUJD\n{log}\n\n— {log} REVG\n"));
        report.checkpoints = vec![ours, odd];
        let masked: Vec<_> = report.masked().checkpoints.into_iter().map(|c| c.checkpoint).collect();
        assert_eq!(masked, ["<name>\n12\nQUJD\n\n— <name> REVG\n", ""], "the name put back is the note again");
        let numbers = BTreeMap::new();
        for section in [health(&report), super::site(&site, &numbers)] {
            assert!(!section.text.contains(site.id()) && !section.text.contains(site.name()), "{}", section.text);
        }
    }
}
