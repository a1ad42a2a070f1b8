//! Live pictures over the media socket: every frame as a media segment of its own, from the last key frame on.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{Stream, stream};

use crate::{
    capture::{LiveEvent, LiveTap},
    store::format,
    types::{Run, wire},
};

const INIT: u8 = 0;
const INIT_SEGMENT: u8 = 1;
const MEDIA: u8 = 2;
const STATE: u8 = 3;

fn message(out: &mut BytesMut, kind: u8, body: &[u8]) {
    out.put_u8(kind);
    out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.put_slice(body);
}

struct Muxer {
    run: Option<Arc<Run>>,
    sequence: u32,
}

impl Muxer {
    fn event(&mut self, event: &LiveEvent) -> Bytes {
        let mut out = BytesMut::new();
        match event {
            LiveEvent::State(state) => message(&mut out, STATE, &json(state)),
            LiveEvent::Init(run) => {
                let run = Arc::new(playable(run));
                let init = wire::LiveInit {
                    mime: run.mime(),
                    size: run.video().size,
                    timescale: run.video().timescale,
                    start: run.start.offset(run.clock_correction),
                };
                message(&mut out, INIT, &json(&init));
                message(&mut out, INIT_SEGMENT, &format::init_segment(&run));
                self.run = Some(run);
            }
            LiveEvent::Sample(sample) => {
                if self.run.as_ref().is_some_and(|run| sample.track < run.tracks.len()) {
                    self.sequence = self.sequence.wrapping_add(1);
                    message(&mut out, MEDIA, &format::live_chunk(sample, self.sequence));
                }
            }
        }
        out.freeze()
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The run without sound that RFC 6381 has no name for: no browser takes G.711 in MP4, and it would refuse the pictures with it.
fn playable(run: &Run) -> Run {
    let mut run = run.clone();
    run.tracks.retain(|t| t.rfc6381.is_some());
    run
}

/// A tap's events as the body of an answer. Ends when the stream leaves the site.
pub(super) fn body(tap: LiveTap) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold((tap, Muxer { run: None, sequence: 0 }), |(mut tap, mut muxer)| async move {
        let event = tap.next().await?;
        let bytes = muxer.event(&event);
        Some((Ok(bytes), (tap, muxer)))
    })
}
