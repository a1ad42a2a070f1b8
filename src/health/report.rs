//! The report of one look.

use std::collections::BTreeMap;

use super::{facts::Facts, silence};
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
    // What is held though it was not found, too.
    silence::apply(&silences, &mut findings, facts.at);
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
            required: camera.wanted_at(local),
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
    // Without its index the recorder knows of no gap: that is not none.
    let reckoned = told.filter(|_| facts.status.as_ref().is_ok_and(|status| status.index_problem.is_none()));
    StreamHealth {
        stream: kind,
        newest_committed: facts.newest.get(&key).copied(),
        age_seconds: facts.age(&key).map(|age| age.as_secs_f64()),
        gap_seconds_today: reckoned.map(|s| s.gap_seconds_today),
        gap_seconds_day: reckoned.map(|s| s.gap_seconds_day),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        health::{
            facts::{NoAnswer, NoSite},
            fixture::{self, NOW, ago, kept, look, newest, root, told},
            judge::judge,
            steady::Steady,
        },
        types::wire::{
            Breaks,
            health::{Level, Probe, Subject},
        },
    };

    fn told_of(facts: &Facts) -> Report {
        assemble(facts, judge(facts), Vec::new())
    }

    #[test]
    fn a_report_says_what_is_known() {
        let mut facts = fixture::well(3);
        facts.gap_totals.insert(("c2".parse().unwrap(), StreamKind::Main), 77.5);
        told(&mut facts).streams[2].gap_seconds_day = 60.0;
        told(&mut facts).streams[2].gap_seconds_today = 50.0;
        kept(&mut facts).volumes[1].breaks = Some(Breaks { day: 50, at: NOW, missing: ByteSize(9) });
        // A number says nothing of the order in the file.
        facts.numbers.insert("c1".parse().unwrap(), 8);
        let report = told_of(&facts);
        assert_eq!((report.format, report.at, report.level), (1, NOW, Level::Ok));
        assert_eq!(report.recording, Some(("0.1.0".into(), ago(29 * fixture::DAY))));
        let cameras: Vec<_> = report.cameras.iter().map(|c| (c.number, c.name.as_deref(), c.required)).collect();
        assert_eq!(cameras, [(2, Some("Cổng 2"), true), (3, Some("Cổng 3"), true), (8, Some("Cổng 1"), true)]);
        let camera = &report.cameras[0];
        assert_eq!((camera.min_days, camera.kept_days, camera.clock_error), (Some(20), Some(27.58), Some(0.3)));
        let stream = StreamHealth {
            stream: StreamKind::Main,
            newest_committed: Some(ago(3)),
            age_seconds: Some(3.0),
            gap_seconds_today: Some(50.0),
            gap_seconds_day: Some(60.0),
            gap_seconds_total: 77.5,
            lost_packets: Some(0),
        };
        assert_eq!(camera.streams, [stream]);
        let volume = &report.volumes[1];
        assert_eq!((volume.name.as_str(), volume.healthy, volume.shortfall), ("a2", true, ByteSize(9)));
        assert_eq!(
            (volume.committed, volume.temperature, volume.commit_p99_us),
            (Some(ago(2)), Some(38.0), Some(80_000))
        );
        assert_eq!(report.generation.as_ref().map(|g| g.number), Some(12));
        let [checkpoint] = &report.checkpoints[..] else { panic!("{:?}", report.checkpoints) };
        assert_eq!((checkpoint.ledger.as_str(), checkpoint.entries, checkpoint.at), ("record", 90_000, ago(40)));
        assert!(report.findings.is_sorted_by_key(|f| (f.probe, f.subject.clone())));
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let mut facts = fixture::well(3);
        told(&mut facts).index_problem = Some("damaged".into());
        let stream = told_of(&facts).cameras[0].streams.remove(0);
        assert_eq!((stream.gap_seconds_day, stream.gap_seconds_today, stream.lost_packets), (None, None, Some(0)));
        facts.status = Err(NoAnswer::Down);
        facts.retention = None;
        facts.root = None;
        let report = told_of(&facts);
        assert_eq!(
            (report.level, report.recording.is_some(), report.generation.is_some()),
            (Level::Fail, false, false)
        );
        let stream = &report.cameras[0].streams[0];
        assert_eq!((stream.gap_seconds_day, stream.gap_seconds_today, stream.lost_packets), (None, None, None));
        assert_eq!(stream.newest_committed, Some(ago(3)), "by what lies on the disk");
        let volume = &report.volumes[0];
        assert_eq!((volume.healthy, volume.size, volume.committed), (false, None, Some(ago(2))));
        assert!(report.checkpoints.is_empty() && report.cameras[0].kept_days.is_none());
        facts.site = Err(NoSite::Absent);
        let report = told_of(&facts);
        assert!(report.recorder.is_none() && report.cameras.is_empty() && report.volumes.is_empty());
    }

    #[test]
    fn a_camera_out_of_its_hours_is_not_required() {
        let mut facts = fixture::of(fixture::site(1, "schedule = [\"mon 06:00-18:00\"]\nrecord = [\"sub\"]", ""));
        let one = told_of(&facts).cameras.remove(0);
        assert_eq!((one.required, one.streams.len(), one.streams[0].stream), (false, 1, StreamKind::Sub));
        newest(&mut facts, "c1", StreamKind::Sub, None);
        assert_eq!(told_of(&facts).cameras[0].streams[0].newest_committed, None);
    }

    #[test]
    fn what_was_announced_does_not_count_and_is_shown() {
        let mut facts = fixture::well(3);
        root(&mut facts).drift = vec!["x".into()];
        newest(&mut facts, "c2", StreamKind::Main, Some(ago(300)));
        let silence = |from, until, cameras: &[u32]| Silence {
            id: uuid::Uuid::nil(),
            from,
            until,
            probes: vec![Probe::Footage],
            cameras: cameras.to_vec(),
            by: "Dũng".into(),
            reason: "mast".into(),
        };
        let later = NOW + Duration::from_mins(1);
        let all = [silence(ago(60), later, &[2]), silence(later, later + Duration::from_mins(1), &[])];
        let mut steady = Steady::default();
        look(&facts, &all, &mut steady, 0);
        let (report, turns) = look(&facts, &all, &mut steady, 30_000_000_000);
        assert_eq!((report.level, report.silences.len()), (Level::Warn, 1), "only what is announced now");
        let camera = report.findings.iter().find(|f| f.subject == Some(Subject::Camera(2))).unwrap();
        assert_eq!((camera.level, camera.silenced), (Level::Fail, Some(later)));
        assert_eq!(turns.iter().map(|t| &*t.finding.code).collect::<Vec<_>>(), ["drift"]);
        assert_eq!(report.troubles().len(), 1);
        facts.at = later + Duration::from_mins(1);
        let now = facts.at;
        for camera in ["c1", "c3"] {
            newest(&mut facts, camera, StreamKind::Main, Some(now));
        }
        let (report, turns) = look(&facts, &all, &mut steady, 60_000_000_000);
        assert!(turns.iter().any(|t| t.finding.subject == Some(Subject::Camera(2))), "it lasts: {turns:?}");
        assert_eq!(report.level, Level::Fail);
    }
}
