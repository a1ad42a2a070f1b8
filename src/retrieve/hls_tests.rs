use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::types::{RunId, StreamId, WallNs};

const SECOND: i64 = 1_000_000_000;
/// 2026-11-22T08:00:00Z.
const EIGHT: i64 = 1_795_334_400 * SECOND;

/// A file of fragments of `seconds` each; those at a multiple of `gop` begin with a key frame.
fn file(run: u8, seq: u32, start: i64, dts: u64, count: u32, gop: u32) -> SegmentPart {
    let fragments = (0..count)
        .map(|n| FragmentPart {
            offset: 1000 + u64::from(n) * 500_000,
            len: 500_000,
            span: Span {
                start: WallNs(start + i64::from(n) * 2 * SECOND),
                end: WallNs(start + i64::from(n + 1) * 2 * SECOND),
            },
            dts: dts + u64::from(n) * 180_000,
            key: n % gop == 0,
        })
        .collect();
    SegmentPart {
        stream: StreamId::from(Uuid::from_u128(1)),
        run: RunId::from(Uuid::from_u128(u128::from(run))),
        seq,
        mime: "video/mp4; codecs=\"avc1.64001f, mp4a.40.2\"".to_owned(),
        size: (1920, 1080),
        timescale: 90_000,
        init_len: 800,
        len: 1000 + u64::from(count) * 500_000,
        open: false,
        fragments,
    }
}

fn footage(segments: Vec<SegmentPart>) -> Fragments {
    Fragments { camera: "gate-1".parse().expect("an id"), stream: StreamKind::Main, segments }
}

fn durations(text: &str) -> Vec<f64> {
    text.lines().filter_map(|l| l.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse().ok()).collect()
}

#[test]
fn a_vod_names_files_ranges_times_and_breaks() {
    let two_runs = footage(vec![file(1, 0, EIGHT, 0, 4, 1), file(2, 7, EIGHT + 60 * SECOND, 900_000, 1, 1)]);
    let text = media(&two_runs, &[-90, 7], true).expect("there is footage");
    let text = text
        .replace(&RunId::from(Uuid::from_u128(2)).to_string(), "<run 2>")
        // Stream and first run have the same number here.
        .replace(&RunId::from(Uuid::from_u128(1)).to_string(), "<1>");
    assert_eq!(
        text,
        "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"../../segments/<1>/<1>/0.mp4?shift=-90\",BYTERANGE=\"800@0\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T08:00:00.000Z
#EXTINF:6.000000,
#EXT-X-BYTERANGE:1500000@1000
../../segments/<1>/<1>/0.mp4?shift=-90
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T08:00:06.000Z
#EXTINF:2.000000,
#EXT-X-BYTERANGE:500000@1501000
../../segments/<1>/<1>/0.mp4?shift=-90
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"../../segments/<1>/<run 2>/7.mp4?shift=7\",BYTERANGE=\"800@0\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T08:01:00.000Z
#EXTINF:2.000000,
#EXT-X-BYTERANGE:500000@1000
../../segments/<1>/<run 2>/7.mp4?shift=7
#EXT-X-ENDLIST
"
    );
}

#[test]
fn files_of_a_run_go_on_without_a_break() {
    let one_run = footage(vec![file(1, 3, EIGHT, 0, 3, 1), file(1, 4, EIGHT + 6 * SECOND, 540_000, 3, 1)]);
    let text = media(&one_run, &[], true).expect("there is footage");
    assert!(!text.contains("DISCONTINUITY"), "{text}");
    assert_eq!(text.matches("EXT-X-MAP").count(), 1, "{text}");
    assert_eq!(durations(&text), [6.0, 6.0]);
}

#[test]
fn a_missing_file_in_a_run_is_a_break() {
    let holed = footage(vec![file(1, 3, EIGHT, 0, 3, 1), file(1, 5, EIGHT + 12 * SECOND, 1_080_000, 3, 1)]);
    let text = media(&holed, &[], true).expect("there is footage");
    assert_eq!(text.matches("EXT-X-DISCONTINUITY").count(), 1, "{text}");
    // The hole is not in the length of the part before it.
    assert_eq!(durations(&text), [6.0, 6.0]);
}

#[test]
fn durations_come_from_decode_times_not_from_the_wall() {
    let mut slow = file(1, 0, EIGHT, 0, 2, 1);
    slow.fragments[1].dts = 180_090;
    let text = media(&footage(vec![slow]), &[], true).expect("there is footage");
    // 2.001 s by decode times, then 2 s by the wall, as nothing follows.
    assert_eq!(durations(&text), [4.001]);
}

#[test]
fn long_groups_of_pictures_stay_whole() {
    let text = media(&footage(vec![file(1, 0, EIGHT, 0, 10, 5)]), &[], true).expect("there is footage");
    assert_eq!(durations(&text), [10.0, 10.0]);
    assert!(text.contains("#EXT-X-TARGETDURATION:10\n"), "{text}");
}

#[test]
fn a_growing_list_only_grows() {
    let at = |count: u32| {
        let mut open = file(1, 0, EIGHT, 0, count, 1);
        open.open = true;
        media(&footage(vec![open]), &[], false)
    };
    assert_eq!(at(3), None, "the first part is not whole");
    let mut before = at(4).expect("one part");
    assert!(before.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && before.contains("#EXT-X-TARGETDURATION:8\n"));
    for count in 5..40 {
        let now = at(count).expect("parts");
        assert!(now.starts_with(&before), "{before}\n-- then --\n{now}");
        assert!(!now.contains("ENDLIST"));
        before = now;
    }
    assert_eq!(durations(&before).len(), 12);
}

#[test]
fn nothing_is_no_playlist() {
    assert_eq!(media(&footage(vec![]), &[], true), None);
    assert_eq!(media(&footage(vec![file(1, 0, EIGHT, 0, 0, 1)]), &[], true), None);
    assert_eq!(multivariant(&[footage(vec![])], ""), None);
}

#[test]
fn the_multivariant_playlist_names_what_there_is() {
    let main = footage(vec![file(1, 0, EIGHT, 0, 3, 1)]);
    let mut sub = footage(vec![file(2, 0, EIGHT, 0, 3, 1)]);
    sub.stream = StreamKind::Sub;
    sub.segments[0].size = (640, 360);
    sub.segments[0].mime = "video/mp4; codecs=\"avc1.42e01e\"".to_owned();
    let text = multivariant(&[main, sub], "from=1&to=2").expect("there is footage");
    assert_eq!(
        text,
        "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=2000000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1920x1080
main.m3u8?from=1&to=2
#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=2000000,CODECS=\"avc1.42e01e\",RESOLUTION=640x360
sub.m3u8?from=1&to=2
"
    );
}

#[test]
fn the_peak_is_never_below_the_mean() {
    let mut short_end = file(1, 0, EIGHT, 0, 4, 1);
    let last = &mut short_end.fragments[3];
    (last.len, last.span.end) = (245_000, last.span.start.offset(467_000_000));
    let text = multivariant(&[footage(vec![short_end])], "").expect("there is footage");
    assert!(text.contains("BANDWIDTH=2158652,AVERAGE-BANDWIDTH=2158652,"), "{text}");
}

#[test]
fn names_of_playlists() {
    assert_eq!(file_name("index.m3u8"), Some(None));
    assert_eq!(file_name("sub.m3u8"), Some(Some(StreamKind::Sub)));
    assert_eq!(file_name("../main.m3u8"), None);
    assert_eq!(file_name("main"), None);
}

proptest! {
    /// Whatever stands in a hostile or damaged file's table, a playlist is well-formed text, no line is injected, and
    /// no byte range reaches beyond what the fragments say.
    #[test]
    fn any_table_is_survived(
        rows in prop::collection::vec((any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>(), any::<bool>()), 0..12),
        timescale: u32, seq: u32, mime: String, size: (u16, u16), open: bool, complete: bool,
    ) {
        let mut one = file(1, seq, EIGHT, 0, 0, 1);
        (one.timescale, one.mime, one.size, one.open) = (timescale, mime, size, open);
        one.fragments = rows
            .into_iter()
            .map(|(offset, len, start, end, dts, key)| FragmentPart {
                offset, len, span: Span { start: WallNs(start), end: WallNs(end) }, dts, key,
            })
            .collect();
        let mut two = one.clone();
        two.seq = seq.wrapping_add(1);
        let footage = footage(vec![one, two]);
        if let Some(text) = media(&footage, &[], complete) {
            prop_assert!(text.starts_with("#EXTM3U\n"));
            prop_assert!(text.lines().all(|l| l.starts_with('#') || l.starts_with("../../segments/")));
        }
        if let Some(text) = multivariant(&[footage], "from=1") {
            prop_assert!(text.lines().all(|l| l.starts_with('#') || l == "main.m3u8?from=1"));
        }
    }
}
