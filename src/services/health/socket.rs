//! The sockets of health, as JSON over HTTP/1.1.
//!
//! `health.sock`, for the group of its folder:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/report` | [`Report`]; 503 and [`Problem`](crate::types::wire::Problem) before the first look |
//! | `GET /v1/masked` | the same without names of cameras, persons and reasons |
//!
//! `health-control.sock`, for health's own user and root:
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/silence` with a [`SilenceOrder`] | nothing; 409 and a problem if it is refused |
//! | `POST /v1/silence/{id}/end` with a [`SilenceEnd`] | nothing; 409 and a problem if nothing like that is announced |

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::{gather::World, state::Silences};
use crate::types::wire::{
    Problem,
    health::{Report, SilenceEnd, SilenceOrder},
};

type Latest = watch::Receiver<Option<Arc<Report>>>;

fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Problem { error: error.into() })).into_response()
}

/// What whoever is in the group may ask.
pub(super) fn open(latest: Latest) -> Router {
    Router::new()
        .route("/v1/report", get(|State(latest): State<Latest>| async move { said(&latest, Report::clone) }))
        .route("/v1/masked", get(|State(latest): State<Latest>| async move { said(&latest, Report::masked) }))
        .with_state(latest)
}

fn said(latest: &Latest, say: impl Fn(&Report) -> Report) -> Response {
    let report = latest.borrow().clone();
    match report {
        Some(report) => Json(say(&report)).into_response(),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "nothing was looked at yet: ask again in some seconds"),
    }
}

/// Where work is announced.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) silences: Arc<Mutex<Silences>>,
    pub(super) world: World,
    /// Looks again at once.
    pub(super) again: Arc<Notify>,
}

impl Desk {
    /// Writes a small file: on a thread that may wait for the disk.
    async fn change(
        self,
        change: impl FnOnce(&mut Silences, &World) -> Result<(), String> + Send + 'static,
    ) -> Response {
        let work = move || {
            let changed = change(&mut self.silences.lock().unwrap_or_else(PoisonError::into_inner), &self.world);
            self.again.notify_one();
            changed
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => Json(serde_json::json!({})).into_response(),
            Ok(Err(why)) => problem(StatusCode::CONFLICT, why),
            Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
        }
    }
}

/// What only root and health's own user may ask.
pub(super) fn control(desk: Desk) -> Router {
    let begin = |State(desk): State<Desk>, Json(order): Json<SilenceOrder>| {
        desk.change(|silences, world| silences.add(&*world.files, order, world.clock.wall()))
    };
    let end = |State(desk): State<Desk>, Path(id): Path<Uuid>, Json(by): Json<SilenceEnd>| {
        desk.change(move |silences, world| silences.end(&*world.files, id, by, world.clock.wall()))
    };
    Router::new().route("/v1/silence", post(begin)).route("/v1/silence/{id}/end", post(end)).with_state(desk)
}
