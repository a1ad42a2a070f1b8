//! The report as metrics, named by the rules of Prometheus (<https://prometheus.io/docs/practices/naming/>). The table in docs/ref/health.md
//! says what each means; a test compares it with this.

mod text;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use self::text::{Family, Kind};
use crate::types::{
    WallNs,
    wire::health::{CameraHealth, Finding, Level, Machine, Probe, Report, StreamHealth, Subject, Value, VolumeHealth},
};

pub use self::text::Format;

const DAY: f64 = 86_400.0;

/// A report as metrics. Cameras stand in it by their opaque numbers, whatever the report has.
pub fn render(report: &Report, format: Format) -> String {
    // Nothing below sees a name.
    text::write(&families(&report.masked()), format)
}

fn families(report: &Report) -> Vec<Family> {
    let mut all = of_report(report);
    all.extend(of_cameras(report));
    all.extend(of_volumes(&report.volumes));
    all.extend(of_machine(&report.machine));
    all
}

fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(Kind::Gauge, name, help)
}

fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(Kind::Counter, name, help)
}

fn info(name: &'static str, help: &'static str) -> Family {
    Family::new(Kind::Info, name, help)
}

/// Milliseconds: what a float of this size says exactly enough to be written shortly.
fn seconds(t: WallNs) -> f64 {
    (t.0 / 1_000_000) as f64 / 1e3
}

fn level(level: Level) -> f64 {
    match level {
        Level::Ok => 0.0,
        Level::Warn => 1.0,
        Level::Fail => 2.0,
    }
}

/// The worst of the findings that `counts` and nobody has announced.
fn worst(report: &Report, counts: impl Fn(&Finding) -> bool) -> Level {
    let all = report.findings.iter().filter(|f| f.silenced.is_none() && counts(f));
    all.map(|f| f.level).max().unwrap_or_default()
}

/// Whether a finding is about a camera: alone, or together with others that have the same trouble.
fn is_about(finding: &Finding, camera: u32) -> bool {
    let among = |value: &Value| matches!(value, Value::Cameras(all) if all.contains(&camera));
    finding.subject == Some(Subject::Camera(camera)) || finding.values.values().any(among)
}

/// Whether a finding says that footage that was promised is not there. That a camera is recorded no more, or less well, is another matter.
fn is_missing(finding: &Finding) -> bool {
    finding.probe == Probe::Kept && matches!(finding.code.as_str(), "lost" | "unreadable" | "short" | "many")
}

fn of_report(report: &Report) -> Vec<Family> {
    let mut probes =
        gauge("custodian_probe_level", "The worst that a probe found and nobody announced: 0 ok, 1 warn, 2 fail.");
    let mut silenced = gauge("custodian_probe_silenced", "Whether something that a probe found was announced.");
    for probe in Probe::ALL {
        let mut found = report.findings.iter().filter(|f| f.probe == probe).peekable();
        if found.peek().is_some() {
            let any = found.any(|f| f.silenced.is_some());
            probes = probes.with([("probe", probe.to_string())], level(worst(report, |f| f.probe == probe)));
            silenced = silenced.with([("probe", probe.to_string())], f64::from(any));
        }
    }
    let mut recorder = info(
        "custodian_recorder",
        "The recorder and the version that records; version is empty where it does not answer.",
    );
    if let Some(id) = &report.recorder {
        let version = report.recording.as_ref().map(|(version, _)| version.clone()).unwrap_or_default();
        recorder = recorder.with([("recorder", id.to_string()), ("version", version)], 1.0);
    }
    let mut generation =
        info("custodian_generation", "The generation in force, and the SHA-256 of its site.toml, shortened.");
    let mut confirmed = gauge("custodian_generation_confirmed", "Whether the generation in force is confirmed.");
    let mut trial = gauge("custodian_generation_trial_end_timestamp_seconds", "When the generation's trial ends.");
    if let Some(g) = &report.generation {
        generation = generation.with([("generation", g.number.to_string()), ("site", g.site.clone())], 1.0);
        confirmed = confirmed.with([], f64::from(g.confirmed));
        trial = trial.with([], g.trial_until.map(seconds));
    }
    let mut entries = counter("custodian_ledger_entries", "Entries that a ledger's newest checkpoint signs.");
    let mut signed =
        gauge("custodian_ledger_checkpoint_timestamp_seconds", "When a ledger's newest checkpoint was signed.");
    for checkpoint in &report.checkpoints {
        entries = entries.with([("ledger", checkpoint.ledger.clone())], checkpoint.entries as f64);
        signed = signed.with([("ledger", checkpoint.ledger.clone())], seconds(checkpoint.at));
    }
    let started = report.recording.as_ref().map(|(_, at)| seconds(*at));
    vec![
        info("custodian_build", "The version of custodian that answers.")
            .with([("version", report.version.clone())], 1.0),
        gauge("custodian_report_timestamp_seconds", "When the recorder was looked at.").with([], seconds(report.at)),
        gauge("custodian_report_cpu_seconds", "Processor time that looking took.")
            .with([], report.cost_us as f64 / 1e6),
        gauge("custodian_health_level", "The worst of all that was found and not announced: 0 ok, 1 warn, 2 fail.")
            .with([], level(report.level)),
        probes,
        silenced,
        gauge("custodian_silences", "Announcements of work that hold now.").with([], report.silences.len() as f64),
        recorder,
        gauge("custodian_recorder_up", "Whether the recorder's process answers.")
            .with([], f64::from(report.recording.is_some())),
        gauge("custodian_recorder_start_timestamp_seconds", "When the recorder's process started.").with([], started),
        generation,
        confirmed,
        trial,
        entries,
        signed,
    ]
}

fn of_cameras(report: &Report) -> Vec<Family> {
    let number = |camera: &CameraHealth| ("camera", camera.number.to_string());
    let each = |family: Family, value: &dyn Fn(&CameraHealth) -> Option<f64>| {
        report.cameras.iter().fold(family, |family, camera| family.with([number(camera)], value(camera)))
    };
    let stream = |family: Family, value: &dyn Fn(&StreamHealth) -> Option<f64>| {
        let all = report.cameras.iter().flat_map(|camera| camera.streams.iter().map(move |stream| (camera, stream)));
        all.fold(family, |family, (camera, stream)| {
            family.with([number(camera), ("stream", stream.stream.to_string())], value(stream))
        })
    };
    // A recording that is younger than its promise lacks nothing: only where the probe says that footage is missing is it counted.
    let short = |camera: &CameraHealth| {
        let missing = report.findings.iter().any(|f| is_missing(f) && is_about(f, camera.number));
        let promised = f64::from(camera.min_days?);
        Some(if missing { (promised - camera.kept_days?).max(0.0) * DAY } else { 0.0 })
    };
    vec![
        each(gauge("custodian_camera_required", "Whether a camera is to be recorded now."), &|c| {
            Some(f64::from(c.required))
        }),
        each(
            gauge(
                "custodian_camera_level",
                "The worst that was found about a camera and not announced: 0 ok, 1 warn, 2 fail.",
            ),
            &|c| Some(level(worst(report, |f| is_about(f, c.number)))),
        ),
        stream(
            gauge(
                "custodian_camera_last_committed_timestamp_seconds",
                "End of the newest second of a stream that a power cut would leave on a disk.",
            ),
            &|s| s.newest_committed.map(seconds),
        ),
        stream(
            gauge(
                "custodian_camera_footage_age_seconds",
                "How old that is when it was looked: also while it lies ahead of a clock that was set back.",
            ),
            &|s| s.age(report.at).map(|age| age.as_secs_f64()),
        ),
        stream(
            counter(
                "custodian_camera_gap_seconds",
                "Seconds without footage that the site did not want, ever since health has counted.",
            ),
            &|s| Some(s.gap_seconds_total),
        ),
        stream(
            gauge("custodian_camera_gap_today_seconds", "Seconds without footage since midnight of the site."),
            &|s| s.gap_seconds_today,
        ),
        stream(gauge("custodian_camera_gap_last_day_seconds", "Seconds without footage in the last 24 hours."), &|s| {
            s.gap_seconds_day
        }),
        stream(counter("custodian_camera_lost_packets", "RTP packets lost since the recorder started."), &|s| {
            s.lost_packets.map(|n| n as f64)
        }),
        each(gauge("custodian_camera_clock_error_seconds", "A camera's clock less the recorder's."), &|c| {
            c.clock_error
        }),
        each(
            gauge("custodian_retention_promised_seconds", "How long footage of a camera is promised to be kept."),
            &|c| c.min_days.map(|days| f64::from(days) * DAY),
        ),
        each(
            gauge("custodian_retention_kept_seconds", "How far back everything that was recorded can be read."),
            &|c| c.kept_days.map(|days| days * DAY),
        ),
        each(
            gauge(
                "custodian_retention_shortfall_seconds",
                "How much less is kept than promised; 0 where a recording is only young.",
            ),
            &short,
        ),
    ]
}

fn of_volumes(volumes: &[VolumeHealth]) -> Vec<Family> {
    let each = |family: Family, value: &dyn Fn(&VolumeHealth) -> Option<f64>| {
        volumes.iter().fold(family, |family, v| family.with([("volume", v.name.to_string())], value(v)))
    };
    let micro = |us: Option<u64>| us.map(|us| us as f64 / 1e6);
    vec![
        each(gauge("custodian_volume_healthy", "Whether a volume is written to."), &|v| Some(f64::from(v.healthy))),
        each(gauge("custodian_volume_size_bytes", "Size of a volume."), &|v| v.size.map(|b| b.0 as f64)),
        each(gauge("custodian_volume_free_bytes", "Free room for footage on a volume."), &|v| {
            v.free.map(|b| b.0 as f64)
        }),
        each(
            gauge("custodian_volume_shortfall_bytes", "How much of what is promised will be missing; 0: nothing."),
            &|v| Some(v.shortfall.0 as f64),
        ),
        each(gauge("custodian_volume_last_commit_timestamp_seconds", "When a volume was committed last."), &|v| {
            v.committed.map(seconds)
        }),
        each(gauge("custodian_volume_write_p99_seconds", "99 of 100 writes took no longer."), &|v| {
            micro(v.write_p99_us)
        }),
        each(gauge("custodian_volume_commit_p99_seconds", "99 of 100 commits took no longer."), &|v| {
            micro(v.commit_p99_us)
        }),
        each(gauge("custodian_volume_temperature_celsius", "Temperature of a volume's disk."), &|v| v.temperature),
        each(gauge("custodian_volume_bad_sectors", "Sectors of a volume's disk that cannot be relied on."), &|v| {
            v.bad_sectors.map(|n| n as f64)
        }),
    ]
}

fn of_machine(machine: &Machine) -> Vec<Family> {
    let bytes = |size: crate::types::ByteSize| size.0 as f64;
    let one = |name, help, value: Option<f64>| gauge(name, help).with([], value);
    vec![
        one("custodian_clock_offset_seconds", "The clock less that of the time service.", machine.clock_offset),
        one(
            "custodian_clock_synchronised",
            "Whether a time service says that the clock is right.",
            machine.clock_synchronised.map(f64::from),
        ),
        counter("custodian_clock_steps", "Steps of the clock since health began to look.")
            .with([], machine.clock_steps as f64),
        one(
            "custodian_machine_uptime_seconds",
            "Time since the machine started.",
            machine.uptime_seconds.map(|s| s as f64),
        ),
        one("custodian_machine_memory_bytes", "Memory of the machine.", machine.memory.map(bytes)),
        one("custodian_machine_memory_available_bytes", "Memory that can be had.", machine.memory_available.map(bytes)),
        one("custodian_machine_load", "Load over five minutes.", machine.load.map(|(load, _)| load)),
        one("custodian_machine_processors", "Processors of the machine.", machine.load.map(|(_, n)| n as f64)),
        one("custodian_machine_temperature_celsius", "The hottest of the machine's sensors.", machine.temperature),
        one(
            "custodian_system_disk_size_bytes",
            "Size of the system disk.",
            machine.system_disk.map(|(size, _)| bytes(size)),
        ),
        one(
            "custodian_system_disk_free_bytes",
            "Free room on the system disk.",
            machine.system_disk.map(|(_, free)| bytes(free)),
        ),
    ]
}
