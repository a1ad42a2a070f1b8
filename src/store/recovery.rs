//! What earlier recording left: found quickly at the start, mended and indexed behind the recorder's back.
//!
//! [`look`] runs before recording starts and only reads: the newest footage of each stream, so that the timeline cannot overlap
//! itself, and why it ended. [`reconcile`] runs beside recording: it closes torn files, gives the index what it lacks, and takes
//! out what is no more. Rebuilding an index is reconciling an empty one.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, IoSlice},
    path::{Path, PathBuf},
};

use super::{
    format::{self, FormatError, SegmentFile, Verify},
    index::{HOLE_NS, IndexError, Reader, RunRow, SegmentRow, SegmentState},
    layout,
    volume::Volume,
};
use crate::{
    sys::Disk,
    types::{CameraId, GapBefore, SegmentId, Span, StreamKey, StreamKind, VolumeName, WallNs},
};

/// What a stream had when the recorder stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Before {
    /// Corrected end of its newest footage.
    pub last_end: Option<WallNs>,
    /// The volume with its newest footage.
    pub volume: Option<VolumeName>,
    /// The gap that it was in already.
    pub open_gap: Option<GapBefore>,
}

/// What was found of earlier recording.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Per stream.
    pub streams: Vec<(StreamKey, Before)>,
}

/// Looks for the newest footage of every stream, in the index and in the newest folder of each volume.
pub fn look(volumes: &[Volume], index: &Reader) -> Result<Found, IndexError> {
    let mut streams: HashMap<crate::types::StreamId, (StreamKey, Before)> = HashMap::new();
    let mut known: HashMap<SegmentId, SegmentRow> = HashMap::new();
    for row in index.streams()? {
        let id = row.key.id;
        let newest = index.newest(id)?;
        let open_gap = index.open_gap(id)?.map(|g| GapBefore { since: g.start, cause: g.cause });
        let before = Before {
            last_end: newest.as_ref().map(|s| s.span.end),
            volume: newest.as_ref().map(|s| s.volume.clone()),
            open_gap,
        };
        known.extend(newest.map(|s| (s.id, s)));
        streams.insert(id, (row.key, before));
    }
    known.extend(index.open_segments()?.into_iter().map(|s| (s.id, s)));
    for volume in volumes {
        for path in newest_files(&volume.root) {
            let done = |s: &SegmentRow| s.state != SegmentState::Open && s.volume == volume.name;
            let is_known = layout::parse_name(&path)
                .is_some_and(|(run, seq)| known.values().any(|s| s.id.run == run && s.id.seq == seq && done(s)));
            if is_known {
                continue;
            }
            let Ok(file) = open_read(&path) else { continue };
            let Some(span) = file.span() else { continue };
            let run = &file.head.run;
            let end = span.end.offset(run.clock_correction);
            let (_, before) = streams.entry(run.stream.id).or_insert_with(|| (run.stream.clone(), Before::default()));
            if before.last_end.is_none_or(|last| last < end) {
                before.last_end = Some(end);
                before.volume = Some(volume.name.clone());
            }
        }
    }
    Ok(Found { streams: streams.into_values().collect() })
}

fn open_read(path: &Path) -> Result<SegmentFile, FormatError> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    format::read(&file, len)
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|e| e.ok().map(|e| e.path())).collect();
    found.sort();
    found
}

/// The newest file of each stream's folder.
fn newest_files(root: &Path) -> impl Iterator<Item = PathBuf> {
    stream_folders(root).0.into_iter().filter_map(|folder| {
        list(&folder)
            .into_iter()
            .rev()
            .find_map(|day| list(&day).into_iter().rev().find(|f| layout::parse_name(f).is_some()))
    })
}

/// The folders of streams, and what lies beside them that is none.
fn stream_folders(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    fn named<T: std::str::FromStr>(path: &Path) -> bool {
        path.is_dir() && path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.parse::<T>().is_ok())
    }
    let (cameras, mut strangers): (Vec<_>, Vec<_>) =
        list(&root.join(layout::FOOTAGE)).into_iter().partition(|p| named::<CameraId>(p));
    let (streams, others): (Vec<_>, Vec<_>) =
        cameras.iter().flat_map(|c| list(c)).partition(|p| named::<StreamKind>(p));
    strangers.extend(others);
    (streams, strangers)
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
    /// Rows whose file is no more.
    pub gone: u64,
    /// Files that are not ours or can't be read; left alone, with the reason.
    pub foreign: Vec<String>,
}

/// One finding of [`reconcile`], for the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A segment with its run.
    Segment(Box<(RunRow, SegmentRow)>),
    /// A row without a file.
    Gone(SegmentId, VolumeName),
}

/// Compares a volume's files with the rows that the index has of it.
///
/// `is_live` says which runs are being written right now: their files are left alone. It is asked again for each file, after
/// the file was seen. Removes nothing but files in which nothing was ever written.
pub fn reconcile(
    disk: &dyn Disk,
    volume: &Volume,
    rows: Vec<SegmentRow>,
    is_live: &dyn Fn(crate::types::RunId) -> bool,
    found: &mut dyn FnMut(Finding),
) -> Reconciled {
    let mut report = Reconciled::default();
    let mut rows: HashMap<(crate::types::RunId, u32), SegmentRow> =
        rows.into_iter().map(|r| ((r.id.run, r.id.seq), r)).collect();
    let (streams, strangers) = stream_folders(&volume.root);
    for folder in streams {
        let (days, others): (Vec<_>, Vec<_>) = list(&folder).into_iter().partition(|d| d.is_dir());
        for path in others.into_iter().chain(days.iter().flat_map(|day| list(day))) {
            let Some(name) = layout::parse_name(&path) else {
                report.foreign.push(format!("{}: not a segment's name", path.display()));
                continue;
            };
            let row = rows.remove(&name);
            if is_live(name.0) {
                report.segments += 1;
                continue;
            }
            if row.as_ref().is_some_and(|r| r.state != SegmentState::Open) {
                report.segments += 1;
                continue;
            }
            match mend(disk, volume, &path, row.as_ref()) {
                Ok(Some((run, segment))) => {
                    report.segments += 1;
                    report.added += u64::from(row.is_none());
                    report.recovered += u64::from(segment.state == SegmentState::Recovered);
                    found(Finding::Segment(Box::new((run, segment))));
                }
                Ok(None) => {
                    if let Some(row) = row {
                        report.gone += 1;
                        found(Finding::Gone(row.id, row.volume));
                    }
                }
                Err(e) => report.foreign.push(format!("{}: {e}", path.display())),
            }
        }
    }
    report.foreign.extend(strangers.iter().map(|s| format!("{}: not a camera's or a stream's folder", s.display())));
    // A volume without its footage folder is not looked at as if everything had been removed.
    if volume.root.join(layout::FOOTAGE).is_dir() {
        for row in rows.into_values().filter(|r| !is_live(r.id.run)) {
            report.gone += 1;
            found(Finding::Gone(row.id, row.volume));
        }
    }
    report
}

/// Reads a segment; closes it if it is torn. `None` for a file in which nothing was ever written, which is removed.
fn mend(
    disk: &dyn Disk,
    volume: &Volume,
    path: &Path,
    row: Option<&SegmentRow>,
) -> Result<Option<(RunRow, SegmentRow)>, FormatError> {
    let file = File::open(path)?;
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
    let segment = if segment.closed.is_some() {
        segment
    } else {
        // What was committed is whole; what came after it may be anything that has the shape of a fragment.
        let segment = format::scan(&file, len, Verify::From(row.map_or(0, |r| r.bytes)))?;
        close_torn(disk, path, &segment)?;
        segment
    };
    Ok(rows_of(volume, path, &segment))
}

/// Cuts the torn tail and writes the closing boxes, marked as recovered. A second run finds a closed file, or the same torn one.
fn close_torn(disk: &dyn Disk, path: &Path, segment: &SegmentFile) -> io::Result<()> {
    let file = disk.open(path)?;
    let end = segment.fragments.last().map_or(segment.head_len, format::FragmentEntry::end);
    file.truncate(end)?;
    file.write_at(&[IoSlice::new(&format::CloseBuilder::from_file(segment).finish(true))], end)?;
    file.sync()
}

/// The rows that describe a closed file.
fn rows_of(volume: &Volume, path: &Path, segment: &SegmentFile) -> Option<(RunRow, SegmentRow)> {
    let raw = segment.span()?;
    let run = &segment.head.run;
    let by = |t: WallNs| t.offset(run.clock_correction);
    let recovered = segment.closed.as_ref().is_none_or(|c| c.recovered);
    let sum = |f: fn(&format::FragmentEntry) -> u32| segment.fragments.iter().map(|e| u64::from(f(e))).sum();
    let row = SegmentRow {
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
            .filter(|hole| hole.len_ns() > HOLE_NS)
            .collect(),
        root: Some(format::root(&segment.head.digest, &segment.fragments)),
    };
    Some((RunRow::from(run), row))
}
