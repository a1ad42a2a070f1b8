//! Where a segment lies below its volume's root, and what its name says.

use std::path::Path;

use crate::types::{CameraId, RunId, StreamKind, WallNs};

/// The folder below a volume's root that holds all footage.
pub const FOOTAGE: &str = "footage";

/// `footage/<camera>/<stream>/<YYYY-MM-DD>` for a segment that begins at `start` (uncorrected, UTC).
pub fn day_folder(camera: &CameraId, kind: StreamKind, start: WallNs) -> String {
    format!("{FOOTAGE}/{camera}/{kind}/{}", start.timestamp().strftime("%Y-%m-%d"))
}

/// The path of a segment relative to its volume's root. `start` is the segment's uncorrected start.
///
/// `footage/gate-1/main/2026-11-22/20261122T081500.120Z-<run>-000003.mp4`
pub fn segment_path(camera: &CameraId, kind: StreamKind, start: WallNs, run: RunId, seq: u32) -> String {
    format!(
        "{}/{}-{run}-{seq:06}.mp4",
        day_folder(camera, kind, start),
        start.timestamp().strftime("%Y%m%dT%H%M%S.%3fZ")
    )
}

/// The camera, by its name at the time, and its stream, as a path relative to a volume's root states them.
pub fn stream_of(path: &str) -> Option<(CameraId, StreamKind)> {
    let mut parts = path.strip_prefix(FOOTAGE)?.strip_prefix('/')?.split('/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The uncorrected start that a file name states, whole milliseconds of it.
pub fn parse_start(name: &Path) -> Option<WallNs> {
    let start = name.file_name()?.to_str()?.get(..20)?;
    Some(
        jiff::fmt::strtime::parse("%Y%m%dT%H%M%S%.3fZ", start)
            .ok()?
            .to_datetime()
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .into(),
    )
}

/// Run and number that a file name states; nothing for a name that is not a segment's.
pub fn parse_name(name: &Path) -> Option<(RunId, u32)> {
    let stem = name.file_name()?.to_str()?.strip_suffix(".mp4")?;
    let mut parts = stem.splitn(3, '-');
    let (start, run, seq) = (parts.next()?, parts.next()?, parts.next()?);
    if start.len() != 20 || !start.ends_with('Z') || seq.len() < 6 {
        return None;
    }
    Some((run.parse().ok()?, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_and_which() {
        let run = RunId::from_bytes([7; 16]);
        let path =
            segment_path(&"gate-1".parse().unwrap(), StreamKind::Main, WallNs(1_795_337_700_120_999_999), run, 3);
        assert_eq!(
            path,
            "footage/gate-1/main/2026-11-22/20261122T085500.120Z-07070707070707070707070707070707-000003.mp4"
        );
        assert_eq!(parse_name(Path::new(&path)), Some((run, 3)));
        assert_eq!(stream_of(&path), Some(("gate-1".parse().unwrap(), StreamKind::Main)));
        assert_eq!(stream_of("footage/gate-1"), None);
        assert_eq!(parse_start(Path::new(&path)), Some(WallNs(1_795_337_700_120_000_000)));
        assert_eq!(parse_start(Path::new("holiday-video-of-the-year.mp4")), None);
        assert_eq!(parse_name(Path::new("holiday-video-1.mp4")), None);
    }
}
