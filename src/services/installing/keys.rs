//! The keys that services make at their first start. They are made here, by what makes them there, so that the receipt has them.

use std::{fs, io, os::unix::fs::lchown, path::Path, sync::Arc};

use anyhow::Context as _;

use super::Accounts;
use crate::{
    health::door::certificate::Own,
    ledger::{self, Log, Place},
    services::{
        console::{Print, prints},
        paths::Paths,
    },
    site::Site,
    sys::{Clock, Files as _, Monotonic, RealFiles},
    types::{RecorderId, WallNs},
};

/// Whose the ledger is.
const RECORDER: &str = "custodian-record";
/// Whose the doors are.
const HEALTH: &str = "custodian-health";

/// The time at which they are made.
struct Now(WallNs, Monotonic);

impl Clock for Now {
    fn wall(&self) -> WallNs {
        self.0
    }
    fn monotonic(&self) -> Monotonic {
        self.1
    }
}

/// Whose and what, for receipt and screen.
pub(super) fn pairs(paths: &Paths) -> Vec<(String, String)> {
    prints(paths).into_iter().map(Print::pair).collect()
}

/// Sees to it that the ledger, without an entry yet, and the doors of the site have their keys. Those that are there stay. Whether any is
/// new.
pub(in crate::services) fn make(
    paths: &Paths,
    accounts: Accounts,
    clock: &dyn Clock,
    site: &Site,
    recorder: &RecorderId,
) -> anyhow::Result<bool> {
    let before = pairs(paths);
    let place = Place { dir: paths.ledger(), credential: None, origin: ledger::origin(site.id(), recorder) };
    let open = || Log::open(Arc::new(RealFiles), &place).context("the ledger's key");
    let (log, key) = (open()?, ledger::verifier(&RealFiles, &place.public())?);
    if key.name() != place.origin && log.size() == 0 {
        // The run before this was for another recorder, and nothing but emptiness was ever signed.
        RealFiles.remove_dir(&place.dir)?;
        open()?;
    }
    give(accounts, &place.dir, RECORDER)?;
    let (health, folder) = (site.health(), paths.doors());
    for (name, door) in [("pull", &health.pull), ("vendor", &health.vendor)] {
        let Some(door) = door else { continue };
        let own = Own {
            folder: folder.clone(),
            name,
            warn: site.warn().certificate,
            files: Arc::new(RealFiles),
            clock: Arc::new(Now(clock.wall(), clock.monotonic())),
        };
        own.ready(door.listen).with_context(|| format!("the certificate of the door {name}"))?;
        give(accounts, &folder, HEALTH)?;
    }
    Ok(pairs(paths) != before)
}

/// Gives a folder to a service, with all that is in it.
fn give(accounts: Accounts, folder: &Path, name: &str) -> anyhow::Result<()> {
    let (user, group) = (accounts.user(name)?, accounts.group(name)?);
    if user.is_none() {
        return Ok(());
    }
    all(folder, user, group).with_context(|| folder.display().to_string())
}

fn all(path: &Path, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| all(&entry?.path(), user, group))?;
    }
    lchown(path, user, group)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
