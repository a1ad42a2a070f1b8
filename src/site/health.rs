//! How health is reported: thresholds, endpoints, alarms, addresses that answer.

use std::{net::SocketAddr, time::Duration};

use url::Url;

use super::choices::{PushKind, SmtpSecurity};
use crate::types::{Lang, SecretName, wire::health::Level};

/// How the recorder's health is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// How often it is looked.
    pub every: Duration,
    /// Endpoints that are told regularly.
    pub push: Vec<Push>,
    /// Who is told once when something begins, and when it ends.
    pub alarms: Vec<Alarm>,
    /// Where metrics are answered; none: on the machine only.
    pub pull: Option<Door>,
    /// Where the vendor is answered while the school allows it.
    pub vendor: Option<Door>,
    /// The proxy for HTTP; none: none.
    pub proxy: Option<Url>,
    /// Certificates (PEM) of authorities that count beside those of the system.
    pub ca: Option<String>,
    /// From when on something is a warning.
    pub warn: Warn,
    /// From when on it is a failure.
    pub fail: Fail,
}

/// An endpoint that health is pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What kind of service.
    pub kind: PushKind,
    /// Name of its address in secrets.toml.
    pub url_secret: SecretName,
    /// Name of its bearer token in secrets.toml.
    pub token_secret: Option<SecretName>,
    /// How often.
    pub interval: Duration,
    /// Whether names may be told.
    pub names: bool,
}

/// Somebody who is told once when something begins, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Where to.
    pub to: AlarmPlace,
    /// From which level on.
    pub from_level: Level,
    /// Whether names of cameras may be told.
    pub names: bool,
    /// In which language.
    pub language: Lang,
}

/// Where an alarm goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmPlace {
    /// Mail, by SMTP.
    Email {
        /// Its receivers; one at least.
        to: Vec<String>,
        /// Its sender.
        from: String,
        /// Host name or IP address of the server.
        server: String,
        /// Its port.
        port: u16,
        /// How the connection is protected.
        security: SmtpSecurity,
        /// User name, and the name of its password in secrets.toml.
        login: Option<(String, SecretName)>,
    },
    /// A POST with JSON.
    Webhook {
        /// Name of its address in secrets.toml.
        url_secret: SecretName,
        /// Name of its bearer token in secrets.toml.
        token_secret: Option<SecretName>,
    },
}

/// An address that answers over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// Address and port.
    pub listen: SocketAddr,
    /// Name of the bearer token in secrets.toml. This or `client_ca` is there, or both, and then both are wanted.
    pub token_secret: Option<SecretName>,
    /// Certificates (PEM) of the authorities whose clients are let in.
    pub client_ca: Option<String>,
    /// For the vendor: the unit that makes the tunnel, started and stopped with the permission.
    pub tunnel: Option<String>,
}

/// From when on something is a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warn {
    /// Age of a camera's newest second on disk.
    pub newest: Duration,
    /// Missing footage of a camera within a day.
    pub gaps: Duration,
    /// How far ahead a breach of the promise is announced.
    pub forecast: Duration,
    /// Temperature of a disk, °C.
    pub disk_temperature: u32,
    /// Temperature of the machine, °C.
    pub temperature: u32,
    /// Offset of the recorder's clock.
    pub clock: Duration,
    /// Offset of a camera's clock.
    pub camera_clock: Duration,
    /// Time before a certificate's end.
    pub certificate: Duration,
    /// Age of the newest backup.
    pub backup: Duration,
    /// Age of the last verification.
    pub verification: Duration,
    /// For how long nobody outside has taken a checkpoint of the ledger.
    pub witness: Duration,
    /// 99 of 100 writes or commits take no longer.
    pub latency: Duration,
    /// Use of the system disk, of a hundred.
    pub system_disk: u32,
    /// Use of the memory, of a hundred.
    pub memory: u32,
    /// Load over five minutes, per processor, of a hundred.
    pub load: u32,
}

/// From when on something is a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail {
    /// Age of a camera's newest second on disk.
    pub newest: Duration,
    /// Missing footage of a camera within a day.
    pub gaps: Duration,
    /// How far ahead a breach of the promise is one.
    pub forecast: Duration,
    /// Temperature of a disk, °C.
    pub disk_temperature: u32,
    /// Offset of the recorder's clock.
    pub clock: Duration,
    /// Time before a certificate's end.
    pub certificate: Duration,
    /// Age of the newest backup.
    pub backup: Duration,
    /// Use of the system disk, of a hundred.
    pub system_disk: u32,
}
