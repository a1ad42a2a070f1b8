//! Open groups of pictures, pictures out of order, and everything at once.

use proptest::prelude::*;

use super::*;

fn open_group(c: &mut Camera<'_>, tracks: &mut Option<Tracks>) {
    let base = c.elapsed;
    for (nal, shown) in OPEN_GROUP {
        c.elapsed = base + shown * 4_500;
        let mut data = au(nal << 1, 1_000).to_vec();
        data[5] = 1;
        c.intake.video(VideoIn { elapsed: c.elapsed, lost: 0, data: data.into(), tracks: tracks.take() });
        c.clock.advance(FRAME);
        c.sent += 1;
    }
    c.elapsed = base + 8 * 4_500;
}

fn h265(width: u16, depth: usize) -> Tracks {
    let mut tracks = tracks(width);
    tracks.list[0].codec = Codec::H265;
    tracks.depth = depth;
    tracks
}

#[test]
fn open_groups_lose_only_what_nobody_could_decode() {
    // The depth as the SPS says it, and an SPS that says nothing.
    for depth in [2, 0] {
        let mut b = Bench::new(&["a1", "a2"]);
        let footage = b.footage.clone();
        b.tracks = h265(640, depth);
        b.session(|c| {
            for _ in 0..20 {
                open_group(c, &mut None);
            }
            open_group(c, &mut Some(h265(1280, depth)));
            for _ in 0..20 {
                open_group(c, &mut None);
            }
            c.clock.step(-60_000_000_000);
            for _ in 0..20 {
                open_group(c, &mut None);
            }
            footage.refuse("a1");
            for _ in 0..20 {
                open_group(c, &mut None);
            }
        });
        let runs = b.runs();
        assert_eq!(runs.len(), 4, "depth {depth}");
        assert_eq!(runs.iter().map(|r| r.run.video().size.0).collect::<Vec<_>>(), [640, 1280, 1280, 1280]);
        for (i, r) in runs.iter().enumerate() {
            let dropped: u32 = r.fragments.iter().map(|f| f.dropped_frames).sum();
            assert_eq!(dropped, 2, "depth {depth}, run {i}: its first key frame's leading pictures");
            let mut shown: Vec<i64> = r.samples(0).map(|s| i64::try_from(s.dts).unwrap() + i64::from(s.cts)).collect();
            shown.sort_unstable();
            assert!(shown.windows(2).all(|w| w[1] - w[0] == 4_500), "depth {depth}, run {i}: {shown:?}");
        }
        let complete: usize = runs[..3].iter().map(|r| r.samples(0).count()).sum();
        assert_eq!(runs[0].samples(0).count(), 20 * 8 - 2);
        assert_eq!(runs[1].samples(0).count(), 21 * 8 - 2);
        assert!(complete + runs[3].samples(0).count() + 4 * 2 + 2 * 8 >= 81 * 8, "at most two groups at the refusal");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens, the store's promises hold and no decodable frame is lost while a volume is there.
    #[test]
    fn promises_hold(acts in proptest::collection::vec((0u8..9, 1u64..60), 1..30), group in 1u64..60, depth in 0usize..4) {
        let mut b = Bench::new(&["a1"]);
        let mut sent = 0;
        b.tracks.depth = depth;
        b.session(|c| {
            c.group = group;
            for (act, n) in acts {
                let m = i64::try_from(n).unwrap();
                match act {
                    0 => c.clock.step((m - 30) * 7_000_000_000),
                    1 => c.elapsed += (m - 30) * 90_000,
                    2 => c.picture(Some(tracks(u16::try_from(n).unwrap()))),
                    3 => c.elapsed -= 4_500,
                    4 => {
                        c.clock.advance(Duration::from_millis(n * 100));
                        c.intake.flush_due();
                    }
                    5 => {
                        // A closed group with pictures out of order.
                        c.n = 0;
                        let base = c.elapsed;
                        for shown in [0, 3, 1, 2, 6, 4, 5] {
                            c.elapsed = base + shown * 4_500;
                            c.picture(None);
                        }
                        c.elapsed = base + 7 * 4_500;
                    }
                    _ => c.pictures(n),
                }
            }
            sent = c.sent;
        });
        prop_assert_eq!(b.stored(), sent);
        let runs = b.runs();
        for w in runs.windows(2) {
            prop_assert!(span(&w[0]).1 <= span(&w[1]).0);
        }
    }
}
