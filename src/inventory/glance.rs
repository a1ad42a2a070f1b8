//! A glance at disks in use, for who looks every few minutes: nothing is read from them, and one that sleeps is left asleep.

use std::{collections::BTreeMap, io, thread};

use super::{
    Answer, Roots,
    lsblk::{self, Block},
    probe::{ask_health, by_id, run},
};
use crate::sys::Commands;

/// A disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// Its names below `/dev/disk/by-id`, sorted.
    pub by_id: Vec<String>,
    /// Where it, a partition of it, or what is built on them is mounted.
    pub mounts: Vec<String>,
    /// What it says of its health; none: it was not asked.
    pub smart: Option<Answer>,
}

impl Glance {
    /// Whether it has that name below `/dev/disk/by-id`.
    pub fn is(&self, by_id: &str) -> bool {
        self.by_id.iter().any(|name| name == by_id)
    }
}

/// All disks. Those in `asked`, by their names below `/dev/disk/by-id`, are asked for their health.
///
/// # Errors
/// If they cannot be listed.
pub fn glance(commands: &dyn Commands, roots: &Roots, asked: &[&str]) -> io::Result<Vec<Glance>> {
    let listed = run(commands, "lsblk", &["--json", "--bytes", "--output", lsblk::COLUMNS])?;
    let blocks = lsblk::parse(&listed.stdout).map_err(io::Error::other)?;
    let names: BTreeMap<String, Vec<String>> = by_id(&roots.by_id);
    let one = |block: &Block| {
        let by_id = names.get(&block.kname).cloned().unwrap_or_default();
        let ask = by_id.iter().any(|name| asked.contains(&name.as_str()));
        Glance {
            smart: ask.then(|| ask_health(commands, &roots.dev.join(&block.kname))),
            mounts: block.tree().iter().flat_map(|b| b.mounted()).map(str::to_owned).collect(),
            by_id,
        }
    };
    let one = &one;
    // One that does not answer holds up none of the others.
    Ok(thread::scope(|scope| {
        let looking: Vec<_> =
            blocks.iter().filter(|b| b.is_disk()).map(|block| scope.spawn(move || one(block))).collect();
        looking.into_iter().filter_map(|thread| thread.join().ok()).collect()
    }))
}
