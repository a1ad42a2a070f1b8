//! One segment after the other.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fs::File,
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;

use super::{
    archive::Archive,
    ask::Ask,
    ledger::Ledger,
    report::{Event, Progress, Report},
};
use crate::{
    store::{
        format::ReadAt,
        index::{Cursor, SegmentRow, SegmentState},
        verify::{Finding, Flaw, Kind, Place, Wanted, examine},
    },
    sys::{Clock, ColdFile, Pace},
    types::{BitRate, CameraId, RunId, Span, StreamKind, VolumeName, WallNs},
};

/// Longest that nobody looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);
/// How often a segment that the recorder is at work on is looked at.
const ATTEMPTS: u32 = 3;

/// What all of it takes.
pub(super) struct Verifier<'a> {
    pub(super) archive: Archive,
    pub(super) ledger: Ledger,
    pub(super) ask: &'a Ask,
    pub(super) clock: &'a dyn Clock,
    pub(super) stop: &'a AtomicBool,
    pub(super) tell: RefCell<&'a mut dyn FnMut(Event<'_>)>,
    pub(super) report: Report,
    /// Files that the ledger vouches for and the index does not know.
    pub(super) without_row: HashSet<(RunId, u32, VolumeName)>,
    pace: Pace,
    progress: Cell<Progress>,
}

/// What looking at a segment came to.
struct Looked {
    flaws: Vec<Flaw>,
    bytes: u64,
    /// Whether it waits for its entry in the ledger.
    waits: bool,
}

/// Why a segment was not looked at to its end.
enum Stopped {
    /// It is to end.
    Asked,
    /// Its volume is not there any more.
    VolumeGone,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(
        ask: &'a Ask,
        (archive, ledger): (Archive, Ledger),
        clock: &'a dyn Clock,
        stop: &'a AtomicBool,
        tell: &'a mut dyn FnMut(Event<'_>),
    ) -> Self {
        let rate = ask.rate.map(|rate| BitRate(rate.0.saturating_mul(8)));
        let report = Report::begin(ask.scope.to_string(), clock.wall());
        let (pace, progress) = (Pace::new(rate), Cell::default());
        Self {
            archive,
            ledger,
            ask,
            clock,
            stop,
            tell: RefCell::new(tell),
            report,
            without_row: HashSet::new(),
            pace,
            progress,
        }
    }

    /// How much there is to read; behind a place, if there is one.
    pub(super) fn count(&mut self, span: Span, after: Option<&Cursor>) -> anyhow::Result<()> {
        let mut progress = Progress::default();
        let span = Span { start: after.map_or(span.start, |a| a.start.max(span.start)), ..span };
        let streams: Vec<_> = self.archive.streams().collect();
        let volumes: Vec<_> = self.archive.here.keys().cloned().collect();
        for stream in streams {
            for volume in &volumes {
                let (segments, bytes) = self.archive.index.reader()?.amount(stream, volume, span)?;
                progress.of_segments += segments;
                progress.of_bytes += bytes;
            }
        }
        self.progress.set(progress);
        (self.tell.borrow_mut())(Event::Progress(progress));
        Ok(())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Looks at the segment of a row. False if it was to end before all of it was read.
    pub(super) fn segment(&mut self, mut row: SegmentRow) -> anyhow::Result<bool> {
        let mut attempt = 1;
        loop {
            let place = Place { id: row.id, volume: row.volume.clone() };
            if row.state == SegmentState::Retiring || self.ledger.vouchers.is_retired(&place) {
                return Ok(true);
            }
            let looked = match self.look(&row, &place)? {
                Ok(looked) => looked,
                Err(Stopped::Asked) => return Ok(false),
                Err(Stopped::VolumeGone) => return Ok(true),
            };
            if !looked.flaws.is_empty() {
                // The recorder may have been at work on it: it closes segments, and retires them.
                match self.archive.index.reader()?.row(row.id, &row.volume)? {
                    None => return Ok(true),
                    Some(now) if now != row && attempt < ATTEMPTS => {
                        row = now;
                        attempt += 1;
                        continue;
                    }
                    Some(_) => {}
                }
            }
            self.report.segments += 1;
            self.report.bytes += looked.bytes;
            self.report.unlogged += u64::from(looked.waits);
            let names = self.archive.names(row.id.stream).context("a segment of a stream that is not known")?;
            for flaw in looked.flaws {
                self.found(&place, names.clone(), &row.path, flaw);
            }
            self.done(looked.bytes);
            return Ok(true);
        }
    }

    /// Reports a flaw of a segment that lies there.
    pub(super) fn found(&mut self, place: &Place, names: (CameraId, StreamKind), path: &str, flaw: Flaw) {
        let ((camera, stream), Place { id, volume }) = (names, place.clone());
        let finding = Finding { camera, stream, volume, path: path.to_owned(), id, flaw };
        self.report.add(&finding);
        (self.tell.borrow_mut())(Event::Found(&finding));
    }

    /// Everything that is wrong with a segment.
    fn look(&mut self, row: &SegmentRow, place: &Place) -> anyhow::Result<Result<Looked, Stopped>> {
        let Some(volume) = self.archive.here.get(&row.volume) else { return Ok(Err(Stopped::VolumeGone)) };
        let path = volume.root.join(&row.path);
        let is_open = row.state == SegmentState::Open;
        let vouched = self.ledger.vouchers.of(place);
        let is_vouched = vouched.is_some();
        let of_it_all = |kind| vec![Flaw { span: row.span, fragment: None, kind }];
        let (mut flaws, bytes) = match self.read(&path, is_open, &Wanted::by_index(row, vouched)) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if !self.archive.is_here(&row.volume)? {
                    return Ok(Err(Stopped::VolumeGone));
                }
                (of_it_all(Kind::FileMissing), 0)
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Err(e).with_context(|| format!("this user may not read {}", path.display()));
            }
            Err(e) => (of_it_all(Kind::Unreadable { byte: 0, why: e.to_string() }), 0),
        };
        if self.is_stopped() {
            return Ok(Err(Stopped::Asked));
        }
        let mut waits = false;
        if !is_open && !is_vouched && self.ledger.entries() > 0 {
            match self.archive.index.reader()?.logged(row.id.run, row.id.seq, &row.volume)? {
                Some(entry) if self.ledger.has_read(entry) => flaws.extend(of_it_all(Kind::NotInLedger { entry })),
                Some(_) => {}
                None => waits = true,
            }
        }
        Ok(Ok(Looked { flaws, bytes, waits }))
    }

    /// Reads a file at the pace asked for.
    pub(super) fn read(&self, path: &Path, open: bool, wanted: &Wanted<'_>) -> io::Result<(Vec<Flaw>, u64)> {
        // What is being written, others read too: its pages stay in the cache.
        let (file, len): (Box<dyn ReadAt>, u64) = if open {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            (Box::new(file), len)
        } else {
            let file = ColdFile::open(path)?;
            let len = file.len();
            (Box::new(file), len)
        };
        let bytes = if open { wanted.row.map_or(len, |row| row.bytes.min(len)) } else { len };
        let paced = Paced { file, verifier: self, most: bytes, read: Cell::new(0) };
        Ok((examine(&paced, len, wanted), bytes))
    }

    /// A segment is done with.
    fn done(&self, bytes: u64) {
        let mut progress = self.progress.get();
        progress.segments += 1;
        progress.bytes += bytes;
        self.progress.set(progress);
        (self.tell.borrow_mut())(Event::Progress(progress));
    }

    /// Waits for the turn of some bytes.
    fn wait(&self, bytes: u64) -> io::Result<()> {
        let mut wait = self.pace.reserve(bytes, self.clock.monotonic());
        while !wait.is_zero() && !self.is_stopped() {
            let nap = wait.min(NAP);
            std::thread::sleep(nap);
            wait -= nap;
        }
        // What comes of it is not used.
        if self.is_stopped() { Err(io::Error::other("it is to end")) } else { Ok(()) }
    }

    /// What the time is, for the report.
    pub(super) fn now(&self) -> WallNs {
        self.clock.wall()
    }
}

/// A file that is read at the pace asked for.
struct Paced<'a, 'b> {
    file: Box<dyn ReadAt>,
    verifier: &'a Verifier<'b>,
    most: u64,
    read: Cell<u64>,
}

impl ReadAt for Paced<'_, '_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.verifier.wait(buf.len() as u64)?;
        let n = self.file.read_at(buf, offset)?;
        self.read.set(self.read.get() + n as u64);
        let mut progress = self.verifier.progress.get();
        // Some bytes are read twice, which is no progress.
        progress.bytes += self.read.get().min(self.most);
        (self.verifier.tell.borrow_mut())(Event::Progress(progress));
        Ok(n)
    }
}
