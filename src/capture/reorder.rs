//! Decode times for pictures that come in decoding order with presentation times only.
//!
//! RTP carries when a picture is shown, MP4 wants when it is decoded. Let `P` be the presentation times, sorted, and `D` how
//! many pictures may be out of order: then the `n`th picture decoded is shown at `P[n-D]` or later, and when it arrives
//! `P[0..=n-D]` are all known. So its decode time is `P[n-D]`, moved later by a constant (`P[D] - P[0]`) so that decode times
//! run along presentation times: with a steady frame rate the `n`th decode time is `P[n]`, and composition offsets are signed.
//!
//! At the start of a run 2·D pictures are held back, so that the first decode times are exactly the first sorted
//! presentation times. Afterwards nothing is delayed. Whatever time stamps come, decode times increase strictly and
//! composition offsets make presentation times exact.

use bytes::Bytes;

use super::parameters::MAX_DEPTH;

/// A coded picture in decoding order. Times are ticks on the session's time line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) pts: i64,
    pub(super) key: bool,
    /// H.265 RASL, or shown before the open random access point that it follows: needs pictures from before that point.
    pub(super) leading: bool,
    /// When it arrived, ns since boot.
    pub(super) arrival: i64,
    pub(super) data: Bytes,
}

/// A picture with its decode time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) picture: Picture,
    pub(super) dts: i64,
}

/// Gives out decode times. One per run.
#[derive(Debug)]
pub(super) struct Reorder {
    depth: usize,
    /// Pictures held back at the start; `None` once it is over.
    held: Option<Vec<Picture>>,
    /// The latest presentation times, ascending: `P`'s end.
    latest: Vec<i64>,
    /// `P[D] - P[0]`, once known.
    shift: Option<i64>,
    last_dts: Option<i64>,
}

impl Reorder {
    /// For a run whose pictures are at most `depth` out of order, as far as is known.
    pub(super) fn new(depth: usize) -> Self {
        Self {
            depth: depth.min(MAX_DEPTH),
            held: Some(Vec::new()),
            latest: Vec::with_capacity(MAX_DEPTH + 2),
            shift: None,
            last_dts: None,
        }
    }

    /// How far out of order pictures have been said, or seen, to be.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Takes a picture; `out` is called with those whose decode time is settled.
    pub(super) fn push(&mut self, picture: Picture, out: &mut impl FnMut(Timed)) {
        let Some(held) = &mut self.held else {
            let dts = self.time(picture.pts);
            return out(Timed { picture, dts });
        };
        held.push(picture);
        if held.len() > 2 * self.depth {
            self.flush(out);
        }
    }

    /// Gives out what is held back with the best decode times known.
    pub(super) fn flush(&mut self, out: &mut impl FnMut(Timed)) {
        let Some(held) = self.held.take_if(|h| !h.is_empty()) else { return };
        let mut sorted: Vec<i64> = held.iter().map(|p| p.pts).collect();
        sorted.sort_unstable();
        if let Some(p_d) = sorted.get(self.depth) {
            self.shift = Some(p_d.saturating_sub(sorted[0]));
        }
        for (n, picture) in held.into_iter().enumerate() {
            let wish = match self.shift {
                Some(shift) if n >= self.depth => sorted[n - self.depth].saturating_add(shift),
                _ => sorted[n],
            };
            let dts = self.increase(wish);
            out(Timed { picture, dts });
        }
        let keep = sorted.len().saturating_sub(MAX_DEPTH + 1);
        self.latest.extend_from_slice(&sorted[keep..]);
    }

    fn time(&mut self, pts: i64) -> i64 {
        let at = self.latest.partition_point(|p| *p <= pts);
        let behind = self.latest.len() - at;
        if self.latest.len() > MAX_DEPTH {
            if at == 0 {
                // Older than all that is remembered: no reordering reaches that far, so the time stamp is wrong.
                return self.increase(i64::MIN);
            }
            self.latest.insert(at, pts);
            self.latest.remove(0);
        } else {
            self.latest.insert(at, pts);
        }
        if behind > self.depth {
            // The SPS lied or was silent: from here on count with what has been seen.
            self.depth = behind.min(MAX_DEPTH);
            self.shift = None;
        }
        let last = self.latest.len() - 1;
        let wish = match last.checked_sub(self.depth) {
            Some(i) => {
                let shift = *self.shift.get_or_insert_with(|| self.latest[last].saturating_sub(self.latest[i]));
                self.latest[i].saturating_add(shift)
            }
            None => self.latest[last],
        };
        self.increase(wish)
    }

    fn increase(&mut self, wish: i64) -> i64 {
        let dts = self.last_dts.map_or(wish, |last| wish.max(last.saturating_add(1)));
        self.last_dts = Some(dts);
        dts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picture(pts: i64) -> Picture {
        Picture { pts, key: false, leading: false, arrival: 0, data: Bytes::new() }
    }

    fn run(depth: usize, pts: &[i64]) -> Vec<(i64, i64)> {
        let mut r = Reorder::new(depth);
        let mut out = Vec::new();
        for &p in pts {
            r.push(picture(p), &mut |t| out.push((t.dts, t.picture.pts)));
        }
        r.flush(&mut |t| out.push((t.dts, t.picture.pts)));
        out
    }

    #[test]
    fn without_reordering_nothing_waits() {
        let mut r = Reorder::new(0);
        let mut got = 0;
        for p in [0, 10, 20] {
            r.push(picture(p), &mut |t| {
                assert_eq!(t.dts, t.picture.pts);
                got += 1;
            });
            assert_eq!(got, p / 10 + 1);
        }
    }

    #[test]
    fn a_pyramid_decodes_along_its_presentation() {
        // I P B b b: display order 0 4 2 1 3, twice, then open end.
        let pts: Vec<i64> = (0..5).flat_map(|g| [4, 2, 1, 3].map(|k| 10 * (4 * g + k))).collect();
        let pts = [&[0], &pts[..]].concat();
        let out = run(2, &pts);
        assert_eq!(out.len(), pts.len());
        for (n, (dts, p)) in out.iter().enumerate() {
            assert_eq!(*dts, 10 * i64::try_from(n).unwrap());
            assert_eq!(*p, pts[n]);
        }
    }

    #[test]
    fn a_lying_parameter_set_is_found_out() {
        let pts: Vec<i64> = (0..50).flat_map(|g| [3, 1, 2].map(|k| 10 * (3 * g + k))).collect();
        let pts = [&[0], &pts[..]].concat();
        let out = run(0, &pts);
        assert!(out.windows(2).all(|w| w[0].0 < w[1].0));
        // After the first few, as if it had been known.
        for (n, (dts, _)) in out.iter().enumerate().skip(6) {
            assert!((dts - 10 * i64::try_from(n).unwrap()).abs() <= 20, "{n}: {dts}");
        }
    }

    proptest! {
        #[test]
        fn any_stream_gets_increasing_times_and_keeps_its_order(
            depth in 0usize..=16,
            pts in proptest::collection::vec(prop_oneof![0i64..100_000, Just(500), -10i64..10], 1..200),
        ) {
            let out = run(depth, &pts);
            prop_assert_eq!(out.iter().map(|o| o.1).collect::<Vec<_>>(), pts);
            prop_assert!(out.windows(2).all(|w| w[0].0 < w[1].0));
        }

        #[test]
        fn a_true_depth_gives_each_picture_its_turn(depth in 0usize..=4, seed in any::<u64>(), frames in 20usize..120, interval in 1i64..9000) {
            // Any permutation in which at most `depth` earlier ones are shown later.
            let mut waiting: Vec<i64> = Vec::new();
            let mut next = 0i64;
            let mut order = Vec::new();
            let mut state = seed;
            while order.len() < frames {
                while waiting.len() <= depth { waiting.push(next * interval); next += 1; }
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let pick = usize::try_from(state >> 33).unwrap() % waiting.len();
                // Whoever has been passed over by `depth` later ones must go now.
                let late = order.iter().filter(|o| **o > waiting[0]).count();
                order.push(waiting.remove(if late >= depth { 0 } else { pick }));
            }
            let out = run(depth, &order);
            for (n, (dts, _)) in out.iter().enumerate() {
                prop_assert_eq!(*dts, out[0].0 + interval * i64::try_from(n).unwrap());
            }
        }
    }
}
