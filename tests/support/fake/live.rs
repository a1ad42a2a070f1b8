//! The fake's live taps.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use custodian::types::wire::{LiveInit, LiveState, StreamState};
use tokio::sync::watch;

use super::{Clip, Faults, MINUTE, Recipe, SECOND, State, clip, now, problem};

const PERIOD: i64 = SECOND / clip::RATE.cast_signed();

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[kind][..], &length, body].concat()
}

fn json(kind: u8, body: &impl serde::Serialize) -> Vec<u8> {
    message(kind, &serde_json::to_vec(body).expect("JSON"))
}

/// One reader of a tap.
struct Tap {
    faults: watch::Receiver<Faults>,
    cuts: u32,
    recipe: Recipe,
    /// Changes whenever the run does.
    run: Option<(u32, Arc<Clip>)>,
    told: Option<LiveState>,
    /// Number of the next picture, from `start`.
    next: u64,
    start: i64,
    shared: Arc<super::Shared>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.taps.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tap {
    /// What to send next; `None` at the end.
    async fn step(&mut self) -> Option<Vec<u8>> {
        loop {
            let faults = self.faults.borrow_and_update().clone();
            if faults.cuts != self.cuts {
                return None;
            }
            let state = faults.live_state();
            if self.told.as_ref() != Some(&state) {
                self.told = Some(state.clone());
                self.run = None;
                return Some(json(3, &state));
            }
            if state.state != StreamState::Running {
                self.faults.changed().await.ok()?;
                continue;
            }
            let newest = u64::try_from((now().0 - self.start) / PERIOD).expect("after the start");
            let clip = match &self.run {
                Some((run, clip)) if *run == faults.runs => Arc::clone(clip),
                _ => {
                    self.next = newest - newest % clip::GOP;
                    return Some(self.begin(faults.runs));
                }
            };
            if faults.flood {
                let piece = &clip.pieces[usize::try_from(self.next % clip::FRAMES).expect("small")];
                self.next += 1;
                return Some(message(2, &piece.bytes));
            }
            if self.next + 2 * clip::GOP < newest {
                self.next = newest - newest % clip::GOP;
            }
            if self.next > newest {
                let wait = self.start + i64::try_from(self.next).expect("small") * PERIOD - now().0;
                let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(0));
                // Whichever comes first: the next picture, or a change of what goes wrong.
                let _ = tokio::time::timeout(wait, self.faults.changed()).await;
                continue;
            }
            let piece = &clip.pieces[usize::try_from(self.next % clip::FRAMES).expect("small")];
            let bytes = piece.moved(self.next / clip::FRAMES * 60);
            self.next += 1;
            return Some(message(2, &bytes));
        }
    }

    fn begin(&mut self, run: u32) -> Vec<u8> {
        let recipe = if run % 2 == 1 { Recipe { width: 480, height: 270, ..self.recipe } } else { self.recipe };
        let clip = Clip::load(recipe);
        let init = LiveInit {
            mime: clip.mime.clone(),
            size: (recipe.width, recipe.height),
            timescale: clip.timescale,
            start: custodian::types::WallNs(self.start),
        };
        let bytes = [json(0, &init), message(1, &clip.init)].concat();
        self.run = Some((run, clip));
        bytes
    }
}

pub(super) async fn live(
    axum::extract::State(shared): State,
    Path((camera, kind)): Path<(String, String)>,
) -> Response {
    let Some((_, camera)) = shared.camera(&camera) else {
        return problem(StatusCode::NOT_FOUND, "no such camera");
    };
    if !camera.streams.iter().any(|s| s.as_str() == kind) {
        return problem(StatusCode::NOT_FOUND, "no such stream");
    }
    let recipe = if kind == "main" { camera.main } else { camera.sub };
    let faults = shared.faults.clone();
    let cuts = faults.borrow().cuts;
    let tap = Tap {
        faults,
        cuts,
        recipe: Recipe { every_frame: true, pcmu: false, ..recipe },
        run: None,
        told: None,
        next: 0,
        start: shared.started.0 - 10 * MINUTE,
        shared: Arc::clone(&shared),
    };
    shared.taps.fetch_add(1, Ordering::SeqCst);
    let stream = futures::stream::unfold(tap, async |mut tap| {
        let bytes = tap.step().await?;
        tap.shared.live_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Some((Ok::<_, Infallible>(Bytes::from(bytes)), tap))
    });
    Body::from_stream(stream).into_response()
}
