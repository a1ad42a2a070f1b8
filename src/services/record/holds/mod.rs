//! Holds in the recorder: when their copies are read and written, and what is said of them.

mod command;
mod ledger;
mod reckon;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

pub(super) use self::{
    command::{HoldError, command},
    ledger::catch_up,
};
use super::Shared;
use crate::{
    retention::holds::{Cameras, Expected, Held, Keeper, Order, Renamed, Salt, Stamp, Wider, Words},
    services::holding::{self, is_due},
    site::Site,
    store::volume::Volume,
    sys::{RealFiles, random},
    types::{HoldId, RecorderId, WallNs, wire},
};

/// The recorder's holds.
pub(super) struct Holding {
    keeper: Keeper,
    /// One change at a time: each is reckoned with what the one before it has left.
    turn: Mutex<()>,
}

fn expected(site: &Site, recorder: &RecorderId) -> Expected {
    let volumes = site.volumes_of(recorder).iter().map(|v| v.name.clone()).collect();
    Expected { volumes, renamed: holding::renamed(site) }
}

impl Holding {
    /// Reads the copy in the recorder's folder.
    pub(super) fn open(dir: &Path, site: &Site, recorder: &RecorderId, now: WallNs) -> Self {
        let keeper = Keeper::open(Arc::new(RealFiles), dir, expected(site, recorder), now);
        Self { keeper, turn: Mutex::default() }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Volumes are there, or there again.
    pub(super) fn mount(&self, volumes: impl IntoIterator<Item = Volume>, now: WallNs) {
        self.keeper.mount(volumes, now);
    }

    /// What is held now.
    pub(super) fn held(&self) -> Arc<Held> {
        self.keeper.held()
    }

    /// The holds themselves.
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Changes something that decides what may be deleted: see [`Keeper::unsteadily`].
    pub(super) fn unsteadily(&self, change: impl FnOnce()) {
        self.keeper.unsteadily(change);
    }

    /// To be called every now and then.
    pub(super) fn mend(&self, now: WallNs) {
        self.keeper.mend(now);
    }

    /// The site is another one: its volumes, and its cameras' names.
    pub(super) fn follow(&self, site: &Site, recorder: &RecorderId, now: WallNs) {
        self.keeper.expect(expected(site, recorder));
        self.rename(&holding::renamed(site), now);
    }

    /// What was renamed is held under its new name for good, also once site.toml no longer tells the former one.
    fn rename(&self, names: &[Renamed], now: WallNs) {
        let _turn = self.turn();
        let held = self.keeper.held();
        for (hold, Renamed { from, to }) in held.holds.renamed(names) {
            let text = format!("{from} → {to}");
            let (Ok(reason), Ok(by)) = (text.parse::<Words>(), "custodian".parse::<Words>()) else { continue };
            let order = Order { entered_by: by.clone(), by, reason, case: None, even_if_short: false };
            let wider = Wider { cameras: Some(Cameras::These([to.clone()].into())), ..Wider::default() };
            let outcome = stamp(now).map_err(|e| e.to_string()).and_then(|stamp| {
                self.keeper.apply(|holds| holds.extend(hold, &wider, order, stamp)).map_err(|e| e.to_string())
            });
            match outcome {
                Ok(_) => {
                    log::info!(HOLD:% = hold, CAMERA = to.as_str(); "hold {hold}: camera {from} is called {to} now");
                }
                Err(e) => log::error!(
                    HOLD:% = hold, CAMERA = to.as_str(), CAUSE = e.as_str();
                    "hold {hold} does not follow camera {from} to its new name {to}: {e}"
                ),
            }
        }
    }
}

/// What makes a change one of its own.
fn stamp(at: WallNs) -> io::Result<Stamp> {
    let salt = || random().map(Salt::new);
    Ok(Stamp { id: Uuid::new_v4(), at, by_salt: salt()?, reason_salt: salt()? })
}

fn today(shared: &Shared) -> jiff::civil::Date {
    shared.clock.wall().timestamp().to_zoned(shared.site().timezone().clone()).date()
}

/// All holds, with their texts.
pub(super) fn list(shared: &Shared) -> wire::HoldList {
    let held = shared.holds.held();
    let own_copy = held.own_copy().map(str::to_owned);
    wire::HoldList { holds: holding::list(&held.holds, today(shared)), unread: held.unread(), own_copy }
}

/// How they are, without a name.
pub(super) fn health(shared: &Shared) -> wire::HoldsHealth {
    let (held, today) = (shared.holds.held(), today(shared));
    wire::HoldsHealth {
        in_force: held.holds.in_force().count(),
        due: held.holds.iter().filter(|h| is_due(h, today)).count(),
        unlogged: held.holds.unlogged().count(),
        unread: held.unread(),
        own_copy: held.own_copy().map(str::to_owned),
    }
}

/// A new hold's identity.
fn new_id() -> HoldId {
    Uuid::new_v4().into()
}
