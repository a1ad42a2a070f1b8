//! Which footage belongs into a backup, from the index.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    error::BackupError,
    item::Item,
    manifest::FootageLine,
    record::{Content, Kind},
};
use crate::{
    store::index::{Reader, SegmentRow, SegmentState},
    types::{CameraId, SegmentId, Span, StreamKey, VolumeName},
};

/// Footage that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of which camera, by the id that the index has.
    pub camera: CameraId,
    /// Which time.
    pub span: Span,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Segments, camera by camera, each from the oldest on.
    pub items: Vec<Item>,
    /// Segments that are being written: they come with the next backup.
    pub open: u64,
    /// What cannot be backed up, one line each.
    pub missing: Vec<String>,
}

/// Finds every segment that touches a wanted span. `roots`: where the volumes are.
pub fn find(
    index: &Reader,
    roots: &dyn Fn(&VolumeName) -> Option<PathBuf>,
    wanted: &[Wanted],
) -> Result<Found, BackupError> {
    let mut found = Found::default();
    for stream in index.streams()? {
        let key = stream.key;
        let spans = wanted.iter().filter(|w| w.camera == key.camera).map(|w| w.span);
        let mut rows: BTreeMap<SegmentId, Vec<SegmentRow>> = BTreeMap::new();
        let mut open: BTreeSet<SegmentId> = BTreeSet::new();
        for span in spans {
            for row in index.segments(key.id, span)? {
                if row.state == SegmentState::Open {
                    open.insert(row.id);
                    continue;
                }
                let copies = rows.entry(row.id).or_default();
                if !copies.contains(&row) {
                    copies.push(row);
                }
            }
        }
        found.open += open.iter().filter(|id| !rows.contains_key(id)).count() as u64;
        let mut segments: Vec<Vec<SegmentRow>> = rows.into_values().collect();
        segments.sort_by_key(|copies| copies.first().map(|row| row.span.start));
        for copies in &segments {
            take(&key, copies, roots, &mut found);
        }
    }
    Ok(found)
}

fn take(key: &StreamKey, copies: &[SegmentRow], roots: &dyn Fn(&VolumeName) -> Option<PathBuf>, found: &mut Found) {
    // The longest first: a copy whose disk failed ends earlier.
    let Some(row) = copies.first() else { return };
    let same = copies.iter().filter(|c| c.bytes == row.bytes);
    let files = same.filter_map(|c| Some(roots(&c.volume)?.join(&c.path))).collect();
    let line = FootageLine { camera: key.camera.clone(), stream: key.kind, span: row.span, volume: row.volume.clone() };
    match Item::segment(row.id, row.bytes, &row.path, files, line, row.root) {
        Ok(item) => found.items.push(item),
        Err(e) => found.missing.push(format!("{}: {e}", row.path)),
    }
}

/// The content of a backup in a few lines: footage by stream, everything else by kind. Of each file its kind, footage and bytes.
pub fn contents<'a>(files: impl Iterator<Item = (Kind, Option<&'a FootageLine>, u64)>) -> Vec<Content> {
    let mut all: Vec<Content> = Vec::new();
    for (kind, footage, bytes) in files {
        let (camera, stream) = (footage.map(|f| &f.camera), footage.map(|f| f.stream));
        let same = |c: &&mut Content| c.kind == kind && c.camera.as_ref() == camera && c.stream == stream;
        let span = footage.map(|f| f.span);
        if let Some(line) = all.iter_mut().find(same) {
            line.files += 1;
            line.bytes += bytes;
            line.span = line.span.zip(span).map(|(a, b)| Span { start: a.start.min(b.start), end: a.end.max(b.end) });
        } else {
            let camera = camera.cloned();
            all.push(Content { kind, camera, stream, span, files: 1, bytes });
        }
    }
    all.sort_by(|a, b| {
        let order = |c: &Content| Kind::ALL.iter().position(|k| *k == c.kind);
        (order(a), &a.camera, a.stream).cmp(&(order(b), &b.camera, b.stream))
    });
    all
}
