//! Erase: a disk becomes empty. What was footage can still be found on it by those who look for it block by block;
//! encrypted footage cannot, since the keys go.
//!
//! The order: signatures inside the partitions, the partition table, then zeros over both ends. Cut short at any point, a
//! disk is foreign, and erase can be given again.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{DiskError, DoomedDisk, error::run};
use crate::sys::Commands;

/// How much is overwritten at both ends: a LUKS2 header of the usual 16 MiB behind the usual first MiB, twice.
const EDGE: u64 = 32 << 20;

/// Wipes a disk.
pub fn wipe(commands: &dyn Commands, disk: DoomedDisk) -> Result<(), DiskError> {
    let DoomedDisk { device, partitions } = disk;
    let _quiet = alone(&device)?;
    drop(exclusive(&device)?);
    let all: Vec<String> = partitions.iter().chain([&device]).map(|d| d.display().to_string()).collect();
    for target in &all {
        run(commands, "wipefs", &["--all", "--force", "--quiet", target], b"")?;
    }
    // wipefs may have told the kernel already, and then there is nothing left to forget.
    if !partitions.is_empty()
        && let Err(e) = run(commands, "partx", &["--delete", &device.display().to_string()], b"")
        && partitions.iter().any(|part| part.exists())
    {
        return Err(e);
    }
    zero_edges(&device).map_err(|source| DiskError::Io { what: "cannot overwrite", path: device, source })
}

/// Keeps udev away from a disk, by its lock (systemd.io/BLOCK_DEVICE_LOCKING): each time that somebody has closed a disk which
/// they may have written to, it lets the kernel read the partition table again, and for that moment no partition has a node.
///
/// udev has it while it looks at the disk itself, which on one that is dying may take long.
fn alone(device: &Path) -> Result<Flock<File>, DiskError> {
    const TRIES: u32 = 300;
    const PACE: Duration = Duration::from_millis(100);
    let failed = |source| DiskError::Io { what: "cannot lock", path: device.to_owned(), source };
    let mut file = File::open(device).map_err(failed)?;
    for _ in 0..TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((same, Errno::EWOULDBLOCK)) => file = same,
            Err((_, e)) => return Err(failed(e.into())),
        }
        thread::sleep(PACE);
    }
    Err(DiskError::Busy { device: device.to_owned() })
}

/// Opens a disk as nobody else can at the same time: the kernel refuses where it or a part of it is mounted, swapped to,
/// or in a RAID, a mapping or a volume group, whatever name it goes by and whatever namespace that is in.
pub(super) fn exclusive(device: &Path) -> Result<File, DiskError> {
    let open = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_EXCL).open(device);
    open.map_err(|source| {
        let device = device.to_owned();
        if source.kind() == io::ErrorKind::ResourceBusy {
            DiskError::Busy { device }
        } else {
            DiskError::Io { what: "cannot open", path: device, source }
        }
    })
}

fn zero_edges(device: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(device)?;
    let size = file.seek(SeekFrom::End(0))?;
    let len = EDGE.min(size);
    let zeros = vec![0; 1 << 20];
    for start in [0, size - len] {
        file.seek(SeekFrom::Start(start))?;
        let mut left = len;
        while left > 0 {
            let part = left.min(zeros.len() as u64);
            file.write_all(&zeros[..usize::try_from(part).unwrap_or(zeros.len())])?;
            left -= part;
        }
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn both_ends_are_zeros_and_a_failure_stops() {
        let edge = usize::try_from(EDGE).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("sda");
        let full = vec![7; edge * 2 + 1000];
        std::fs::write(&device, &full).unwrap();
        let doomed = || DoomedDisk { device: device.clone(), partitions: vec![dir.path().join("sda1")] };
        let failing = FakeCommands::new(|_, _| Ok(Output { code: Some(1), ..Output::default() }));
        assert!(matches!(wipe(&failing, doomed()), Err(DiskError::Failed { .. })));
        assert_eq!(failing.asked().len(), 1);
        assert_eq!(std::fs::read(&device).unwrap(), full);
        // udev leaves the disk alone meanwhile.
        let disk = device.clone();
        let commands = FakeCommands::new(move |_, _| {
            assert!(Flock::lock(File::open(&disk).unwrap(), FlockArg::LockExclusiveNonblock).is_err());
            Ok(Output { code: Some(0), ..Output::default() })
        });
        wipe(&commands, doomed()).unwrap();
        let at = dir.path().display();
        assert_eq!(
            commands.asked(),
            [
                format!("wipefs --all --force --quiet {at}/sda1"),
                format!("wipefs --all --force --quiet {at}/sda"),
                format!("partx --delete {at}/sda"),
            ]
        );
        let bytes = std::fs::read(&device).unwrap();
        assert!(bytes[..edge].iter().all(|b| *b == 0) && bytes[bytes.len() - edge..].iter().all(|b| *b == 0));
        assert!(bytes[edge..bytes.len() - edge].iter().all(|b| *b == 7));
    }
}
