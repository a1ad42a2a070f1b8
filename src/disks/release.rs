//! Release: lets a disk go, its footage intact. Nothing on the disk is changed.

use super::{DiskError, OurDisk, error::run};
use crate::sys::Commands;

/// Unmounts a volume and closes its mapping. A volume that is being written to is busy, and stays.
pub fn release(commands: &dyn Commands, disk: &OurDisk) -> Result<(), DiskError> {
    // The deepest first.
    let mut mounts: Vec<&String> = disk.mounts.iter().collect();
    mounts.sort_by_key(|at| std::cmp::Reverse(at.len()));
    for at in mounts {
        run(commands, "umount", &[at], b"")?;
    }
    for mapping in &disk.mappings {
        run(commands, "cryptsetup", &["close", mapping], b"")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn unmounts_before_it_closes() {
        let commands = FakeCommands::new(|_, _| Ok(Output { code: Some(0), ..Output::default() }));
        let disk = OurDisk { mounts: vec!["/v/a1".into(), "/v/a1/x".into()], mappings: vec!["custodian-a1".into()] };
        release(&commands, &disk).unwrap();
        assert_eq!(commands.asked(), ["umount /v/a1/x", "umount /v/a1", "cryptsetup close custodian-a1"]);
        let busy = FakeCommands::new(|_, _| {
            Ok(Output { code: Some(32), stderr: "target is busy".into(), ..Output::default() })
        });
        assert_eq!(release(&busy, &disk).unwrap_err().to_string(), "umount failed: target is busy");
        assert_eq!(busy.asked().len(), 1);
    }
}
