//! What makes the machine start from its disk: the EFI system partition. Last of all, and of it the one file that starts the system.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::Installer;
use crate::{
    disks::{self, LaidDisk},
    types::merkle::Hash,
};

/// No menu, and nobody changes the kernel's command line. The loader takes the newest version that has tries left.
const LOADER: &str = "timeout 0\neditor no\n";
/// Where firmware looks on a disk that it knows nothing of, on PCs.
const FALLBACK: &str = "EFI/BOOT/BOOTX64.EFI";
const OPTIONS: &str = "nodev,nosuid,noexec";

/// What starts, in memory: it is written when a person has taken their time.
pub(super) struct Boot {
    uki: Vec<u8>,
    loader: Vec<u8>,
    /// SHA-256 of the first.
    pub hash: Hash,
}

impl Installer<'_> {
    pub(super) fn boot(&self) -> anyhow::Result<Boot> {
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        let (uki, loader) = (read(&self.stick.uki)?, read(&self.loader)?);
        let hash = Hash(Sha256::digest(&uki).into());
        Ok(Boot { uki, loader, hash })
    }

    /// Takes away what makes the disk start.
    pub(super) fn stop(&self, disk: &LaidDisk) -> anyhow::Result<()> {
        disks::format_esp(self.machine.commands, disk)?;
        let esp = disk.esp();
        File::open(&esp).and_then(|file| file.sync_all()).with_context(|| esp.display().to_string())
    }

    /// Makes the disk start. Whether something was changed.
    pub(super) fn start(&self, disk: &LaidDisk, boot: &Boot) -> anyhow::Result<bool> {
        let name = format!("EFI/Linux/custodian_{}.efi", self.version);
        let files: [(&str, &[u8]); 3] =
            [(FALLBACK, &boot.loader), ("loader/loader.conf", LOADER.as_bytes()), (name.as_str(), &boot.uki)];
        if self.starts(disk, &files).unwrap_or(false) {
            return Ok(false);
        }
        disks::format_esp(self.machine.commands, disk)?;
        let device = disk.esp().display().to_string();
        self.machine.mounted_as(&["-t", "vfat", "-o", OPTIONS, &device], |at| {
            for folder in ["EFI", "EFI/BOOT", "EFI/Linux", "loader"] {
                fs::create_dir(at.join(folder)).with_context(|| format!("{folder} cannot be made"))?;
            }
            for (name, bytes) in files {
                put(&at.join(name), bytes).with_context(|| format!("{name} cannot be written"))?;
                nix::unistd::syncfs(File::open(at)?)?;
            }
            Ok(())
        })?;
        anyhow::ensure!(
            self.starts(disk, &files)?,
            "the EFI partition gives back something else than was written to it"
        );
        Ok(true)
    }

    /// Whether all of the files are there. It is mounted anew, so that the disk answers and not the memory.
    fn starts(&self, disk: &LaidDisk, files: &[(&str, &[u8])]) -> anyhow::Result<bool> {
        let device = disk.esp().display().to_string();
        self.machine.mounted_as(&["-t", "vfat", "-o", &format!("ro,{OPTIONS}"), &device], |at| {
            Ok(files.iter().all(|(name, bytes)| fs::read(at.join(name)).is_ok_and(|found| found == *bytes)))
        })
    }
}

/// Writes a file; it has its name when it is whole.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, bytes)?;
    File::open(&draft)?.sync_all()?;
    fs::rename(&draft, path)
}
