//! The report of one look.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::{
    site::{Camera, Site},
    types::{
        ByteSize, RecorderId, StreamKind, WallNs,
        wire::{
            StreamStatus,
            health::{CameraHealth, Finding, Report, Silence, StreamHealth, VolumeHealth, Witnessed},
        },
    },
};

/// Version of the report's structure.
const FORMAT: u16 = 1;

/// What is said of these facts. The findings are those of [`super::judge::judge`] after damping. What looking has cost the processor is
/// known to who looked: `cost_us` is 0 here.
pub fn assemble(facts: &Facts, mut findings: Vec<Finding>, silences: Vec<Silence>) -> Report {
    findings.sort_by(|a, b| (a.probe, &a.subject).cmp(&(b.probe, &b.subject)));
    let loud = findings.iter().filter(|f| f.silenced.is_none());
    let level = loud.map(|f| f.level).max().unwrap_or_default();
    let site = facts.site.as_ref().ok();
    let status = facts.status.as_ref().ok();
    Report {
        format: FORMAT,
        at: facts.at,
        recorder: site.map(|(_, recorder)| recorder.clone()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        recording: status.map(|s| (s.version.clone(), s.started)),
        level,
        cameras: site.map(|(site, recorder)| cameras(facts, site, recorder)).unwrap_or_default(),
        volumes: site.map(|(site, recorder)| volumes(facts, site, recorder)).unwrap_or_default(),
        findings,
        machine: facts.machine.clone(),
        generation: facts.root.as_ref().and_then(|root| root.generation.clone()),
        checkpoints: checkpoint(facts).into_iter().collect(),
        silences: silences.into_iter().filter(|s| s.from <= facts.at && facts.at < s.until).collect(),
        cost_us: 0,
    }
}

/// The recorder's streams by camera.
pub(super) fn streams(facts: &Facts) -> BTreeMap<&str, Vec<&StreamStatus>> {
    let mut all: BTreeMap<&str, Vec<&StreamStatus>> = BTreeMap::new();
    for stream in facts.status.iter().flat_map(|status| &status.streams) {
        all.entry(stream.camera.as_str()).or_default().push(stream);
    }
    all
}

fn cameras(facts: &Facts, site: &Site, recorder: &RecorderId) -> Vec<CameraHealth> {
    let streams = streams(facts);
    let local = facts.at.timestamp().to_zoned(site.timezone().clone()).datetime();
    let kept: BTreeMap<_, _> = facts.retention.iter().flat_map(|r| &r.cameras).map(|c| (&c.camera, c)).collect();
    let camera = |(number, camera): (u32, &Camera)| {
        let told = streams.get(camera.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        CameraHealth {
            number,
            id: Some(camera.id.clone()),
            name: Some(camera.name.clone()),
            required: camera.enabled && camera.scheduled(local),
            streams: recorded(camera, told).map(|kind| stream(facts, camera, kind, told)).collect(),
            min_days: camera.retention.min_days,
            kept_days: kept.get(&camera.id).and_then(|c| c.kept).map(|kept| kept.days),
            clock_error: told.iter().find_map(|s| s.clock_error),
        }
    };
    let mut all: Vec<_> = numbered(facts, site, recorder).map(camera).collect();
    all.sort_by_key(|c| c.number);
    all
}

/// The recorder's cameras with their opaque numbers. One that has none yet gets one from the other end, for a look.
pub(super) fn numbered<'a>(
    facts: &'a Facts,
    site: &'a Site,
    recorder: &'a RecorderId,
) -> impl Iterator<Item = (u32, &'a Camera)> {
    let new = (0..u32::MAX).rev();
    site.cameras_of(recorder).zip(new).map(|(c, new)| (facts.numbers.get(&c.id).copied().unwrap_or(new), c))
}

/// The streams that a camera is recorded by: those that the site says, or its sub stream while the disks are short. Main first.
pub(super) fn recorded<'a>(camera: &'a Camera, told: &'a [&StreamStatus]) -> impl Iterator<Item = StreamKind> + 'a {
    let is = |kind| move |s: &&&StreamStatus| s.stream == kind && s.recorded;
    let by_sub = told.iter().any(|s| is(StreamKind::Sub)(&s)) && !told.iter().any(|s| is(StreamKind::Main)(&s));
    let mut wanted: Vec<StreamKind> =
        camera.streams().filter(|(_, _, record)| *record).map(|(kind, ..)| kind).collect();
    if by_sub {
        wanted = vec![StreamKind::Sub];
    }
    wanted.into_iter()
}

fn stream(facts: &Facts, camera: &Camera, kind: StreamKind, told: &[&StreamStatus]) -> StreamHealth {
    let told = told.iter().find(|s| s.stream == kind);
    let key = (camera.id.clone(), kind);
    StreamHealth {
        stream: kind,
        newest_committed: facts.newest.get(&key).copied(),
        gap_seconds_today: told.map(|s| s.gap_seconds_today),
        gap_seconds_day: told.map(|s| s.gap_seconds_day),
        gap_seconds_total: facts.gap_totals.get(&key).copied().unwrap_or_default(),
        lost_packets: told.map(|s| s.lost_packets),
    }
}

fn volumes(facts: &Facts, site: &Site, recorder: &RecorderId) -> Vec<VolumeHealth> {
    let volume = |v: &crate::site::Volume| {
        let told = facts.volume(&v.name);
        let there = told.filter(|v| v.size > ByteSize(0));
        let disk = facts.root.as_ref().and_then(|root| root.disks.get(&v.name));
        let retention = facts.retention.iter().flat_map(|r| &r.volumes).find(|r| r.name == v.name);
        VolumeHealth {
            name: v.name.clone(),
            healthy: told.is_some_and(|v| v.healthy),
            size: there.map(|v| v.size),
            free: there.map(|v| v.free),
            committed: committed(facts, &v.name),
            write_p99_us: told.and_then(|v| v.writer_latency).map(|l| l.p99_us),
            commit_p99_us: told.and_then(|v| v.commit_latency).map(|l| l.p99_us),
            #[expect(clippy::cast_precision_loss, reason = "degrees")]
            temperature: disk.and_then(|d| d.temperature).map(|t| t as f64),
            bad_sectors: disk.and_then(|d| d.bad_sectors),
            shortfall: retention.and_then(|r| r.breaks).map_or(ByteSize(0), |b| b.missing),
        }
    };
    let mut all: Vec<_> = site.volumes_of(recorder).iter().map(volume).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// When a volume was committed last: by what the recorder leaves behind, or says.
pub(super) fn committed(facts: &Facts, volume: &crate::types::VolumeName) -> Option<WallNs> {
    let left = facts.commits.get(volume).map(|c| c.at);
    left.max(facts.volume(volume).and_then(|v| v.committed))
}

/// The newest checkpoint of the recorder's ledger.
fn checkpoint(facts: &Facts) -> Option<Witnessed> {
    let ledger = facts.status.as_ref().ok()?.ledger.as_ref()?;
    let checkpoint = ledger.checkpoint.clone()?;
    Some(Witnessed { ledger: "record".into(), entries: signed_entries(&checkpoint)?, checkpoint, at: ledger.at? })
}

/// How many entries a checkpoint covers: the second line of the note (C2SP tlog-checkpoint).
pub(super) fn signed_entries(checkpoint: &str) -> Option<u64> {
    checkpoint.lines().nth(1)?.parse().ok()
}
