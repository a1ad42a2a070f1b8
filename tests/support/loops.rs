//! Disks of our own: files behind loop devices, with names as udev gives to disks.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use custodian::{inventory::Roots, services::disks::Machine, sys::Commands};

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A machine whose disks are loop devices. All of it leaves when it is dropped.
pub struct Loops {
    dir: tempfile::TempDir,
    devices: Vec<PathBuf>,
}

impl Loops {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["by-id", "run", "state"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir, devices: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A new disk of some MiB under that name; `options` go to losetup.
    pub fn disk(&mut self, by_id: &str, mib: u64, options: &[&str]) -> PathBuf {
        let image = self.dir.path().join(by_id);
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let image = image.display().to_string();
        let args: Vec<&str> = ["--find", "--show", "--partscan"].into_iter().chain(options.iter().copied()).collect();
        let device = PathBuf::from(run("losetup", &[&args[..], &[&image]].concat()));
        symlink(&device, self.dir.path().join("by-id").join(by_id)).unwrap();
        self.devices.push(device.clone());
        device
    }

    pub fn machine<'a>(&self, commands: &'a dyn Commands) -> Machine<'a> {
        let state = self.dir.path().join("state");
        let roots = Roots { by_id: self.dir.path().join("by-id"), ..Roots::new(&state, &state.join("volumes")) };
        Machine { commands, roots, run: self.dir.path().join("run"), spool: Some(state.join("ledger-spool")) }
    }
}

/// Unmounts whatever is mounted from a disk.
pub fn unmount(device: &Path) {
    let list = Command::new("lsblk").args(["--noheadings", "--output", "MOUNTPOINTS"]).arg(device).output().unwrap();
    for at in String::from_utf8_lossy(&list.stdout).lines().map(str::trim).filter(|at| at.starts_with('/')) {
        let _ = Command::new("umount").arg("--lazy").arg(at).status();
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for device in &self.devices {
            unmount(device);
            let _ = Command::new("partx").arg("--delete").arg(device).output();
            let _ = Command::new("losetup").arg("--detach").arg(device).status();
        }
    }
}
