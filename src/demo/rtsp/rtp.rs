//! RTP packets of H.264 (RFC 6184) and G.711 (RFC 3551), and RTCP sender reports (RFC 3550).

use bytes::Bytes;

use crate::types::WallNs;

/// Largest RTP packet, header included: fits into an Ethernet frame.
const MTU: usize = 1400;
const HEADER: usize = 12;
/// NAL unit type of a fragment (RFC 6184 table 1): 28.
const FU_A: u8 = 0x1c;

/// Payload type of H.264, as the SDP names it.
pub(crate) const H264: u8 = 96;
/// Payload type of G.711 µ-law (RFC 3551 table 4).
pub(crate) const PCMU: u8 = 0;

/// One track of one session: numbers its packets and counts them.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    payload_type: u8,
    packets: u32,
    octets: u32,
}

impl Sender {
    pub(crate) fn new(payload_type: u8, ssrc: u32, sequence: u16) -> Self {
        Self { ssrc, sequence, payload_type, packets: 0, octets: 0 }
    }

    /// Packets of one picture; the last one has the marker. Single NAL units and FU-A (RFC 6184 sections 5.6, 5.8).
    pub(crate) fn picture(&mut self, nals: &[Bytes], timestamp: u32, mut put: impl FnMut(&[&[u8]])) {
        for (i, nal) in nals.iter().enumerate() {
            let last_nal = i + 1 == nals.len();
            if nal.len() <= MTU - HEADER {
                self.packet(timestamp, last_nal, &[nal], &mut put);
                continue;
            }
            let (header, rest) = (nal[0], &nal[1..]);
            let count = rest.len().div_ceil(MTU - HEADER - 2);
            for (part, chunk) in rest.chunks(MTU - HEADER - 2).enumerate() {
                let last = part + 1 == count;
                let start_end = u8::from(part == 0) << 7 | u8::from(last) << 6;
                let fu = [header & 0xe0 | FU_A, start_end | header & 0x1f];
                self.packet(timestamp, last_nal && last, &[&fu, chunk], &mut put);
            }
        }
    }

    /// One packet of sound.
    pub(crate) fn sound(&mut self, data: &[u8], timestamp: u32, mut put: impl FnMut(&[&[u8]])) {
        self.packet(timestamp, false, &[data], &mut put);
    }

    fn packet(&mut self, timestamp: u32, marker: bool, payload: &[&[u8]], put: &mut impl FnMut(&[&[u8]])) {
        let mut header = [0; HEADER];
        header[0] = 0x80;
        header[1] = u8::from(marker) << 7 | self.payload_type;
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        let octets: usize = payload.iter().map(|p| p.len()).sum();
        self.octets = self.octets.wrapping_add(u32::try_from(octets).unwrap_or(0));
        match payload {
            [one] => put(&[&header, one]),
            [a, b] => put(&[&header, a, b]),
            _ => debug_assert!(false, "payloads have one or two parts"),
        }
    }

    /// A sender report with the name of the source (sections 6.4.1 and 6.5): `wall` is the camera's clock at `timestamp`.
    pub(crate) fn report(&self, wall: WallNs, timestamp: u32) -> Vec<u8> {
        const NAME: &[u8; 9] = b"custodian";
        let mut out = Vec::with_capacity(52);
        out.extend_from_slice(&[0x80, 200, 0, 6]);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&ntp(wall).to_be_bytes());
        out.extend_from_slice(&timestamp.to_be_bytes());
        out.extend_from_slice(&self.packets.to_be_bytes());
        out.extend_from_slice(&self.octets.to_be_bytes());
        // SDES with one chunk: CNAME of 9 bytes, one zero that ends the list: 4 + 2 + 9 + 1 = 16 bytes, four words.
        out.extend_from_slice(&[0x81, 202, 0, 4]);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&[1, 9]);
        out.extend_from_slice(NAME);
        out.push(0);
        out
    }
}

/// A wall time as an NTP timestamp (section 4): seconds since 1900 and a fraction of 2^32.
fn ntp(wall: WallNs) -> u64 {
    const FROM_1900_TO_1970: i64 = 2_208_988_800;
    let seconds = wall.0.div_euclid(1_000_000_000) + FROM_1900_TO_1970;
    let fraction = (wall.0.rem_euclid(1_000_000_000).unsigned_abs() << 32) / 1_000_000_000;
    // NTP's seconds wrap in 2036, as the RFC has it.
    seconds.cast_unsigned() << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(nals: &[Bytes]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        Sender::new(H264, 7, 65_535).picture(nals, 90_000, |parts| out.push(parts.concat()));
        out
    }

    #[test]
    fn a_large_nal_unit_is_cut_and_can_be_put_together_again() {
        let nal: Bytes = (0..4000_u32).map(|i| if i == 0 { 0x65 } else { (i % 251) as u8 }).collect();
        let all = packets(&[Bytes::from_static(&[0x67, 1]), nal.clone()]);
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|p| p.len() <= MTU && p[0] == 0x80 && p[1] & 0x7f == H264));
        assert_eq!(all[0][12..], [0x67, 1]);
        assert_eq!(all.iter().map(|p| p[1] >> 7).collect::<Vec<_>>(), [0, 0, 0, 1], "marker on the last one only");
        assert_eq!(all.iter().map(|p| u16::from_be_bytes([p[2], p[3]])).collect::<Vec<_>>(), [65_535, 0, 1, 2]);
        assert_eq!(all[1..].iter().map(|p| p[13] >> 6).collect::<Vec<_>>(), [0b10, 0b00, 0b01]);
        let mut joined = vec![all[1][12] & 0xe0 | all[1][13] & 0x1f];
        joined.extend(all[1..].iter().flat_map(|p| &p[14..]));
        assert_eq!(joined, nal);
    }

    #[test]
    fn ntp_counts_from_1900() {
        assert_eq!(ntp(WallNs(0)) >> 32, 2_208_988_800);
        assert_eq!(ntp(WallNs(500_000_000)) & 0xffff_ffff, 1 << 31);
        assert_eq!(ntp(WallNs(-500_000_000)) >> 32, 2_208_988_799);
    }

    #[test]
    fn reports_count_what_was_sent() {
        let mut s = Sender::new(PCMU, 7, 0);
        s.sound(&[1; 320], 0, |_| {});
        s.sound(&[1; 320], 320, |_| {});
        let report = s.report(WallNs(0), 640);
        assert_eq!(report.len() % 4, 0);
        assert_eq!(report.len(), 28 + 20);
        assert_eq!(report[20..28], [0, 0, 0, 2, 0, 0, 2, 128]);
    }
}
