//! The stick that the machine was started from.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use crate::{inventory::Parted, plan::KEY_LABEL, sys::Commands};

/// Names of the stick's partitions.
const ROOT: &str = "custodian-stick";
const VERITY: &str = "custodian-stick-verity";
const ESP: &str = "custodian-stick-esp";
const LIMIT: Duration = Duration::from_mins(1);
const OPTIONS: &str = "nodev,nosuid,noexec";

/// What is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stick {
    /// Its kernel name.
    pub disk: String,
    /// The root file system that it runs from, which is the one that is installed.
    pub root: PathBuf,
    /// The verity of that.
    pub verity: PathBuf,
    /// What the firmware starts.
    pub uki: PathBuf,
    /// Where people put their files.
    pub data: PathBuf,
}

/// The devices of the stick that this system runs from: root, verity, EFI, data.
///
/// # Errors
/// If it runs from something else.
pub fn find(parted: &[Parted]) -> anyhow::Result<(String, [PathBuf; 4])> {
    let booted = parted.iter().find(|disk| disk.is_booted());
    let booted = booted.context("this system was not started from a disk that can be found")?;
    let part = |label: &str| {
        let part = booted.part(label).map(|part| part.device.clone());
        part.with_context(|| {
            format!(
                "this system was not started from the installer's stick: disk {} has no partition {label}",
                booted.name
            )
        })
    };
    Ok((booted.name.clone(), [part(ROOT)?, part(VERITY)?, part(ESP)?, part(KEY_LABEL)?]))
}

/// A stick whose file systems are mounted until it is dropped.
pub struct MountedStick<'a> {
    /// What is on it.
    pub stick: Stick,
    commands: &'a dyn Commands,
    mounted: Vec<PathBuf>,
}

impl<'a> MountedStick<'a> {
    /// Mounts what [`find`] has found, below a folder in memory.
    ///
    /// # Errors
    /// If something cannot be mounted, or what the firmware starts is not there.
    pub fn new(
        commands: &'a dyn Commands,
        (disk, [root, verity, esp, data]): (String, [PathBuf; 4]),
        run: &Path,
        version: &str,
    ) -> anyhow::Result<Self> {
        let stick = Stick { disk, root, verity, uki: PathBuf::new(), data: run.join("custodian-stick") };
        let mut mounted = Self { stick, commands, mounted: Vec::new() };
        let at = mounted.stick.data.clone();
        mounted.mount(&data, &at, &format!("rw,{OPTIONS},dmask=0077,fmask=0177,quiet"))?;
        let at = run.join("custodian-stick-esp");
        // systemd may have mounted it for itself.
        let read_only = format!("ro,{OPTIONS}");
        mounted.mount(&esp, &at, &read_only).or_else(|_| mounted.mount(&esp, &at, &format!("rw,{OPTIONS}")))?;
        let ukis = [format!("EFI/Linux/custodian_{version}.efi"), "EFI/BOOT/BOOTX64.EFI".to_owned()];
        let uki = ukis.iter().map(|name| at.join(name)).find(|path| path.exists());
        mounted.stick.uki = uki.with_context(|| format!("none of {ukis:?} is on the stick"))?;
        Ok(mounted)
    }

    fn mount(&mut self, device: &Path, at: &Path, options: &str) -> anyhow::Result<()> {
        match fs::create_dir(at) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(e).with_context(|| at.display().to_string());
            }
            _ => {}
        }
        let (device, to) = (device.display().to_string(), at.display().to_string());
        let out = self.commands.run("mount", &["-t", "vfat", "-o", options, &device, &to], b"", LIMIT)?;
        anyhow::ensure!(out.ok(), "the stick cannot be mounted: {}", out.stderr);
        self.mounted.push(at.to_owned());
        Ok(())
    }
}

impl Drop for MountedStick<'_> {
    fn drop(&mut self) {
        for at in self.mounted.iter().rev() {
            let to = at.display().to_string();
            match self.commands.run("umount", &["--lazy", &to], b"", LIMIT) {
                Ok(out) if out.ok() => {}
                Ok(out) => log::warn!("{to} stays mounted: {}", out.stderr),
                Err(e) => log::warn!("{to} stays mounted: {e}"),
            }
        }
    }
}
