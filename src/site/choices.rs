//! The fixed words of site.toml.

use serde_json::json;

use super::{
    read::{Node, Reader, Value},
    source::Bytes,
    values::choice,
};

macro_rules! choices {
    ($($(#[doc = $about:literal])+ $name:ident ($title:literal) { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)* })*) => {$(
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As site.toml writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Value for $name {
            fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
                choice(node, r, &[$(($word, Self::$variant),)*])
            }

            fn schema() -> serde_json::Value {
                json!({ "title": $title, "oneOf": [$(json!({ "const": $word, "description": concat!($($doc),+).trim() }),)*] })
            }
        }
    )*};
}

choices! {
    /// What kind of place an area is. It decides what may be watched there (REC7).
    AreaKind ("kind of area") {
        /// Gate, yard, street front: open to everybody.
        Public = "public",
        /// Entrance or lobby of a building.
        Entrance = "entrance",
        /// Corridor or stairs.
        Corridor = "corridor",
        /// Playground or sports ground.
        Playground = "playground",
        /// Classroom: leadership decides, the reason is on record.
        Classroom = "classroom",
        /// Hall, canteen, library, function room.
        Hall = "hall",
        /// Kitchen.
        Kitchen = "kitchen",
        /// Office.
        Office = "office",
        /// Laboratory or workshop.
        Laboratory = "laboratory",
        /// Store room.
        Store = "store",
        /// Room of keys, examination papers, cash, archives, servers.
        KeyRoom = "key-room",
        /// The control room itself.
        ControlRoom = "control-room",
        /// Entrance of a dormitory: private, but may be watched.
        DormitoryEntrance = "dormitory-entrance",
        /// Corridor of a dormitory: private, but may be watched.
        DormitoryCorridor = "dormitory-corridor",
        /// Toilet: no camera.
        Toilet = "toilet",
        /// Changing room: no camera.
        ChangingRoom = "changing-room",
        /// Bathing room: no camera.
        BathingRoom = "bathing-room",
        /// Dormitory room: no camera.
        DormitoryRoom = "dormitory-room",
    }

    /// How packets come from a camera.
    Transport ("transport") {
        /// Interleaved in the RTSP connection: nothing is lost unseen.
        Tcp = "tcp",
        /// Datagrams: for cameras that cannot do otherwise.
        Udp = "udp",
    }

    /// What happens when the disks cannot keep the promised days.
    WhenShort ("what to do when the disks are short") {
        /// `plan` refuses the site.
        Refuse = "refuse",
        /// The site is accepted, with an alarm for as long as the disks are short.
        Alarm = "alarm",
        /// As `alarm`; cameras of low priority are recorded by their sub stream meanwhile.
        Substream = "substream",
    }

    /// How strong the promise of `min_days` is.
    Promise ("strength of the promise") {
        /// Nothing younger is ever deleted, whatever happens.
        Invariant = "invariant",
        /// The oldest is overwritten if the disks are full; each breach is an alarm.
        Target = "target",
    }

    /// What opens a recorder's encrypted disks when it starts.
    Unlock ("how disks are unlocked") {
        /// The machine's TPM: a stolen disk shows nothing, a stolen machine starts.
        Tpm = "tpm",
        /// A USB key that stays in the machine or with a person.
        UsbKey = "usb-key",
        /// A person types a passphrase at each start.
        Passphrase = "passphrase",
        /// The disks are not encrypted.
        None = "none",
    }

    /// What a role may do.
    Permission ("permission") {
        /// See live pictures of its areas.
        Live = "live",
        /// Do what it may from outside the school's network too.
        Remote = "remote",
        /// Ask for recordings to be looked at.
        Request = "request",
        /// Endorse requests of its own department.
        Endorse = "endorse",
        /// Decide on requests, where `[approval]` names it.
        Approve = "approve",
        /// Look at and extract recordings under a grant, on behalf of the requester.
        Retrieve = "retrieve",
        /// Be present as the supervisor of a retrieval.
        Supervise = "supervise",
        /// Let a copy leave.
        Export = "export",
        /// Put a hold on footage.
        Hold = "hold",
        /// Keep the duty, incident and fault logs.
        Duty = "duty",
        /// Read registers and logs.
        Registers = "registers",
        /// Audit retrievals.
        Audit = "audit",
        /// See equipment and maintenance costs.
        Costs = "costs",
        /// Change this file.
        Configure = "configure",
        /// See health and versions, never a picture or a name.
        Health = "health",
    }

    /// Papers that a request must bring.
    Paper ("paper") {
        /// An official letter.
        OfficialLetter = "official-letter",
        /// The identity card or warrant card of the one who comes.
        IdentityCard = "identity-card",
        /// The application form, on paper, signed.
        SignedForm = "signed-form",
    }

    /// Kinds of service that watch whether the recorder reports.
    PushKind ("kind of endpoint") {
        /// Uptime Kuma's push monitor.
        UptimeKuma = "uptime-kuma",
        /// healthchecks.io, or the same software elsewhere.
        Healthchecks = "healthchecks",
        /// Gatus' external endpoint.
        Gatus = "gatus",
        /// A plain POST with JSON.
        Http = "http",
    }

    /// Ways to tell somebody of an alarm.
    AlarmKind ("kind of alarm") {
        /// Mail, by SMTP.
        Email = "email",
        /// A POST with JSON.
        Webhook = "webhook",
    }

    /// How a connection to a mail server is protected.
    SmtpSecurity ("protection") {
        /// Encrypted from the beginning (port 465).
        Tls = "tls",
        /// Encrypted before anything is said (port 587).
        Starttls = "starttls",
        /// Not at all (port 25): only for a server in the school's own network.
        None = "none",
    }

    /// Kinds of place for backups.
    BackupKind ("kind of place") {
        /// A further disk in the machine.
        Disk = "disk",
        /// A mounted directory (a NAS, say).
        Directory = "directory",
        /// An S3-compatible store.
        S3 = "s3",
    }

    /// What a backup holds.
    BackupWhat ("what is backed up") {
        /// Footage under a hold.
        Holds = "holds",
        /// Exports that were handed out.
        Exports = "exports",
        /// The databases.
        Databases = "databases",
        /// The ledger.
        Ledger = "ledger",
        /// This file.
        Site = "site",
    }
}

/// How private a kind of area is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// An ordinary place.
    Open,
    /// May be watched; looking at its recordings is a private matter.
    Private,
    /// No camera, ever.
    Refused,
}

impl AreaKind {
    /// How private it is.
    pub fn privacy(self) -> Privacy {
        match self {
            Self::Toilet | Self::ChangingRoom | Self::BathingRoom | Self::DormitoryRoom => Privacy::Refused,
            Self::DormitoryEntrance | Self::DormitoryCorridor => Privacy::Private,
            _ => Privacy::Open,
        }
    }

    /// Whether leadership's reason must be on record for a camera there.
    pub fn wants_reason(self) -> bool {
        self == Self::Classroom
    }
}
