//! Removing backups whose time is over. Nothing but that is ever removed from a place: no object that a backup still needs, nothing that is not ours.
//!
//! The order: first the record, so that what is being taken away does not look like a backup any more; then its lists; then the objects that no
//! backup that stays needs. Cut between any two of these, the next backup finds lists without a record and objects that nobody needs, and goes
//! on. Any doubt, and nothing is removed.

use std::{collections::HashSet, time::Duration};

use super::{
    catalogue::Catalogue,
    error::BackupError,
    list,
    names::{BACKUPS, BackupId, CopyId, ObjectName, Part},
    place::Place,
    record::ClearRecord,
};
use crate::types::WallNs;

/// How long backups are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keep {
    /// For so many days; none: for ever.
    pub days: Option<u32>,
    /// Why nothing is to be removed now.
    pub doubt: Option<String>,
    /// Whether a time service keeps the clock.
    pub synchronised: bool,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expired {
    /// Backups.
    pub backups: Vec<BackupId>,
    /// Objects that no backup needs any more.
    pub objects: u64,
    /// Why nothing was removed, though the site says how long backups are kept.
    pub kept: Option<String>,
}

const DAY: Duration = Duration::from_hours(24);
/// A clock that stands longer than this after the last backup wants a time service to say that it is right.
const AWAY: Duration = Duration::from_hours(7 * 24);

/// Removes what is over, after `newest` is complete and was read back. `there`: all objects at the place. Whatever comes in between, the backup itself
/// is complete: it is told, and the next backup goes on.
pub(super) fn expire(
    place: &dyn Place,
    catalogue: &Catalogue,
    newest: &ClearRecord,
    there: impl Iterator<Item = ObjectName>,
    keep: &Keep,
) -> Expired {
    let mut done = Expired::default();
    let Some(days) = keep.days else { return done };
    if let Some(doubt) = &keep.doubt {
        done.kept = Some(doubt.clone());
        return done;
    }
    let removed = judge(place, catalogue, newest, newest.started - DAY * days)
        .and_then(|plan| if keep.synchronised { Ok(plan) } else { plan.unless_away(newest) })
        .and_then(|plan| remove(place, catalogue, &plan, there, &mut done));
    if let Err(e) = removed {
        log::warn!(CAUSE:% = e; "old backups are not removed: {e}");
        done.kept = Some(e.to_string());
    }
    done
}

fn remove(
    place: &dyn Place,
    catalogue: &Catalogue,
    plan: &Plan,
    there: impl Iterator<Item = ObjectName>,
    done: &mut Expired,
) -> Result<(), BackupError> {
    for id in &plan.over {
        place.remove(&id.record())?;
        done.backups.push(id.clone());
    }
    for name in &plan.leftovers {
        place.remove(name)?;
    }
    let mut gone: HashSet<CopyId> = HashSet::new();
    for object in there.filter(|o| !plan.needed.contains(o)) {
        // Forgotten before it goes: a cut in between costs an object that nobody needs, not a copy that lacks one.
        if gone.insert(object.copy)
            && let Some(copy) = catalogue.by_id(object.copy)?
        {
            catalogue.forget(&copy)?;
        }
        place.remove(&object.to_string())?;
        done.objects += 1;
    }
    Ok(())
}

/// What is to be removed, and what must stay.
struct Plan {
    over: Vec<BackupId>,
    /// When the last backup before this one was begun.
    last: Option<WallNs>,
    /// Lists and manifests of those, and of backups that never had a record.
    leftovers: Vec<String>,
    /// Objects that the others need.
    needed: HashSet<ObjectName>,
}

impl Plan {
    /// A clock that was set a year ahead would make everything old. What says nothing about it removes nothing.
    fn unless_away(self, newest: &ClearRecord) -> Result<Self, BackupError> {
        match self.last {
            Some(last) if !self.over.is_empty() && newest.started > last + AWAY => Err(BackupError::Clock { last }),
            _ => Ok(self),
        }
    }
}

fn judge(place: &dyn Place, catalogue: &Catalogue, newest: &ClearRecord, limit: WallNs) -> Result<Plan, BackupError> {
    let mut plan = Plan { over: Vec::new(), last: None, leftovers: Vec::new(), needed: HashSet::new() };
    let mut stay = HashSet::new();
    for id in list::backups(place)? {
        let record = list::record(place, &id)?;
        if record.started > newest.started {
            let what = "it is later than the one of now: either clock may have been wrong".to_owned();
            return Err(BackupError::Damaged { name: id.record(), what });
        }
        if id != newest.id {
            plan.last = plan.last.max(Some(record.started));
        }
        if record.started < limit && id != newest.id {
            // What a catalogue that began anew does not know may be the only copy of footage that is held.
            for object in list::objects(place, &record)?.into_keys() {
                if catalogue.by_id(object.copy)?.is_none() {
                    return Err(BackupError::Unknown(id));
                }
            }
            plan.over.push(id);
        } else {
            plan.needed.extend(list::objects(place, &record)?.into_keys());
            stay.insert(id);
        }
    }
    place.list(BACKUPS, &mut |name, _| match BackupId::of_file(name) {
        Some((id, Part::List | Part::Manifest)) if !stay.contains(&id) => plan.leftovers.push(name.to_owned()),
        _ => {}
    })?;
    Ok(plan)
}
