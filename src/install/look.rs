//! What the disks of a machine can be for a recorder of the site. Pure.

use crate::{
    disks::{self, Refusal, Token, Unfit, Verb, Wanted},
    inventory::{Content, Disk, Inventory, Parted, Survey, partition_label},
    site::{BackupPlace, Recorder, Site, VolumePlace},
    types::VolumeName,
};

/// A disk that may become the system's, or why not.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its lasting name; none: it cannot be named, so it is none.
    pub by_id: Option<String>,
    /// It.
    pub disk: Disk,
    /// The code that says that its facts were read.
    pub token: Result<Token, Unfit>,
}

/// A disk that the site names for footage.
#[derive(Debug, Clone)]
pub struct FootageDisk {
    /// The volume.
    pub volume: VolumeName,
    /// Its disk, as site.toml names it.
    pub by_id: String,
    /// It, if it is there.
    pub disk: Option<Disk>,
    /// What can be done with it.
    pub state: FootageState,
}

/// What can be done with a disk for footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FootageState {
    /// It is empty: prepared, if its code is given.
    New(Token),
    /// It looks as if preparing it was cut short, or as a damaged volume does: done again, if its code, or that of the empty disk, is given, and
    /// this very installation has noted that it has begun it.
    Unfinished {
        /// The code for what stands on it now.
        now: Token,
        /// The code for the empty disk that it was.
        before: Token,
    },
    /// It is the volume already: kept as it is, with its footage.
    Ours,
    /// It cannot be used.
    Refused(NoFootage),
}

/// Why a disk cannot be what the site says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFootage {
    /// It is another volume, or another site's: that footage stays.
    #[error("the disk is volume {volume} of site {site}")]
    Other {
        /// The site's id.
        site: String,
        /// The volume.
        volume: VolumeName,
    },
    /// Anything else.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What a machine can be for one recorder.
#[derive(Debug, Clone)]
pub struct View {
    /// All disks, as the system's.
    pub systems: Vec<Candidate>,
    /// Those that the site names for this recorder.
    pub footage: Vec<FootageDisk>,
}

/// The volume that a disk is to become.
pub fn wanted(site: &Site, recorder: &Recorder, name: &VolumeName) -> Option<(Wanted, String)> {
    let volume = recorder.volumes.iter().find(|v| v.name == *name)?;
    let VolumePlace::Disk(by_id) = &volume.place else { return None };
    let wanted = Wanted {
        site: site.id().to_owned(),
        volume: volume.name.clone(),
        size: volume.size.unwrap_or_default(),
        removable: false,
    };
    Some((wanted, by_id.clone()))
}

/// What the site wants a disk for, which is then not the system's. A disk of any recorder of the site is for footage: it may have been put
/// into the wrong machine.
pub fn named(site: &Site, disk: &Disk) -> Option<Unfit> {
    let volumes = site.recorders().flat_map(|r| &r.volumes).filter_map(|v| match &v.place {
        VolumePlace::Disk(id) => Some((id, Unfit::Named { volume: v.name.clone() })),
        VolumePlace::Path(_) => None,
    });
    let backups = site.backup().into_iter().flat_map(|b| &b.to).filter_map(|place| match place {
        BackupPlace::Disk(id) => Some((id, Unfit::Backups)),
        BackupPlace::Directory(_) | BackupPlace::S3(_) => None,
    });
    volumes.chain(backups).find(|(id, _)| disk.by_id.contains(id)).map(|(_, why)| why)
}

/// Looks at all disks. `parted` as found with the survey.
pub fn look(survey: &Survey, parted: &[Parted], site: &Site, recorder: &Recorder) -> View {
    let candidate = |disk: &Disk| {
        let by_id = disk.by_id.first().cloned();
        let token = by_id.as_ref().map_or_else(
            || Err(Refusal::Unknown { why: "it has no name below /dev/disk/by-id".to_owned() }.into()),
            |id| disks::judge_install(survey, id, named(site, disk).as_ref()).map(|facts| facts.token(Verb::Install)),
        );
        Candidate { by_id, disk: disk.clone(), token }
    };
    let footage = recorder.volumes.iter().filter_map(|v| wanted(site, recorder, &v.name));
    View {
        systems: survey.inventory.disks.iter().map(candidate).collect(),
        footage: footage.map(|(wanted, by_id)| footage_disk(survey, parted, &wanted, by_id)).collect(),
    }
}

fn footage_disk(survey: &Survey, parted: &[Parted], wanted: &Wanted, by_id: String) -> FootageDisk {
    let disk = survey.inventory.disk(&by_id).cloned();
    let state = match (disks::judge_init(survey, &by_id, Some(wanted)), &disk) {
        (Ok(facts), _) => FootageState::New(facts.token(Verb::Init)),
        (Err(Refusal::Ours { site, volume, .. }), _) if site == wanted.site && volume == wanted.volume => {
            FootageState::Ours
        }
        (Err(Refusal::Ours { site, volume, .. }), _) => FootageState::Refused(NoFootage::Other { site, volume }),
        (Err(e @ Refusal::Foreign { .. }), Some(disk)) => match unfinished(survey, parted, disk, wanted, &by_id) {
            Some(state) => state,
            None => FootageState::Refused(e.into()),
        },
        (Err(e), _) => FootageState::Refused(e.into()),
    };
    FootageDisk { volume: wanted.volume.clone(), by_id, disk, state }
}

/// A disk on which this very volume was begun and not sealed.
fn unfinished(survey: &Survey, parted: &[Parted], disk: &Disk, wanted: &Wanted, by_id: &str) -> Option<FootageState> {
    let Content::Foreign { found } = &disk.content else { return None };
    let ours = partition_label(&wanted.site, &wanted.volume)?;
    let parts = &parted.iter().find(|p| p.name == disk.name)?.parts;
    let [part] = parts.as_slice() else { return None };
    let begun = found.iter().any(|line| line.starts_with("unfinished custodian volume "));
    if !begun || part.label.as_deref() != Some(&ours) {
        return None;
    }
    let mut facts = disks::judge_erase(survey, by_id).ok()?;
    let now = facts.token(Verb::Erase);
    facts.content = Content::Empty;
    Some(FootageState::Unfinished { now, before: facts.token(Verb::Init) })
}

/// The inventory as it is when the disks are prepared, for a plan that is made before.
pub fn seen_as(inventory: &Inventory, view: &View) -> Inventory {
    let mut inventory = inventory.clone();
    for disk in &view.footage {
        if matches!(disk.state, FootageState::Unfinished { .. }) {
            let same = inventory.disks.iter_mut().find(|d| d.by_id.contains(&disk.by_id));
            same.into_iter().for_each(|d| d.content = Content::Empty);
        }
    }
    inventory
}
