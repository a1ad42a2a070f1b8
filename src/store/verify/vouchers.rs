//! What the ledger says of segments, gathered from its entries.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::{
    ledger::{SegmentEntry, What},
    types::{CameraId, SegmentId, Span, StreamKind, VolumeName, merkle::Hash},
};

/// A segment on a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which.
    pub id: SegmentId,
    /// Where; a copy elsewhere is another place.
    pub volume: VolumeName,
}

/// What an entry says of a segment that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The number of the entry.
    pub entry: u64,
    /// The camera's id at the time.
    pub camera: CameraId,
    /// Main or sub.
    pub kind: StreamKind,
    /// Corrected wall time covered.
    pub span: Span,
    /// What was added to the recorder's clock, ns.
    pub clock_correction: i64,
    /// Pictures.
    pub frames: u64,
    /// RTP packets lost.
    pub lost_packets: u64,
    /// Where no picture came within it.
    pub holes: Vec<Span>,
    /// Whether recovery closed it.
    pub recovered: bool,
    /// The root over its head and its fragments' leaves.
    pub root: Hash,
}

/// So many removed segments are remembered: those whose rows and files may be about to go.
const RETIRED: usize = 200_000;

/// Segments that the ledger vouches for: closed, and not removed since.
#[derive(Debug, Default)]
pub struct Vouchers {
    kept: HashMap<Place, Vouched>,
    retired: HashSet<Place>,
    retired_in_order: VecDeque<Place>,
    /// Names that many entries share.
    cameras: BTreeSet<CameraId>,
    volumes: BTreeSet<VolumeName>,
}

/// The one of equal names that is kept already.
fn shared<T: Ord + Clone>(known: &mut BTreeSet<T>, name: &T) -> T {
    if let Some(known) = known.get(name) {
        return known.clone();
    }
    known.insert(name.clone());
    name.clone()
}

impl Vouchers {
    /// Takes an entry into account. Entries come in their order.
    pub fn take(&mut self, n: u64, what: &What) {
        match what {
            What::Segment(segment) => self.closed(n, segment),
            What::Retired { stream, volume, segments, .. } => {
                let volume = shared(&mut self.volumes, volume);
                for (run, seq) in segments {
                    self.gone(Place {
                        id: SegmentId { stream: *stream, run: *run, seq: *seq },
                        volume: volume.clone(),
                    });
                }
            }
            _ => {}
        }
    }

    /// The first word on a segment counts. Who forges a file and has the recorder log it anew does not get rid of the entry before.
    fn closed(&mut self, entry: u64, s: &SegmentEntry) {
        let place = Place { id: s.id(), volume: shared(&mut self.volumes, &s.volume) };
        let camera = shared(&mut self.cameras, &s.camera);
        // It was to go, and was found and logged again.
        self.retired.remove(&place);
        self.kept.entry(place).or_insert_with(|| Vouched {
            entry,
            camera,
            kind: s.kind,
            span: s.span,
            clock_correction: s.clock_correction,
            frames: s.frames,
            lost_packets: s.lost_packets,
            holes: s.holes.clone(),
            recovered: s.recovered,
            root: s.root,
        });
    }

    fn gone(&mut self, place: Place) {
        self.kept.remove(&place);
        if self.retired.insert(place.clone()) {
            self.retired_in_order.push_back(place);
        }
        if self.retired_in_order.len() > RETIRED
            && let Some(oldest) = self.retired_in_order.pop_front()
        {
            self.retired.remove(&oldest);
        }
    }

    /// What it says of a segment that is to be there.
    pub fn of(&self, place: &Place) -> Option<&Vouched> {
        self.kept.get(place)
    }

    /// Whether it says that the segment was, or is about to be, removed.
    pub fn is_retired(&self, place: &Place) -> bool {
        self.retired.contains(place)
    }

    /// All that is to be there, in no order.
    pub fn kept(&self) -> impl Iterator<Item = (&Place, &Vouched)> {
        self.kept.iter()
    }
}
