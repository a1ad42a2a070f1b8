//! What a stream says of itself (RFC 4566, RFC 6184 section 8.2.1).

use bytes::Bytes;

use super::auth::base64;

/// What the SDP needs to know of the pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) sps: Bytes,
    pub(crate) pps: Bytes,
    pub(crate) fps: u32,
}

impl Description {
    /// The session description, with `trackID=1` for pictures and 2 for sound.
    pub(crate) fn sdp(&self, name: &str, audio: bool) -> String {
        let profile = format!("{:02X}{:02X}{:02X}", self.sps[1], self.sps[2], self.sps[3]);
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={name}\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=tool:custodian demo\r\na=control:*\r\n\
             a=range:npt=now-\r\nm=video 0 RTP/AVP {pt}\r\na=rtpmap:{pt} H264/90000\r\n\
             a=fmtp:{pt} packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sps},{pps}\r\n\
             a=framerate:{fps}\r\na=control:trackID=1\r\n",
            pt = super::rtp::H264,
            sps = base64(&self.sps),
            pps = base64(&self.pps),
            fps = self.fps,
        );
        if audio {
            sdp.push_str("m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:40\r\na=control:trackID=2\r\n");
        }
        sdp
    }
}
