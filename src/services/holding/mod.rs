//! Holds beside the recorder: as they stand in its folder, and what they are reckoned with: the site, the index, and where cameras are laid.

mod told;

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::Context as _;

use super::paths::Paths;
use crate::{
    plan::{self, Capacity, Layout, Measured},
    retention::{
        Rules,
        holds::{
            Holds, Renamed, Spans,
            charge::{Facts, Piece, Room, Source},
            file,
        },
    },
    site::{Camera, Site},
    store::index::{IndexError, Reader},
    types::{ByteSize, RecorderId, SegmentId, VolumeName, WallNs},
};

pub use told::list;
pub(super) use told::{is_due, told};

/// The holds as they stand in the recorder's folder, with the recorder or without. None where there never was one.
///
/// # Errors
/// If the file is there, or may be, and cannot be read.
pub fn read(state: &Path) -> anyhow::Result<Holds> {
    let path = Paths::new(state).record().join(file::IN_STATE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Holds::default()),
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", path.display())),
    };
    let (content, _) = file::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok(content.holds)
}

/// The cameras of a site that had other names.
pub(super) fn renamed(site: &Site) -> Vec<Renamed> {
    let of = |c: &Camera| {
        let to = c.id.clone();
        c.previously.clone().into_iter().map(move |from| Renamed { from, to: to.clone() })
    };
    site.cameras().iter().flat_map(of).collect()
}

/// All that holds of one recorder are reckoned with.
pub(super) struct Reckoning<'a> {
    pub(super) site: &'a Site,
    pub(super) recorder: &'a RecorderId,
    /// Where cameras are laid.
    pub(super) layout: &'a Layout,
    pub(super) measured: &'a Measured,
    pub(super) index: &'a Reader,
    pub(super) now: WallNs,
}

impl Reckoning<'_> {
    /// Room and rates, as the plan counts them; holds aside.
    fn capacity(&self) -> Capacity {
        plan::capacity(&plan::Given {
            site: self.site,
            measured: self.measured,
            before: self.layout,
            inventory: None,
            held: &plan::Held::default(),
        })
    }

    /// The facts, with all footage that these spans touch.
    pub(super) fn facts(&self, spans: &Spans) -> Result<Facts, IndexError> {
        let capacity = self.capacity();
        let mut facts = Facts { now: self.now, ..Facts::default() };
        for volume in capacity.volumes.iter().filter(|v| v.recorder == *self.recorder) {
            let room = Room { usable: volume.size.map(|_| volume.usable.0), promised: volume.needed.0 };
            facts.volumes.insert(volume.volume.clone(), room);
        }
        let streams = self.index.streams()?;
        let rules = Rules::new(self.site, BTreeMap::new());
        for camera in streams.iter().map(|s| &s.key.camera) {
            let source = Source { min_days: rules.of(camera).min_days, ..Source::default() };
            facts.cameras.insert(camera.clone(), source);
        }
        for need in capacity.needs.iter().filter(|n| n.recorder == *self.recorder) {
            let homes = capacity.layout.get(&need.camera).cloned().unwrap_or_default();
            let source = Source { min_days: need.min_days, per_day: need.per_day.0, homes };
            facts.cameras.insert(need.camera.clone(), source);
        }
        let mut pieces = BTreeMap::<(SegmentId, VolumeName), Piece>::new();
        for stream in &streams {
            for span in spans.of(&stream.key.camera) {
                for row in self.index.segments(stream.key.id, *span)? {
                    let (camera, volume) = (stream.key.camera.clone(), row.volume.clone());
                    let piece = Piece { camera, volume, span: row.span, bytes: row.bytes };
                    pieces.insert((row.id, row.volume), piece);
                }
            }
        }
        facts.pieces = pieces.into_values().collect();
        Ok(facts)
    }

    /// What these spans take, for a plan.
    pub(super) fn held(&self, spans: &Spans) -> Result<plan::Held, IndexError> {
        let facts = self.facts(spans)?;
        let there =
            facts.weigh(spans).into_iter().map(|(name, w)| (name, ByteSize(w.beyond.saturating_add(w.promised))));
        let to_come = facts.to_come(spans).into_iter().map(|(camera, bytes)| (camera, ByteSize(bytes)));
        Ok(plan::Held { there: there.collect(), to_come: to_come.collect() })
    }
}
