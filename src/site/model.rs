//! A site as the rest of custodian sees it: complete, checked, defaults filled in. Only [`super::parse`] makes one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{civil, tz::TimeZone};
use url::{Host, Url};

use super::{
    choices::{AreaKind, BackupKind, BackupWhat, Paper, Permission, Promise, Transport, Unlock, WhenShort},
    health::{Health, Warn},
    read::At,
    recipient::Recipient,
    schedule::Hours,
    source::Source,
    wire::Network,
};
use crate::types::{
    AreaId, BitRate, ByteSize, CameraId, CredentialsName, Lang, PersonId, RecorderId, RoleId, SecretName, StreamKind,
    VolumeName,
};

/// A checked site.
#[derive(Debug, Clone)]
pub struct Site {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) timezone: TimeZone,
    pub(super) language: Lang,
    pub(super) when_short: WhenShort,
    pub(super) promise: Promise,
    pub(super) retention: Retention,
    pub(super) recorders: BTreeMap<RecorderId, Recorder>,
    pub(super) areas: BTreeMap<AreaId, Area>,
    /// In the order of the file.
    pub(super) cameras: Vec<Camera>,
    pub(super) roles: BTreeMap<RoleId, Role>,
    pub(super) people: BTreeMap<PersonId, Person>,
    pub(super) approvals: BTreeMap<Matter, Approval>,
    pub(super) health: Health,
    pub(super) backup: Option<Backup>,
    pub(super) update_window: Vec<Hours>,
    pub(super) update_url: Option<url::Url>,
    pub(super) hash: [u8; 32],
    pub(super) later: Vec<String>,
    pub(super) source: Arc<Source>,
    /// Where secrets.toml is relied on: key path, place, name.
    pub(super) credentials_used: Vec<(String, At<CredentialsName>)>,
    pub(super) secrets_used: Vec<(String, At<SecretName>)>,
}

/// How long footage is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The promise; none: as the disks allow.
    pub min_days: Option<u32>,
    /// The limit; never below `min_days`.
    pub max_days: Option<u32>,
}

/// A machine that records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// Its name.
    pub id: RecorderId,
    /// Host name or IP address for its peers.
    pub address: Option<String>,
    /// Fingerprint of its key.
    pub fingerprint: Option<String>,
    /// Whether people log in here. At most one of a site.
    pub control_room: bool,
    /// What opens its disks.
    pub unlock: Unlock,
    /// Its volumes in the order of the file; at least one.
    pub volumes: Vec<Volume>,
    /// How it is wired, if the file says so.
    pub network: Option<Network>,
}

/// A volume for footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name, unique in the site.
    pub name: VolumeName,
    /// Where it is.
    pub place: VolumePlace,
    /// Its size as sold; always there for a disk.
    pub size: Option<ByteSize>,
}

/// Where a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumePlace {
    /// A disk: its name below `/dev/disk/by-id`.
    Disk(String),
    /// A directory, absolute.
    Path(PathBuf),
}

/// Below this folder the disks are mounted, each under its volume's name.
pub const VOLUMES: &str = "/var/lib/custodian/volumes";

/// Where a disk's volume is mounted.
pub fn mount_point(volume: &VolumeName) -> PathBuf {
    Path::new(VOLUMES).join(volume.as_str())
}

/// A watched place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Its id.
    pub id: AreaId,
    /// Its name for people.
    pub name: String,
    /// What kind of place.
    pub kind: AreaKind,
    /// The department in charge.
    pub department: Option<String>,
    /// Leadership's reason.
    pub reason: Option<String>,
    /// Where the sign stands.
    pub sign: Option<String>,
    /// Its own retention, completed by the site's.
    pub retention: Retention,
}

/// A camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its id.
    pub id: CameraId,
    /// Ids that it had before.
    pub previously: Vec<CameraId>,
    /// Its name for people.
    pub name: String,
    /// The area it watches; exists, and of a kind that may be watched.
    pub area: AreaId,
    /// The recorder that records it; exists.
    pub recorder: RecorderId,
    /// The volume it is pinned to; one of the recorder's.
    pub volume: Option<VolumeName>,
    /// Whether it is in use.
    pub enabled: bool,
    /// Its full picture.
    pub main: Url,
    /// Its small picture.
    pub sub: Option<Url>,
    /// How packets come.
    pub transport: Transport,
    /// Which credentials it wants.
    pub credentials: Option<CredentialsName>,
    /// Which streams are recorded; `sub` only where there is one. Never empty, each once.
    pub record: Vec<StreamKind>,
    /// The hours in which it is recorded; empty: always.
    pub schedule: Vec<Hours>,
    /// Planned bit rate of the full picture.
    pub bitrate: Option<BitRate>,
    /// Planned bit rate of the small picture.
    pub sub_bitrate: Option<BitRate>,
    /// Planned bit rate of its sound.
    pub audio_bitrate: Option<BitRate>,
    /// 1 (stops first) to 9.
    pub priority: u32,
    /// Volumes that keep its footage.
    pub copies: u32,
    /// Its retention, completed by the area's and the site's.
    pub retention: Retention,
    /// For the register.
    pub register: Register,
}

/// What the register of cameras says besides (REC2, OPS4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// The school's inventory number.
    pub number: Option<String>,
    /// Where it hangs and what it sees.
    pub place: Option<String>,
    /// The person responsible; exists.
    pub responsible: Option<PersonId>,
    /// The department responsible: its own, else the area's.
    pub department: Option<String>,
    /// Maker and model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// MAC address, lower case with colons.
    pub mac: Option<String>,
    /// The day it was bought.
    pub bought: Option<civil::Date>,
    /// Where the sign hangs: its own, else the area's.
    pub sign: Option<String>,
}

/// What some people may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name for people.
    pub name: String,
    /// What it may do.
    pub may: Vec<Permission>,
    /// Where; `None`: everywhere.
    pub areas: Option<Vec<AreaId>>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their roles; each exists.
    pub roles: Vec<RoleId>,
    /// Their department.
    pub department: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
    /// E-mail.
    pub email: Option<String>,
}

/// A matter that is approved in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matter {
    /// Whatever is not another.
    Ordinary,
    /// A department's own cameras.
    Unit,
    /// Private matters.
    Private,
    /// Examinations.
    Examination,
    /// Rooms of keys, papers, cash.
    KeyRoom,
    /// Outside authorities.
    Authority,
}

/// How a matter is approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The roles that approve, one after the other; each exists and is held by somebody.
    pub by: Vec<RoleId>,
    /// Papers that must be there.
    pub papers: Vec<Paper>,
    /// Whether a supervisor must be present.
    pub supervisor: bool,
    /// Whether a copy may leave.
    pub copy: bool,
    /// Roles that receive a copy of the request.
    pub notify: Vec<RoleId>,
    /// Longest validity of a grant.
    pub valid: Duration,
}

/// What is backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// What.
    pub what: Vec<BackupWhat>,
    /// Areas whose whole footage is backed up.
    pub areas: Vec<AreaId>,
    /// age recipients.
    pub recipients: Vec<Recipient>,
    /// Time of day, local.
    pub at: civil::Time,
    /// How long a backup is kept.
    pub keep_days: Option<u32>,
    /// Limit.
    pub rate: Option<BitRate>,
    /// Places; at least one.
    pub to: Vec<BackupPlace>,
}

/// A place for backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupPlace {
    /// A disk by its name below `/dev/disk/by-id`.
    Disk(String),
    /// A directory.
    Directory(PathBuf),
    /// An S3-compatible store; its address by name in secrets.toml.
    S3(SecretName),
}

impl BackupPlace {
    /// Its kind.
    pub fn kind(&self) -> BackupKind {
        match self {
            Self::Disk(_) => BackupKind::Disk,
            Self::Directory(_) => BackupKind::Directory,
            Self::S3(_) => BackupKind::S3,
        }
    }

    /// What it is called in site.toml: the disk's name, the directory's path, the secret's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Disk(disk) => disk,
            // A path of site.toml came from text.
            Self::Directory(path) => path.to_str().unwrap_or_default(),
            Self::S3(secret) => secret.as_str(),
        }
    }

    /// Kind and name, for people and records: `directory:/mnt/nas`.
    pub fn label(&self) -> String {
        format!("{}:{}", self.kind(), self.name())
    }
}

impl Camera {
    /// Its streams: kind, address, whether it is to be recorded. A camera that is not enabled has none.
    pub fn streams(&self) -> impl Iterator<Item = (StreamKind, &Url, bool)> {
        let both = [(StreamKind::Main, Some(&self.main)), (StreamKind::Sub, self.sub.as_ref())];
        let there = both.into_iter().filter_map(|(kind, url)| Some((kind, url?, self.record.contains(&kind))));
        there.filter(|_| self.enabled)
    }

    /// Whether it is to be recorded at a local time.
    pub fn wanted_at(&self, local: civil::DateTime) -> bool {
        self.enabled && self.scheduled(local)
    }

    /// Whether it is recorded at a local time by its schedule.
    pub fn scheduled(&self, local: civil::DateTime) -> bool {
        self.schedule.is_empty() || self.schedule.iter().any(|h| h.covers(local))
    }
}

impl Site {
    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name on the disks: `[site] id`, else 16 hexadecimal digits derived from the name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its time zone; has an IANA name.
    pub fn timezone(&self) -> &TimeZone {
        &self.timezone
    }

    /// Language of the interface.
    pub fn language(&self) -> Lang {
        self.language
    }

    /// The site's retention, for what has none of its own.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// What happens when the disks are short.
    pub fn when_short(&self) -> WhenShort {
        self.when_short
    }

    /// How strong the promise is.
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// The recorders by name; at least one.
    pub fn recorders(&self) -> impl ExactSizeIterator<Item = &Recorder> {
        self.recorders.values()
    }

    /// A recorder.
    pub fn recorder(&self, id: &RecorderId) -> Option<&Recorder> {
        self.recorders.get(id)
    }

    /// The areas by id.
    pub fn areas(&self) -> impl ExactSizeIterator<Item = &Area> {
        self.areas.values()
    }

    /// An area.
    pub fn area(&self, id: &AreaId) -> Option<&Area> {
        self.areas.get(id)
    }

    /// The cameras in the order of the file; at least one.
    pub fn cameras(&self) -> &[Camera] {
        &self.cameras
    }

    /// A camera.
    pub fn camera(&self, id: &CameraId) -> Option<&Camera> {
        self.cameras.iter().find(|c| c.id == *id)
    }

    /// A recorder's cameras in the order of the file, those not enabled included.
    pub fn cameras_of<'a>(&'a self, recorder: &'a RecorderId) -> impl Iterator<Item = &'a Camera> {
        self.cameras.iter().filter(move |c| c.recorder == *recorder)
    }

    /// A recorder's volumes in the order of the file.
    pub fn volumes_of(&self, recorder: &RecorderId) -> &[Volume] {
        self.recorders.get(recorder).map_or(&[], |r| &r.volumes)
    }

    /// Cameras of a recorder whose addresses lie in no net that the file says the recorder is in: they may be reached by a router, or be a slip.
    /// None where that cannot be told: by name, or by DHCP.
    pub fn cameras_elsewhere<'a>(&'a self, recorder: &'a Recorder) -> Vec<&'a CameraId> {
        let Some(network) = recorder.network.as_ref().filter(|n| n.cameras.is_some()) else { return Vec::new() };
        let wires = [&network.cameras, &network.school].into_iter().flatten();
        let nets: Vec<_> = wires.filter_map(|w| w.address).collect();
        let ip = |url: &Url| match url.host()? {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            // A scheme that is not the web's: addresses are not taken apart.
            Host::Domain(name) => name.parse().ok(),
        };
        let outside = |url: &Url| ip(url).is_some_and(|ip| !nets.iter().any(|net| net.contains(ip)));
        let elsewhere = |c: &&Camera| c.streams().any(|(_, url, _)| outside(url));
        self.cameras_of(&recorder.id).filter(elsewhere).map(|c| &c.id).collect()
    }

    /// The roles by id.
    pub fn roles(&self) -> &BTreeMap<RoleId, Role> {
        &self.roles
    }

    /// The people by id.
    pub fn people(&self) -> &BTreeMap<PersonId, Person> {
        &self.people
    }

    /// How a matter is approved; none if the site has no `[approval]`.
    pub fn approval(&self, matter: Matter) -> Option<&Approval> {
        self.approvals.get(&matter).or_else(|| self.approvals.get(&Matter::Ordinary))
    }

    /// All that `[approval]` says.
    pub fn approvals(&self) -> &BTreeMap<Matter, Approval> {
        &self.approvals
    }

    /// How health is reported.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What `[health]` names of secrets.toml: all that health may know of it.
    pub fn health_secrets(&self) -> BTreeSet<&SecretName> {
        self.secrets_used.iter().filter(|(key, _)| key.starts_with("health.")).map(|(_, used)| &used.value).collect()
    }

    /// Thresholds for warnings.
    pub fn warn(&self) -> &Warn {
        &self.health.warn
    }

    /// Backups.
    pub fn backup(&self) -> Option<&Backup> {
        self.backup.as_ref()
    }

    /// Hours in which the system may be updated; empty: none stated.
    pub fn update_window(&self) -> &[Hours] {
        &self.update_window
    }

    /// The folder that is looked at for newer versions of the system.
    pub fn update_url(&self) -> Option<&url::Url> {
        self.update_url.as_ref()
    }

    /// SHA-256 of the file's text.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Keys that the file uses and this version does not carry out yet, each once, such as `camera.schedule`.
    pub fn not_carried_out(&self) -> &[String] {
        &self.later
    }

    /// Sum of the sizes that the file states.
    pub fn stated_size(&self) -> ByteSize {
        let sizes = self.recorders.values().flat_map(|r| &r.volumes).filter_map(|v| v.size);
        ByteSize(sizes.fold(0, |sum, s| sum.saturating_add(s.0)))
    }
}
