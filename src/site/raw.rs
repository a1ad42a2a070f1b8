//! The vocabulary of site.toml: every table and every key, as they are written. Nothing outside this module's parent
//! sees these; [`super::validate`] makes a [`super::Site`] of them.

use super::{
    camera_url::CameraUrl,
    choices::{
        AlarmKind, AreaKind, BackupKind, BackupWhat, Paper, Permission, Promise, PushKind, SmtpSecurity, Transport,
        Unlock, WhenShort,
    },
    network::{Certificates, HttpsFolder, Listen, Mail, MailServer, ProxyUrl, TunnelUnit},
    read::{At, Named, OneOrMore, table},
    recipient::Recipient,
    schedule::Hours,
    values::{Day, Days, Directory, DiskId, Length, Mac, Slug, Text, TimeOfDay, Whole, Zone},
    wire::{Cidr, Ip, Link, TimeServer},
};
use crate::types::{
    AreaId, BitRate, ByteSize, CameraId, CredentialsName, Lang, PersonId, RecorderId, RoleId, SecretName, StreamKind,
    VolumeName, wire::health::Level,
};

/// A list with the place of each element.
pub(super) type List<T> = Vec<At<T>>;

table! {
    /// What is particular to a school: cameras, disks, people and roles, retention.
    File {
        /// The school.
        required site: SiteTable,
        /// How long footage is kept.
        optional retention: RetentionTable,
        /// The machines that record, by name.
        required recorder: Named<RecorderId, Recorder>,
        /// The watched places, by id.
        required area: Named<AreaId, Area>,
        /// The cameras, by id. A camera's id names its footage: to rename it, put the old id into `previously`.
        required camera: Named<CameraId, Camera>,
        /// What people may do, by id.
        later role: Named<RoleId, Role>,
        /// The people, by id.
        later person: Named<PersonId, Person>,
        /// Who approves which matter.
        later approval: Approvals,
        /// How the recorder's health is reported.
        optional health: Health,
        /// What is backed up, and where to.
        optional backup: Backup,
        /// When the system may be updated, and from where.
        optional update: Update,
    }

    /// The school.
    SiteTable {
        /// Its name for people.
        required name: Text,
        /// Its name on the disks, which tells ours from foreign ones. Without it, one is derived from `name`; give it before you change `name`.
        optional id: Slug,
        /// Its time zone, by the IANA database.
        required timezone: Zone,
        /// Language of the interface: vi, zh or en. Default: en.
        optional language: Lang,
    }

    /// How long footage is kept.
    RetentionTable {
        /// The promise: nothing younger is deleted. Without it footage is kept as the disks allow.
        optional min_days: Days,
        /// Older footage goes by itself. Without it only a lack of space removes footage.
        optional max_days: Days,
        /// What happens if the disks cannot keep the promise. Default: refuse.
        optional when_short: WhenShort,
        /// Whether the promise holds against everything, or yields to full disks. Default: invariant.
        optional promise: Promise,
    }

    /// How long the footage of one area or camera is kept, where that differs.
    OwnRetention {
        /// The promise for it.
        optional min_days: Days,
        /// Older footage of it goes by itself.
        optional max_days: Days,
    }

    /// A machine that records.
    Recorder {
        /// Where the other recorders reach it: a host name or an IP address.
        later address: Text,
        /// Fingerprint of its key, as its console shows it.
        later fingerprint: Text,
        /// Whether people log in here. One recorder of a site at most.
        later control_room: bool,
        /// What opens its encrypted disks. Default: tpm.
        optional unlock: Unlock,
        /// Its disks for footage.
        required volume: List<Volume>,
        /// How it is wired. Without it every wire has its address by DHCP.
        optional network: Network,
    }

    /// How a recorder is wired.
    Network {
        /// The school's side: where it is found. Without it every wire that is not the cameras' is, by DHCP; with it all others stay down.
        optional school: SchoolSide,
        /// The cameras' side, where they have a network of their own. From there nothing is reached but the time.
        optional cameras: CameraSide,
        /// Servers for the time. Default: those of the system, on the internet.
        optional ntp: List<TimeServer>,
    }

    /// The school's side.
    SchoolSide {
        /// The network card, by its name or its MAC address.
        required link: Link,
        /// The number of the VLAN, where packets carry a tag.
        optional vlan: Whole<1, 4094>,
        /// The recorder's own address. Without it: by DHCP.
        optional address: Cidr,
        /// The router. Wants `address`.
        optional gateway: Ip,
        /// Servers for names. Without them: those that DHCP names.
        optional dns: List<Ip>,
    }

    /// The cameras' side.
    CameraSide {
        /// The network card, by its name or its MAC address. It may be the school's, in another VLAN.
        required link: Link,
        /// The number of the VLAN, where packets carry a tag.
        optional vlan: Whole<1, 4094>,
        /// The recorder's own address there.
        required address: Cidr,
    }

    /// A disk prepared for footage. Exactly one of `disk` and `path`.
    Volume {
        /// Its name, unique in the site.
        required name: VolumeName,
        /// The disk: its name below /dev/disk/by-id.
        optional disk: DiskId,
        /// A directory instead of a disk: for demo and tests.
        optional path: Directory,
        /// Its size as sold, such as "12 TB". Required for a disk.
        optional size: ByteSize,
    }

    /// A watched place.
    Area {
        /// Its name for people.
        required name: Text,
        /// What kind of place it is. There is never a camera in a toilet, changing room, bathing room or dormitory room.
        required kind: AreaKind,
        /// The department in charge.
        optional department: Text,
        /// Why it is watched, in leadership's words. Required for a classroom that has a camera.
        optional reason: Text,
        /// Where the sign stands that says the place is watched.
        optional sign: Text,
        /// How long its footage is kept, where that differs from the site's.
        optional retention: OwnRetention,
    }

    /// A camera.
    Camera {
        /// Its name for people.
        required name: Text,
        /// The area it watches.
        required area: AreaId,
        /// The recorder that records it. May be left out if there is only one, or if `volume` says it.
        optional recorder: RecorderId,
        /// The volume for its footage. Without it one is chosen.
        optional volume: VolumeName,
        /// Ids that it had before: their footage stays its own.
        optional previously: List<CameraId>,
        /// Whether it is in use. Default: true.
        optional enabled: bool,

        /// Address of its full picture.
        required main: CameraUrl,
        /// Address of its small picture, for the wall.
        optional sub: CameraUrl,
        /// How packets come: tcp or udp. Default: tcp.
        optional transport: Transport,
        /// Which user name and password of secrets.toml it wants.
        optional credentials: CredentialsName,
        /// Which of its streams are recorded. Default: `["main"]`.
        optional record: List<StreamKind>,
        /// The hours in which it is recorded. Default: always.
        optional schedule: List<Hours>,

        /// Planned bit rate of its full picture, such as "2 Mbit/s".
        optional bitrate: BitRate,
        /// Planned bit rate of its small picture.
        optional sub_bitrate: BitRate,
        /// Planned bit rate of its sound, if it has any that is recorded. "64 kbit/s" is usual.
        optional audio_bitrate: BitRate,
        /// When disks run short, cameras of the lowest priority stop first. 1 to 9; default: 5.
        optional priority: Whole<1, 9>,
        /// On how many volumes its footage is kept. Default: 1.
        optional copies: Whole<1, 2>,
        /// How long its footage is kept, where that differs from the area's.
        optional retention: OwnRetention,

        /// The school's inventory number.
        optional number: Text,
        /// Where it hangs and what it sees.
        optional place: Text,
        /// The person responsible for it.
        optional responsible: PersonId,
        /// The department responsible for it. Default: the area's.
        optional department: Text,
        /// Maker and model.
        optional model: Text,
        /// Serial number.
        optional serial: Text,
        /// Its network card's address.
        optional mac: Mac,
        /// The day it was bought; five years later it is due for replacement.
        optional bought: Day,
        /// Where the sign hangs that says the place is watched, where that is not the area's.
        optional sign: Text,
    }

    /// What some people may do.
    Role {
        /// Its name for people.
        required name: Text,
        /// What it may do.
        required may: List<Permission>,
        /// Where. Default: everywhere.
        optional areas: List<AreaId>,
    }

    /// A person.
    Person {
        /// Their name.
        required name: Text,
        /// Their roles.
        required roles: List<RoleId>,
        /// Their department.
        optional department: Text,
        /// Telephone.
        optional phone: Text,
        /// E-mail.
        optional email: Text,
    }

    /// Who approves which matter. A matter that is not named follows `ordinary`.
    Approvals {
        /// Everything that is not named here.
        required ordinary: Approval,
        /// A department's own cameras.
        optional unit: Approval,
        /// Private matters, areas of a private kind.
        optional private: Approval,
        /// Examinations.
        optional examination: Approval,
        /// Rooms of keys, papers, cash.
        optional key_room: Approval,
        /// Police, courts, ministries.
        optional authority: Approval,
    }

    /// How one matter is approved.
    Approval {
        /// The roles that approve it, one after the other.
        required by: List<RoleId>,
        /// The papers that must be there.
        optional papers: List<Paper>,
        /// Whether a supervisor must be present at the retrieval. Default: false.
        optional supervisor: bool,
        /// Whether a copy may leave. Default: false.
        optional copy: bool,
        /// Roles that receive a copy of the request.
        optional notify: List<RoleId>,
        /// How long a grant lasts at most. Default: "1 d".
        optional valid: Length,
    }

    /// How the recorder's health is reported. Never a picture. Names of cameras stand in mails unless `names = false`, elsewhere only where `names = true`.
    Health {
        /// How often the recorder is looked at, "5 s" to "10 min". Default: "30 s".
        optional interval: Length,
        /// Endpoints that are told regularly that all is well, or what is not.
        optional push: OneOrMore<Push>,
        /// Who is told once when something begins, and once when it ends.
        optional alarm: OneOrMore<Alarm>,
        /// An address where monitoring may ask for health and metrics, over TLS. Without it they are answered on the machine only.
        optional pull: Pull,
        /// An address where the vendor may ask, over TLS, while the school allows it.
        optional vendor: Vendor,
        /// The proxy for pushes and webhooks, `http://host:port` or `https://host:port`. Default: none.
        optional proxy: ProxyUrl,
        /// Certificates (PEM) of authorities that are believed beside those of the system, by pushes, webhooks and mail.
        optional ca: Certificates,
        /// From when on something is a warning.
        optional warn: Warn,
        /// From when on it is a failure.
        optional fail: Fail,
    }

    /// An endpoint.
    Push {
        /// What kind of service it is.
        required kind: PushKind,
        /// The name of its address in secrets.toml: who has the address can report in our name.
        required url_secret: SecretName,
        /// The name of its bearer token in secrets.toml. `gatus` wants one, `http` sends one if it is given, the others know none.
        optional token_secret: SecretName,
        /// In which interval the monitor expects to be told, "10 s" to "1 d". It is told at half of it. Default: "60 s".
        optional interval: Length,
        /// Whether names of cameras may be told. Default: false.
        optional names: bool,
    }

    /// Somebody who is told.
    Alarm {
        /// By mail or by a POST.
        required kind: AlarmKind,
        /// From which level on. Default: warn.
        optional from_level: Level,
        /// For `email`: its receivers.
        optional to: List<Mail>,
        /// For `email`: its sender.
        optional from: Mail,
        /// For `email`: the mail server, a name or an IP address, with `:port` if that is not the usual one.
        optional server: MailServer,
        /// For `email`: how the connection is protected. Default: tls.
        optional security: SmtpSecurity,
        /// For `email`: the user name at the server, where it wants one.
        optional username: Text,
        /// For `email`: the name of the password in secrets.toml.
        optional password_secret: SecretName,
        /// For `webhook`: the name of its address in secrets.toml.
        optional url_secret: SecretName,
        /// For `webhook`: the name of its bearer token in secrets.toml.
        optional token_secret: SecretName,
        /// Whether names of cameras may be told. Default: true for `email`, false for `webhook`.
        optional names: bool,
        /// In which language. Default: the site's.
        optional language: Lang,
    }

    /// Where monitoring may ask. `token_secret` or `client_ca` or both.
    Pull {
        /// IP address and port, such as "10.1.2.3:9464" or `[fd00::3]:9464`; "0.0.0.0:9464" for each recorder of a site with several.
        required listen: Listen,
        /// The name of the bearer token in secrets.toml that who asks must have.
        optional token_secret: SecretName,
        /// Certificates (PEM) of the authorities one of which must vouch for who asks.
        optional client_ca: Certificates,
    }

    /// Where the vendor may ask. `token_secret` or `client_ca` or both.
    Vendor {
        /// IP address and port, such as "10.9.0.2:9465" or `[fd00::3]:9465`.
        required listen: Listen,
        /// The name of the bearer token in secrets.toml that the vendor must have.
        optional token_secret: SecretName,
        /// Certificates (PEM) of the authorities one of which must vouch for the vendor.
        optional client_ca: Certificates,
        /// The unit that makes the tunnel, such as "wg-quick@vendor.service". It runs while the school allows the vendor in.
        optional tunnel: TunnelUnit,
    }

    /// From when on something is a warning.
    Warn {
        /// Age of a camera's newest second on disk, "10 s" to "1 d". Default: "30 s".
        optional newest: Length,
        /// Missing footage of a camera within a day, at most "1 d". Default: "10 min".
        optional gaps: Length,
        /// How far ahead a breach of the promise is announced. Default: "7 d".
        optional forecast: Length,
        /// Temperature of a disk, in degrees Celsius. Default: 55.
        optional disk_temperature: Whole<20, 90>,
        /// Temperature of the machine, in degrees Celsius. Default: 85.
        optional temperature: Whole<20, 120>,
        /// How far the recorder's clock may be off. Default: "2 s".
        optional clock: Length,
        /// How far a camera's clock may be off. Default: "60 s".
        optional camera_clock: Length,
        /// How long before its end a certificate is to be renewed. Default: "21 d".
        optional certificate: Length,
        /// Age of the newest backup. Default: "2 d".
        optional backup: Length,
        /// Age of the last verification of the footage. Default: "40 d".
        optional verification: Length,
        /// For how long nobody outside has taken a checkpoint of the ledger. Default: "7 d".
        optional witness: Length,
        /// 99 of 100 writes and commits take no longer. Default: "1 s".
        optional latency: Length,
        /// Use of the system disk, of a hundred. Default: 85.
        optional system_disk: Whole<1, 100>,
        /// Use of the memory, of a hundred. Default: 90.
        optional memory: Whole<1, 100>,
        /// Load over five minutes, per processor, of a hundred. Default: 200.
        optional load: Whole<10, 10000>,
    }

    /// From when on something is a failure. Never milder than the warning for the same.
    Fail {
        /// Age of a camera's newest second on disk, "10 s" to "1 d". Default: "2 min".
        optional newest: Length,
        /// Missing footage of a camera within a day, at most "1 d". Default: "60 min".
        optional gaps: Length,
        /// How far ahead a breach of the promise is one. Default: "1 d".
        optional forecast: Length,
        /// Temperature of a disk, in degrees Celsius. Default: 65.
        optional disk_temperature: Whole<20, 90>,
        /// How far the recorder's clock may be off. Default: "60 s".
        optional clock: Length,
        /// How long before a certificate's end. Default: "2 d".
        optional certificate: Length,
        /// Age of the newest backup. Default: "7 d".
        optional backup: Length,
        /// Use of the system disk, of a hundred. Default: 95.
        optional system_disk: Whole<1, 100>,
    }

    /// What is backed up, and where to.
    Backup {
        /// What. Default: all but footage without a hold.
        optional what: List<BackupWhat>,
        /// Areas whose whole footage is backed up too.
        optional areas: List<AreaId>,
        /// Who can read it: age recipients (age1…), as `age-keygen` prints them. Nobody else can, neither can the recorder.
        required recipients: List<Recipient>,
        /// When, each day.
        required at: TimeOfDay,
        /// How long a backup is kept. Without it nothing is ever removed.
        optional keep_days: Days,
        /// How much of the network or disk it may use at most.
        optional rate: BitRate,
        /// The places it is written to.
        required to: OneOrMore<BackupPlace>,
    }

    /// A place for backups.
    BackupPlace {
        /// What kind of place.
        required kind: BackupKind,
        /// For `disk`: its name below /dev/disk/by-id. Its first partition is used, with the file system that is there.
        optional disk: DiskId,
        /// For `directory`: its full path. What is mounted there must be prepared once with `custodian backup init`.
        optional path: Directory,
        /// For `s3`: the name of its address with access key in secrets.toml, `https://KEY:SECRET@host/bucket/folder`.
        optional url_secret: SecretName,
    }

    /// When the system may be updated, and from where.
    Update {
        /// The hours in which a version that the school has consented to is written and the machine restarted, such as "sun 02:00-04:00". Without them that is done by hand.
        optional window: List<Hours>,
        /// The folder with the signed list of versions, `https://…`. It is looked at once a day. Without it versions come on a stick.
        optional url: HttpsFolder,
    }
}
