//! What is to be done, and in which steps. Pure.

use serde::{Deserialize, Serialize};

use super::{
    FootageState, SheetCode, View,
    file::{InstallFile, Named},
};
use crate::{
    disks::{Secret, Token, Unfit},
    factors::Pin,
    inventory::Disk,
    site::{Recorder, Unlock},
    types::{Lang, RecorderId, VolumeName},
};

/// What comes when all is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The machine starts again, once the stick is pulled.
    #[default]
    Reboot,
    /// It is switched off.
    Poweroff,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Order {
    /// The language of what is shown and written.
    pub lang: Lang,
    /// Which recorder this machine becomes.
    pub recorder: RecorderId,
    /// The disk for the system.
    pub system: String,
    /// That its facts were read.
    pub token: Token,
    /// The disks for footage.
    pub footage: Vec<Footage>,
    /// What the console asks for before it changes something.
    pub pin: Pin,
    /// What opens the disks each day, if a person does.
    pub passphrase: Option<Secret>,
    /// The code that opens the recovery sheet; one is made where there is none.
    pub sheet_code: Option<SheetCode>,
    /// Whether the secrets go from the stick. Where a person is asked: whether there are any, and they may.
    pub wipe_secrets: bool,
    /// What comes when all is done.
    pub then: Then,
    /// Whether a person was asked.
    pub asked: bool,
}

/// A disk for footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footage {
    /// The volume.
    pub volume: VolumeName,
    /// Its disk.
    pub by_id: String,
    /// What is done with it.
    pub how: How,
}

/// What is done with a disk for footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It is prepared, by this token for init.
    Prepare(Token),
    /// What was begun is taken away, by this token for erase, then it is prepared.
    Again(Token),
    /// It stays as it is, with its footage.
    Keep,
}

/// A step. Doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// The partition table.
    Table,
    /// The system, copied from the stick and read back.
    System,
    /// What makes a changed byte of it show, copied likewise.
    Verity,
    /// The partition for the state.
    State,
    /// Folders, site.toml, secrets.toml.
    Files,
    /// A disk for footage.
    Footage {
        /// The volume.
        volume: VolumeName,
    },
    /// PIN and sealed code.
    Factors,
    /// The first generation.
    Generation,
    /// The recovery sheet, on the stick.
    Sheet,
    /// The receipt, on the stick.
    Receipt,
    /// What makes the machine start from the disk: last of all that is written to it, and not before it is known what opens the sheet.
    Start,
    /// The secrets on the stick.
    Wipe,
}

impl Step {
    /// The name of its text.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::System => "system",
            Self::Verity => "verity",
            Self::State => "state",
            Self::Files => "files",
            Self::Footage { .. } => "footage",
            Self::Factors => "factors",
            Self::Generation => "generation",
            Self::Sheet => "sheet",
            Self::Receipt => "receipt",
            Self::Start => "start",
            Self::Wipe => "wipe",
        }
    }
}

/// The steps of an order.
pub fn steps(order: &Order) -> Vec<Step> {
    let mut steps = vec![Step::Table, Step::System, Step::Verity, Step::State, Step::Files];
    steps.extend(order.footage.iter().map(|f| Step::Footage { volume: f.volume.clone() }));
    steps.extend([Step::Factors, Step::Generation, Step::Sheet, Step::Receipt, Step::Start]);
    if order.wipe_secrets {
        steps.push(Step::Wipe);
    }
    steps
}

/// Why install.toml does not fit this machine. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// No disk, or several, has that serial number.
    #[error("{count} disks here have the serial number {serial}")]
    Serial {
        /// As it stands in the file.
        serial: String,
        /// How many have it.
        count: usize,
    },
    /// The disk cannot be the system's.
    #[error("the disk with serial number {serial} cannot be the system's: {why}")]
    System {
        /// Which.
        serial: String,
        /// Why.
        why: Unfit,
    },
    /// It is no disk of this recorder.
    #[error("site.toml does not name the disk with serial number {serial} for this recorder")]
    NotNamed {
        /// Which.
        serial: String,
    },
    /// A disk for footage is new, and has no code in the file, or not this one.
    #[error("no right token for the disk of volume {volume}")]
    Token {
        /// Which.
        volume: VolumeName,
        /// The disk.
        by_id: String,
    },
    /// `unlock = "passphrase"`, and there is none.
    #[error("site.toml says unlock = \"passphrase\", and install.toml has none")]
    NoPassphrase,
}

/// The order that install.toml gives. The token for the system disk is judged when the disk is taken, for an installation that was cut short
/// has changed it.
///
/// # Errors
/// All that does not fit.
pub fn order(file: &InstallFile, lang: Lang, recorder: &Recorder, view: &View) -> Result<Order, Vec<Misfit>> {
    let mut wrong = Vec::new();
    let disks = || view.systems.iter().map(|c| &c.disk);
    let by_serial = |named: &Named| -> Result<&Disk, Misfit> {
        let mut same = disks().filter(|d| d.serial.as_deref() == Some(&named.serial));
        match (same.next(), same.count()) {
            (Some(disk), 0) => Ok(disk),
            (first, more) => {
                Err(Misfit::Serial { serial: named.serial.clone(), count: more + usize::from(first.is_some()) })
            }
        }
    };
    let system = by_serial(&file.system).and_then(|disk| {
        let candidate = view.systems.iter().find(|c| c.disk.name == disk.name);
        let misfit = |why: &Unfit| Misfit::System { serial: file.system.serial.clone(), why: why.clone() };
        match candidate.map(|c| (&c.by_id, &c.token)) {
            Some((Some(by_id), Ok(_))) => Ok(by_id.clone()),
            Some((_, Err(why))) => Err(misfit(why)),
            _ => Err(Misfit::Serial { serial: file.system.serial.clone(), count: 0 }),
        }
    });
    let system = system.map_err(|e| wrong.push(e)).ok();
    let mut given: Vec<(&Disk, &Token)> = Vec::new();
    for named in &file.footage {
        match by_serial(named) {
            Ok(disk) if view.footage.iter().any(|f| disk.by_id.contains(&f.by_id)) => given.push((disk, &named.token)),
            Ok(_) => wrong.push(Misfit::NotNamed { serial: named.serial.clone() }),
            Err(e) => wrong.push(e),
        }
    }
    let mut footage = Vec::new();
    for disk in &view.footage {
        let token = given.iter().find(|(d, _)| d.by_id.contains(&disk.by_id)).map(|(_, token)| *token);
        match how(&disk.state, token) {
            Some(how) => footage.push(Footage { volume: disk.volume.clone(), by_id: disk.by_id.clone(), how }),
            None => wrong.push(Misfit::Token { volume: disk.volume.clone(), by_id: disk.by_id.clone() }),
        }
    }
    if recorder.unlock == Unlock::Passphrase && file.passphrase.is_none() {
        wrong.push(Misfit::NoPassphrase);
    }
    match system {
        Some(system) if wrong.is_empty() => Ok(Order {
            lang,
            recorder: recorder.id.clone(),
            system,
            token: file.system.token.clone(),
            footage,
            pin: file.pin.clone(),
            passphrase: file.passphrase.clone(),
            sheet_code: file.sheet_code.clone(),
            wipe_secrets: file.wipe_secrets,
            then: file.then,
            asked: false,
        }),
        _ => Err(wrong),
    }
}

/// What is done with a disk for footage, if the code is the right one where one is wanted.
pub(super) fn how(state: &FootageState, given: Option<&Token>) -> Option<How> {
    match state {
        FootageState::Ours => Some(How::Keep),
        FootageState::New(token) => (given == Some(token)).then(|| How::Prepare(token.clone())),
        FootageState::Unfinished { now, before } => {
            (given == Some(now) || given == Some(before)).then(|| How::Again(now.clone()))
        }
        FootageState::Refused(_) => None,
    }
}
