//! How a recorder is: the report that pages, pushes, metrics and alarms are made from.

mod orders;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::orders::{SilenceEnd, SilenceOrder, VendorAccess, VendorAllow};

use crate::types::{ByteSize, CameraId, RecorderId, StreamKind, VolumeName, WallNs};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    #[default]
    Ok,
    /// Somebody should look within days.
    Warn,
    /// A promise is broken, or will be unless somebody acts now.
    Fail,
}

impl Level {
    /// As in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! probes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What is looked at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Probe {
            $($(#[$doc])* $name,)+
        }
        impl Probe {
            /// All, in the order of a report.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$name),+];

            /// As in messages and keys of catalogs.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

probes! {
    /// Whether the recorder answers, and since when it runs.
    Recorder = "recorder",
    /// Age of each camera's newest second on disk.
    Footage = "footage",
    /// Missing footage, today and within 24 hours.
    Gaps = "gaps",
    /// Days that are kept in truth, against the promise; deletion that is suspended.
    Kept = "kept",
    /// When the promise will break.
    Forecast = "forecast",
    /// Volumes: mounted, ours, writable, free.
    Volume = "volume",
    /// The disks below: SMART, temperature.
    Disk = "disk",
    /// How long writes and commits take.
    Latency = "latency",
    /// Room on the system disk.
    SystemDisk = "system-disk",
    /// Memory.
    Memory = "memory",
    /// Load.
    Load = "load",
    /// Temperatures of the machine.
    Temperature = "temperature",
    /// The recorder's clock.
    Clock = "clock",
    /// The cameras' clocks.
    CameraClock = "camera-clock",
    /// Units that have failed.
    Units = "units",
    /// The generation in force: confirmed, on trial, drifted.
    Generation = "generation",
    /// Certificates that end.
    Certificate = "certificate",
    /// Age of the newest backup.
    Backup = "backup",
    /// The last verification.
    Verification = "verification",
    /// The ledger: appendable, age of its checkpoint.
    Ledger = "ledger",
    /// Whether somebody outside has a checkpoint of the ledger.
    Witness = "witness",
    /// Endpoints that health is pushed to, and alarms.
    Push = "push",
    /// A security update that waits.
    Update = "update",
    /// The remote access of the vendor.
    Vendor = "vendor",
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A camera by its opaque number, which it keeps for as long as this recorder remembers it.
    Camera(u32),
    /// A volume.
    Volume(VolumeName),
    /// Anything else that there are several of: a unit, a place for backups by its number, an endpoint by its number and kind.
    Other(String),
}

/// A value in a sentence. Only [`Value::Text`] may hold what names somebody, and never does: names are looked up by number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A word or a version, for technicians.
    Text(String),
    /// How many.
    Count(u64),
    /// A length of time.
    Seconds(f64),
    /// A size.
    Bytes(ByteSize),
    /// Days, with one decimal.
    Days(f64),
    /// Degrees Celsius.
    Celsius(f64),
    /// Of a hundred.
    Percent(f64),
    /// A point in time.
    Time(WallNs),
    /// Cameras by their opaque numbers.
    Cameras(Vec<u32>),
}

/// What one look found, about one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub probe: Probe,
    /// About whom; none: about the recorder.
    pub subject: Option<Subject>,
    /// How it is.
    pub level: Level,
    /// The sentence: `health.<probe>_<code>` in the catalogs, and what to do: `health.<probe>_<code>_do`, where the level is not ok.
    pub code: String,
    /// What is filled into them.
    pub values: BTreeMap<String, Value>,
    /// Since when it has this level.
    pub since: WallNs,
    /// Whether it comes and goes so often that it is held at its worst.
    #[serde(default)]
    pub unsteady: bool,
    /// Until when nobody is alarmed, because the work was announced.
    #[serde(default)]
    pub silenced: Option<WallNs>,
}

impl Finding {
    /// One that is true as of `at`.
    pub fn new(probe: Probe, subject: Option<Subject>, level: Level, code: &str, at: WallNs) -> Self {
        let values = BTreeMap::new();
        Self { probe, subject, level, code: code.to_owned(), values, since: at, unsteady: false, silenced: None }
    }

    /// With a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }
}

/// Something that has become better or worse: what is alarmed, and goes into the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// When.
    pub at: WallNs,
    /// The level that it had.
    pub from: Level,
    /// How it is now; ok: it is over.
    pub finding: Finding,
}

/// A camera in a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraHealth {
    /// Its opaque number.
    pub number: u32,
    /// Its id; none where names are masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CameraId>,
    /// Its name for people; none where names are masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is to be recorded now.
    pub required: bool,
    /// Its streams that are recorded, main first.
    pub streams: Vec<StreamHealth>,
    /// The promise, days; none: as the disks allow.
    pub min_days: Option<u32>,
    /// What is kept in truth, days; none: not measured yet.
    pub kept_days: Option<f64>,
    /// The camera's clock less the recorder's, seconds.
    pub clock_error: Option<f64>,
}

/// A stream in a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamHealth {
    /// Main or sub.
    pub stream: StreamKind,
    /// End of the newest second that a power cut would leave; none: nothing known.
    pub newest_committed: Option<WallNs>,
    /// How old that is, seconds: also right after the clock was set back, when it lies ahead.
    #[serde(default)]
    pub age_seconds: Option<f64>,
    /// Seconds without footage since midnight; none: the recorder or its index does not say.
    pub gap_seconds_today: Option<f64>,
    /// Seconds without footage in the last 24 hours; none: the recorder or its index does not say.
    pub gap_seconds_day: Option<f64>,
    /// Seconds without footage ever since this recorder has counted.
    pub gap_seconds_total: f64,
    /// RTP packets lost since the recorder started.
    pub lost_packets: Option<u64>,
}

impl StreamHealth {
    /// How old its newest second was in a report made at `at`; none: there is none.
    pub fn age(&self, at: WallNs) -> Option<Duration> {
        // Reports did not always say it.
        let by_clock = || Some(Duration::from_nanos(u64::try_from(at.since(self.newest_committed?)).unwrap_or(0)));
        self.age_seconds.and_then(|age| Duration::try_from_secs_f64(age).ok()).or_else(by_clock)
    }
}

/// A volume in a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeHealth {
    /// Its name.
    pub name: VolumeName,
    /// Whether it is written to.
    pub healthy: bool,
    /// Its size; none: not known.
    pub size: Option<ByteSize>,
    /// Free for footage; none: not known.
    pub free: Option<ByteSize>,
    /// When it was committed last; none: not since the machine started.
    pub committed: Option<WallNs>,
    /// 99 of 100 writes took no longer, microseconds.
    pub write_p99_us: Option<u64>,
    /// 99 of 100 commits took no longer, microseconds.
    pub commit_p99_us: Option<u64>,
    /// Of its disk, °C.
    pub temperature: Option<f64>,
    /// Sectors of its disk that cannot be relied on.
    pub bad_sectors: Option<u64>,
    /// How much of what is promised is missing when it will be short; 0: it will not be.
    pub shortfall: ByteSize,
}

/// Work that was announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its number.
    pub id: uuid::Uuid,
    /// From when.
    pub from: WallNs,
    /// Until when; it ends by itself.
    pub until: WallNs,
    /// Which probes; empty: all.
    pub probes: Vec<Probe>,
    /// Which cameras, by number; empty: all, and what is about no camera.
    pub cameras: Vec<u32>,
    /// Who announced it; empty where names are masked.
    pub by: String,
    /// Why; empty where names are masked.
    pub reason: String,
}

/// A checkpoint of a ledger, for a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// Whose ledger: `record`.
    pub ledger: String,
    /// The signed note, docs/ref/ledger.md.
    pub checkpoint: String,
    /// Its entries.
    pub entries: u64,
    /// When it was signed.
    pub at: WallNs,
}

impl Witnessed {
    /// The note with `<name>` in place of the log's name, in which site and recorder are named; empty if it is not as ours are.
    fn unnamed(&self) -> String {
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
        let note = || {
            let (text, signatures) = self.checkpoint.split_once("\n\n")?;
            let [_, size, root] = text.lines().collect::<Vec<_>>().try_into().ok()?;
            let signature = signatures.strip_suffix('\n')?.strip_prefix("— ")?.split_once(' ')?.1;
            let is_ours = size.parse() == Ok(self.entries) && plain(root) && plain(signature);
            is_ours.then(|| format!("<name>\n{size}\n{root}\n\n— <name> {signature}\n"))
        };
        note().unwrap_or_default()
    }
}

/// Figures of the machine; what is not known is none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Seconds since it started.
    pub uptime_seconds: Option<u64>,
    /// Its memory.
    pub memory: Option<ByteSize>,
    /// Memory that can be had.
    pub memory_available: Option<ByteSize>,
    /// Load over five minutes, and processors.
    pub load: Option<(f64, usize)>,
    /// The hottest of its sensors, °C.
    pub temperature: Option<f64>,
    /// Size of the system disk, and what is free.
    pub system_disk: Option<(ByteSize, ByteSize)>,
    /// The clock less that of the time service, seconds.
    pub clock_offset: Option<f64>,
    /// Whether a time service says that the clock is right.
    pub clock_synchronised: Option<bool>,
    /// Steps of the clock since health began to look.
    pub clock_steps: u64,
}

/// The generation in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationHealth {
    /// Its number.
    pub number: u64,
    /// Whether it is confirmed.
    pub confirmed: bool,
    /// Until when it is on trial.
    pub trial_until: Option<WallNs>,
    /// SHA-256 of its site.toml, the first 16 hexadecimal digits.
    pub site: String,
}

/// How a recorder is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this structure: 1.
    pub format: u16,
    /// When it was looked.
    pub at: WallNs,
    /// Which recorder; none before a site is applied.
    pub recorder: Option<RecorderId>,
    /// The program's version.
    pub version: String,
    /// The recorder process's version and start; none: it does not answer.
    pub recording: Option<(String, WallNs)>,
    /// The worst level of all findings that are not silenced.
    pub level: Level,
    /// One at least for each probe that applies, in the order of [`Probe::ALL`].
    pub findings: Vec<Finding>,
    /// The cameras, by number.
    pub cameras: Vec<CameraHealth>,
    /// The volumes, by name.
    pub volumes: Vec<VolumeHealth>,
    /// The machine.
    pub machine: Machine,
    /// The generation in force; none: no site was applied.
    pub generation: Option<GenerationHealth>,
    /// The newest checkpoint of each ledger.
    pub checkpoints: Vec<Witnessed>,
    /// Work that is announced now.
    pub silences: Vec<Silence>,
    /// How long looking took, of the processor, microseconds.
    pub cost_us: u64,
}

impl Report {
    /// Without names: cameras by number only, silences without persons and reasons, checkpoints without the name of their log.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut masked = self.clone();
        for camera in &mut masked.cameras {
            (camera.id, camera.name) = (None, None);
        }
        for silence in &mut masked.silences {
            (silence.by, silence.reason) = (String::new(), String::new());
        }
        for witnessed in &mut masked.checkpoints {
            witnessed.checkpoint = witnessed.unnamed();
        }
        masked
    }

    /// The findings that are not as they should be and were not announced, worst first.
    pub fn troubles(&self) -> Vec<&Finding> {
        let mut all: Vec<_> = self.findings.iter().filter(|f| f.level > Level::Ok && f.silenced.is_none()).collect();
        all.sort_by_key(|f| (std::cmp::Reverse(f.level), f.probe, f.subject.clone()));
        all
    }
}

/// What the recorder leaves after commits of footage on a volume in `commit/<volume>.json` beside its status socket, every 2 s at most: the
/// evidence that footage is on a disk, for whoever gets no answer from the recorder. It stays when the recorder ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The volume.
    pub volume: VolumeName,
    /// When the commit ended.
    pub at: WallNs,
    /// The streams that have footage on it since the recorder started.
    pub streams: Vec<CommittedStream>,
}

/// How far a stream is on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedStream {
    /// The camera.
    pub camera: CameraId,
    /// Main or sub.
    pub stream: StreamKind,
    /// End of the newest second that a power cut would leave.
    pub newest: WallNs,
}

/// Seconds without footage of one stream that the site wants recorded, within the span that was asked for and until now (`GET /v1/gaps`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GapSeconds {
    /// The camera.
    pub camera: CameraId,
    /// Main or sub.
    pub stream: StreamKind,
    /// Gaps that the site wants are not counted.
    pub seconds: f64,
}
