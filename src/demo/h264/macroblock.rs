//! Intra macroblocks that a decoder rebuilds exactly.
//!
//! A macroblock of flat cells is coded as `Intra_16x16` with DC levels only. With the quantisers of `params` the inverse
//! transform (H.264 sections 8.5.10 and 8.5.11) gives residuals `(H c H + 2) >> 2`, H being the Hadamard matrix, for
//! luma (4x4) and chroma (2x2) alike. So for wanted residuals r the levels are `H r H / 4` and `H r H`: whole numbers for
//! chroma always, for luma if all r are alike modulo 4. Anything else is coded as `I_PCM`.

use super::{
    bits::BitWriter,
    cavlc::{self, Context},
    picture::{Cells, Mb, Pixels},
};

/// `nC` contribution of an `I_PCM` neighbour.
const PCM_TOTAL: u8 = 16;

/// Where a macroblock stands: its neighbours above and to the left, if there are any, and whether they are `I_PCM`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) top: Option<(&'a Mb, bool)>,
    pub(crate) left: Option<(&'a Mb, bool)>,
}

impl Around<'_> {
    /// Section 9.2.1; with AC never coded, only `I_PCM` counts.
    fn context(&self) -> Context {
        let total = |n: Option<(&Mb, bool)>| n.map(|(_, pcm)| if pcm { PCM_TOTAL } else { 0 });
        Context::Luma(match (total(self.left), total(self.top)) {
            (Some(a), Some(b)) => (a + b).div_ceil(2),
            (Some(n), None) | (None, Some(n)) => n,
            (None, None) => 0,
        })
    }
}

/// Samples beside a macroblock: 16 of luma, 8 of each chroma.
#[derive(Clone, Copy)]
struct Edge {
    y: [u8; 16],
    u: [u8; 8],
    v: [u8; 8],
}

impl Edge {
    fn bottom_of(mb: &Mb) -> Self {
        match mb {
            Mb::Cells(c) => Self {
                y: std::array::from_fn(|i| c.y[12 + i / 4]),
                u: std::array::from_fn(|i| c.u[2 + i / 4]),
                v: std::array::from_fn(|i| c.v[2 + i / 4]),
            },
            Mb::Pixels(p) => Self {
                y: std::array::from_fn(|i| p.y[240 + i]),
                u: std::array::from_fn(|i| p.u[56 + i]),
                v: std::array::from_fn(|i| p.v[56 + i]),
            },
        }
    }

    fn right_of(mb: &Mb) -> Self {
        match mb {
            Mb::Cells(c) => Self {
                y: std::array::from_fn(|i| c.y[i / 4 * 4 + 3]),
                u: std::array::from_fn(|i| c.u[i / 4 * 2 + 1]),
                v: std::array::from_fn(|i| c.v[i / 4 * 2 + 1]),
            },
            Mb::Pixels(p) => Self {
                y: std::array::from_fn(|i| p.y[i * 16 + 15]),
                u: std::array::from_fn(|i| p.u[i * 8 + 7]),
                v: std::array::from_fn(|i| p.v[i * 8 + 7]),
            },
        }
    }
}

fn sum(samples: &[u8]) -> i32 {
    samples.iter().map(|&s| i32::from(s)).sum()
}

/// The value of each group of four samples, if each group is flat.
fn groups<const N: usize>(samples: &[u8]) -> Option<[i32; N]> {
    samples.chunks(4).all(|g| g.iter().all(|&s| s == g[0])).then(|| std::array::from_fn(|i| i32::from(samples[i * 4])))
}

/// A prediction mode with the levels it leaves.
struct Choice<const N: usize> {
    mode: u32,
    levels: [i32; N],
    cost: u32,
}

impl<const N: usize> Choice<N> {
    fn new(mode: u32, levels: [i32; N]) -> Self {
        // Near enough to the bits of a level in CAVLC.
        let cost = levels.iter().map(|l| if *l == 0 { 0 } else { 36 - l.unsigned_abs().leading_zeros() }).sum();
        Self { mode, levels, cost }
    }
}

/// Scan order of a 4x4 block: figure 8-8 a.
const ZIGZAG: [usize; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// Luma levels in scan order for a prediction of each 4x4 block, if they are whole numbers.
fn luma_levels(cells: &Cells, predicted: impl Fn(usize) -> i32) -> Option<[i32; 16]> {
    let mut t: [i32; 16] = std::array::from_fn(|i| i32::from(cells.y[i]) - predicted(i));
    for (first, step) in [(4, 1), (1, 4)] {
        for i in 0..4 {
            let at = |k: usize| i * first + k * step;
            let [a, b, c, d] = [t[at(0)], t[at(1)], t[at(2)], t[at(3)]];
            t[at(0)] = a + b + c + d;
            t[at(1)] = a + b - c - d;
            t[at(2)] = a - b - c + d;
            t[at(3)] = a - b + c - d;
        }
    }
    t.iter().all(|v| v % 4 == 0).then(|| std::array::from_fn(|i| t[ZIGZAG[i]] / 4))
}

fn luma(cells: &Cells, top: Option<&Edge>, left: Option<&Edge>) -> Option<Choice<16>> {
    let dc = match (top, left) {
        (Some(t), Some(l)) => (sum(&t.y) + sum(&l.y) + 16) >> 5,
        (Some(e), None) | (None, Some(e)) => (sum(&e.y) + 8) >> 4,
        (None, None) => 128,
    };
    let vertical = top.and_then(|e| groups::<4>(&e.y)).and_then(|g| luma_levels(cells, |i| g[i % 4]));
    let horizontal = left.and_then(|e| groups::<4>(&e.y)).and_then(|g| luma_levels(cells, |i| g[i / 4]));
    [(0, vertical), (1, horizontal), (2, luma_levels(cells, |_| dc))]
        .into_iter()
        .filter_map(|(mode, levels)| Some(Choice::new(mode, levels?)))
        .min_by_key(|c| c.cost)
}

/// DC prediction of a chroma block (section 8.3.4.1-3), by block: 0 1 / 2 3.
fn chroma_dc(block: usize, top: Option<&[u8; 8]>, left: Option<&[u8; 8]>) -> i32 {
    let t = top.map(|t| sum(&t[block % 2 * 4..][..4]));
    let l = left.map(|l| sum(&l[block / 2 * 4..][..4]));
    match (block, t, l) {
        (0 | 3, Some(t), Some(l)) => (t + l + 4) >> 3,
        (2, _, Some(s)) | (_, Some(s), _) | (_, None, Some(s)) => (s + 2) >> 2,
        (_, None, None) => 128,
    }
}

fn chroma_levels(cells: &[u8; 4], predicted: impl Fn(usize) -> i32) -> [i32; 4] {
    let [a, b, c, d] = std::array::from_fn(|i| i32::from(cells[i]) - predicted(i));
    [a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d]
}

/// Levels of Cb, then of Cr.
fn chroma(cells: &Cells, top: Option<&Edge>, left: Option<&Edge>) -> Choice<8> {
    type Plane = fn(&Edge) -> &[u8; 8];
    type Levels<'a> = dyn Fn(&[u8; 4], Plane) -> Option<[i32; 4]> + 'a;
    let planes: [(&[u8; 4], Plane); 2] = [(&cells.u, |e| &e.u), (&cells.v, |e| &e.v)];
    let both = |mode: u32, f: &Levels| {
        let [u, v] = planes.map(|(cells, plane)| f(cells, plane));
        let (u, v) = (u?, v?);
        Some(Choice::new(mode, std::array::from_fn(|i| if i < 4 { u[i] } else { v[i - 4] })))
    };
    let dc = both(0, &|c, p| Some(chroma_levels(c, |i| chroma_dc(i, top.map(p), left.map(p)))));
    let horizontal = both(1, &|c, p| groups::<2>(p(left?)).map(|g| chroma_levels(c, |i| g[i / 2])));
    let vertical = both(2, &|c, p| groups::<2>(p(top?)).map(|g| chroma_levels(c, |i| g[i % 2])));
    let mut best = dc.expect("DC prediction always applies");
    for other in [horizontal, vertical].into_iter().flatten() {
        if other.cost < best.cost {
            best = other;
        }
    }
    best
}

/// Writes `macroblock_layer()` of an intra macroblock and says whether it became `I_PCM`.
///
/// `offset` is 0 in I slices and 5 in P slices (table 7-13). `pcm` asks for `I_PCM` whatever it is made of.
pub(crate) fn intra(w: &mut BitWriter, mb: &Mb, around: Around<'_>, offset: u32, pcm: bool) -> bool {
    if let (Mb::Cells(cells), false) = (mb, pcm) {
        let top = around.top.map(|(mb, _)| Edge::bottom_of(mb));
        let left = around.left.map(|(mb, _)| Edge::right_of(mb));
        if let Some(luma) = luma(cells, top.as_ref(), left.as_ref()) {
            let chroma = chroma(cells, top.as_ref(), left.as_ref());
            let coded = chroma.levels.iter().any(|&l| l != 0);
            w.ue(offset + 1 + luma.mode + 4 * u32::from(coded));
            w.ue(chroma.mode);
            w.se(0); // mb_qp_delta
            cavlc::block(w, &luma.levels, around.context());
            if coded {
                cavlc::block(w, &chroma.levels[..4], Context::ChromaDc);
                cavlc::block(w, &chroma.levels[4..], Context::ChromaDc);
            }
            return false;
        }
    }
    w.ue(offset + 25);
    match mb {
        Mb::Pixels(p) => samples(w, p),
        Mb::Cells(_) => samples(w, &mb.pixels()),
    }
    true
}

fn samples(w: &mut BitWriter, p: &Pixels) {
    w.aligned_bytes(&[&p.y, &p.u, &p.v]);
}
