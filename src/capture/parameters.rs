//! How far pictures are out of order, from the sequence parameter set.

use std::{io::Read, num::NonZeroUsize};

use h264_reader::{
    nal::sps::{PicOrderCntType, SeqParameterSet},
    rbsp::{BitRead, BitReader, BitReaderError, ByteReader},
};

/// The deepest reordering that either codec allows.
pub(super) const MAX_DEPTH: usize = 16;

/// How many pictures may precede another in decoding order and follow it in output order, by an H.264 SPS NAL unit.
///
/// 0 where the SPS does not say (no `bitstream_restriction_flag`, ITU-T H.264 annex E.2.1): inferring the worst
/// case would delay every camera that never reorders, and nearly none does. What turns up all the same is learnt from the
/// time stamps.
pub(super) fn h264_depth(sps: &[u8]) -> usize {
    let mut rbsp = Vec::new();
    if ByteReader::skipping_h264_header(sps).read_to_end(&mut rbsp).is_err() {
        return 0;
    }
    // Some cameras leave a stray byte at the end; the fields looked at come before it.
    let Ok(sps) = SeqParameterSet::from_bits(BitReader::new(&*rbsp)) else { return 0 };
    if matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo) {
        return 0; // output order is decoding order
    }
    sps.vui_parameters
        .and_then(|v| v.bitstream_restrictions)
        .map_or(0, |b| usize::try_from(b.max_num_reorder_frames).unwrap_or(MAX_DEPTH).min(MAX_DEPTH))
}

/// The same by an H.265 SPS NAL unit: `sps_max_num_reorder_pics` of the highest sub-layer (ITU-T H.265 section 7.3.2.2.1).
pub(super) fn h265_depth(sps: &[u8]) -> usize {
    read_h265(sps).map_or(0, |d| usize::try_from(d).unwrap_or(MAX_DEPTH).min(MAX_DEPTH))
}

fn read_h265(sps: &[u8]) -> Result<u32, BitReaderError> {
    const HEADER: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
    let mut rbsp = Vec::new();
    ByteReader::skipping_bytes(sps, HEADER)
        .read_to_end(&mut rbsp)
        .map_err(|e| BitReaderError::ReaderErrorFor("sps", e))?;
    let mut r = BitReader::new(&*rbsp);
    r.skip(4, "sps_video_parameter_set_id")?;
    let sub_layers: u32 = r.read::<u8>(3, "sps_max_sub_layers_minus1")?.into();
    r.skip(1, "sps_temporal_id_nesting_flag")?;
    profile_tier_level(&mut r, sub_layers)?;
    r.read_ue("sps_seq_parameter_set_id")?;
    if r.read_ue("chroma_format_idc")? == 3 {
        r.skip(1, "separate_colour_plane_flag")?;
    }
    r.read_ue("pic_width_in_luma_samples")?;
    r.read_ue("pic_height_in_luma_samples")?;
    if r.read_bool("conformance_window_flag")? {
        for _ in 0..4 {
            r.read_ue("conf_win_offset")?;
        }
    }
    r.read_ue("bit_depth_luma_minus8")?;
    r.read_ue("bit_depth_chroma_minus8")?;
    r.read_ue("log2_max_pic_order_cnt_lsb_minus4")?;
    let all = r.read_bool("sps_sub_layer_ordering_info_present_flag")?;
    let mut depth = 0;
    for _ in if all { 0 } else { sub_layers }..=sub_layers {
        r.read_ue("sps_max_dec_pic_buffering_minus1")?;
        depth = r.read_ue("sps_max_num_reorder_pics")?;
        r.read_ue("sps_max_latency_increase_plus1")?;
    }
    Ok(depth)
}

/// ITU-T H.265 section 7.3.3, with `profilePresentFlag` 1.
fn profile_tier_level(r: &mut impl BitRead, sub_layers: u32) -> Result<(), BitReaderError> {
    const PROFILE: u32 = 88;
    const LEVEL: u32 = 8;
    r.skip(PROFILE + LEVEL, "general profile and level")?;
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((r.read_bool("sub_layer_profile_present_flag")?, r.read_bool("sub_layer_level_present_flag")?));
    }
    if sub_layers > 0 {
        r.skip(2 * (8 - sub_layers), "reserved_zero_2bits")?;
    }
    for (profile, level) in present {
        r.skip(if profile { PROFILE } else { 0 } + if level { LEVEL } else { 0 }, "sub-layer profile and level")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(s: &str) -> Vec<u8> {
        (0..s.len() / 2).map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn garbage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(h264_depth(&data) <= MAX_DEPTH);
            prop_assert!(h265_depth(&data) <= MAX_DEPTH);
        }
    }

    // Parameter sets made by x264 and x265 from ffmpeg's test picture with -bf 0, 2 and 3; see each name.
    #[test]
    fn depths_of_encoders() {
        assert_eq!(h264_depth(&hex(X264_BF0)), 0);
        assert_eq!(h264_depth(&hex(X264_BF2)), 1);
        assert_eq!(h264_depth(&hex(X264_BF3_PYRAMID)), 2);
        assert_eq!(h265_depth(&hex(X265_BF0)), 0);
        assert_eq!(h265_depth(&hex(X265_BF3_PYRAMID)), 2);
    }
    const X264_BF0: &str = "6764000cacb20283f60220000003002000000501e28549";
    const X264_BF2: &str = "6764000cacd10141fb011000000300100000030280f1429120";
    const X264_BF3_PYRAMID: &str = "6764000cacd94141fb011000000300100000030280f1429960";
    const X265_BF0: &str = "42010101600000030090000003000003003ca00a080f16592a4932bc05a02000000300200000030281";
    const X265_BF3_PYRAMID: &str =
        "42010101600000030090000003000003003ca00a080f16595964932bc05a020000030002000003002810";
}
