//! The vendor's access: off, unless the school allows it for a stated time. Each step of it is an entry of the ledger.
//!
//! It ends by itself: when its time is over by the wall clock or by the time since boot, whichever comes first, so that no step of the
//! clock prolongs it; and with the boot that it began in.

pub mod opening;
mod pace;
pub mod routes;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use self::pace::{Pace, Turn};
use crate::{
    ledger::{self, LedgerError, RemoteChange, Salted, What, salt_of, spool},
    sys::{Clock, Files, Monotonic},
    types::{
        WallNs,
        wire::health::{VendorAccess, VendorAllow},
    },
};

/// The longest permission.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);
/// The shortest: whoever is let in needs a moment to come.
pub const SHORTEST: Duration = Duration::from_mins(5);

const FILE: &str = "vendor.json";
const FORMAT: u16 = 1;

/// Why a permission was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    /// The site says nothing of a vendor.
    #[error("site.toml has no [health.vendor]: it says where the vendor is answered, and how it proves who it is")]
    NotConfigured,
    /// Nobody is let in.
    #[error("the school does not allow it now")]
    NotNow,
    /// It was asked for too often.
    #[error("that was asked too often")]
    TooOften,
    /// Not a time to allow it for.
    #[error("a permission lasts from 5 minutes to 7 days")]
    Length,
    /// The salt is none.
    #[error("the salt is no 32 hexadecimal digits")]
    Salt,
    /// It cannot be kept.
    #[error("the permission cannot be kept")]
    Keep(#[from] io::Error),
    /// The ledger does not take it.
    #[error("the ledger does not take it")]
    Ledger(#[from] LedgerError),
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Permission {
    format: u16,
    boot: String,
    since: WallNs,
    until: WallNs,
    /// By the time since boot, ns.
    until_monotonic: i64,
    by: String,
    reason: String,
    salt: String,
    #[serde(default)]
    uses: u64,
    #[serde(default)]
    last_use: Option<WallNs>,
    /// Set when it was ended; the last one is kept, because the ledger has its texts as hashes only.
    #[serde(default)]
    ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    at: WallNs,
    /// The id of what is left for the ledger, and how many entries that had before.
    entry: Uuid,
    from: u64,
    left: bool,
}

/// Where it is kept, and told.
pub struct Place {
    /// The folder of health's state.
    pub folder: PathBuf,
    /// Where entries for the ledger are left.
    pub spool: PathBuf,
    /// What the ledger shows to everybody.
    pub ledger: PathBuf,
    /// Writes both.
    pub files: Arc<dyn Files>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The kernel's name for this boot.
    pub boot: String,
}

/// The permission, as health keeps it.
pub struct Vendor {
    place: Place,
    kept: Mutex<Option<Permission>>,
    open: watch::Sender<bool>,
    /// What is known is not on the disk yet.
    unsaved: AtomicBool,
    /// It was logged that an end cannot be noted.
    complained: AtomicBool,
    pace: Mutex<Pace>,
}

/// The entry for a permission: left by root, before health is told.
///
/// # Errors
/// If the salt is none.
pub fn allowed(allow: &VendorAllow) -> Result<What, VendorError> {
    let salt = salt_of(&allow.salt).ok_or(VendorError::Salt)?;
    let salted = |text: &str| Some(Salted::new(&salt, text));
    let (by, reason) = (salted(&allow.by), salted(&allow.reason));
    Ok(What::Remote { change: RemoteChange::Allowed, until: allow.until, route: None, by, reason })
}

impl Vendor {
    /// Reads what is kept.
    ///
    /// # Errors
    /// If it cannot be read. What it says is unknown then, and nobody is let in before it is removed.
    pub fn open(place: Place) -> io::Result<Self> {
        let path = place.folder.join(FILE);
        let kept: Option<Permission> = match place.files.read(&path)? {
            Some(text) => Some(serde_json::from_slice(&text)?),
            None => None,
        };
        let vendor = Self {
            place,
            kept: Mutex::new(kept),
            open: watch::Sender::new(false),
            unsaved: AtomicBool::new(false),
            complained: AtomicBool::new(false),
            pace: Mutex::default(),
        };
        vendor.look();
        Ok(vendor)
    }

    /// Whether the door is to be open; changes as it does.
    pub fn is_open(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Permission>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, permission: &Permission) -> io::Result<()> {
        let text = serde_json::to_string_pretty(permission)? + "\n";
        self.place.files.write(&self.place.folder.join(FILE), text.as_bytes(), 0o600, None)
    }

    /// Has it on the disk and in the ledger that it has ended, each once.
    fn settle(&self, permission: &mut Permission) -> Result<(), VendorError> {
        let Some(ended) = permission.ended.clone() else { return Ok(()) };
        let kept = if self.unsaved.load(Ordering::SeqCst) { self.keep(permission) } else { Ok(()) };
        if !ended.left {
            let until = permission.until;
            let what = What::Remote { change: RemoteChange::Ended, until, route: None, by: None, reason: None };
            spool::leave_once(&*self.place.files, &self.place.spool, (ended.entry, ended.from), ended.at, what)?;
            permission.ended = Some(Ended { left: true, ..ended });
            self.keep(permission)?;
        }
        kept
    }

    /// Writes one that has ended. If that cannot be done there is to be none: one that has not ended would open the door at the next start.
    fn keep(&self, permission: &Permission) -> Result<(), VendorError> {
        let kept = self.write(permission);
        self.unsaved.store(kept.is_err(), Ordering::SeqCst);
        if kept.is_err() {
            self.place.files.remove(&self.place.folder.join(FILE))?;
        }
        Ok(kept?)
    }

    fn leave(&self, permission: &Permission, change: RemoteChange, route: Option<String>) -> Result<(), LedgerError> {
        let what = What::Remote { change, until: permission.until, route, by: None, reason: None };
        spool::leave(&*self.place.files, &self.place.spool, self.place.clock.wall(), what).map(|_| ())
    }

    /// Lets the vendor in. One that is let in already is so until the new time.
    ///
    /// # Errors
    /// If that cannot be kept; nobody is let in then who was not before.
    pub fn allow(&self, allow: VendorAllow) -> Result<(), VendorError> {
        salt_of(&allow.salt).ok_or(VendorError::Salt)?;
        let (now, monotonic) = (self.place.clock.wall(), self.place.clock.monotonic());
        let length = Duration::from_nanos(u64::try_from(allow.until.since(now)).unwrap_or(0));
        // A moment has passed since it was said.
        if length > LONGEST || length + Duration::from_mins(1) < SHORTEST {
            return Err(VendorError::Length);
        }
        let permission = Permission {
            format: FORMAT,
            boot: self.place.boot.clone(),
            since: now,
            until: allow.until,
            until_monotonic: monotonic.0.saturating_add(allow.until.since(now)),
            by: allow.by,
            reason: allow.reason,
            salt: allow.salt,
            uses: 0,
            last_use: None,
            ended: None,
        };
        let mut kept = self.kept();
        // That the one before has ended is told first.
        kept.as_mut().map_or(Ok(()), |before| self.settle(before))?;
        self.write(&permission)?;
        log::warn!("the vendor may reach this recorder until {}", permission.until);
        *kept = Some(permission);
        self.open.send_replace(true);
        Ok(())
    }

    /// Ends it; nothing happens where there is none. The door is shut first.
    ///
    /// # Errors
    /// If the end cannot be told or kept. It is tried again at each look.
    pub fn end(&self) -> Result<(), VendorError> {
        let mut kept = self.kept();
        self.shut();
        kept.as_mut().map_or(Ok(()), |permission| self.over(permission))
    }

    fn shut(&self) {
        self.open.send_if_modified(|open| std::mem::replace(open, false));
    }

    /// It is over, from now on if it was not already.
    fn over(&self, permission: &mut Permission) -> Result<(), VendorError> {
        if permission.ended.is_none() {
            log::warn!("the vendor may reach this recorder no longer");
            let from = ledger::claimed_size(&*self.place.files, &self.place.ledger);
            permission.ended = Some(Ended { at: self.place.clock.wall(), entry: Uuid::new_v4(), from, left: false });
            self.unsaved.store(true, Ordering::SeqCst);
        }
        let settled = self.settle(permission);
        self.complained.fetch_and(settled.is_err(), Ordering::SeqCst);
        settled
    }

    /// Ends it if its time is over. Called at each look, and when the time is over.
    pub fn look(&self) {
        let (now, monotonic) = (self.place.clock.wall(), self.place.clock.monotonic());
        let mut kept = self.kept();
        let Some(permission) = kept.as_mut() else { return };
        let runs = permission.ended.is_none()
            && permission.boot == self.place.boot
            && now < permission.until
            && monotonic < Monotonic(permission.until_monotonic);
        if runs {
            self.open.send_if_modified(|open| !std::mem::replace(open, true));
            return;
        }
        self.shut();
        if let Err(e) = self.over(permission)
            && !self.complained.swap(true, Ordering::SeqCst)
        {
            log::error!("that the vendor's access is over cannot be noted yet: {}", crate::types::story(&e));
        }
    }

    /// Notes a use, before it is answered.
    ///
    /// # Errors
    /// If there is no permission now, it comes too often, or the ledger does not take it. It is not to be answered then.
    pub fn uses(&self, route: &str) -> Result<(), VendorError> {
        self.look();
        let mut kept = self.kept();
        let Some(permission) = kept.as_mut().filter(|p| p.ended.is_none() && *self.open.borrow()) else {
            return Err(VendorError::NotNow);
        };
        let turn = self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(self.place.clock.monotonic());
        if let Turn::TooOften { noted } = turn {
            if noted {
                log::warn!("the vendor asks too often, and is not answered each time");
                self.leave(permission, RemoteChange::Used, Some(format!("{route} (refused: too often)")))?;
            }
            return Err(VendorError::TooOften);
        }
        self.leave(permission, RemoteChange::Used, Some(route.to_owned()))?;
        permission.uses += 1;
        permission.last_use = Some(self.place.clock.wall());
        // The ledger has it; this is for people who look.
        if let Err(e) = self.write(permission) {
            log::warn!("the count of the vendor's visits cannot be kept: {e}");
        }
        Ok(())
    }

    /// Until when; none: not now.
    pub fn until(&self) -> Option<WallNs> {
        self.look();
        self.kept().as_ref().filter(|p| p.ended.is_none()).map(|p| p.until)
    }

    /// For people.
    pub fn access(&self, door: Option<&crate::site::Door>) -> VendorAccess {
        self.look();
        let kept = self.kept();
        let now = kept.as_ref().filter(|p| p.ended.is_none());
        VendorAccess {
            listen: door.map(|d| d.listen),
            tunnel: door.and_then(|d| d.tunnel.clone()),
            until: now.map(|p| p.until),
            by: now.map(|p| p.by.clone()),
            reason: now.map(|p| p.reason.clone()),
            uses: now.map_or(0, |p| p.uses),
            last_use: now.and_then(|p| p.last_use),
        }
    }
}

#[cfg(test)]
mod tests;
