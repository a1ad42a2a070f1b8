//! What earlier recording left: found quickly at the start, mended and indexed behind the recorder's back.
//!
//! [`look()`] runs before anything is recorded on a volume and only reads: whose its streams are, and the newest footage of each, so that
//! the timeline cannot overlap itself. [`reconcile`] runs beside recording: it closes torn files, gives the index what it lacks, and takes
//! out what is no more. Rebuilding an index is reconciling an empty one.
//!
//! What cannot be read is not taken for gone: a row leaves the index only if the file is proven not to be there, on a volume that
//! is proven to be the right one.

mod look;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, IoSlice},
    path::{Path, PathBuf},
};

use jiff::civil::Date;
pub use look::{Known, known, look};

use super::{
    format::{self, FormatError, FragmentEntry, SegmentFile, Verify},
    index::{HOLE_NS, RunRow, SegmentRow, SegmentState},
    layout,
    volume::{self, Volume},
};
use crate::{
    sys::{Disk, forget_cached},
    types::{CameraId, RunId, SegmentId, Span, StreamKind, VolumeName, WallNs},
};

/// The entries of a folder, by name.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// The folders of streams, and what lies beside them that is none. Says of folders that they cannot be read.
fn stream_folders(root: &Path, unreadable: &mut dyn FnMut(String)) -> (Vec<PathBuf>, Vec<PathBuf>) {
    fn named<T: std::str::FromStr>(path: &Path) -> bool {
        path.is_dir() && path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.parse::<T>().is_ok())
    }
    let mut list = |dir: &Path| {
        list(dir).unwrap_or_else(|e| {
            unreadable(format!("{}: {e}", dir.display()));
            Vec::new()
        })
    };
    let (cameras, mut strangers): (Vec<_>, Vec<_>) =
        list(&root.join(layout::FOOTAGE)).into_iter().partition(|p| named::<CameraId>(p));
    let (streams, others): (Vec<_>, Vec<_>) =
        cameras.iter().flat_map(|c| list(c)).partition(|p| named::<StreamKind>(p));
    strangers.extend(others);
    (streams, strangers)
}

/// Folders of days, by their names, in which there is nothing.
pub(super) fn empty_days(root: &Path) -> Vec<PathBuf> {
    let is_day = |path: &PathBuf| {
        path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.len() == 10 && n.parse::<Date>().is_ok())
    };
    let days = stream_folders(root, &mut |_| ()).0.into_iter().flat_map(|stream| list(&stream).unwrap_or_default());
    days.filter(|day| is_day(day) && list(day).is_ok_and(|files| files.is_empty())).collect()
}

/// What reconciling a volume with the index did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Segments that are on the volume.
    pub segments: u64,
    /// Of those, the ones that the index did not have.
    pub added: u64,
    /// Torn files that were closed.
    pub recovered: u64,
    /// Rows whose file is no more, though retention has not removed it.
    pub gone: u64,
    /// What had been committed and is there no more, in words: footage that was lost.
    pub lost: Vec<String>,
    /// Files that are damaged in their middle, in words. They are indexed and left as they are: verifying says what is in them.
    pub damaged: Vec<String>,
    /// Files that are not ours or can't be read; left alone, with the reason.
    pub foreign: Vec<String>,
}

/// One finding of [`reconcile`], for the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A segment with its run.
    Segment(Box<(RunRow, SegmentRow)>),
    /// A row without a file; with its span, if retention has not removed it.
    Gone(SegmentId, VolumeName, Option<Span>),
}

/// What [`reconcile`] asks of the recorder at work beside it.
pub trait Beside {
    /// Whether a run is being written right now: its files are left alone. Asked for each file after the file was seen.
    fn is_live(&self, run: RunId) -> bool;
    /// Whether to go on. If not, what was found until then stands.
    fn go_on(&self) -> bool;
    /// A finding, for the index.
    fn found(&mut self, finding: Finding);
}

/// Compares a volume's files with the rows that the index has of it. Removes nothing but files in which nothing was ever written, and
/// cuts nothing off behind which there is footage.
pub fn reconcile(disk: &dyn Disk, volume: &Volume, rows: Vec<SegmentRow>, beside: &mut dyn Beside) -> Reconciled {
    let mut report = Reconciled::default();
    let mut rows: HashMap<(RunId, u32), SegmentRow> = rows.into_iter().map(|r| ((r.id.run, r.id.seq), r)).collect();
    let mut unreadable = Vec::new();
    let (streams, strangers) = stream_folders(&volume.root, &mut |why| unreadable.push(why));
    let mut days = Vec::new();
    for folder in &streams {
        match list(folder) {
            // What lies beside the days is looked at as if it lay in one.
            Ok(entries) => days.extend(entries),
            Err(e) => unreadable.push(format!("{}: {e}", folder.display())),
        }
    }
    for day in days {
        let files = match list(&day) {
            Ok(files) => files,
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => vec![day],
            Err(e) => {
                unreadable.push(format!("{}: {e}", day.display()));
                continue;
            }
        };
        for path in files {
            if !beside.go_on() {
                return report;
            }
            let Some(name) = layout::parse_name(&path) else {
                report.foreign.push(format!("{}: not a segment's name", path.display()));
                continue;
            };
            let row = rows.remove(&name);
            if beside.is_live(name.0) || row.as_ref().is_some_and(|r| is_as_it_was(r, &path)) {
                report.segments += 1;
                continue;
            }
            match mend(disk, volume, &path, name, row.as_ref()) {
                Ok(Some(Mended { run, segment, playable, is_left })) => {
                    if let Some(row) = row.as_ref().filter(|r| r.span.end > playable) {
                        let seconds = row.span.end.since(playable) as f64 / 1e9;
                        report.lost.push(format!("{}: its last {seconds:.1} s", path.display()));
                    }
                    if is_left {
                        let seconds = segment.span.end.since(playable) as f64 / 1e9;
                        let path = path.display();
                        report
                            .damaged
                            .push(format!("{path}: it is damaged, and its last {seconds:.1} s cannot be played"));
                    }
                    report.segments += 1;
                    report.added += u64::from(row.is_none());
                    report.recovered += u64::from(segment.state == SegmentState::Recovered && !is_left);
                    beside.found(Finding::Segment(Box::new((run, segment))));
                }
                Ok(None) => report.no_more(row, beside),
                Err(e) => {
                    report.foreign.push(format!("{}: {e}", path.display()));
                    // What could not be read may be as it was. What was read and is no segment, or another one, is none of ours any more.
                    if matches!(e, FormatError::NoHead | FormatError::Foreign(_) | FormatError::DamagedHead(_)) {
                        report.no_more(row, beside);
                    }
                }
            }
        }
    }
    report.foreign.extend(strangers.iter().map(|s| format!("{}: not a camera's or a stream's folder", s.display())));
    report.foreign.append(&mut unreadable);
    for row in gone(disk, volume, rows.into_values().filter(|r| !beside.is_live(r.id.run)), &mut report.foreign) {
        report.no_more(Some(row), beside);
    }
    report
}

impl Reconciled {
    fn no_more(&mut self, row: Option<SegmentRow>, beside: &mut dyn Beside) {
        let Some(row) = row else { return };
        let lost = row.state != SegmentState::Retiring;
        if lost {
            self.gone += 1;
            self.lost.push(row.path);
        }
        beside.found(Finding::Gone(row.id, row.volume, lost.then_some(row.span)));
    }
}

/// Whether a file needs no look: it was closed, and has the length that it had then. Each byte of it is looked at by verifying.
fn is_as_it_was(row: &SegmentRow, path: &Path) -> bool {
    let same = || fs::symlink_metadata(path).map_or(true, |m| m.len() == row.bytes);
    row.state == SegmentState::Retiring || (row.state != SegmentState::Open && same())
}

/// Those rows whose files are not there, if the volume is: one that went away in the meantime, or whose folders cannot be read, has lost
/// nothing by that.
fn gone(
    disk: &dyn Disk,
    volume: &Volume,
    rows: impl Iterator<Item = SegmentRow>,
    doubts: &mut Vec<String>,
) -> Vec<SegmentRow> {
    let mut gone = Vec::new();
    for row in rows {
        let path = volume.root.join(&row.path);
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => gone.push(row),
            Ok(_) => doubts.push(format!("{}: its folder does not list it", path.display())),
            Err(e) => doubts.push(format!("{}: {e}", path.display())),
        }
    }
    if gone.is_empty() {
        return gone;
    }
    let there = volume::open(disk, &volume.name, &volume.root, Some(&volume.marker.id.to_string()))
        .is_ok_and(|now| now.file_system == volume.file_system)
        && volume.root.join(layout::FOOTAGE).is_dir();
    if !there {
        doubts.push(format!("{}: it went away while it was looked at", volume.root.display()));
        gone.clear();
    }
    gone
}

/// A segment that was looked into.
struct Mended {
    run: RunRow,
    segment: SegmentRow,
    /// Up to where it can be played.
    playable: WallNs,
    /// Whether it is damaged, and left as it is.
    is_left: bool,
}

/// Reads a segment; closes it if it is torn. `None` for a file in which nothing was ever written, which is removed.
fn mend(
    disk: &dyn Disk,
    volume: &Volume,
    path: &Path,
    name: (RunId, u32),
    row: Option<&SegmentRow>,
) -> Result<Option<Mended>, FormatError> {
    let file = File::open(path)?;
    if row.is_some() {
        // It was open when its volume failed, or the recorder did. What memory has of it may never have come to the disk.
        forget_cached(&file)?;
    }
    let len = file.metadata()?.len();
    let segment = match format::read(&file, len) {
        Ok(segment) => segment,
        // Created, and killed before the first write arrived.
        Err(FormatError::NoHead) if len == 0 => {
            disk.remove(path)?;
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    if (segment.head.run.id, segment.head.seq) != name {
        return Err(FormatError::Foreign("what is in it is another segment than its name says"));
    }
    if segment.closed.is_some() {
        return Ok(rows_of(volume, path, &segment, &[]));
    }
    // What was committed is whole; what came after it may be anything that has the shape of a fragment.
    let segment = format::scan(&file, len, Verify::From(row.map_or(0, |r| r.bytes)))?;
    let behind = behind(&file, &segment, len)?;
    if behind.is_empty() {
        close_torn(disk, path, &segment)?;
    }
    Ok(rows_of(volume, path, &segment, &behind))
}

/// Where the fragments end that can be read one after the other.
fn end_of(segment: &SegmentFile) -> u64 {
    segment.fragments.last().map_or(segment.head_len, FragmentEntry::end)
}

/// How much is read for nothing behind a damaged place, as a multiple of the file, before it is left alone unjudged.
const PATIENCE: u64 = 4;

/// Whole fragments of a file behind the place where its walk came to an end: footage, which nobody must cut off.
fn behind(file: &File, segment: &SegmentFile, len: u64) -> Result<Vec<FragmentEntry>, FormatError> {
    let (mut at, mut patience, mut found) = (end_of(segment), len.saturating_mul(PATIENCE), Vec::new());
    while let Some(next) = format::find_fragment(file, at, len)? {
        match format::check(file, segment.head.segment(), next, len) {
            Ok(read) if read.leaf == read.entry.leaf => {
                at = read.entry.end();
                found.push(read.entry);
                continue;
            }
            Ok(read) => patience = patience.saturating_sub(read.entry.len),
            Err(FormatError::Fragment { .. }) => patience = patience.saturating_sub(1 << 10),
            Err(e) => return Err(e),
        }
        if patience == 0 {
            return Err(io::Error::other("it is damaged, and too much in it looks like footage and is none").into());
        }
        at = next + 1;
    }
    Ok(found)
}

/// Cuts the torn tail and writes the closing boxes, marked as recovered. A second run finds a closed file, or the same torn one.
fn close_torn(disk: &dyn Disk, path: &Path, segment: &SegmentFile) -> io::Result<()> {
    let file = disk.open(path)?;
    let end = end_of(segment);
    file.truncate(end)?;
    file.write_at(&[IoSlice::new(&format::CloseBuilder::from_file(segment).finish(true))], end)?;
    file.sync()
}

/// The rows that describe a file. What lies behind a damaged place belongs to it, and is a hole, for it cannot be played.
fn rows_of(volume: &Volume, path: &Path, segment: &SegmentFile, behind: &[FragmentEntry]) -> Option<Mended> {
    let (first, last) = (behind.first().map(|f| f.span.start), behind.iter().map(|f| f.span.end).max());
    let read = segment.span().or_else(|| first.map(|start| Span { start, end: start }))?;
    let raw = Span { end: last.map_or(read.end, |last| last.max(read.end)), ..read };
    let run = &segment.head.run;
    let by = |t: WallNs| t.offset(run.clock_correction);
    let recovered = segment.closed.as_ref().is_none_or(|c| c.recovered);
    let sum = |f: fn(&FragmentEntry) -> u32| segment.fragments.iter().map(|e| u64::from(f(e))).sum();
    let playable = by(read.end);
    let segment_row = SegmentRow {
        id: segment.head.segment(),
        volume: volume.name.clone(),
        path: path.strip_prefix(&volume.root).unwrap_or(path).to_string_lossy().into_owned(),
        span: Span { start: by(raw.start), end: by(raw.end) },
        raw_start: raw.start,
        clock_correction: run.clock_correction,
        bytes: fs::metadata(path).map(|m| m.len()).unwrap_or_default(),
        frames: sum(|e| e.video_samples),
        lost_packets: sum(|e| e.lost_packets),
        state: if recovered { SegmentState::Recovered } else { SegmentState::Closed },
        holes: (segment.fragments.windows(2))
            .map(|w| Span { start: by(w[0].span.end), end: by(w[1].span.start) })
            .chain([Span { start: playable, end: by(raw.end) }])
            .filter(|hole| hole.len_ns() > HOLE_NS)
            .collect(),
        root: Some(format::root(&segment.head.digest, &segment.fragments)),
    };
    Some(Mended { run: RunRow::from(run), segment: segment_row, playable, is_left: !behind.is_empty() })
}
