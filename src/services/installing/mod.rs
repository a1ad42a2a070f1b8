//! Installing: a machine gets its system, its state and its volumes from the stick that it was started from.
//!
//! [`Installer::look`] and [`Installer::check`] change nothing. [`Installer::carry_out`] does the steps of an [`Order`]
//! in their order; it stops at the first that fails, and given again, goes on from what it finds:
//!
//! - the partition table says by the identity of the state's partition with which token it was begun;
//! - what must not be lost, the keys, lies on the state partition before anything depends on it ([`crate::install::Begun`]);
//! - what opens the recovery sheet has been written down before the disk starts, which removes those keys;
//! - a disk for footage is a volume when its seal is written, and none before;
//! - the disk starts when the last file on the EFI partition has its name;
//! - secrets go from the stick after all else.

mod begin;
mod carry;
mod end;
pub(in crate::services) mod keys;
mod lock;
mod papers;
mod session;
mod start;
mod stick;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
pub use end::{is_in, leave, stay_in_memory, wipe};
pub use lock::Lock;
use nix::unistd::{Group, User};
pub use session::{Desk, Ended, Hands, Papers, Session};
pub use stick::{MountedStick, Stick, find};

use super::{disks::Machine, planning::Wanted};
use crate::{
    install::{self, Order, SheetCode, Step, View},
    inventory::{self, Parted, Survey},
    plan::{self, Held, Input, Measured, Plan, Refused},
    site::{Recorder, Unlock},
    sys::Clock,
    types::VolumeName,
};

/// Whose the files on the new state partition are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// Users and groups as the system that is installed has them: it is the one that runs.
    Real,
    /// There are none: all is the one's who installs.
    None,
}

impl Accounts {
    fn user(self, name: &str) -> anyhow::Result<Option<u32>> {
        if self == Self::None {
            return Ok(None);
        }
        let user = User::from_name(name)?.with_context(|| format!("this system has no user {name}"))?;
        Ok(Some(user.uid.as_raw()))
    }

    fn group(self, name: &str) -> anyhow::Result<Option<u32>> {
        if self == Self::None {
            return Ok(None);
        }
        let group = Group::from_name(name)?.with_context(|| format!("this system has no group {name}"))?;
        Ok(Some(group.gid.as_raw()))
    }
}

/// Hears how far it is.
pub trait Tell {
    /// A step begins, the `n`th of so many.
    fn begins(&mut self, step: &Step, n: usize, of: usize);
    /// So many of so many bytes are copied.
    fn copied(&mut self, done: u64, all: u64);
    /// It has ended, and has changed something or found it done.
    fn ended(&mut self, step: &Step, changed: bool);
    /// Sheet and receipt are on the stick, and the disk does not start yet: shows the code, and hears that it was written down. Gives
    /// whether the secrets are to go from the stick.
    ///
    /// # Errors
    /// If nobody says so.
    fn told(&mut self, told: &Told<'_>) -> anyhow::Result<bool>;
}

/// What is told before the disk starts.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The code that opens the recovery sheet, to be shown once.
    pub code: &'a SheetCode,
    /// The sheet's name on the stick.
    pub sheet: &'a str,
    /// The receipt's name on the stick.
    pub receipt: &'a str,
    /// The machine's keys, whose and what, as they stand in it.
    pub keys: &'a [(String, String)],
}

/// What installs.
pub struct Installer<'a> {
    /// The machine, with its disks.
    pub machine: Machine<'a>,
    /// What is on the stick.
    pub stick: &'a Stick,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// The version that is installed: that of the stick.
    pub version: String,
    /// The boot loader.
    pub loader: PathBuf,
    /// Who has this lock installs.
    pub lock: Lock,
    /// See [`Accounts`].
    pub accounts: Accounts,
}

/// What there is.
#[derive(Debug)]
pub struct Looked {
    /// Disks, links.
    pub survey: Survey,
    /// Partitions by name.
    pub parted: Vec<Parted>,
}

/// Why a recorder cannot be installed here. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `unlock = "tpm"`, and there is none, or this system is not signed.
    #[error("the site says unlock = \"tpm\": {0:#}")]
    Tpm(anyhow::Error),
    /// The plan says no.
    #[error(transparent)]
    Plan(Box<Refused>),
    /// The disk has a system on it that has run, and nobody has read that.
    #[error("custodian is installed on disk {0} already")]
    Installed(String),
    /// Another one installs, at another console.
    #[error("this machine is being installed at another console")]
    Busy,
    /// A disk for footage looks unfinished, and this installation has not begun it.
    #[error("the disk {by_id} of volume {volume} was not begun by this installation")]
    NotBegun {
        /// The volume.
        volume: VolumeName,
        /// The disk.
        by_id: String,
    },
    /// Another disk has a system of ours too.
    #[error(
        "disk {name} ({model}, {serial}) has a system of custodian too: with two of them in it the machine does not start"
    )]
    Second {
        /// Its kernel name.
        name: String,
        /// Its model.
        model: String,
        /// Its serial number.
        serial: String,
    },
    /// The key for each day would be on a stick, and another one has the name too.
    #[error("disk {0} has a file system that is named CUSTODIAN too")]
    TwoSticks(String),
    /// The key for each day would be on the stick, and what is there is none.
    #[error("custodian.key on the stick is too short for a key")]
    ShortKey,
    /// What was begun on the disk cannot be opened.
    #[error("the state that was begun on disk {0} cannot be opened")]
    Locked(String),
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The machine started from its disk before already.
    pub before: bool,
}

impl Installer<'_> {
    /// Looks at the machine.
    ///
    /// # Errors
    /// If disks cannot be listed.
    pub fn look(&self) -> anyhow::Result<Looked> {
        let survey = inventory::survey(self.machine.commands, &self.machine.roots);
        let parted = self.parted()?;
        Ok(Looked { survey, parted })
    }

    fn parted(&self) -> anyhow::Result<Vec<Parted>> {
        inventory::parted(self.machine.commands, &self.machine.roots.dev).context("disks cannot be listed")
    }

    /// The plan for a recorder.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, looked: &Looked, wanted: &Wanted, recorder: &Recorder, view: &View) -> anyhow::Result<Plan> {
        if recorder.unlock == Unlock::Tpm {
            super::disks::unlocking(Unlock::Tpm, None, None).map_err(Refusal::Tpm)?;
        }
        let inventory = install::seen_as(&looked.survey.inventory, view);
        Ok(make_plan(wanted, recorder, &inventory).map_err(|e| Refusal::Plan(Box::new(e)))?)
    }

    fn state_dir(at: &Path) -> PathBuf {
        at.join("lib/custodian")
    }
}

/// The plan for a machine that nothing was applied to.
fn make_plan(wanted: &Wanted, recorder: &Recorder, inventory: &inventory::Inventory) -> Result<Plan, Refused> {
    let secrets = wanted.secrets.as_deref().map(plan::digest);
    plan::make(&Input {
        site: &wanted.site,
        secrets: secrets.as_deref(),
        recorder: &recorder.id,
        before: None,
        inventory: Some(inventory),
        fingerprint: Some(&inventory.fingerprint()),
        measured: &Measured::new(),
        held: &Held::default(),
        recover: &[],
    })
}

/// What is done is said while it is done.
struct Course<'a, 'b> {
    tell: &'a mut dyn Tell,
    order: &'b Order,
    steps: Vec<Step>,
    done: Vec<install::receipt::StepLine>,
}

impl Course<'_, '_> {
    /// Does the next step. The last word on what it was for stands in the error.
    fn step<T>(
        &mut self,
        step: &Step,
        work: impl FnOnce(&mut dyn Tell) -> anyhow::Result<(T, bool)>,
    ) -> anyhow::Result<T> {
        let n = self.steps.iter().position(|s| s == step).map_or(0, |n| n + 1);
        self.tell.begins(step, n, self.steps.len());
        let (t, changed) = work(self.tell).with_context(|| format!("step {n}, {}", step.key()))?;
        self.tell.ended(step, changed);
        log::info!("step {n}, {}: {}", step.key(), if changed { "done" } else { "was done before" });
        self.done.push(install::receipt::StepLine { step: step.clone(), changed });
        Ok(t)
    }
}
