//! The parameters of requests to `media.sock`, from their raw text to types. Pure; whatever comes, the worst is a refusal.

use crate::types::{CameraId, SegmentId, Span, StreamKind, WallNs};

/// Cameras in one request for a timeline.
pub const MAX_CAMERAS: usize = 256;
/// Bytes of a query.
const MAX_QUERY: usize = 32 * 1024;

/// Why a request is refused: status 400, with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    /// One that must be there is not.
    #[error("the parameter {0:?} is missing")]
    Missing(&'static str),
    /// One that may be given once is given again.
    #[error("the parameter {0:?} is given more than once")]
    Twice(&'static str),
    /// A value that is not of its kind.
    #[error("the parameter {name:?} must be {expected}")]
    Value {
        /// Which.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// `to` before `from`.
    #[error("the parameter \"to\" lies before \"from\"")]
    Backwards,
    /// More than is answered at once.
    #[error("more is asked for than is answered at once: {0}")]
    TooMuch(&'static str),
}

/// The parameters that requests have: `camera`, `from`, `to`, `stream`, `part`,
/// `shift`. Unknown ones are ignored, so that a
/// newer page can talk to an older recorder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// In the order given, each once.
    pub cameras: Vec<CameraId>,
    from: Option<WallNs>,
    to: Option<WallNs>,
    stream: Option<StreamKind>,
    /// Which file of a clip, from 1.
    pub part: Option<u32>,
    /// By how many ticks of the video the decode times in a file move.
    pub shift: Option<i64>,
}

impl Query {
    /// Reads `a=b&c=d` (application/x-www-form-urlencoded).
    pub fn parse(raw: &str) -> Result<Self, BadParameter> {
        if raw.len() > MAX_QUERY {
            return Err(BadParameter::TooMuch("a query of at most 32 KiB"));
        }
        let mut q = Self::default();
        for (name, value) in url::form_urlencoded::parse(raw.as_bytes()) {
            match name.as_ref() {
                "camera" => {
                    let camera =
                        value.parse().map_err(|_| BadParameter::Value { name: "camera", expected: "a camera's id" })?;
                    if !q.cameras.contains(&camera) {
                        if q.cameras.len() == MAX_CAMERAS {
                            return Err(BadParameter::TooMuch("256 cameras"));
                        }
                        q.cameras.push(camera);
                    }
                }
                "from" => once(&mut q.from, "from", time("from", &value)?)?,
                "to" => once(&mut q.to, "to", time("to", &value)?)?,
                "stream" => {
                    let kind =
                        value.parse().map_err(|_| BadParameter::Value { name: "stream", expected: "main or sub" })?;
                    once(&mut q.stream, "stream", kind)?;
                }
                "part" => {
                    let part = value.parse().ok().filter(|n| *n > 0);
                    let part = part.ok_or(BadParameter::Value { name: "part", expected: "a number from 1" })?;
                    once(&mut q.part, "part", part)?;
                }
                "shift" => {
                    let shift = value
                        .parse()
                        .map_err(|_| BadParameter::Value { name: "shift", expected: "a number of ticks" })?;
                    once(&mut q.shift, "shift", shift)?;
                }
                _ => {}
            }
        }
        Ok(q)
    }

    /// The span from `from` to `to`; both must be there.
    pub fn span(&self) -> Result<Span, BadParameter> {
        let from = self.from.ok_or(BadParameter::Missing("from"))?;
        let to = self.to.ok_or(BadParameter::Missing("to"))?;
        Span::new(from, to).ok_or(BadParameter::Backwards)
    }

    /// Main, unless the request says otherwise.
    pub fn stream(&self) -> StreamKind {
        self.stream.unwrap_or(StreamKind::Main)
    }

    /// The one camera of a request for one.
    pub fn camera(&self) -> Result<CameraId, BadParameter> {
        match self.cameras.as_slice() {
            [] => Err(BadParameter::Missing("camera")),
            [one] => Ok(one.clone()),
            _ => Err(BadParameter::Twice("camera")),
        }
    }
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), BadParameter> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadParameter::Twice(name)),
    }
}

/// Nanoseconds since 1970 in decimal, or RFC 3339 (a `+` of which must be written `%2B`).
fn time(name: &'static str, text: &str) -> Result<WallNs, BadParameter> {
    let by_number = text.parse().map(WallNs).ok();
    by_number
        .or_else(|| text.parse::<jiff::Timestamp>().ok().map(WallNs::from))
        .ok_or(BadParameter::Value { name, expected: "nanoseconds since 1970 or an RFC 3339 time" })
}

/// A segment out of the path `{stream}/{run}/{seq}` or `{stream}/{run}/{seq}.mp4`: players want the ending, as some
/// refuse media without one.
pub fn segment(stream: &str, run: &str, file: &str) -> Option<SegmentId> {
    let seq = file.strip_suffix(".mp4").unwrap_or(file);
    // `u32::from_str` would take a plus sign too; one segment has one name.
    if !seq.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(SegmentId { stream: stream.parse().ok()?, run: run.parse().ok()?, seq: seq.parse().ok()? })
}

/// A stream out of `main.mp4` or `sub.mp4`.
pub fn clip_name(file: &str) -> Option<StreamKind> {
    file.strip_suffix(".mp4")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_for_several_cameras() {
        let q = Query::parse("camera=gate-1&camera=hall&camera=gate-1&from=5&to=7&stream=sub&zoom=3").expect("good");
        assert_eq!(q.cameras.iter().map(CameraId::as_str).collect::<Vec<_>>(), ["gate-1", "hall"]);
        assert_eq!(q.span(), Ok(Span { start: WallNs(5), end: WallNs(7) }));
        assert_eq!(q.stream(), StreamKind::Sub);
        assert_eq!(q.camera(), Err(BadParameter::Twice("camera")));
    }

    #[test]
    fn times_in_both_forms() {
        let q = Query::parse("from=2026-11-22T15:00:00%2B07:00&to=1795334401000000000").expect("good");
        assert_eq!(q.span().map(Span::len_ns), Ok(1_000_000_000));
        assert_eq!(q.stream(), StreamKind::Main);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let says = |raw: &str| Query::parse(raw).and_then(|q| q.span().map(|_| q)).map_err(|e| e.to_string());
        assert_eq!(says("to=1"), Err("the parameter \"from\" is missing".to_owned()));
        assert_eq!(says("from=2&to=1"), Err("the parameter \"to\" lies before \"from\"".to_owned()));
        assert_eq!(says("from=1&from=1"), Err("the parameter \"from\" is given more than once".to_owned()));
        for raw in
            ["from=x", "shift=1.5", "from=1&to=99999999999999999999", "camera=../etc", "stream=hd", "part=0", "part=-1"]
        {
            assert!(says(raw).is_err_and(|e| e.contains("must be")), "{raw}");
        }
        let many: Vec<String> = (0..=MAX_CAMERAS).map(|n| format!("camera=c{n}")).collect();
        assert!(matches!(Query::parse(&many.join("&")), Err(BadParameter::TooMuch(_))));
        assert!(matches!(Query::parse(&"x".repeat(MAX_QUERY + 1)), Err(BadParameter::TooMuch(_))));
    }

    #[test]
    fn segments_have_one_name() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(segment(id, id, "12.mp4").map(|s| s.seq), Some(12));
        assert_eq!(segment(id, id, "12"), segment(id, id, "12.mp4"));
        for bad in ["", "+1", "-1", ".mp4", "1.mp4.mp4", "4294967296", "../1"] {
            assert_eq!(segment(id, id, bad), None, "{bad}");
        }
        assert_eq!(segment("..", id, "1"), None);
        assert_eq!(clip_name("main.mp4"), Some(StreamKind::Main));
        assert_eq!(clip_name("main"), None);
    }

    proptest! {
        #[test]
        fn any_query_is_survived(raw in "((camera|from|to|stream|part|shift|[a-z%+=]{0,3})=[-0-9a-zT:%+.]{0,30}&?){0,6}") {
            if let Ok(q) = Query::parse(&raw) {
                let _ = (q.span(), q.camera(), q.stream());
            }
        }

        #[test]
        fn any_bytes_are_survived(raw: String, a: String, b: String, c: String) {
            let _ = Query::parse(&raw);
            let _ = segment(&a, &b, &c);
            let _ = clip_name(&raw);
        }
    }
}
