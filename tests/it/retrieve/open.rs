//! Playing what is being recorded.

use std::{io::Write as _, sync::Arc};

use custodian::{
    store::index::{SegmentRow, SegmentState},
    types::{Span, wire},
};

use super::{get, router_at, span};
use crate::footage::{Archive, EIGHT, Media, SECOND, fragments, run};

#[tokio::test]
async fn an_open_segment_grows_under_its_reader() {
    let media = Media::synthetic(500, 50, 200);
    let mut archive = Archive::new();
    let run = Arc::new(run(1, "gate-1", &media, EIGHT, None));
    let all = fragments(&run, &media, 100);
    let (bytes, row) = archive.file(&run, &all, SegmentState::Open);
    let path = archive.root().join(&row.path);
    #[expect(clippy::disallowed_methods, reason = "folders of a test's own volume")]
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let mut file = std::fs::File::create(&path).expect("made");

    let router = router_at(archive.library(), EIGHT.offset(20 * SECOND));
    let fragments_uri = format!("/v1/fragments?camera=gate-1&{}", span(-10, 100));
    let hls_uri = format!("/v1/hls/gate-1/main.m3u8?{}", span(-10, 100));
    let bytes_uri = format!("/v1/segments/{}/{}/0", run.stream.id, run.id);
    let (mut written, mut list) = (0, String::new());
    for n in 1..=all.len() {
        let (committed, _) = archive.file(&run, &all[..n], SegmentState::Open);
        // The file is ahead of what was committed, as it is between two commits: half a fragment more.
        let (_, ahead) = archive.file(&run, &all[..(n + 1).min(all.len())], SegmentState::Open);
        let upto = usize::midpoint(committed.len(), usize::try_from(ahead.bytes).expect("fits"));
        file.write_all(&bytes[written..upto.max(written)]).expect("written");
        written = upto.max(written);
        let grown = SegmentRow {
            bytes: committed.len() as u64,
            span: Span { start: row.span.start, end: all[n - 1].span.end },
            ..row.clone()
        };
        archive.put(&run, &[grown]);

        let got: wire::Fragments = get(&router, &fragments_uri).await.json();
        let part = &got.segments[0];
        assert!(part.open && part.fragments.len() == n && part.len == committed.len() as u64);
        let served = get(&router, &bytes_uri).await;
        assert_eq!(served.body, committed, "nothing beyond the commit");
        assert_eq!(served.header("etag"), None);

        let now = get(&router, &hls_uri).await;
        if n <= 3 {
            assert_eq!(now.status, 404, "no whole part yet");
        } else {
            assert!(now.text().starts_with(&list) && !now.text().contains("ENDLIST"));
            assert!(now.text().contains("PLAYLIST-TYPE:EVENT"));
            list = now.text();
        }
    }
    // It is closed, and the span lies in the past now.
    let (closed, row) = archive.file(&run, &all, SegmentState::Closed);
    std::fs::write(&path, &closed).expect("written");
    archive.put(&run, &[row]);
    let got: wire::Fragments = get(&router, &fragments_uri).await.json();
    assert!(!got.segments[0].open && got.segments[0].fragments.len() == all.len());
    let later = router_at(archive.library(), EIGHT.offset(1000 * SECOND));
    assert!(get(&later, &hls_uri).await.text().ends_with("#EXT-X-ENDLIST\n"));
    // A span that is full is complete although the recorder goes on.
    let past = format!("/v1/hls/gate-1/main.m3u8?{}", span(0, 10));
    assert!(get(&router, &past).await.text().ends_with("#EXT-X-ENDLIST\n"));
}
