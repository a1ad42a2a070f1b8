//! A small world that cameras are recorded in: volumes fill, fail and return, holds come and go, terms change.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::{
    retention::forecast::{Account, forecast},
    types::{RunId, StreamId},
};

/// How much time passes at once: a segment of each camera.
pub(super) const STEP: i64 = 3 * H;
/// Steps in a day.
pub(super) const PER_DAY: u64 = 8;

/// A camera of the world.
#[derive(Debug, Clone)]
pub(super) struct Cam {
    pub terms: Terms,
    pub home: usize,
    /// Bytes in a step.
    pub rate: u64,
    pub recorded: bool,
}

/// A disk of the world.
#[derive(Debug, Clone)]
pub(super) struct Vol {
    pub size: u64,
    /// What others have put there.
    pub foreign: u64,
    pub works: bool,
}

/// Something that lies on a disk.
#[derive(Debug, Clone)]
pub(super) struct Lies {
    pub camera: usize,
    pub volume: usize,
    pub piece: Piece,
}

/// What happens between two steps.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Foreign {
        volume: usize,
        per_mille: u64,
    },
    Fail(usize),
    Return(usize),
    /// From so many steps ago, for so many steps.
    Hold {
        camera: usize,
        ago: i64,
        steps: i64,
    },
    Release(usize),
    Terms {
        camera: usize,
        terms: Terms,
    },
    Leave(usize),
    Join(usize),
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub now: WallNs,
    pub promise: Promise,
    pub cams: Vec<Cam>,
    pub vols: Vec<Vol>,
    pub footage: Vec<Lies>,
    pub holds: Vec<(usize, Span)>,
    pub admission: Admission,
    /// Segments that found no room though their camera was admitted.
    pub refused: usize,
    next: u32,
}

pub(super) fn cam_id(n: usize) -> CameraId {
    id(&format!("c{n}"))
}

pub(super) fn vol_id(n: usize) -> VolumeName {
    id(&format!("v{n}"))
}

impl World {
    pub(super) fn new(promise: Promise, cams: Vec<Cam>, vols: Vec<Vol>) -> Self {
        let (footage, holds, admission) = (Vec::new(), Vec::new(), Admission::default());
        Self { now: NOW, promise, cams, vols, footage, holds, admission, refused: 0, next: 0 }
    }

    pub(super) fn used(&self, volume: usize) -> u64 {
        self.footage.iter().filter(|l| l.volume == volume).map(|l| l.piece.bytes).sum()
    }

    pub(super) fn free(&self, volume: usize) -> u64 {
        let v = &self.vols[volume];
        v.size.saturating_sub(v.foreign).saturating_sub(self.used(volume))
    }

    /// What all cameras together write in a step: any volume may have to take it.
    pub(super) fn step_bytes(&self) -> u64 {
        self.cams.iter().map(|c| c.rate).sum()
    }

    pub(super) fn levels(&self, volume: usize) -> (u64, u64, u64) {
        let (floor, step) = (self.vols[volume].size / 50, self.step_bytes());
        (floor, floor + 16 * step, floor + 18 * step)
    }

    fn held(&self, camera: usize, span: Span) -> bool {
        self.holds.iter().any(|(c, hold)| *c == camera && hold.overlaps(span))
    }

    pub(super) fn happen(&mut self, event: &Event) {
        let (cams, vols) = (self.cams.len(), self.vols.len());
        match *event {
            Event::Foreign { volume, per_mille } => {
                let size = self.vols[volume % vols].size;
                self.vols[volume % vols].foreign = size * per_mille / 1000;
            }
            Event::Fail(volume) => self.vols[volume % vols].works = false,
            Event::Return(volume) => self.vols[volume % vols].works = true,
            Event::Hold { camera, ago, steps } => {
                let start = self.now.offset(-ago * STEP);
                self.holds.push((camera % cams, Span { start, end: start.offset(steps * STEP) }));
            }
            Event::Release(n) => {
                if !self.holds.is_empty() {
                    self.holds.remove(n % self.holds.len());
                }
            }
            Event::Terms { camera, terms } => self.cams[camera % cams].terms = terms,
            Event::Leave(camera) => self.cams[camera % cams].recorded = false,
            Event::Join(camera) => self.cams[camera % cams].recorded = true,
        }
        for i in 0..self.footage.len() {
            let (camera, span) = (self.footage[i].camera, self.footage[i].piece.span);
            self.footage[i].piece.held = self.held(camera, span);
        }
    }

    /// Every camera records a segment where it may.
    pub(super) fn record(&mut self) {
        let span = Span { start: self.now, end: self.now.offset(STEP) };
        self.now = span.end;
        for camera in 0..self.cams.len() {
            let Cam { recorded, home, rate, .. } = self.cams[camera];
            let open = |v: &usize| self.vols[*v].works && self.admission.admits(&vol_id(*v), &cam_id(camera));
            let emptiest = || (0..self.vols.len()).filter(open).max_by_key(|v| self.free(*v));
            let Some(volume) = Some(home).filter(open).or_else(emptiest).filter(|_| recorded) else { continue };
            if self.free(volume) < rate {
                self.refused += 1;
                continue;
            }
            self.next += 1;
            let (stream, run) = (StreamId::from(Uuid::from_u128(camera as u128)), RunId::from(Uuid::from_u128(7)));
            let segment = SegmentId { stream, run, seq: self.next };
            let piece = Piece { segment, span, bytes: rate, held: self.held(camera, span) };
            self.footage.push(Lies { camera, volume, piece });
        }
    }

    /// What the policy is asked.
    pub(super) fn state(&self) -> State {
        let camera = |(n, c): (usize, &Cam)| {
            let recorded = Recorded { homes: vec![vol_id(c.home)], per_day: c.rate * PER_DAY };
            (cam_id(n), Camera { terms: c.terms, recorded: c.recorded.then_some(recorded) })
        };
        let volume = |(n, v): (usize, &Vol)| {
            let (floor, wanted, ample) = self.levels(n);
            let usable = v.size.saturating_sub(v.foreign).saturating_sub(wanted);
            let guests = self.footage.iter().filter(|l| l.volume == n && self.cams[l.camera].home != n);
            let guests = guests.map(|l| l.piece.bytes).sum();
            let owed = forecast(self.now, Promise::Invariant, usable, &self.residents(n)).peak.0;
            (vol_id(n), Volume { works: v.works, free: self.free(n), floor, wanted, ample, usable, owed, guests })
        };
        let mut shelves: BTreeMap<(usize, usize), Vec<Piece>> = BTreeMap::new();
        for lies in &self.footage {
            shelves.entry((lies.camera, lies.volume)).or_default().push(lies.piece);
        }
        let shelf = |((c, v), pieces)| Shelf { camera: cam_id(c), volume: vol_id(v), pieces };
        State {
            now: self.now,
            promise: self.promise,
            cameras: self.cams.iter().enumerate().map(camera).collect(),
            volumes: self.vols.iter().enumerate().map(volume).collect(),
            shelves: shelves.into_iter().map(shelf).collect(),
        }
    }

    /// The residents of a volume as the forecast sees them.
    pub(super) fn residents(&self, volume: usize) -> Vec<Account> {
        let account = |(n, c): (usize, &Cam)| {
            let mut account = Account {
                camera: cam_id(n),
                terms: c.terms,
                resident: true,
                per_day: if c.recorded { c.rate * PER_DAY } else { 0 },
                by_age: Vec::new(),
                held: 0,
                held_ahead: Vec::new(),
            };
            for lies in self.footage.iter().filter(|l| l.volume == volume && l.camera == n) {
                if lies.piece.held {
                    account.held += lies.piece.bytes;
                    continue;
                }
                let age = usize::try_from(self.now.since(lies.piece.span.end) / DAY_NS).unwrap();
                account.by_age.resize(account.by_age.len().max(age + 1), 0);
                account.by_age[age] += lies.piece.bytes;
            }
            account
        };
        self.cams.iter().enumerate().filter(|(_, c)| c.home == volume).map(account).collect()
    }

    /// Carries a decision out.
    pub(super) fn carry_out(&mut self, decision: Decision) {
        for gone in &decision.retire {
            let before = self.footage.len();
            self.footage.retain(|l| l.piece.segment != gone.piece.segment);
            assert_eq!(self.footage.len() + 1, before, "what goes was there");
        }
        self.admission = decision.admission;
    }
}
