//! The state's partition: made, opened with a key, closed. On it is a LUKS2 header and an ext4 within, or the ext4 alone; both have the
//! label `custodian-state`, and the header says besides what opens it daily, as in `custodian-state:tpm`.

use std::path::{Path, PathBuf};

use super::{
    DiskError, Order, RecoveryKey, Unlocking,
    error::{run, try_run},
    init::{Others, enroll, format},
    recover::NO_PERMISSION,
    secret::by_key,
    table::STATE_LABEL,
};
use crate::sys::Commands;

/// What opens it.
#[derive(Debug, Clone, Copy)]
pub enum StateKey<'a> {
    /// The machine's TPM.
    Tpm,
    /// A file, on a USB key.
    File(&'a Path),
    /// A passphrase.
    Passphrase(&'a [u8]),
    /// The key of the last resort.
    Recovery(&'a RecoveryKey),
}

/// Where it is seen when it is open.
pub fn mapper() -> PathBuf {
    Path::new("/dev/mapper").join(STATE_LABEL)
}

/// An open state partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenState {
    /// Its file system.
    pub file_system: PathBuf,
    /// A new one's key of the last resort, if it is encrypted.
    pub recovery: Option<RecoveryKey>,
}

/// What the header says of how it is opened.
fn subsystem(unlocking: &Unlocking) -> String {
    let how = match unlocking {
        Unlocking::None => "none",
        Unlocking::Tpm { .. } => "tpm",
        Unlocking::KeyFile(_) => "usb-key",
        Unlocking::Passphrase(_) => "passphrase",
    };
    format!("{STATE_LABEL}:{how}")
}

/// Makes it anew on the partition of a system disk, and leaves it open. The labels come last: cut short before them, it is none.
pub(super) fn make(commands: &dyn Commands, part: &Path, order: &Order) -> Result<OpenState, DiskError> {
    let part = part.display().to_string();
    run(commands, "wipefs", &["--all", "--force", "--quiet", &part], b"")?;
    let unlocking = &order.unlocking;
    if matches!(unlocking, Unlocking::None) {
        run(commands, "mkfs.ext4", &["-q", "-F", "-L", STATE_LABEL, &part], b"")?;
        return Ok(OpenState { file_system: part.into(), recovery: None });
    }
    let recovery = RecoveryKey::make()?;
    format(commands, &part, &recovery)?;
    enroll(commands, &part, unlocking, &recovery, &order.run, Others::None)?;
    let open = open_state(commands, Path::new(&part), StateKey::Recovery(&recovery))?;
    let made =
        run(commands, "mkfs.ext4", &["-q", "-F", "-L", STATE_LABEL, &open.display().to_string()], b"").and_then(|_| {
            let label = ["--label", STATE_LABEL, "--subsystem", &subsystem(unlocking)];
            run(commands, "cryptsetup", &[&["config", &part], &label[..]].concat(), b"")
        });
    match made {
        Ok(_) => Ok(OpenState { file_system: open, recovery: Some(recovery) }),
        Err(e) => {
            if let Err(e) = close_state(commands) {
                log::warn!("the state's partition stays open: {e}");
            }
            Err(e)
        }
    }
}

/// Opens it. Nobody is asked.
pub fn open_state(commands: &dyn Commands, part: &Path, key: StateKey<'_>) -> Result<PathBuf, DiskError> {
    let part = part.display().to_string();
    let begin = ["open", "--type", "luks2", "--allow-discards"];
    let end = [part.as_str(), STATE_LABEL];
    let file;
    let (how, input): (&[&str], &[u8]) = match key {
        StateKey::Tpm => (&["--token-only", "--token-type", "systemd-tpm2"], b""),
        StateKey::File(path) => {
            file = path.display().to_string();
            (&by_key(&file), b"")
        }
        StateKey::Passphrase(text) => (&by_key("-"), text),
        StateKey::Recovery(key) => (&by_key("-"), key.secret().bytes()),
    };
    run(commands, "cryptsetup", &[&begin, how, &end].concat(), input)?;
    Ok(mapper())
}

/// Whether a recovery key opens it. It stays closed.
pub fn opens_state(commands: &dyn Commands, part: &Path, key: &RecoveryKey) -> Result<bool, DiskError> {
    let part = part.display().to_string();
    let args = [&["open", "--test-passphrase", "--type", "luks2"], &by_key("-")[..], &[&part]].concat();
    try_run(commands, "cryptsetup", &args, key.secret().bytes()).map(|out| out.ok())
}

/// Whether the key of a file opens it, open as it may be; not known where that cannot be tried.
pub fn file_opens_state(commands: &dyn Commands, part: &Path, file: &Path) -> Option<bool> {
    let (part, file) = (part.display().to_string(), file.display().to_string());
    let args = [&["open", "--test-passphrase", "--type", "luks2"], &by_key(&file)[..], &[&part]].concat();
    match try_run(commands, "cryptsetup", &args, b"") {
        Ok(out) if out.ok() => Some(true),
        Ok(out) if out.code == Some(NO_PERMISSION) => Some(false),
        other => {
            log::warn!("whether the key opens {part} could not be tried: {other:?}");
            None
        }
    }
}

/// Closes it. It must be unmounted.
pub fn close_state(commands: &dyn Commands) -> Result<(), DiskError> {
    run(commands, "cryptsetup", &["close", STATE_LABEL], b"").map(|_| ())
}
