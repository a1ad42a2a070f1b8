//! What must hold for any request to `media.sock`. Shared by the fuzz target and by the tests.

use custodian::{
    retrieve::{
        hls,
        moof::{self, Parsed},
        params::{self, Query},
        range::{self, Wanted},
    },
    types::{StreamKind, wire::Fragments},
};

/// The first eight bytes are a length, a shift and the like; the rest is what somebody sent.
pub(crate) fn exercise(data: &[u8]) {
    let (number, rest) = data.split_at(data.len().min(8));
    let number = number.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let text = String::from_utf8_lossy(rest);

    for value in [text.as_ref(), &format!("bytes={text}")] {
        if let Wanted::Part(part) = range::parse(value, number) {
            assert!(part.first <= part.last && part.last < number && part.len() <= number);
        }
    }
    if let Ok(query) = Query::parse(&text) {
        if let Ok(span) = query.span() {
            assert!(span.start <= span.end);
        }
        assert!(query.cameras.len() <= params::MAX_CAMERAS);
        let _ = (query.camera(), query.stream());
    }
    let mut parts = text.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    if let Some(id) = params::segment(part(), part(), part()) {
        // What was understood has one name.
        let again = params::segment(&id.stream.to_string(), &id.run.to_string(), &id.seq.to_string());
        assert_eq!(again, Some(id));
    }
    let _ = (params::clip_name(&text), hls::file_name(&text));

    // A table that the recorder would have sent, and what a playlist makes of it.
    if let Ok(segments) = serde_json::from_slice(rest) {
        let camera = "a".parse().expect("an id");
        let footage = Fragments { camera, stream: StreamKind::Main, segments };
        let shifts = [number.cast_signed()];
        for text in [hls::media(&footage, &shifts, false), hls::media(&footage, &shifts, true)].into_iter().flatten() {
            assert!(text.lines().all(|l| l.starts_with('#') || l.starts_with("../../segments/")), "{text}");
        }
        let _ = hls::multivariant(&[footage], "from=1");
    }

    if let Ok(Parsed::Head(head)) = moof::parse(rest) {
        assert!(head.len <= rest.len());
        let mut moved = rest.to_vec();
        head.move_by(&mut moved, |_| number.cast_signed()).expect("it was parsed, so it can be written");
        assert_eq!(moved[head.len..], rest[head.len..]);
        assert!(matches!(moof::parse(&moved), Ok(Parsed::Head(again)) if again.len == head.len));
    }
}
