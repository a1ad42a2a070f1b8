use custodian::{
    store::index::SegmentRow,
    types::{Cause, CauseKind, GapBefore, wire},
};

use super::{ask, get, one_run, router, span};
use crate::footage::{Archive, EIGHT, Media, SECOND, run};

fn uri(row: &SegmentRow) -> String {
    format!("/v1/segments/{}/{}/{}", row.id.stream, row.id.run, row.id.seq)
}

/// Two runs of ten seconds with a gap of fifty between them.
fn two_runs() -> (Archive, Vec<SegmentRow>) {
    let media = Media::synthetic(250, 50, 1000);
    let mut archive = Archive::new();
    let mut rows = archive.record(run(1, "gate-1", &media, EIGHT, None), &media, 3);
    let cause = Cause::new(CauseKind::Unreachable, "no route to host");
    let before = GapBefore { since: EIGHT.offset(10 * SECOND), cause };
    rows.extend(archive.record(run(2, "gate-1", &media, EIGHT.offset(60 * SECOND), Some(before)), &media, 3));
    (archive, rows)
}

#[tokio::test]
async fn timelines_of_several_cameras_come_at_once() {
    let (mut archive, _) = two_runs();
    let media = Media::synthetic(50, 50, 10);
    archive.record(run(3, "old-hall", &media, EIGHT, None), &media, 3);
    let router = router(archive.library());

    let got = get(&router, &format!("/v1/timeline?camera=old-hall&camera=gate-1&{}", span(-10, 100))).await;
    let lines: Vec<wire::Timeline> = got.json();
    assert_eq!(lines.iter().map(|l| l.camera.as_str()).collect::<Vec<_>>(), ["old-hall", "gate-1"]);
    let seconds = |s: &custodian::types::Span| (s.start.since(EIGHT) / SECOND, s.end.since(EIGHT) / SECOND);
    assert_eq!(lines[0].footage.iter().map(seconds).collect::<Vec<_>>(), [(0, 2)]);
    assert_eq!(lines[1].footage.iter().map(seconds).collect::<Vec<_>>(), [(0, 10), (60, 70)]);
    assert_eq!(lines[1].gaps.len(), 1);
    assert_eq!(lines[1].gaps[0].cause.kind, CauseKind::Unreachable);
    assert_eq!(lines[1].newest, Some(EIGHT.offset(70 * SECOND)));

    let cameras: Vec<wire::Camera> = get(&router, "/v1/cameras").await.json();
    let names: Vec<_> = cameras.iter().map(|c| (c.id.as_str(), c.configured)).collect();
    assert_eq!(names, [("gate-1", true), ("old-hall", false)]);
}

#[tokio::test]
async fn fragments_name_the_bytes_of_a_span() {
    let (archive, rows) = two_runs();
    let router = router(archive.library());
    let got: wire::Fragments = get(&router, &format!("/v1/fragments?camera=gate-1&{}", span(3, 61))).await.json();
    // Fragments of 2 s, three to a file: 2..6 of the first, 6..10 of the second, 60..62 of the third.
    let found: Vec<_> = got.segments.iter().map(|s| (s.run, s.seq, s.fragments.len())).collect();
    let ids = |n: usize| (rows[n].id.run, rows[n].id.seq);
    assert_eq!(found, [(ids(0).0, 0, 2), (ids(1).0, 1, 2), (ids(2).0, 0, 1)]);
    for part in &got.segments {
        assert!(part.fragments.iter().all(|f| f.key) && !part.open);
        assert_eq!(
            (part.timescale, part.size, part.mime.as_str()),
            (90_000, (1920, 1080), "video/mp4; codecs=\"avc1.64001f\"")
        );
    }
    // The bytes that are named are those of a fragment: prft comes first, 50 pictures of 1000 bytes last.
    let (part, f) = (&got.segments[0], &got.segments[0].fragments[0]);
    assert_eq!(f.span.start, EIGHT.offset(2 * SECOND));
    let range = format!("bytes={}-{}", f.offset, f.offset + f.len - 1);
    let bytes = ask(
        &router,
        "GET",
        &format!("/v1/segments/{}/{}/{}.mp4", part.stream, part.run, part.seq),
        &[("range", &range)],
    )
    .await;
    assert_eq!((bytes.status, &bytes.body[4..8]), (206, b"prft".as_slice()));
    assert_eq!(bytes.body[bytes.body.len() - 50_000..], vec![0x5a; 50_000]);

    let empty: wire::Fragments = get(&router, &format!("/v1/fragments?camera=gate-1&{}", span(20, 30))).await.json();
    assert!(empty.segments.is_empty());
    let never: wire::Fragments =
        get(&router, &format!("/v1/fragments?camera=gate-1&stream=sub&{}", span(0, 9))).await.json();
    assert!(never.segments.is_empty());
}

#[tokio::test]
async fn bytes_come_in_ranges() {
    let (archive, rows) = two_runs();
    let router = router(archive.library());
    let (uri, whole) = (uri(&rows[0]), std::fs::read(archive.root().join(&rows[0].path)).expect("a file"));
    let len = whole.len();

    let all = get(&router, &uri).await;
    assert_eq!((all.status, &all.body), (200, &whole));
    assert_eq!(all.header("content-length"), Some(len.to_string().as_str()));
    assert_eq!(all.header("accept-ranges"), Some("bytes"));
    assert_eq!(all.header("content-type"), Some("video/mp4"));
    let etag = all.header("etag").expect("a closed file has one").to_owned();

    for (range, from, to) in
        [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=-7", len - 7, len), ("bytes=9-", 9, len)]
    {
        let got = ask(&router, "GET", &uri, &[("range", range)]).await;
        assert_eq!((got.status, got.body.as_slice()), (206, &whole[from..to]), "{range}");
        assert_eq!(got.header("content-range"), Some(format!("bytes {from}-{}/{len}", to - 1).as_str()));
        assert_eq!(got.header("content-length"), Some((to - from).to_string().as_str()));
    }
    let beyond = ask(&router, "GET", &uri, &[("range", &format!("bytes={len}-"))]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(format!("bytes */{len}").as_str())));

    let head = ask(&router, "HEAD", &uri, &[("range", "bytes=5-9")]).await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (206, 0, Some("5")));
    for (if_range, status) in [(etag.as_str(), 206), ("\"other\"", 200), ("Sun, 22 Nov 2026 08:00:00 GMT", 200)] {
        let got = ask(&router, "GET", &uri, &[("range", "bytes=5-9"), ("if-range", if_range)]).await;
        assert_eq!(got.status, status, "{if_range}");
    }
    for ignored in ["bytes=1-2,5-6", "lines=1-2", "bytes=9-2", "garbage"] {
        assert_eq!(ask(&router, "GET", &uri, &[("range", ignored)]).await.status, 200, "{ignored}");
    }
}

#[tokio::test]
async fn wrong_requests_are_refused_with_a_reason() {
    let (archive, rows) = two_runs();
    let router = router(archive.library());
    let id = rows[0].id;
    let cases = [
        (400, "/v1/timeline".to_owned(), "from"),
        (400, format!("/v1/timeline?{}", span(0, 1)), "camera"),
        (400, "/v1/timeline?camera=gate-1&from=2&to=1".to_owned(), "before"),
        (400, "/v1/fragments?camera=gate-1&from=now&to=1".to_owned(), "nanoseconds"),
        (400, format!("/v1/fragments?camera=gate-1&camera=b&{}", span(0, 1)), "more than once"),
        (400, "/v1/hls/gate-1/main.m3u8?from=%FF&to=1".to_owned(), "nanoseconds"),
        (400, format!("/v1/clip/gate-1/main.mp4?part=0&{}", span(0, 1)), "number"),
        (404, format!("/v1/timeline?camera=nowhere&{}", span(0, 1)), "nowhere"),
        (404, format!("/v1/fragments?camera=nowhere&{}", span(0, 1)), "nowhere"),
        (404, format!("/v1/segments/{}/{}/77", id.stream, id.run), "no more"),
        (404, format!("/v1/segments/{}/{}/0", id.stream, id.stream), "no more"),
        (404, "/v1/segments/x/y/z".to_owned(), "no such page"),
        (404, "/v1/segments/..%2f..%2fetc/passwd/0".to_owned(), "no such page"),
        (404, format!("/v1/hls/gate-1/main.txt?{}", span(0, 1)), "no such page"),
        (404, format!("/v1/hls/gate-1/main.m3u8?{}", span(20, 30)), "no footage"),
        (404, format!("/v1/hls/gate-1/sub.m3u8?{}", span(0, 9)), "no footage"),
        (404, format!("/v1/clip/..%2f/main.mp4?{}", span(0, 1)), "no such page"),
        (404, format!("/v1/clip/gate-1/main.mp4?{}", span(20, 30)), "no footage"),
        (404, format!("/v1/clip/gate-1/main.mp4?part=9&{}", span(0, 9)), "files"),
    ];
    for (status, uri, says) in cases {
        let got = get(&router, &uri).await;
        let problem: wire::Problem = got.json();
        assert_eq!(got.status, status, "{uri}: {}", problem.error);
        assert!(problem.error.contains(says), "{uri}: {}", problem.error);
    }
    assert_eq!(ask(&router, "POST", "/v1/cameras", &[]).await.status, 405);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_apart() {
    let (archive, rows) = two_runs();
    let router = router(archive.library());
    // A deleted file: no more. The rest plays.
    std::fs::remove_file(archive.root().join(&rows[0].path)).expect("removed");
    assert_eq!(get(&router, &uri(&rows[0])).await.status, 404);
    let got: wire::Fragments = get(&router, &format!("/v1/fragments?camera=gate-1&{}", span(0, 100))).await.json();
    assert_eq!(got.segments.len(), 3);
    // A clip with a hole that nobody mentions is not made.
    assert_eq!(get(&router, &format!("/v1/clip/gate-1/main.mp4?{}", span(0, 100))).await.status, 404);
    // A disk that is away: not now.
    std::fs::rename(archive.root(), archive.dir.path().join("away")).expect("moved");
    std::fs::create_dir(archive.root()).expect("an empty mount point");
    assert_eq!(get(&router, &uri(&rows[1])).await.status, 503);
}

#[tokio::test]
async fn a_rebuilt_index_is_seen() {
    let (archive, rows) = two_runs();
    let router = router(archive.library());
    assert_eq!(get(&router, &uri(&rows[0])).await.status, 200);
    let other = Archive::new();
    other.writer.checkpoint().expect("whole");
    std::fs::rename(other.index(), archive.index()).expect("replaced");
    let _ = std::fs::remove_file(archive.dir.path().join("index.db-wal"));
    let _ = std::fs::remove_file(archive.dir.path().join("index.db-shm"));
    assert_eq!(get(&router, &uri(&rows[0])).await.status, 404);
}

#[tokio::test]
async fn without_an_index_there_are_cameras_still() {
    let dir = tempfile::tempdir().expect("a folder");
    let library = custodian::retrieve::Library::new(dir.path().join("index.db"), std::collections::BTreeMap::new());
    let router = router(std::sync::Arc::new(library));
    assert_eq!(get(&router, "/v1/cameras").await.json::<Vec<wire::Camera>>().len(), 1);
    assert_eq!(get(&router, &format!("/v1/timeline?camera=gate-1&{}", span(0, 1))).await.status, 503);
}

#[tokio::test]
async fn sound_and_pictures_of_a_real_clip_are_served() {
    let (archive, media) = one_run();
    let router = router(archive.library());
    let got: wire::Fragments = get(&router, &format!("/v1/fragments?camera=gate-1&{}", span(0, 100))).await.json();
    assert!(got.segments.len() >= 2 && media.tracks.len() == 2);
    assert_eq!(got.segments[0].mime, "video/mp4; codecs=\"avc1.64001f, mp4a.40.2\"");
}

#[tokio::test]
async fn decode_times_move_on_the_way_out() {
    let (archive, _) = one_run();
    let router = router(archive.library());
    let got: wire::Fragments = get(&router, &format!("/v1/fragments?camera=gate-1&{}", span(0, 100))).await.json();
    let part = &got.segments[1];
    let file = format!("/v1/segments/{}/{}/{}", part.stream, part.run, part.seq);
    let plain = get(&router, &file).await;
    let shift = -i64::try_from(part.fragments[0].dts).expect("fits");
    let uri = format!("{file}.mp4?shift={shift}");
    let moved = get(&router, &uri).await;
    assert_eq!((moved.status, moved.body.len()), (200, plain.body.len()));
    assert_ne!(moved.header("etag"), plain.header("etag"));

    // The times of the video track have moved, and nothing has changed but times.
    let mut differ = 0;
    for f in &part.fragments {
        let (from, to) = (usize::try_from(f.offset).expect("fits"), usize::try_from(f.offset + f.len).expect("fits"));
        let head = |bytes: &[u8]| match custodian::retrieve::moof::parse(&bytes[from..to]) {
            Ok(custodian::retrieve::moof::Parsed::Head(head)) => head,
            other => panic!("{other:?}"),
        };
        let (was, is) = (head(&plain.body), head(&moved.body));
        assert_eq!(is.tracks[0].first, was.tracks[0].first - part.fragments[0].dts);
        let seconds = |ticks: u64, scale: f64| ticks as f64 / scale;
        let apart =
            seconds(was.tracks[1].first - is.tracks[1].first, 16_000.0) - seconds(part.fragments[0].dts, 90_000.0);
        assert!(apart.abs() < 0.001, "{apart}");
        assert_eq!(plain.body[from + was.len..to], moved.body[from + was.len..to]);
        differ += (from..to).filter(|n| plain.body[*n] != moved.body[*n]).count();
    }
    let all = (0..plain.body.len()).filter(|n| plain.body[*n] != moved.body[*n]).count();
    assert!(all == differ && all <= part.fragments.len() * 24, "{all} bytes differ, {differ} of them in fragments");

    // Any range is a piece of the same bytes.
    let first = usize::try_from(part.fragments[1].offset).expect("fits");
    for (from, to) in
        [(0, 10), (first - 3, first + 50), (first + 20, first + 21), (first + 30, moved.body.len()), (5, first + 5000)]
    {
        let range = format!("bytes={from}-{}", to - 1);
        let got = ask(&router, "GET", &uri, &[("range", &range)]).await;
        assert!(got.status == 206 && got.body == moved.body[from..to], "{range}");
    }
    // A shift that makes no sense costs nobody anything.
    for shift in [i64::MIN, i64::MAX] {
        assert_eq!(get(&router, &format!("{file}?shift={shift}")).await.body.len(), plain.body.len());
    }
}
