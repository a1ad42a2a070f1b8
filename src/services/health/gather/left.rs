//! What others have left for health: the recorder after each commit, root's look, verification.

use std::{collections::BTreeMap, path::Path};

use serde::de::DeserializeOwned;

use crate::{
    health::facts::{RootLook, Verified},
    services::verify,
    sys::Files,
    types::{CameraId, StreamKind, VolumeName, WallNs, wire::health::Committed},
};

/// Nobody leaves more than this.
const MOST: usize = 4 << 20;
/// Version of root's look that is understood.
const LOOK_FORMAT: u16 = 1;

/// What a file says. One that cannot be read or understood says nothing.
fn read<T: DeserializeOwned>(files: &dyn Files, path: &Path) -> Option<T> {
    let found = match files.find(path, MOST) {
        Ok(found) => found?.bytes,
        Err(e) => Err(e),
    };
    let read =
        found.map_err(|e| e.to_string()).and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
    read.inspect_err(|e| log::debug!("{} says nothing: {e}", path.display())).ok()
}

/// How far each volume is committed.
pub(super) fn commits(files: &dyn Files, dir: &Path) -> BTreeMap<VolumeName, Committed> {
    let names = files.list(dir).unwrap_or_default();
    let one = |name: &String| {
        let volume = name.strip_suffix(".json")?;
        let committed: Committed = read(files, &dir.join(name))?;
        (committed.volume.as_str() == volume).then(|| (committed.volume.clone(), committed))
    };
    names.iter().filter_map(one).collect()
}

/// How far each stream is, on whichever volume that is furthest.
pub(super) fn newest(commits: &BTreeMap<VolumeName, Committed>) -> BTreeMap<(CameraId, StreamKind), WallNs> {
    let mut newest = BTreeMap::new();
    for stream in commits.values().flat_map(|c| &c.streams) {
        let end = newest.entry((stream.camera.clone(), stream.stream)).or_insert(stream.newest);
        *end = stream.newest.max(*end);
    }
    newest
}

/// What root has seen; none: nothing since the machine started, or by a version that is not understood.
pub(super) fn root(files: &dyn Files, path: &Path) -> Option<RootLook> {
    read::<RootLook>(files, path).filter(|look| look.format == LOOK_FORMAT)
}

/// The verification that ended last.
pub(super) fn verified(files: &dyn Files, path: &Path) -> Option<Verified> {
    let last: verify::Last = read(files, path)?;
    let report = last.report;
    Some(Verified {
        at: report.ended,
        segments: report.segments,
        damaged: report.found + u64::from(report.ledger_problem.is_some()),
        complete: report.is_complete(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::FakeFiles;

    #[test]
    fn the_furthest_volume_counts_and_nonsense_says_nothing() {
        let (files, dir) = (FakeFiles::new(), Path::new("/commit"));
        assert!(commits(&files, dir).is_empty(), "nobody has committed");
        files.make_dir(dir).unwrap();
        let write = |name: &str, text: String| files.write(&dir.join(name), text.as_bytes(), 0o644, None).unwrap();
        let left = |volume: &str, at: i64, newest: i64| {
            serde_json::json!({ "volume": volume, "at": at, "streams": [{ "camera": "gate", "stream": "main", "newest": newest }] })
                .to_string()
        };
        write("a1.json", left("a1", 7, 5));
        write("a2.json", left("a2", 9, 3));
        write("a3.json", "{".into());
        write("a4.json", left("a1", 99, 99));
        write("a5.txt", left("a5", 99, 99));
        let commits = commits(&files, dir);
        assert_eq!(commits.iter().map(|(v, c)| (v.as_str(), c.at.0)).collect::<Vec<_>>(), [("a1", 7), ("a2", 9)]);
        let newest: Vec<_> = newest(&commits).into_iter().map(|((c, s), t)| (c.to_string(), s, t.0)).collect();
        assert_eq!(newest, [("gate".to_owned(), StreamKind::Main, 5)]);
    }

    #[test]
    fn a_look_of_a_later_version_is_none() {
        let (files, path) = (FakeFiles::new(), Path::new("/look.json"));
        assert!(root(&files, path).is_none());
        let look = |format: u16| {
            let look = serde_json::json!({
                "format": format, "at": 5, "disks": {}, "generation": null, "drift": [], "backups": null, "updates": null,
            });
            files.write(path, look.to_string().as_bytes(), 0o644, None).unwrap();
            root(&files, path).map(|look| look.at.0)
        };
        assert_eq!((look(1), look(2)), (Some(5), None));
    }

    #[test]
    fn of_a_verification_only_figures_are_known() {
        let (files, path) = (FakeFiles::new(), Path::new("/last.json"));
        let mut last = serde_json::json!({
            "format": 1, "min_reader": 1, "scope": "all", "began": 1, "ended": 5, "segments": 12, "bytes": 9, "found": 2,
            "findings": [{ "camera": "gate" }], "lines": ["gate: changed"], "absent": [], "interrupted": false, "ledger": 3,
            "ledger_problem": null, "unlogged": 0, "unknown_files": [],
        });
        let read = |last: &serde_json::Value| {
            files.write(path, last.to_string().as_bytes(), 0o644, None).unwrap();
            verified(&files, path)
        };
        let mut expected = Verified { at: WallNs(5), segments: 12, damaged: 2, complete: true };
        assert_eq!(read(&last), Some(expected.clone()));
        last["ledger_problem"] = "it was changed".into();
        last["interrupted"] = true.into();
        (expected.damaged, expected.complete) = (3, false);
        assert_eq!(read(&last), Some(expected));
    }
}
