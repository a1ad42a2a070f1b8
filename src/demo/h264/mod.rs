//! A small H.264 encoder for drawn pictures: exact, and nearly free of cost.
//!
//! Constrained Baseline (ITU-T H.264 annex A.2.1.1): CAVLC, one slice a picture, no deblocking, no motion. What is flat
//! is coded with a few bits, what is detailed as `I_PCM`, what stays as `P_Skip`. A decoder gives back exactly the samples
//! that were drawn, so that tests can compare them, and 64 cameras cost less than half a processor core.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::many_single_char_names,
    reason = "samples and coordinates of pictures of at most 4096 pixels, clipped before they are converted; y, u, v, x, y, w, h are their names"
)]

mod bits;
mod cavlc;
mod macroblock;
mod params;
mod picture;

use bytes::Bytes;

use bits::{BitWriter, nal};
use macroblock::Around;
pub(crate) use picture::{Picture, Sprite, Yuv};

/// A coded picture.
#[derive(Debug, Clone)]
pub(crate) struct AccessUnit {
    /// NAL units without start codes or lengths. Parameter sets stand before each key picture.
    pub(crate) nals: Vec<Bytes>,
    /// Whether it is an IDR picture.
    pub(crate) key: bool,
}

impl AccessUnit {
    /// Bytes of all NAL units.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nals.iter().map(Bytes::len).sum()
    }
}

/// Codes the pictures of one stream.
#[derive(Debug)]
pub(crate) struct Encoder {
    sps: Bytes,
    pps: Bytes,
    frame_num: u32,
    idr: u32,
    /// Bytes that key pictures have taken beyond the budget.
    debt: usize,
    /// Macroblock from which the next padding goes on.
    refresh: usize,
    pcm: Vec<bool>,
}

impl Encoder {
    /// For pictures of that size (even numbers of pixels) at that rate.
    pub(crate) fn new(width: u16, height: u16, fps: u32) -> Self {
        let sps = params::sps(width, height, fps);
        Self { sps, pps: params::pps(), frame_num: 0, idr: 0, debt: 0, refresh: 0, pcm: Vec::new() }
    }

    /// SPS and PPS, as NAL units.
    pub(crate) fn parameter_sets(&self) -> (&Bytes, &Bytes) {
        (&self.sps, &self.pps)
    }

    /// Codes the picture as it is now: all of it (IDR) if `key`, else what has changed since the last call.
    ///
    /// With `budget` (bytes a picture) unchanged macroblocks are sent once more, as `I_PCM`, until the budget is used up.
    /// What a key picture takes more, the pictures after it take less.
    pub(crate) fn encode(&mut self, picture: &mut Picture, key: bool, budget: Option<usize>) -> AccessUnit {
        let changed = picture.take_changed();
        self.pcm.clear();
        self.pcm.resize(picture.mbs.len(), false);
        let mut w = BitWriter::with_capacity(budget.unwrap_or(0).max(400 * changed.len()) + 1024);
        if key {
            self.frame_num = 0;
            self.idr = (self.idr + 1) % 2;
        }
        self.slice_header(&mut w, key);
        if key {
            for index in 0..picture.mbs.len() {
                self.intra(&mut w, picture, index, 0, false);
            }
        } else {
            let left = budget.map(|b| b - self.debt.min(b / 2));
            self.changes(&mut w, picture, &changed, left);
        }
        self.frame_num = (self.frame_num + 1) % (1 << params::FRAME_NUM_BITS);
        if let Some(budget) = budget {
            self.debt = (self.debt + w.len() / 8).saturating_sub(budget);
        }
        let slice = nal(if key { 0x65 } else { 0x41 }, &w.finish());
        let nals = if key { vec![self.sps.clone(), self.pps.clone(), slice] } else { vec![slice] };
        AccessUnit { nals, key }
    }

    /// Section 7.3.3.
    fn slice_header(&self, w: &mut BitWriter, key: bool) {
        w.ue(0);
        w.ue(if key { 7 } else { 5 });
        w.ue(0);
        w.put(self.frame_num, params::FRAME_NUM_BITS);
        if key {
            w.ue(self.idr);
            w.put(0, 2); // no_output_of_prior_pics_flag, long_term_reference_flag
        } else {
            w.put(0, 3); // no override, no reordering, sliding window
        }
        w.se(0); // slice_qp_delta
        w.ue(1); // disable_deblocking_filter_idc: no filter
    }

    fn changes(&mut self, w: &mut BitWriter, picture: &Picture, changed: &[usize], budget: Option<usize>) {
        let mut coded = vec![false; picture.mbs.len()];
        for &index in changed {
            coded[index] = true;
        }
        let mut forced = Vec::new();
        if let Some(budget) = budget {
            let detailed = changed.iter().filter(|&&i| matches!(picture.mbs[i], picture::Mb::Pixels(_))).count();
            // A macroblock of samples has 384 bytes and a few bits.
            let spare = budget.saturating_sub(detailed * 386 + 20) / 386;
            for _ in 0..spare.min(picture.mbs.len()) {
                self.refresh = (self.refresh + 1) % picture.mbs.len();
                if !coded[self.refresh] {
                    coded[self.refresh] = true;
                    forced.push(self.refresh);
                }
            }
            forced.sort_unstable();
        }
        let mut skipped = 0;
        for (index, coded) in coded.into_iter().enumerate() {
            if !coded {
                skipped += 1;
                continue;
            }
            w.ue(skipped);
            skipped = 0;
            self.intra(w, picture, index, 5, forced.binary_search(&index).is_ok());
        }
        if skipped > 0 {
            w.ue(skipped);
        }
    }

    fn intra(&mut self, w: &mut BitWriter, picture: &Picture, index: usize, offset: u32, pcm: bool) {
        let neighbour = |i: usize| (&picture.mbs[i], self.pcm[i]);
        let around = Around {
            top: index.checked_sub(picture.wide).map(neighbour),
            left: (!index.is_multiple_of(picture.wide)).then(|| neighbour(index - 1)),
        };
        self.pcm[index] = macroblock::intra(w, &picture.mbs[index], around, offset, pcm);
    }
}

#[cfg(test)]
mod tests;
