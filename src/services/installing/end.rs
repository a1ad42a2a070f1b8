//! The end: secrets go from the stick, the stick is pulled, the machine starts again.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use nix::sys::{
    mman::{MlockAllFlags, mlockall},
    reboot::{RebootMode, reboot},
    signal::{SigSet, Signal},
};

use crate::install::Then;

/// Files on the stick that hold secrets.
const SECRET: [&str; 2] = ["secrets.toml", "install.toml"];

/// Removes the secrets from the stick: overwritten, then removed. What a stick's own electronics keep of it nobody can say. Whether there
/// were any.
///
/// # Errors
/// If one stays.
pub fn wipe(data: &Path) -> anyhow::Result<bool> {
    let mut any = false;
    for name in SECRET {
        let path = data.join(name);
        any |= overwrite(&path).with_context(|| format!("{name} stays on the stick"))?;
    }
    nix::unistd::syncfs(fs::File::open(data)?)?;
    Ok(any)
}

fn overwrite(path: &Path) -> io::Result<bool> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    file.write_all(&vec![0; len])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    Ok(true)
}

/// Whether the stick is still in. `sys`: sysfs.
pub fn is_in(sys: &Path, disk: &str) -> bool {
    sys.join("block").join(disk).exists()
}

/// Keeps this program in memory: it runs from the stick that is to be pulled, and has something to say when it is pulled too early.
pub fn stay_in_memory() {
    if let Err(e) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        log::warn!("this program may need the stick to go on: {e}");
    }
}

/// From now on this program, and whatever it starts, goes on when the screen that it is drawn on is gone: SIGHUP waits for ever. bterm is such a
/// screen, and what it draws with lies on the stick. To be said before threads are started, which inherit it.
pub(super) fn go_on_without_a_screen() {
    let hangup = SigSet::from(Signal::SIGHUP);
    if let Err(e) = hangup.thread_block() {
        log::warn!("without its screen this program ends: {e}");
    }
}

/// Starts the machine again, or switches it off. All is on the disks already, and the stick may be gone, so nobody else is asked. Comes back only
/// if the kernel refuses.
///
/// # Errors
/// Why the kernel refuses.
pub fn leave(then: Then) -> io::Result<()> {
    nix::unistd::sync();
    let mode = match then {
        Then::Reboot => RebootMode::RB_AUTOBOOT,
        Then::Poweroff => RebootMode::RB_POWER_OFF,
    };
    match reboot(mode) {
        Ok(never) => match never {},
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["site.toml", "secrets.toml", "install.toml"] {
            fs::write(dir.path().join(name), "text").unwrap();
        }
        // Another name of the file shows what was written before it went.
        fs::hard_link(dir.path().join("secrets.toml"), dir.path().join("link")).unwrap();
        assert!(wipe(dir.path()).unwrap());
        assert!(!wipe(dir.path()).unwrap(), "again");
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["link", "site.toml"]);
        assert_eq!(fs::read(dir.path().join("link")).unwrap(), [0; 4]);
    }
}
