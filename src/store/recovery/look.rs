//! The look before recording begins: it only reads, and little.

use std::{
    collections::HashSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{list, stream_folders};
use crate::{
    store::{
        format::{self, FormatError, SegmentFile},
        identity::{self, Trace},
        index::{IndexError, Reader, SegmentState},
        layout,
        volume::Volume,
    },
    types::{GapBefore, RecorderId, RunId, StreamKind, VolumeName, WallNs},
};

/// Files that are opened in search of a stream's newest footage. Those that cannot be read or hold nothing come first if at all.
const TRIES: usize = 8;

/// What the index says.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Of each stream.
    pub traces: Vec<Trace>,
    /// Closed files that need not be opened to know what is in them.
    done: HashSet<(RunId, u32, VolumeName)>,
}

/// Asks the index for all streams and their newest footage.
pub fn known(index: &Reader) -> Result<Known, IndexError> {
    let mut known = Known::default();
    for row in index.streams()? {
        let id = row.key.id;
        let newest = index.newest(id)?;
        if let Some(s) = newest.as_ref().filter(|s| s.state != SegmentState::Open) {
            known.done.insert((s.id.run, s.id.seq, s.volume.clone()));
        }
        let first = index.oldest(id)?;
        known.traces.push(Trace {
            named: WallNs::MAX,
            since: first,
            own: true,
            newest: newest.map(|s| (s.span.end, s.volume)),
            open_gap: index.open_gap(id)?.map(|g| GapBefore { since: g.start, cause: g.cause }),
            key: row.key,
        });
    }
    Ok(known)
}

/// Looks for all streams of a volume: in the file that names them, and at the newest footage of each.
pub fn look(volume: &Volume, recorder: &RecorderId, known: &Known) -> Vec<Trace> {
    let mut traces = named(volume);
    for folder in stream_folders(&volume.root, &mut |_| ()).0 {
        let Some(kind) = folder.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<StreamKind>().ok()) else {
            continue;
        };
        for path in newest_files(&folder).take(TRIES) {
            let is_known = layout::parse_name(&path)
                .is_some_and(|(run, seq)| known.done.contains(&(run, seq, volume.name.clone())));
            if is_known {
                break;
            }
            if let Some(trace) = open_read(&path).ok().and_then(|file| trace_of(&file, &volume.name, recorder)) {
                let since = oldest_file(&folder).and_then(|f| layout::parse_start(&f)).or(trace.since);
                debug_assert_eq!(trace.key.kind, kind);
                traces.push(Trace { since, ..trace });
                break;
            }
        }
    }
    traces
}

fn named(volume: &Volume) -> Vec<Trace> {
    let path = volume.root.join(identity::FILE);
    let parsed = match fs::read(&path) {
        Ok(text) => identity::parse(&text),
        // A volume that nothing was ever recorded on.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => Err(e.to_string()),
    };
    parsed.unwrap_or_else(|e| {
        log::warn!(VOLUME = volume.name.as_str(), FILE:% = path.display(), CAUSE:% = e; "{} is not used: {e}; it is written anew", path.display());
        Vec::new()
    })
}

fn trace_of(file: &SegmentFile, volume: &VolumeName, recorder: &RecorderId) -> Option<Trace> {
    let run = &file.head.run;
    let end = file.span()?.end.offset(run.clock_correction);
    Some(Trace {
        key: run.stream.clone(),
        named: end,
        since: Some(run.start),
        own: run.recorder == *recorder,
        newest: Some((end, volume.clone())),
        open_gap: None,
    })
}

fn open_read(path: &Path) -> Result<SegmentFile, FormatError> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    format::read(&file, len)
}

/// A stream's files, the newest first.
fn newest_files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let days = list(folder).unwrap_or_default().into_iter().rev();
    days.flat_map(|day| list(&day).unwrap_or_default().into_iter().rev().filter(|f| layout::parse_name(f).is_some()))
}

fn oldest_file(folder: &Path) -> Option<PathBuf> {
    let days = list(folder).ok()?.into_iter();
    days.flat_map(|day| list(&day).unwrap_or_default()).find(|f| layout::parse_name(f).is_some())
}
