//! What the policy is asked: as much of the truth as its answer can depend on.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Retention,
    accounts::{self, Accounts},
};
use crate::{
    retention::{
        DAY_NS, Terms,
        holds::Held,
        policy::{Camera, Piece, Recorded, Shelf, State, Volume},
    },
    services::record::Shared,
    site::Promise,
    store::index::{Aged, IndexError, Reader},
    types::{CameraId, Span, StreamId, VolumeName, WallNs, wire},
};

/// Of what is overdue, no more of one stream at a time: more than anybody is sent to remove.
const AT_ONCE: usize = 8192;

/// What is asked about.
pub(super) struct Question<'a> {
    pub(super) shared: &'a Shared,
    pub(super) retention: &'a Retention,
    pub(super) index: &'a Reader,
    pub(super) accounts: &'a Accounts,
    /// The volumes from which what is overdue is to go now.
    pub(super) overdue: &'a BTreeSet<VolumeName>,
}

impl Question<'_> {
    /// The state of everything.
    pub(super) fn state(&self) -> Result<State, IndexError> {
        let (shared, site, held) = (self.shared, self.shared.site(), self.shared.holds.held());
        let mut state = State {
            now: self.retention.trust.now(),
            promise: site.promise(),
            cameras: BTreeMap::new(),
            volumes: BTreeMap::new(),
            shelves: Vec::new(),
        };
        for status in shared.store.volumes() {
            if let Some(volume) = self.volume(&status)? {
                state.volumes.insert(status.name, volume);
            }
        }
        for (camera, rate) in &self.accounts.rates {
            let recorded = Recorded { homes: shared.store.homes(camera), per_day: *rate };
            let terms = self.accounts.rules.of(camera);
            state.cameras.insert(camera.clone(), Camera { terms, recorded: Some(recorded) });
        }
        for stream in self.index.streams()? {
            let camera = stream.key.camera;
            let terms = self.accounts.rules.of(&camera);
            state.cameras.entry(camera.clone()).or_insert(Camera { terms, recorded: None });
            for (name, volume) in &state.volumes {
                // Where nothing may go, nothing is told: then what could go counts as no room either.
                let asked = self.overdue.contains(name) || volume.free < volume.wanted;
                let Some(begins) = self.accounts.begins.get(&(stream.key.id, name.clone())) else { continue };
                if volume.works && asked && !self.retention.is_suspended(name) {
                    let wants = Wants::new(&state, terms, volume);
                    let pieces = self.pieces((stream.key.id, *begins), &camera, name, &held, wants)?;
                    state.shelves.push(Shelf { camera: camera.clone(), volume: name.clone(), pieces });
                }
            }
        }
        Ok(state)
    }

    /// A volume; none of one that has come since things were reckoned.
    fn volume(&self, status: &wire::VolumeStatus) -> Result<Option<Volume>, IndexError> {
        let Some(known) = self.accounts.volumes.get(&status.name) else { return Ok(None) };
        let site = self.shared.site();
        let footage = self.accounts.footage(self.shared, &site, &status.name, self.index)?;
        let (_, free) = accounts::room(self.shared, &site, &status.name, status.free.0, status.size.0, footage);
        Ok(Some(Volume {
            works: status.healthy || status.full,
            free,
            floor: known.levels.floor,
            wanted: known.levels.wanted,
            ample: known.levels.ample,
            usable: known.usable,
            owed: known.owed,
            guests: known.guests,
        }))
    }

    /// The oldest segments of a stream on a volume, as far as they could go, and where they begin.
    fn pieces(
        &self,
        (stream, begins): (StreamId, WallNs),
        camera: &CameraId,
        volume: &VolumeName,
        held: &Held,
        mut wants: Wants,
    ) -> Result<Vec<Piece>, IndexError> {
        let mut pieces = Vec::new();
        self.index.each_closed(stream, volume, begins, &mut |aged: Aged| {
            let held = is_held(held, [camera, &aged.camera], aged.span);
            let more = wants.more(&aged, held);
            if more && !held {
                pieces.push(Piece { segment: aged.id, span: aged.span, bytes: aged.bytes, held });
            }
            more
        })?;
        pieces.sort_by_key(|p| p.span.end);
        Ok(pieces)
    }
}

/// Whether something of that span is held under one of these names: its camera's present one, and the one of the time.
pub(super) fn is_held(held: &Held, names: [&CameraId; 2], span: Span) -> bool {
    names.iter().any(|name| held.spans.hold(name, span))
}

/// How much of a shelf is told.
#[derive(Debug, Clone, Copy)]
struct Wants {
    now: WallNs,
    terms: Terms,
    /// Bytes that are still to be told of what may go.
    bytes: u64,
    /// Promised footage may go too.
    target: bool,
    overdue: usize,
}

impl Wants {
    fn new(state: &State, terms: Terms, volume: &Volume) -> Self {
        let short = volume.free < volume.wanted;
        let bytes = if short { volume.ample - volume.free } else { 0 };
        Self { now: state.now, terms, bytes, target: state.promise == Promise::Target, overdue: AT_ONCE }
    }

    /// Whether this segment is to be told, and later ones may be.
    fn more(&mut self, aged: &Aged, held: bool) -> bool {
        if held {
            // It is stepped over, however much there is of it.
            return true;
        }
        // Segments come by their start: one that is a day younger than what may go has none behind it that may.
        let may_go = self.target || self.terms.surplus(self.now, aged.span.end).is_some();
        let near = self.terms.surplus(self.now, aged.span.start.offset(-DAY_NS)).is_some();
        if self.overdue > 0 && self.terms.is_overdue(self.now, aged.span.end) {
            self.overdue -= 1;
            self.bytes = self.bytes.saturating_sub(aged.bytes);
            return true;
        }
        if self.bytes == 0 {
            return false;
        }
        if may_go {
            self.bytes = self.bytes.saturating_sub(aged.bytes);
        }
        may_go || near
    }
}
