//! A report in which everything is there.

use crate::types::{ByteSize, StreamKind, WallNs, wire::health::*};

/// When it was looked: 2026-11-26T02:00:00Z.
pub(in crate::health) const AT: WallNs = WallNs(1_795_658_400_000_000_000);

fn before(seconds: i64) -> WallNs {
    AT.offset(-seconds * 1_000_000_000)
}

fn stream(stream: StreamKind, newest_committed: Option<WallNs>) -> StreamHealth {
    StreamHealth {
        stream,
        newest_committed,
        age_seconds: newest_committed.map(|_| 1.75),
        gap_seconds_today: Some(12.5),
        gap_seconds_day: Some(20.0),
        gap_seconds_total: 86_412.25,
        lost_packets: Some(7),
    }
}

fn camera(number: u32) -> CameraHealth {
    CameraHealth {
        number,
        id: Some("nap-room".parse().unwrap()),
        name: Some("Miss Lan's nap room".to_owned()),
        required: number != 4,
        streams: vec![stream(StreamKind::Main, Some(before(2).offset(250_000_000))), stream(StreamKind::Sub, None)],
        min_days: Some(30),
        kept_days: Some(21.5),
        clock_error: Some(-0.75),
    }
}

/// Two cameras that keep equally little: of 3 footage is missing, 4 is only young.
pub(in crate::health) fn report() -> Report {
    Report {
        format: 1,
        at: AT,
        recorder: Some("a".parse().unwrap()),
        version: "0.1.0".to_owned(),
        recording: Some(("0.1.0".to_owned(), before(3600))),
        level: Level::Fail,
        findings: vec![
            Finding::new(Probe::Footage, Some(Subject::Camera(3)), Level::Ok, "ok", AT),
            Finding::new(Probe::Kept, Some(Subject::Camera(3)), Level::Fail, "lost", AT),
            Finding { silenced: Some(AT), ..Finding::new(Probe::Backup, None, Level::Warn, "old", AT) },
            Finding::new(
                Probe::Units,
                Some(Subject::Other("custodian-web.service".to_owned())),
                Level::Warn,
                "failed",
                AT,
            ),
        ],
        cameras: vec![camera(3), camera(4)],
        volumes: vec![VolumeHealth {
            name: "a1".parse().unwrap(),
            healthy: true,
            size: Some(ByteSize(12_000_000_000_000)),
            free: Some(ByteSize(1 << 40)),
            committed: Some(before(1)),
            write_p99_us: Some(1500),
            commit_p99_us: Some(42_000),
            temperature: Some(38.0),
            bad_sectors: Some(0),
            shortfall: ByteSize(5_000_000_000),
        }],
        machine: Machine {
            uptime_seconds: Some(864_000),
            memory: Some(ByteSize(8 << 30)),
            memory_available: Some(ByteSize(5 << 30)),
            load: Some((0.42, 4)),
            temperature: Some(51.5),
            system_disk: Some((ByteSize(240_000_000_000), ByteSize(200_000_000_000))),
            clock_offset: Some(-0.000_125),
            clock_synchronised: Some(true),
            clock_steps: 1,
        },
        generation: Some(GenerationHealth {
            number: 7,
            confirmed: false,
            trial_until: Some(AT.offset(300_000_000_000)),
            site: "0123456789abcdef".to_owned(),
        }),
        checkpoints: vec![Witnessed {
            ledger: "record".to_owned(),
            checkpoint: "note".to_owned(),
            entries: 4096,
            at: before(30),
        }],
        silences: vec![Silence {
            id: uuid::Uuid::nil(),
            from: before(60),
            until: AT,
            probes: vec![Probe::Backup],
            cameras: Vec::new(),
            by: "Mr Minh".to_owned(),
            reason: "the NAS moves".to_owned(),
        }],
        cost_us: 8_400,
    }
}
