//! Whether a machine still is as the generation in force says.

use std::path::Path;

use super::{ApplyError, generations::read_boot, load};
use crate::{
    plan::{self, HEADER},
    sys::Files,
};

/// Something that is otherwise than it was applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drift {
    /// The generation's site.toml is no longer the one that was applied.
    Site,
    /// The generation's secrets.toml is no longer the one that was applied.
    Secrets,
    /// A unit file says something else.
    Differs(String),
    /// A unit file is missing.
    Missing(String),
    /// A unit file is of an older generation.
    Stray(String),
}

/// Compares the files of generation `number`, and the units of this boot in `unit_dir`, with what was applied. While an apply is at work
/// it finds what is not done yet: see [`super::in_work_since`].
///
/// # Errors
/// If something cannot be read.
pub fn drift(files: &dyn Files, state: &Path, unit_dir: &Path, number: u64) -> Result<Vec<Drift>, ApplyError> {
    let generation = load(files, state, number)?;
    let base = &generation.plan.base;
    let mut all = Vec::new();
    if plan::digest(&generation.site) != base.site {
        all.push(Drift::Site);
    }
    if generation.secrets.as_deref().map(plan::digest) != base.secrets {
        all.push(Drift::Secrets);
    }
    // A file of ours that somebody has written anew need not begin as ours do.
    let there = read_boot(files, unit_dir, |_| true)?;
    for (name, text) in &generation.units {
        match there.get(name) {
            None => all.push(Drift::Missing(name.clone())),
            Some(found) if found != text => all.push(Drift::Differs(name.clone())),
            Some(_) => {}
        }
    }
    let strays = there.iter().filter(|(name, text)| text.starts_with(HEADER) && !generation.units.contains_key(*name));
    all.extend(strays.map(|(name, _)| Drift::Stray(name.clone())));
    Ok(all)
}
