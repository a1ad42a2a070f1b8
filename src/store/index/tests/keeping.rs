//! What retention asks.

use super::*;

const DAY: i64 = 86_400;

fn index(change: impl FnOnce(&mut Batch)) -> (tempfile::TempDir, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut w = filled(&path);
    let mut b = Batch::default();
    change(&mut b);
    w.apply(&b).unwrap();
    let reader = Reader::open(&path).unwrap();
    (dir, reader)
}

#[test]
fn the_oldest_come_first_and_what_is_open_or_going_does_not() {
    let (_dir, r) = index(|b| {
        b.segment(SegmentRow { state: SegmentState::Open, ..segment(3, 1, 140, 145) });
        b.segment(SegmentRow { volume: "a2".parse().unwrap(), ..segment(1, 0, 0, 50) });
        b.retiring.insert((segment(1, 0, 0, 50).id, "a1".parse().unwrap()));
    });
    let ends_from = |most: usize, from: WallNs| {
        let mut ends = Vec::new();
        let mut more = |aged: Aged| {
            ends.push(aged.span.end.0 / S);
            ends.len() < most
        };
        r.each_closed(key().id, &"a1".parse().unwrap(), from, &mut more).unwrap();
        ends
    };
    let ends = |most| ends_from(most, WallNs::MIN);
    assert_eq!(ends_from(9, WallNs(100 * S)), [130, 140]);
    assert_eq!(ends(9), [60, 130, 140]);
    assert_eq!(ends(2), [60, 130]);
    let closed = |seq| r.closed(segment(1, seq, 0, 0).id, &"a1".parse().unwrap()).unwrap();
    assert_eq!(closed(1).map(|s| s.span), Some(span(50, 60)));
    assert_eq!(closed(0), None, "it is going");
}

#[test]
fn there_is_so_much_of_each_age() {
    let (_dir, r) = index(|b| {
        b.segment(SegmentRow { state: SegmentState::Open, bytes: 7, ..segment(3, 1, DAY, DAY + 5) });
        b.segment(SegmentRow { volume: "a2".parse().unwrap(), bytes: 3, ..segment(1, 1, 50, 60) });
        b.retiring.insert((segment(1, 1, 50, 60).id, "a1".parse().unwrap()));
    });
    let stock = r.stock(WallNs((DAY + 100) * S)).unwrap();
    let told: Vec<(String, Vec<(u32, u64)>)> =
        stock.iter().map(|s| (s.volume.to_string(), s.by_age.clone().into_iter().collect())).collect();
    assert_eq!(told, [("a1".into(), vec![(0, 207), (1, 100)]), ("a2".into(), vec![(1, 3)])]);
    assert_eq!(stock.iter().map(|s| s.first).collect::<Vec<_>>(), [WallNs(0), WallNs(50 * S)]);
}

#[test]
fn what_was_lost_and_measured_is_remembered_for_a_year() {
    let kept = KeptRow { seconds: 5, gap_seconds: 1, unreadable_seconds: 2, lost_seconds: 3, young: true };
    let (_dir, r) = index(|b| {
        b.lost.insert((key().id, span(60, 70)));
        b.lost.insert((key().id, span(10, 20)));
        for day in ["2025-01-01", "2026-11-21", "2026-11-22"] {
            b.kept.insert((key().id, day.into()), kept);
        }
    });
    assert_eq!(r.lost(key().id).unwrap(), [span(10, 20), span(60, 70)]);
    assert_eq!(r.kept(key().id).unwrap(), [("2026-11-22".into(), kept), ("2026-11-21".into(), kept)]);
}

/// Footage that went with its time lies before a gap of another cause: the gap is not as long as both.
#[test]
fn what_retention_took_is_no_part_of_the_gap_after_it() {
    let before = GapBefore { since: WallNs(90 * S), cause: Cause::new(CauseKind::Unreachable, "") };
    let (_dir, r) = index(|b| {
        b.runs.insert(RunId::from_bytes([4; 16]), RunRow { before: Some(before), ..run(4, 200, None) });
        b.segment(segment(4, 0, 200, 210));
        for (n, seq) in [(2, 0), (3, 0), (1, 1)] {
            b.gone.insert((segment(n, seq, 0, 0).id, "a1".parse().unwrap()));
        }
        b.retired.insert(key().id, WallNs(140 * S));
    });
    let gaps = r.gaps(key().id, span(-10, 1000)).unwrap();
    let told: Vec<_> = gaps.iter().map(|g| (g.start.0 / S, g.end.unwrap().0 / S, g.cause.kind)).collect();
    assert_eq!(told, [(50, 90, CauseKind::Retention), (90, 200, CauseKind::Unreachable)]);
}

#[test]
fn footage_is_counted_from_a_time_on_and_what_is_going_is_none() {
    let (_dir, r) = index(|b| {
        b.segment(SegmentRow { state: SegmentState::Open, bytes: 7, ..segment(3, 1, 140, 145) });
        b.segment(SegmentRow { volume: "a2".parse().unwrap(), bytes: 3, ..segment(1, 0, 0, 50) });
        b.retiring.insert((segment(1, 1, 50, 60).id, "a1".parse().unwrap()));
    });
    let of = |volume: &str, since| r.footage(&volume.parse().unwrap(), since).unwrap();
    assert_eq!((of("a1", WallNs::MIN), of("a1", WallNs(130 * S)), of("a1", WallNs(131 * S))), (307, 107, 7));
    assert_eq!((of("a2", WallNs::MIN), of("a2", WallNs(S))), (3, 0));
}

/// The ledger says of what is marked that it has gone. What stays after all goes into it again.
#[test]
fn what_was_marked_and_stays_waits_for_the_ledger_again() {
    let (_dir, r) =
        index(|b| b.logged.extend([0, 1].map(|seq| ((segment(1, seq, 0, 0).id, "a1".parse().unwrap()), 7))));
    assert_eq!(r.unlogged(10).unwrap().len(), 2, "of four");
    let (dir, r) = index(|b| {
        b.retiring.insert((segment(1, 0, 0, 50).id, "a1".parse().unwrap()));
        b.logged.extend([0, 1].map(|seq| ((segment(1, seq, 0, 0).id, "a1".parse().unwrap()), 7)));
    });
    assert_eq!(r.unlogged(10).unwrap().len(), 2);
    let mut w = Writer::open(&dir.path().join("index.db")).unwrap();
    let mut b = Batch::default();
    b.segment(segment(1, 0, 0, 50));
    w.apply(&b).unwrap();
    let waiting: Vec<SegmentId> = r.unlogged(10).unwrap().into_iter().map(|r| r.id).collect();
    assert!(waiting.len() == 3 && waiting.contains(&segment(1, 0, 0, 50).id), "{waiting:?}");
    let mut b = Batch::default();
    b.unlog(segment(1, 1, 0, 0).id, "a1".parse().unwrap());
    w.apply(&b).unwrap();
    assert_eq!(r.unlogged(10).unwrap().len(), 4);
}
