//! Bits, Exp-Golomb codes, and NAL units.

use bytes::Bytes;

/// Collects bits, most significant first (H.264 section 7.2).
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl BitWriter {
    /// Empty, with room for `bytes`.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), held: 0, count: 0 }
    }

    /// The lowest `len` bits of `value`, `len` at most 32: `u(n)`.
    pub(crate) fn put(&mut self, value: u32, len: u32) {
        debug_assert!(len <= 32 && (len == 32 || value >> len == 0), "{value} does not fit into {len} bits");
        self.held = self.held << len | u64::from(value);
        self.count += len;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.held >> self.count & 0xff) as u8);
        }
    }

    /// One bit.
    pub(crate) fn flag(&mut self, value: bool) {
        self.put(u32::from(value), 1);
    }

    /// `ue(v)`, section 9.1. Values up to 2^31 - 2.
    pub(crate) fn ue(&mut self, value: u32) {
        let code = value + 1;
        let len = 32 - code.leading_zeros();
        self.put(0, len - 1);
        self.put(code, len);
    }

    /// `se(v)`, section 9.1.1.
    pub(crate) fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs() * 2;
        self.ue(if value > 0 { magnitude - 1 } else { magnitude });
    }

    /// Zero bits up to the next byte, then whole bytes: the samples of an `I_PCM` macroblock.
    pub(crate) fn aligned_bytes(&mut self, bytes: &[&[u8]]) {
        self.align();
        for part in bytes {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Bits so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() * 8 + self.count as usize
    }

    /// The payload with its stop bit: `rbsp_trailing_bits()`.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.put(1, 1);
        self.align();
        self.bytes
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }
}

/// A NAL unit: header byte, then the payload with emulation prevention bytes (section 7.4.1.1).
pub(crate) fn nal(header: u8, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 64 + 2);
    out.push(header);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_are_those_of_the_standard() {
        // Table 9-2 and 9-3: 0 → 1, 1 → 010, 2 → 011, 3 → 00100; se: 1 → 010, -1 → 011, 2 → 00100.
        let mut w = BitWriter::default();
        w.ue(0);
        w.ue(1);
        w.ue(2);
        w.ue(3);
        w.se(1);
        w.se(-1);
        w.se(2);
        assert_eq!(w.len(), 1 + 3 + 3 + 5 + 3 + 3 + 5);
        assert_eq!(w.finish(), [0b1010_0110, 0b0100_0100, 0b1100_1001]);
    }

    #[test]
    fn start_codes_cannot_be_emulated() {
        assert_eq!(
            &nal(0x65, &[0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 4])[..],
            [0x65, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 0, 3, 0, 0, 4]
        );
    }
}
