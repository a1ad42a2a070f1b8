//! Where room runs short for a stream.

use super::*;

#[test]
fn a_stream_goes_where_there_is_room_without_losing_a_picture() {
    let mut b = Bench::new(&["a1", "a2"]);
    let footage = b.footage.clone();
    b.session(|c| {
        c.pictures(100);
        footage.fill(&["a1"]);
        c.pictures(100);
    });
    let runs = b.runs();
    assert_eq!(runs.iter().map(|r| r.volume.as_str()).collect::<Vec<_>>(), ["a1", "a2"]);
    assert_eq!(runs[0].samples(0).count(), 80, "what begins with a key frame goes elsewhere");
    assert_eq!((span(&runs[0]).1, runs[1].run.before.clone()), (span(&runs[1]).0, None));
    assert_eq!(b.stored(), 200);
}

#[test]
fn a_stream_that_has_room_nowhere_stops_and_says_why() {
    let mut b = Bench::new(&["a1", "a2"]);
    let (footage, stream, status) = (b.footage.clone(), b.stream, b.status.clone());
    b.session(|c| {
        c.pictures(100);
        footage.fill(&["a1", "a2"]);
        c.pictures(100);
        assert_eq!(footage.gap(stream).unwrap().cause.kind, CauseKind::Full);
        assert_eq!(status.rare().cause.clone().unwrap().kind, CauseKind::Full);
        footage.fill(&[]);
        c.pictures(100);
    });
    let runs = b.runs();
    assert_eq!(runs.len(), 2);
    let before = runs[1].run.before.clone().unwrap();
    assert_eq!((before.cause.kind, before.since), (CauseKind::Full, span(&runs[0]).1));
    assert_eq!(b.stored(), 80 + 100, "all but the pictures of the time without room");
    assert!(status.rare().cause.is_none() && b.footage.gap(stream).is_none());
}
