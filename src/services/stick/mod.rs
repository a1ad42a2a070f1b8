//! A stick that a person has plugged into a running recorder: let in when they ask, read and written by a process that can do nothing else, and
//! kept out again.
//!
//! The kernel reads no file system of it. FAT is read by mtools in a transient unit that has neither network nor rights, of all
//! devices only this one, and a limit on time and memory. Each command is one unit, and ends with it.

mod busless;
mod copy;
mod find;
mod wipe;

use std::{io, time::Duration};

pub use self::{copy::Tell, find::Pause};
use crate::{
    disks::Secret,
    plan::KEY_FILE,
    sys::{Commands, Output},
};

/// What a stick's partition, or its file system, must be called.
pub const LABEL: &str = "CUSTODIAN";
/// A file that is longer is none of ours.
pub const LONGEST: usize = 1 << 20;
/// What takes longer is a stick that is dying, or hostile.
const LIMIT: Duration = Duration::from_secs(40);

/// Why there is nothing to be had from a stick. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StickError {
    /// There is none.
    #[error("there is no stick")]
    None,
    /// There are several: whose is it?
    #[error("there are several sticks")]
    Several,
    /// It says that it is something else besides, a keyboard say.
    #[error("the device {0} is not only a stick")]
    Disguised(String),
    /// Nothing on it has the right name. What it has.
    #[error("the stick has nothing called CUSTODIAN, but {}", .0.join(", "))]
    Label(Vec<String>),
    /// That is no FAT file system. What it is.
    #[error("CUSTODIAN is no FAT file system, but {0}")]
    NotFat(String),
    /// The file is not there.
    #[error("there is no {0} on the stick")]
    NoFile(&'static str),
    /// It is longer than any of ours.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// It is no text.
    #[error("{0} is no text in UTF-8")]
    NoText(&'static str),
    /// It was pulled out, or does not answer.
    #[error("the stick does not answer: {0}")]
    Gone(String),
    /// It cannot be written to.
    #[error("the stick cannot be written: {0}")]
    Written(String),
    /// What was to be wiped is not where it should be.
    #[error("{0} could not be wiped")]
    NotWiped(&'static str),
    /// A program that this needs does not run.
    #[error("{0}")]
    Program(String),
    /// A file that another one names is not there.
    #[error("there is no {0} on the stick")]
    Lacks(String),
    /// It is longer than it may be.
    #[error("{0} is longer than it may be")]
    Longer(String),
    /// There is no update directory.
    #[error("there is no folder update with a SHA256SUMS in it on the stick")]
    NoUpdate,
    /// The disk of this machine does not take it.
    #[error("it cannot be written here: {0}")]
    Here(String),
    /// The person has left.
    #[error("it was broken off")]
    Left,
    /// The file for the disks' key is too short for one.
    #[error("{KEY_FILE} is no key")]
    NoKey,
}

/// A stick that was let in. It is kept out again when this is dropped.
pub struct Stick<'a> {
    commands: &'a dyn Commands,
    /// The partition.
    device: String,
    _entry: find::Entry<'a>,
}

impl<'a> Stick<'a> {
    /// Lets in the stick that is there, and finds its partition.
    ///
    /// # Errors
    /// If there is none, or not exactly one that is a stick with such a partition.
    pub fn open(commands: &'a dyn Commands, pause: Pause<'_>) -> Result<Self, StickError> {
        let (entry, device) = find::find(commands, pause)?;
        log::info!("the stick {device} is let in: somebody asks for it at the console");
        Ok(Self { commands, device, _entry: entry })
    }

    /// A text file, without the mark that Windows' editor puts before it.
    ///
    /// # Errors
    /// If it is not there, or no text.
    pub fn read(&self, name: &'static str) -> Result<String, StickError> {
        let text = String::from_utf8(self.bytes(name)?).map_err(|_| StickError::NoText(name))?;
        if text.contains('\0') {
            return Err(StickError::NoText(name));
        }
        Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
    }

    /// The key that opens disks, as it was made when the machine was installed.
    ///
    /// # Errors
    /// If there is none.
    pub fn key(&self) -> Result<Secret, StickError> {
        Secret::key_file(self.bytes(KEY_FILE)?).map_err(|_| StickError::NoKey)
    }

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, StickError> {
        let read = self.try_bytes(name);
        if let Err(e) = &read {
            log::warn!("{name} is not read from the stick: {e}");
        }
        read
    }

    fn try_bytes(&self, name: &'static str) -> Result<Vec<u8>, StickError> {
        let out = match self.run(Access::Read, &["mcopy", "-n", "-i", &self.device, &format!("::{name}"), "-"], &[]) {
            // A file without an end.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(StickError::TooLong(name)),
            other => understood(other)?,
        };
        if out.ok() && out.stdout.len() <= LONGEST {
            return Ok(out.stdout);
        }
        Err(match &*out.stderr {
            _ if out.ok() => StickError::TooLong(name),
            said if said.contains("not found") => StickError::NoFile(name),
            said if said.contains("non DOS media") => StickError::NotFat("–".to_owned()),
            said => StickError::Gone(said.to_owned()),
        })
    }

    /// Writes a file, in the place of one of that name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), StickError> {
        let to = format!("::{name}");
        let out = self.run(Access::Write, &["mcopy", "-o", "-i", &self.device, "-", &to], text.as_bytes());
        let out = understood(out)?;
        // mtools tells a full stick by its words alone.
        if out.ok() && !out.stderr.to_lowercase().contains("full") {
            Ok(())
        } else {
            Err(StickError::Written(out.stderr))
        }
    }

    /// Of all devices only this one.
    fn allowed(&self, access: Access) -> String {
        format!("--property=DeviceAllow={} {}", self.device, access.letters())
    }

    /// Runs a program of mtools that can do nothing but this.
    fn run(&self, access: Access, command: &[&str], input: &[u8]) -> io::Result<Output> {
        let device = self.allowed(access);
        let args: Vec<&str> =
            SANDBOX.iter().copied().chain([device.as_str(), "--"]).chain(command.iter().copied()).collect();
        self.commands.run("systemd-run", &args, input, LIMIT)
    }
}

/// What a program may do with the stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Access {
    fn letters(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Write => "rw",
        }
    }
}

/// That a program could be run at all.
fn understood(ran: io::Result<Output>) -> Result<Output, StickError> {
    match ran {
        Ok(out) if out.code == Some(203) => {
            Err(StickError::Program(format!("mtools is not installed: {}", out.stderr)))
        }
        Ok(out) => Ok(out),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(StickError::Gone(e.to_string())),
        Err(e) => Err(StickError::Program(e.to_string())),
    }
}

/// systemd.exec(5), systemd.resource-control(5). The group of disks opens devices; the policy leaves one of them. That no sockets are made the filter
/// of calls says: `RestrictAddressFamilies=none` is for unit files, systemd-run refuses it. mtools lowers privileges that it does not have, so what is
/// kept from it fails and ends nothing.
const SANDBOX: &[&str] = &[
    "--quiet",
    "--collect",
    "--wait",
    "--pipe",
    "--service-type=exec",
    "--description=custodian: reads a stick",
    "--setenv=MTOOLS_SKIP_CHECK=1",
    "--setenv=LC_ALL=C.UTF-8",
    "--property=DynamicUser=yes",
    "--property=SupplementaryGroups=disk",
    "--property=DevicePolicy=closed",
    "--property=RuntimeMaxSec=30s",
    "--property=MemoryMax=64M",
    "--property=TasksMax=4",
    "--property=CapabilityBoundingSet=",
    "--property=InaccessiblePaths=-/var/lib/custodian -/run/custodian -/etc/custodian -/etc/credstore",
    "--property=KeyringMode=private",
    "--property=LockPersonality=yes",
    "--property=MemoryDenyWriteExecute=yes",
    "--property=NoNewPrivileges=yes",
    "--property=PrivateIPC=yes",
    "--property=PrivateNetwork=yes",
    "--property=PrivateTmp=yes",
    "--property=ProcSubset=pid",
    "--property=ProtectClock=yes",
    "--property=ProtectControlGroups=yes",
    "--property=ProtectHome=yes",
    "--property=ProtectHostname=yes",
    "--property=ProtectKernelLogs=yes",
    "--property=ProtectKernelModules=yes",
    "--property=ProtectKernelTunables=yes",
    "--property=ProtectProc=invisible",
    "--property=ProtectSystem=strict",
    "--property=RestrictNamespaces=yes",
    "--property=RestrictRealtime=yes",
    "--property=RestrictSUIDSGID=yes",
    "--property=SystemCallArchitectures=native",
    "--property=SystemCallErrorNumber=EPERM",
    "--property=SystemCallFilter=@system-service",
    "--property=SystemCallFilter=~@privileged @resources @network-io",
    "--property=UMask=0077",
];

#[cfg(test)]
mod tests;
