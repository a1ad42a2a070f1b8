//! Identities. No raw strings or integers travel between modules.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an identifier: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit")]
pub struct BadId(pub String);

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 63 characters of `a-z`, `0-9` and `-`, the first one no `-`: safe as a file name, a URL
        /// path segment and a TOML bare key. Cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> {
                let ok = (1..=63).contains(&s.len())
                    && !s.starts_with('-')
                    && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
                if ok { Ok(Self(s.into())) } else { Err(BadId(s.to_owned())) }
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(s: String) -> Result<Self, BadId> {
                s.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

slug!(
    /// A camera, as `[camera.<id>]` names it.
    CameraId
);
slug!(
    /// A recorder (one machine), as `[recorder.<name>]` names it.
    RecorderId
);
slug!(
    /// A volume (a disk prepared for footage), as `[[recorder.<name>.volume]] name` names it.
    VolumeName
);
slug!(
    /// A watched place, as `[area.<id>]` names it.
    AreaId
);
slug!(
    /// A user name and password for cameras, as `[credentials.<name>]` in secrets.toml names them.
    CredentialsName
);
slug!(
    /// Another secret, as `[secrets]` in secrets.toml names it.
    SecretName
);
slug!(
    /// A role, as `[role.<id>]` names it.
    RoleId
);
slug!(
    /// A person, as `[person.<id>]` names them.
    PersonId
);

/// Which of a camera's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// Full picture; what is recorded unless the site says otherwise.
    Main,
    /// Small picture, for the wall.
    Sub,
}

impl StreamKind {
    /// `main` or `sub`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StreamKind {
    type Err = BadId;
    fn from_str(s: &str) -> Result<Self, BadId> {
        match s {
            "main" => Ok(Self::Main),
            "sub" => Ok(Self::Sub),
            _ => Err(BadId(s.to_owned())),
        }
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// From the 16 bytes kept on disk.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
            /// The 16 bytes kept on disk.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> {
                Uuid::try_parse(s).map(Self).map_err(|_| BadId(s.to_owned()))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_simple(), f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_id!(
    /// A recording: one stream of one camera. Stays the same when the camera is renamed.
    StreamId
);
uuid_id!(
    /// An unbroken capture. A UUIDv7 (RFC 9562 section 5.7), so that file names never collide, whatever
    /// the clock does.
    RunId
);

uuid_id!(
    /// A hold: footage that is kept until a person lets it go.
    HoldId
);

/// A segment: the `seq`th file of a run, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId {
    /// The recording.
    pub stream: StreamId,
    /// The run within it.
    pub run: RunId,
    /// The file within the run, from 0.
    pub seq: u32,
}

/// A stream's stable identity together with the names it has today.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamKey {
    /// The stable identity.
    pub id: StreamId,
    /// The camera's present name.
    pub camera: CameraId,
    /// Main or sub.
    pub kind: StreamKind,
}
