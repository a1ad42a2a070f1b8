//! File systems of our own to break: images mounted by loop devices, and bind mounts. They take root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Whether mounts can be made here; says so if not.
pub fn possible() -> bool {
    can_mount("/dev/loop-control", "mounts take root and loop devices")
}

/// Whether an XFS can be made here, and its power cut; says so if not.
pub fn xfs_possible() -> bool {
    let there = |tool: &str| Command::new(tool).arg("-V").output().is_ok_and(|out| out.status.success());
    let tools = there("mkfs.xfs") && there("xfs_io");
    if !tools {
        super::lacking("mkfs.xfs and xfs_io are not installed");
    }
    tools && possible()
}

/// Whether folders can be shown through FUSE here; says so if not.
pub fn fuse_possible() -> bool {
    can_mount("/dev/fuse", "disks that fail take root and FUSE")
}

fn can_mount(device: &str, it_takes: &str) -> bool {
    let can = nix::unistd::geteuid().is_root() && Path::new(device).exists();
    if !can {
        super::not_possible(it_takes);
    }
    can
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Something mounted, until it is dropped.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// A new ext4 file system of some MiB, kept in a file beside `at`. An error of it makes it read-only, as on the appliance.
    pub fn ext4(at: &Path, mib: u64) -> Self {
        let image = at.with_extension("img");
        fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-m0", "-F"]).arg(&image));
        run(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(&image).arg(at));
        Self { at: at.to_owned() }
    }

    /// A new XFS of some MiB, kept in a file beside `at`.
    pub fn xfs(at: &Path, mib: u64) -> Self {
        let image = at.with_extension("img");
        fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        run(Command::new("mkfs.xfs").arg("-q").arg(&image));
        let mount = Self { at: at.to_owned() };
        mount.again();
        mount
    }

    /// Mounts what was mounted there before.
    pub fn again(&self) {
        run(Command::new("mount").args(["-t", "xfs", "-o", "loop"]).arg(self.at.with_extension("img")).arg(&self.at));
    }

    /// The power goes, for an XFS: what it has not put on its disk by now, log and data, never comes there.
    pub fn cut(&self) {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.at));
    }

    /// It comes again: the log is replayed.
    pub fn power_returns(&self) {
        run(Command::new("umount").arg(&self.at));
        self.again();
    }

    /// Makes `at` a read-only view of itself.
    pub fn read_only(at: &Path) -> Self {
        run(Command::new("mount").arg("--bind").arg(at).arg(at));
        run(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(at));
        Self { at: at.to_owned() }
    }

    /// The kernel finds the file system damaged and makes it read-only, open files included.
    pub fn fail(&self) {
        let found = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&self.at).output().unwrap();
        let device = String::from_utf8(found.stdout).unwrap().trim().replace("/dev/", "");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "test").unwrap();
    }

    /// Takes it away though it is in use.
    pub fn vanish(self) {
        drop(self);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
