//! Where decoding can start, by a look at NAL unit types.
//!
//! retina marks only pictures whose every slice is IDR, or leaves open GOPs out; recorders that wait for its flag never
//! start on them.

use crate::types::Codec;

/// What a picture is to one who would start decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Decoding can start here and everything that follows is whole: IDR.
    Closed,
    /// Decoding can start here, but pictures shown before this one refer to what came earlier: H.265 CRA or BLA, H.264
    /// recovery point.
    Open,
    /// H.265 RASL: cannot be decoded where decoding started at the random access point before it.
    Skipped,
    /// Any other picture.
    None,
    /// No picture at all (parameter sets or messages only).
    NoPicture,
}

impl Access {
    /// Whether decoding can start at the picture.
    pub(super) fn is_key(self) -> bool {
        matches!(self, Self::Closed | Self::Open)
    }
}

/// Looks at NAL units with four-byte lengths, up to the first slice.
pub(super) fn access(codec: Codec, data: &[u8]) -> Access {
    match codec {
        Codec::H265 => h265(data),
        _ => h264(data),
    }
}

/// NAL units with four-byte lengths (ISO/IEC 14496-15 section 5.3.3).
fn nals(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (nal, rest) = rest.split_at_checked(len)?;
        data = rest;
        Some(nal)
    })
}

/// ITU-T H.265 table 7-1.
fn h265(data: &[u8]) -> Access {
    for nal in nals(data) {
        let Some(first) = nal.first() else { continue };
        match (first >> 1) & 0x3f {
            8 | 9 => return Access::Skipped,
            19 | 20 => return Access::Closed,
            16..=23 => return Access::Open,
            0..=31 => return Access::None,
            _ => {}
        }
    }
    Access::NoPicture
}

/// ITU-T H.264 table 7-1.
fn h264(data: &[u8]) -> Access {
    let mut recovery = false;
    for nal in nals(data) {
        let Some(first) = nal.first() else { continue };
        match first & 0x1f {
            5 => return Access::Closed,
            1..=4 => return if recovery { Access::Open } else { Access::None },
            6 => recovery |= has_recovery_point(&nal[1..]),
            _ => {}
        }
    }
    Access::NoPicture
}

/// Whether an SEI NAL unit's body holds a recovery point (ITU-T H.264 sections 7.3.2.3.1 and D.1.8: payload type 6).
///
/// Emulation prevention bytes are not taken out: they can only stand inside long payloads, where a wrong length ends the
/// search at worst.
fn has_recovery_point(mut body: &[u8]) -> bool {
    // rbsp_trailing_bits is one byte 0x80.
    while body.len() > 1 {
        let Some((kind, rest)) = ff_coded(body) else { return false };
        let Some((size, rest)) = ff_coded(rest) else { return false };
        if kind == 6 {
            return true;
        }
        let Some(next) = rest.get(size..) else { return false };
        body = next;
    }
    false
}

/// A number written as bytes 0xff and a last byte, all added up.
fn ff_coded(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let n = bytes.iter().take_while(|b| **b == 0xff).count();
    let last = *bytes.get(n)?;
    Some((n * 255 + usize::from(last), &bytes[n + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn au(nals: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for n in nals {
            out.extend_from_slice(&u32::try_from(n.len()).unwrap().to_be_bytes());
            out.extend_from_slice(n);
        }
        out
    }

    #[test]
    fn h265_types() {
        let look = |t: u8| access(Codec::H265, &au(&[&[35 << 1, 1, 0x50], &[39 << 1, 1], &[t << 1, 1, 0xaf]]));
        assert_eq!(look(19), Access::Closed);
        assert_eq!(look(20), Access::Closed);
        for open in [16, 17, 18, 21] {
            assert_eq!(look(open), Access::Open, "{open}");
        }
        assert_eq!(look(8), Access::Skipped);
        assert_eq!(look(9), Access::Skipped);
        for other in [0, 1, 6, 7] {
            assert_eq!(look(other), Access::None, "{other}");
        }
        assert_eq!(look(34), Access::NoPicture);
    }

    #[test]
    fn h264_types_and_recovery_points() {
        let sei: &[u8] = &[6, 5, 3, 1, 2, 3, 6, 1, 0xc4, 0x80];
        let other: &[u8] = &[6, 5, 3, 6, 6, 6, 0x80];
        let look = |n: &[&[u8]]| access(Codec::H264, &au(n));
        assert_eq!(look(&[&[9, 0xf0], &[0x65, 1]]), Access::Closed);
        assert_eq!(look(&[&[9, 0xf0], sei, &[0x41, 1]]), Access::Open);
        assert_eq!(look(&[other, &[0x41, 1]]), Access::None);
        assert_eq!(look(&[&[0x41, 1]]), Access::None);
        assert_eq!(look(&[sei]), Access::NoPicture);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = access(Codec::H264, &data);
            let _ = access(Codec::H265, &data);
            let _ = has_recovery_point(&data);
        }
    }
}
