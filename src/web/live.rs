//! `GET /live/{camera}/{kind}`: the recorder's live messages over a WebSocket, one binary message each.
//!
//! Nothing is queued here: at most one live message is held, and the next one is read from the recorder when the browser
//! has taken it. A slow browser thereby slows the read of the recorder's socket, and the recorder's tap then skips to the
//! next key frame. A browser that takes nothing for [`PATIENCE`] is let go; its page connects again when it can.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::{Buf, BytesMut};
use tokio::time::timeout;

use super::media::Recorder;
use crate::types::{CameraId, StreamKind};

/// The kind and the length of a message.
const HEADER: usize = 5;
/// No single picture is longer; a longer message is a mistake of the sender.
const LONGEST: usize = 16 << 20;
/// How long a browser may take for one message.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the recorder may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Close codes (RFC 6455 section 7.4): 1013 is "try again later", 4000 and up are ours.
const AGAIN: u16 = 1013;
const UNKNOWN_CAMERA: u16 = 4404;

/// Takes the socket, then asks the recorder: so the page learns the reason by a close code, which browsers do not show of a
/// refused handshake.
pub(super) async fn live(
    State(recorder): State<Recorder>,
    Path((camera, kind)): Path<(String, String)>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let (Ok(camera), Ok(kind)) = (camera.parse::<CameraId>(), kind.parse::<StreamKind>()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // The page never sends anything.
    upgrade.max_message_size(1024).on_upgrade(async move |mut socket| {
        let (code, why) = relay(&recorder, &camera, kind, &mut socket).await;
        log::debug!(CAMERA = camera.as_str(), STREAM = kind.as_str(); "live {camera}/{kind} ended: {why}");
        let frame = CloseFrame { code, reason: why.into() };
        // The browser may be gone; then there is nobody to tell.
        let _ = timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await;
    })
}

/// Passes messages on until either side ends; answers with what the browser is to be told.
async fn relay(
    recorder: &Recorder,
    camera: &CameraId,
    kind: StreamKind,
    socket: &mut WebSocket,
) -> (u16, &'static str) {
    let ask = recorder.ask(Method::GET, &format!("live/{camera}/{kind}")).send();
    let mut answer = match timeout(ANSWER, ask).await {
        Ok(Ok(answer)) if answer.status() == StatusCode::OK => answer,
        Ok(Ok(answer)) if answer.status() == StatusCode::NOT_FOUND => return (UNKNOWN_CAMERA, "no such stream"),
        _ => return (AGAIN, "the recorder does not answer"),
    };
    let mut messages = Messages::default();
    loop {
        match messages.next() {
            Ok(Some(message)) => match timeout(PATIENCE, socket.send(Message::Binary(message))).await {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => return (AGAIN, "the browser is gone"),
                Err(_) => return (AGAIN, "the browser is too slow"),
            },
            Ok(None) => {}
            Err(TooLong) => return (AGAIN, "a message of the recorder is too long"),
        }
        tokio::select! {
            chunk = answer.chunk() => match chunk {
                Ok(Some(chunk)) => messages.push(&chunk),
                Ok(None) | Err(_) => return (AGAIN, "the recorder ended the stream"),
            },
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return (AGAIN, "the browser is gone"),
                Some(Ok(_)) => {}
            },
        }
    }
}

/// A message longer than [`LONGEST`].
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// Cuts the recorder's body into messages, header included.
#[derive(Default)]
struct Messages {
    pending: BytesMut,
}

impl Messages {
    fn push(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
    }

    fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        let Some(mut length) = self.pending.get(1..HEADER) else { return Ok(None) };
        let whole = HEADER + usize::try_from(length.get_u32()).map_err(|_| TooLong)?;
        if whole > LONGEST {
            return Err(TooLong);
        }
        Ok((self.pending.len() >= whole).then(|| self.pending.split_to(whole).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("short").to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    proptest! {
        #[test]
        fn messages_come_out_whole_however_they_are_cut(
            bodies in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..10),
            cut in 1usize..30,
        ) {
            let sent: Vec<Vec<u8>> = bodies.iter().map(|(kind, body)| message(*kind, body)).collect();
            let mut messages = Messages::default();
            let mut got = Vec::new();
            for chunk in sent.concat().chunks(cut) {
                messages.push(chunk);
                while let Some(m) = messages.next().expect("none is too long") {
                    got.push(m.to_vec());
                }
            }
            prop_assert_eq!(got, sent);
        }
    }

    #[test]
    fn an_endless_message_is_refused_before_it_is_stored() {
        let mut messages = Messages::default();
        messages.push(&[2, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(messages.next(), Err(TooLong));
    }
}
