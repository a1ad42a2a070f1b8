//! The state's partition of the appliance, opened at each start: `/var` is mounted from it.
//!
//! It is looked for on the disk that the system was started from, and nowhere else: another disk that carries the name is another
//! machine's, or somebody wants it to be taken for this one's. What opens it, in this order: what the LUKS2 header names, TPM or
//! key file on a stick; then whoever answers at the console, with the passphrase or the recovery key.
//!
//! Footage is opened elsewhere, by the units that apply writes. Nothing here touches it.

mod problem;

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

pub use problem::{Problem, StateError};

use crate::{
    disks::{RecoveryKey, StateKey, mapper, open_state, opens_state},
    inventory::{Part, Parted, parted},
    plan::{KEY_FILE, KEY_LABEL, KEY_STICK, SYSTEMD_CRYPTSETUP},
    sys::{Commands, Output, RealCommands},
};

/// The partition's name in the table, and the label of what is on it.
pub const LABEL: &str = "custodian-state";
/// Where the link is that `var.mount` mounts, and what went wrong.
pub const RUN: &str = "/run/custodian-state";
/// A program that asks nobody.
const LIMIT: Duration = Duration::from_mins(5);
/// With a TPM or a stick nobody is expected: who is there answers in this time, and else the rescue console comes up.
const PATIENCE: &str = "timeout=300";
/// A stick is there so many seconds after the start, if it is in.
const STICK_PATIENCE: &str = "--timeout=30";

/// A stick, as far as it matters whether it is another one: the number of its link, and when that was made.
type Seen = (u64, i64, i64);

/// What opens it each day, as the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Daily {
    Tpm,
    UsbKey,
    Person,
}

/// What opens it.
pub struct Opener<'a> {
    /// The machine's programs.
    pub commands: &'a dyn Commands,
    /// Device nodes.
    pub dev: PathBuf,
    /// See [`RUN`].
    pub run: PathBuf,
}

impl Opener<'static> {
    /// This machine's.
    pub fn here() -> Self {
        Self { commands: &RealCommands, dev: "/dev".into(), run: RUN.into() }
    }
}

/// The partition on the disk that the system was started from.
///
/// # Errors
/// If there is none, or another disk has one too.
pub fn find(disks: &[Parted]) -> Result<&Part, StateError> {
    let booted = disks.iter().find(|disk| disk.is_booted());
    let booted = booted.ok_or_else(|| StateError::NotFound("nothing that is mounted at / is on a disk".to_owned()))?;
    let with = |disk: &&Parted| disk.parts.iter().any(|part| part.label.as_deref() == Some(LABEL));
    let all: Vec<&str> = disks.iter().filter(with).map(|disk| disk.name.as_str()).collect();
    match all.as_slice() {
        [] => Err(StateError::None { disk: booted.name.clone() }),
        [only] if *only != booted.name => {
            Err(StateError::Elsewhere { disk: booted.name.clone(), other: (*only).to_owned() })
        }
        [_] => booted.part(LABEL).ok_or_else(|| StateError::Several { disks: booted.name.clone() }),
        several => Err(StateError::Several { disks: several.join(", ") }),
    }
}

impl Opener<'_> {
    /// Opens it, by whatever opens it daily, and else by asking. It may be open already.
    ///
    /// # Errors
    /// [`StateError`]; the same is left below [`RUN`] for the rescue console.
    pub fn open(&self) -> Result<PathBuf, StateError> {
        self.remembering(|part, open| if let Some(device) = open { Ok(device) } else { self.unlock(part) })
    }

    /// Opens it with a recovery key, and asks nobody. Footage stays locked. The key must fit also where it is open already: whoever gives it
    /// is let in by it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open_with(&self, key: &RecoveryKey) -> Result<PathBuf, StateError> {
        self.remembering(|part, open| {
            let locked = |why: String| StateError::Locked { device: part.device.clone(), why };
            if !opens_state(self.commands, &part.device, key).map_err(|e| locked(e.to_string()))? {
                return Err(locked("the recovery key does not fit".to_owned()));
            }
            let open = open.map_or_else(|| open_state(self.commands, &part.device, StateKey::Recovery(key)), Ok);
            open.map_err(|e| locked(e.to_string()))
        })
    }

    /// Finds it, opens it if it is not open, has its file system checked, and leaves a link to it, or what went wrong.
    fn remembering(
        &self,
        unlock: impl FnOnce(&Part, Option<PathBuf>) -> Result<PathBuf, StateError>,
    ) -> Result<PathBuf, StateError> {
        match fs::create_dir(&self.run) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(StateError::Failed(e.to_string())),
            _ => {}
        }
        let opened = self.find_and(unlock);
        let problem = self.run.join(problem::FILE);
        let left = match &opened {
            Ok(_) => match fs::remove_file(&problem) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            },
            Err(e) => fs::write(&problem, Problem::of(e).to_json()),
        };
        if let Err(e) = left {
            log::warn!(FILE:% = problem.display(), CAUSE:% = e; "{} is not what it should be: {e}", problem.display());
        }
        opened
    }

    fn find_and(
        &self,
        unlock: impl FnOnce(&Part, Option<PathBuf>) -> Result<PathBuf, StateError>,
    ) -> Result<PathBuf, StateError> {
        let disks = parted(self.commands, &self.dev).map_err(|e| StateError::NotFound(e.to_string()))?;
        let part = find(&disks)?;
        let ours = part.content.as_deref() == Some(LABEL);
        let device = match part.kind.as_deref() {
            Some("ext4") if ours => part.device.clone(),
            Some("crypto_LUKS") if ours => {
                let mapper = self.dev.join(mapper().strip_prefix("/dev").unwrap_or(Path::new(LABEL)));
                unlock(part, Some(mapper).filter(|mapper| mapper.exists()))?
            }
            other => {
                let found = format!("{} {}", other.unwrap_or("nothing"), part.content.as_deref().unwrap_or_default());
                return Err(StateError::Strange { device: part.device.clone(), found: found.trim().to_owned() });
            }
        };
        let mounted = disks.iter().any(|disk| disk.mounted.iter().any(|at| at == "/var"));
        if !mounted {
            self.check(&device)?;
        }
        self.link(&device).map_err(|e| StateError::Failed(e.to_string()))?;
        Ok(device)
    }

    fn link(&self, device: &Path) -> io::Result<()> {
        let (link, draft) = (self.run.join("device"), self.run.join("device.new"));
        match fs::remove_file(&draft) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        symlink(device, &draft)?;
        fs::rename(&draft, &link)
    }

    /// e2fsck(8): 1 and 2 mean that it was repaired.
    fn check(&self, device: &Path) -> Result<(), StateError> {
        log::info!(FILE:% = device.display(); "the file system of the state is checked: a large one that was damaged takes long");
        // Not ended in the middle: a repair that is cut short is begun anew at each start.
        let out = self.run("fsck.ext4", &["-p", &device.display().to_string()], Duration::MAX)?;
        match out.code {
            Some(0) => Ok(()),
            Some(1..=3) => {
                log::warn!(FILE:% = device.display(); "the file system of the state was repaired");
                Ok(())
            }
            _ => {
                let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
                let why = if said.is_empty() { out.stderr } else { said };
                Err(StateError::Damaged { why })
            }
        }
    }

    fn run(&self, program: &str, args: &[&str], limit: Duration) -> Result<Output, StateError> {
        let out = self.commands.run(program, args, b"", limit);
        out.map_err(|e| StateError::Failed(format!("{program}: {e}")))
    }

    fn unlock(&self, part: &Part) -> Result<PathBuf, StateError> {
        let daily = match part.subsystem.as_deref().and_then(|s| s.rsplit_once(':')) {
            Some((_, "tpm")) => Daily::Tpm,
            Some((_, "usb-key")) => Daily::UsbKey,
            _ => Daily::Person,
        };
        let mut tried = None;
        let by_itself = match daily {
            Daily::Tpm => self.attach(part, "none", "luks,discard,tpm2-device=auto,headless=yes", LIMIT),
            Daily::UsbKey => {
                // It may be slower than the start; where it is not in, mount says so.
                let node = self.stick_node().display().to_string();
                let _ = self.run("udevadm", &["wait", STICK_PATIENCE, &node], LIMIT);
                tried = self.stick();
                self.attach_by_stick(part)
            }
            Daily::Person => Err("a person opens it".to_owned()),
        };
        let why = match by_itself {
            Ok(device) => return Ok(device),
            Err(why) => why,
        };
        if daily != Daily::Person {
            log::warn!(CAUSE = why.as_str(); "the state does not open by itself, so a person is asked for the recovery key: {why}");
        }
        // Where each start wants a person, one comes some time.
        let options = if daily == Daily::Person {
            "luks,discard,tries=3".to_owned()
        } else {
            format!("luks,discard,tries=3,{PATIENCE}")
        };
        let asked = match daily {
            Daily::UsbKey => self.ask_and_look(part, &options, tried),
            Daily::Tpm | Daily::Person => self.attach(part, "none", &options, Duration::MAX),
        };
        asked.map_err(|last| StateError::Locked { device: part.device.clone(), why: format!("{why}; {last}") })
    }

    /// systemd-cryptsetup(8) asks by itself, at whichever console there is.
    fn attach(&self, part: &Part, key: &str, options: &str, limit: Duration) -> Result<PathBuf, String> {
        let device = part.device.display().to_string();
        let out = self
            .run(SYSTEMD_CRYPTSETUP, &["attach", LABEL, &device, key, options], limit)
            .map_err(|e| e.to_string())?;
        if out.ok() { Ok(self.dev.join("mapper").join(LABEL)) } else { Err(out.stderr) }
    }

    /// Asks a person, and looks for the stick meanwhile: one that is put in now opens it, and the question goes. `tried`: the one that did not.
    fn ask_and_look(&self, part: &Part, options: &str, mut tried: Option<Seen>) -> Result<PathBuf, String> {
        let (device, mut opened) = (part.device.display().to_string(), None);
        let args = ["attach", LABEL, &device, "none", options];
        let asked = self.commands.run_until(SYSTEMD_CRYPTSETUP, &args, &mut || {
            let now = self.stick();
            if now == tried {
                return false;
            }
            tried = now;
            if tried.is_none() {
                return false;
            }
            match self.attach_by_stick(part) {
                Ok(device) => opened = Some(device),
                Err(why) => {
                    log::warn!(CAUSE = why.as_str(); "the stick that was put in does not open the state: {why}");
                }
            }
            opened.is_some()
        });
        if let Some(device) = opened {
            log::info!("the stick was put in, and the state is open");
            return Ok(device);
        }
        let out = asked.map_err(|e| format!("{SYSTEMD_CRYPTSETUP}: {e}"))?;
        if out.ok() { Ok(self.dev.join("mapper").join(LABEL)) } else { Err(out.stderr) }
    }

    fn stick_node(&self) -> PathBuf {
        self.dev.join("disk/by-label").join(KEY_LABEL)
    }

    /// The stick that is in: udev makes its link anew each time.
    fn stick(&self) -> Option<Seen> {
        let link = fs::symlink_metadata(self.stick_node()).ok()?;
        Some((link.ino(), link.ctime(), link.ctime_nsec()))
    }

    fn attach_by_stick(&self, part: &Part) -> Result<PathBuf, String> {
        self.with_stick(|key| self.attach(part, &key.display().to_string(), "luks,discard,headless=yes", LIMIT))
    }

    /// Mounts the stick while its key is used. It is read only.
    fn with_stick(&self, work: impl FnOnce(&Path) -> Result<PathBuf, String>) -> Result<PathBuf, String> {
        let at = self.run.join("stick");
        match fs::create_dir(&at) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e.to_string()),
            _ => {}
        }
        let (label, to) = (format!("LABEL={KEY_LABEL}"), at.display().to_string());
        let options = format!("ro,{KEY_STICK}");
        let out = self.run("mount", &["-t", "vfat", "-o", &options, &label, &to], LIMIT).map_err(|e| e.to_string())?;
        if !out.ok() {
            return Err(format!("no stick labelled {KEY_LABEL}: {}", out.stderr));
        }
        let done = work(&at.join(KEY_FILE));
        match self.run("umount", &[&to], LIMIT) {
            Ok(out) if out.ok() => {}
            Ok(out) => log::warn!("the stick stays mounted at {to}: {}", out.stderr),
            Err(e) => log::warn!("the stick stays mounted at {to}: {e}"),
        }
        done
    }
}

/// Opens the state of this machine with a recovery key; footage stays locked. `var.mount` can be started afterwards.
///
/// # Errors
/// [`StateError`].
pub fn open_with_recovery_key(key: &RecoveryKey) -> Result<PathBuf, StateError> {
    Opener::here().open_with(key)
}

#[cfg(test)]
mod tests;
