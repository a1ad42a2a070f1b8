//! Sequence and picture parameter sets (H.264 sections 7.3.2.1, 7.3.2.2, annex E).

use bytes::Bytes;

use super::bits::{BitWriter, nal};

/// Luma quantiser: with it a luma DC level is a quarter of what the inverse transform gives. See `macroblock`.
pub(crate) const QP: i32 = 16;
/// Added to [`QP`] for chroma, so that a chroma DC level is exactly what is wanted.
pub(crate) const CHROMA_QP_OFFSET: i32 = -6;
/// `frame_num` counts modulo 2 to the power of this.
pub(crate) const FRAME_NUM_BITS: u32 = 8;

/// Macroblocks per second and `level_idc` (table A-1), as far as a simulated camera goes.
const LEVELS: [(u32, u32, u8); 4] =
    [(11_880, 396, 20), (40_500, 1_620, 30), (108_000, 3_600, 31), (245_760, 8_192, 40)];

/// The lowest level that allows pictures of that many macroblocks at that rate.
pub(crate) fn level(macroblocks: u32, fps: u32) -> u8 {
    LEVELS.iter().find(|l| macroblocks * fps <= l.0 && macroblocks <= l.1).map_or(51, |l| l.2)
}

/// The SPS: Constrained Baseline, no reordering, BT.709 in limited range, square pixels.
pub(crate) fn sps(width: u16, height: u16, fps: u32) -> Bytes {
    let (w, h) = (u32::from(width.div_ceil(16)), u32::from(height.div_ceil(16)));
    let (cut_right, cut_bottom) = ((w * 16 - u32::from(width)) / 2, (h * 16 - u32::from(height)) / 2);
    let mut b = BitWriter::with_capacity(32);
    b.put(66, 8);
    b.put(0xc0, 8); // constraint_set0 and 1: every Baseline and Main decoder can
    b.put(u32::from(level(w * h, fps)), 8);
    b.ue(0);
    b.ue(FRAME_NUM_BITS - 4);
    b.ue(2); // pic_order_cnt_type: output order is decoding order
    b.ue(1); // max_num_ref_frames
    b.flag(false);
    b.ue(w - 1);
    b.ue(h - 1);
    b.flag(true); // frame_mbs_only_flag
    b.flag(true); // direct_8x8_inference_flag
    let cropped = cut_right + cut_bottom > 0;
    b.flag(cropped);
    if cropped {
        for cut in [0, cut_right, 0, cut_bottom] {
            b.ue(cut);
        }
    }
    b.flag(true);
    vui(&mut b, fps);
    nal(0x67, &b.finish())
}

fn vui(b: &mut BitWriter, fps: u32) {
    b.flag(true);
    b.put(1, 8); // square
    b.flag(false);
    b.flag(true); // video_signal_type
    b.put(5, 3);
    b.flag(false); // limited range
    b.flag(true);
    for bt709 in [1, 1, 1] {
        b.put(bt709, 8);
    }
    b.flag(false);
    b.flag(true); // timing: two ticks a frame
    b.put(1, 32);
    b.put(2 * fps, 32);
    b.flag(true);
    b.flag(false); // no HRD
    b.flag(false);
    b.flag(false);
    b.flag(true); // bitstream_restriction
    b.flag(true);
    b.ue(0);
    b.ue(0);
    b.ue(9);
    b.ue(9);
    b.ue(0); // max_num_reorder_frames: a player may show each picture at once
    b.ue(1);
}

/// The PPS: CAVLC, one reference, deblocking under control of the slice.
pub(crate) fn pps() -> Bytes {
    let mut b = BitWriter::with_capacity(8);
    b.ue(0);
    b.ue(0);
    b.flag(false);
    b.flag(false);
    b.ue(0);
    b.ue(0);
    b.ue(0);
    b.flag(false);
    b.put(0, 2);
    b.se(QP - 26);
    b.se(0);
    b.se(CHROMA_QP_OFFSET);
    b.flag(true); // deblocking_filter_control_present_flag
    b.flag(false);
    b.flag(false);
    nal(0x68, &b.finish())
}
