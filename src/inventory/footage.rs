//! A first look at a mounted volume: its marker, and how new its footage is. Both are described in docs/ref/format.md.

use std::{collections::BTreeSet, fs, path::Path};

use super::content::Marker;
use crate::types::WallNs;

const MARKER: &str = "custodian-volume.json";
const FOOTAGE: &str = "footage";

/// The marker in a mounted file system's root, if there is one that can be read.
pub(super) fn marker(root: &Path) -> Option<Marker> {
    serde_json::from_slice(&fs::read(root.join(MARKER)).ok()?).ok()
}

fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect()
}

/// The folders of days of all streams.
fn days(root: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let cameras = entries(&root.join(FOOTAGE));
    let streams = cameras.into_iter().flat_map(|camera| entries(&camera));
    streams.flat_map(|stream| entries(&stream)).filter(|day| day.is_dir())
}

/// When a file was last written to.
fn written(path: &Path) -> Option<WallNs> {
    let at = fs::metadata(path).ok()?.modified().ok()?;
    jiff::Timestamp::try_from(at).ok().map(WallNs::from)
}

/// When the newest footage was written. Only the last day that has any is looked through.
pub(super) fn newest(root: &Path) -> Option<WallNs> {
    let all: BTreeSet<(std::ffi::OsString, std::path::PathBuf)> =
        days(root).filter_map(|day| Some((day.file_name()?.to_owned(), day.clone()))).collect();
    let mut day = None;
    let mut newest = None;
    for (name, path) in all.into_iter().rev() {
        if newest.is_some() && day.as_ref() != Some(&name) {
            break;
        }
        newest = newest.max(entries(&path).iter().filter_map(|file| written(file)).max());
        day = Some(name);
    }
    newest
}

/// How much footage a volume holds, for people who are about to lose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footage {
    /// On how many days there is some.
    pub days: usize,
    /// When the newest was written.
    pub newest: Option<WallNs>,
}

/// Looks through a mounted volume.
pub fn footage_in(root: &Path) -> Footage {
    let days = days(root).filter_map(|day| day.file_name().map(ToOwned::to_owned)).collect::<BTreeSet<_>>().len();
    Footage { days, newest: newest(root) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_the_newest_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(footage_in(root), Footage::default());
        for (camera, day, seconds) in [("a", "2026-01-01", 10), ("a", "2026-01-02", 20), ("b", "2026-01-02", 30)] {
            let mut at = root.join(FOOTAGE);
            for part in [camera, "main", day] {
                let _ = fs::create_dir(&at);
                at = at.join(part);
            }
            fs::create_dir(&at).unwrap();
            let file = fs::File::create(at.join("x.mp4")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
        }
        assert_eq!(footage_in(root), Footage { days: 2, newest: Some(WallNs(30_000_000_000)) });
        assert_eq!(marker(root), None);
    }
}
