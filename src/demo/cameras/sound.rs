//! The sound of a simulated camera: a low hum and a pip each second, as G.711 µ-law.

use std::{f64::consts::TAU, sync::LazyLock};

use bytes::Bytes;

const RATE: u32 = 8_000;
/// Samples, which are bytes, in a packet: 40 ms.
const PACKET: usize = 320;

/// The `number`th packet since the beginning.
pub(crate) fn packet(number: u32) -> Bytes {
    static SECOND: LazyLock<Bytes> = LazyLock::new(|| (0..RATE).map(|n| ulaw(sample(n))).collect());
    let at = number as usize * PACKET % RATE as usize;
    SECOND.slice(at..at + PACKET)
}

#[expect(clippy::cast_possible_truncation, reason = "amplitudes add up to less than 2^14")]
fn sample(n: u32) -> i16 {
    let t = f64::from(n) / f64::from(RATE);
    let hum = 300.0 * (TAU * 110.0 * t).sin();
    let pip =
        if n < RATE / 10 { 6_000.0 * (TAU * 880.0 * t).sin() * (std::f64::consts::PI * t * 10.0).sin() } else { 0.0 };
    (hum + pip) as i16
}

/// ITU-T G.711 table 2a/2b: sign, three bits of segment, four bits within it, all inverted.
fn ulaw(sample: i16) -> u8 {
    const BIAS: u16 = 132;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(32_635) + BIAS;
    let segment = 8 - magnitude.leading_zeros().min(8);
    let step = magnitude >> (segment + 3) & 0x0f;
    !(sign | u8::try_from(segment << 4 | u32::from(step)).unwrap_or(0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulaw_as_in_g_711() {
        assert_eq!([ulaw(0), ulaw(-1), ulaw(32_767), ulaw(-32_768)], [0xff, 0x7f, 0x80, 0x00]);
        // The decoder of G.711: the value lies within half a step of what was coded.
        for sample in (-32_000..32_000).step_by(37) {
            let code = !ulaw(sample);
            let (segment, step) = (i32::from(code >> 4 & 7), i32::from(code & 15));
            let value = ((step * 2 + 33) << (segment + 2)) - 132;
            let value = if code & 0x80 == 0 { value } else { -value };
            assert!((value - i32::from(sample)).abs() <= 1 << (segment + 2), "{sample} {value}");
        }
    }

    #[test]
    fn packets_make_a_whole_second() {
        assert_eq!(packet(0), packet(25));
        assert_ne!(packet(0), packet(1));
        assert_eq!(packet(7).len(), PACKET);
    }
}
