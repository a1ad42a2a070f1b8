//! From what the site wants and what the machine has to the ordered steps between them. Pure: nothing here looks at the machine.
//!
//! [`make`] compares, lays cameras on volumes, works out the steps, and has the result checked by [`lint()`], which
//! trusts none of the others.

mod backup;
mod capacity;
mod changes;
mod disks;
pub mod guard;
mod health;
mod layout;
mod links;
mod lint;
mod model;
mod network;
mod short;
mod steps;
pub mod text;
mod touched;
mod units;

use std::collections::BTreeMap;

pub use backup::{BACKUP, BACKUP_DISKS, BACKUP_TIMER, backup_mount_point, is_volume_mount};
pub use capacity::{Capacity, Given, Held, Measured, Need, USUAL_RATE, VolumeUse, capacity, daily};
pub use changes::{Change, Side, What, changes};
pub use disks::{DiskNote, Note};
pub use links::LinkNote;
pub use lint::{Lint, lint};
pub use model::{Base, FORMAT, Layout, Plan, Recover, Step};
pub use network::{NETWORK, SYSTEM, is_system_file, silent};
pub use short::{Change as Remedy, Short};
pub use steps::steps;
pub use touched::{Touched, touched};
pub use units::{
    HEADER, HEALTH, KEY_FILE, KEY_LABEL, KEY_STICK, PREPARING, RECORD, SYSTEMD_CRYPTSETUP, Units, VOLUMES, WEB,
    escape_path, is_mount, mount_point, mount_unit, partition, units, unlock_unit,
};

use crate::{
    inventory::Inventory,
    site::{Site, WhenShort},
    types::{RecorderId, VolumeName},
};

/// What a plan is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The site that is wanted.
    pub site: &'a Site,
    /// SHA-256 of its secrets, hexadecimal.
    pub secrets: Option<&'a str>,
    /// Which machine this is.
    pub recorder: &'a RecorderId,
    /// What is applied now.
    pub before: Option<Before<'a>>,
    /// What the machine has; none: offline.
    pub inventory: Option<&'a Inventory>,
    /// SHA-256 of what counts of the inventory.
    pub fingerprint: Option<&'a str>,
    /// Measured bit rates.
    pub measured: &'a Measured,
    /// What holds keep.
    pub held: &'a Held,
    /// Volumes of the site that this machine cannot open.
    pub recover: &'a [Recover],
}

/// The generation that is current.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// Its number.
    pub generation: u64,
    /// Which recorder this machine was.
    pub recorder: &'a RecorderId,
    /// Its site, secrets and layout.
    pub side: Side<'a>,
    /// Its units.
    pub units: &'a BTreeMap<String, String>,
}

/// Why there is no plan. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The promise does not fit.
    #[error("the disks cannot keep the promise: {} needed, {} there, {} missing", short.needed, short.usable, short.missing())]
    Short {
        /// The arithmetic.
        short: Box<Short>,
        /// The volumes.
        capacity: Box<Capacity>,
    },
    /// Disks that cannot be what the site says.
    #[error("{} disk(s) of the site cannot be used", .0.len())]
    Disks(Vec<DiskNote>),
    /// Network cards that this machine does not have.
    #[error("the site names network cards that this machine does not have as it says")]
    Links(Vec<LinkNote>),
    /// A mistake of this program.
    #[error("this plan is not safe to apply, which is a mistake in this program: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unsafe(Vec<Lint>),
}

/// Makes a plan.
///
/// # Errors
/// If the site's promise does not fit on its disks and the site does not accept that, or a disk or a network card that it newly
/// names is not fit.
pub fn make(input: &Input<'_>) -> Result<Plan, Refused> {
    let empty = Layout::new();
    let before = input.before.map(|b| b.side);
    let given = Given {
        site: input.site,
        measured: input.measured,
        before: before.map_or(&empty, |b| b.layout),
        inventory: input.inventory,
        held: input.held,
    };
    // Disks that this machine has not used, because it was another recorder, are new to it.
    let same = input.before.is_none_or(|b| b.recorder == input.recorder);
    let known: Vec<VolumeName> = (before.into_iter())
        .filter(|_| same)
        .flat_map(|b| b.site.volumes_of(input.recorder))
        .filter(|v| input.site.volumes_of(input.recorder).contains(v))
        .map(|v| v.name.clone())
        .collect();
    let disks = input.inventory.map_or_else(Vec::new, |i| disks::notes(input.site, input.recorder, i, &known));
    if disks.iter().any(|d| d.fatal) {
        return Err(Refused::Disks(disks.into_iter().filter(|d| d.fatal).collect()));
    }
    let wired = before.filter(|_| same).and_then(|b| b.site.recorder(input.recorder)).and_then(|r| r.network.as_ref());
    let links = input.inventory.map_or_else(Vec::new, |i| links::notes(input.site, input.recorder, i, wired));
    if !links.is_empty() {
        return Err(Refused::Links(links));
    }
    let room = capacity(&given);
    let short = (!room.fits).then(|| short::short(&given, &room));
    if let Some(short) = &short
        && input.site.when_short() == WhenShort::Refuse
    {
        return Err(Refused::Short { short: Box::new(short.clone()), capacity: Box::new(room) });
    }
    let layout = room.layout.clone();
    let after = Side { site: input.site, layout: &layout, secrets: input.secrets };
    let mut changes = changes(before, after);
    if let Some(before) = input.before.filter(|_| !same) {
        changes.insert(0, Change::identity(before.recorder, input.recorder));
    }
    let units = units(input.site, input.recorder);
    let fed = before.is_none_or(|b| b.site.hash() != input.site.hash() || b.secrets != input.secrets);
    let steps = steps(input.before.map(|b| b.units), &units, fed);
    let plan = Plan {
        format: FORMAT,
        base: Base {
            site: hex(&input.site.hash()),
            secrets: input.secrets.map(str::to_owned),
            generation: input.before.map(|b| b.generation),
            inventory: input.fingerprint.map(str::to_owned),
        },
        recorder: input.recorder.clone(),
        layout,
        capacity: room,
        short,
        changes,
        disks,
        recover: input.recover.to_vec(),
        steps,
    };
    let lints = lint(&plan, input.site, input.before.map(|b| b.units));
    if lints.is_empty() { Ok(plan) } else { Err(Refused::Unsafe(lints)) }
}

/// SHA-256 of a text, hexadecimal.
pub fn digest(text: &str) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(text.as_bytes()))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
