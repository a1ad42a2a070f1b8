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

impl Installer<'_> {
    /// Makes the disk start. Gives the SHA-256 of what starts, and whether something was changed.
    pub(super) fn start(&self, disk: &LaidDisk) -> anyhow::Result<(Hash, bool)> {
        let uki = fs::read(&self.stick.uki).with_context(|| self.stick.uki.display().to_string())?;
        let loader = fs::read(&self.loader).with_context(|| self.loader.display().to_string())?;
        let hash = Hash(Sha256::digest(&uki).into());
        let name = format!("EFI/Linux/custodian_{}.efi", self.version);
        let files: [(&str, &[u8]); 3] =
            [(FALLBACK, &loader), ("loader/loader.conf", LOADER.as_bytes()), (name.as_str(), &uki)];
        if self.starts(disk, &files).unwrap_or(false) {
            return Ok((hash, false));
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
        Ok((hash, true))
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
