//! The recorder's sockets, see [`crate::types::wire`].

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    Shared, config,
    holds::{self, HoldError},
    live,
    retention::{self, TrustError},
};
use crate::{
    retrieve::params,
    types::{CameraId, StreamKind, event, wire},
};

fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(wire::Problem { error: error.into() })).into_response()
}

pub(super) fn status(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/status", get(report))
        .route("/v1/holds", get(holds_health))
        .route("/v1/retention", get(kept))
        .route("/v1/gaps", get(gaps))
        .with_state(shared.clone())
}

async fn kept(State(shared): State<Arc<Shared>>) -> Response {
    Json(retention::retention(&shared)).into_response()
}

async fn holds_health(State(shared): State<Arc<Shared>>) -> Response {
    Json(holds::health(&shared)).into_response()
}

async fn report(State(shared): State<Arc<Shared>>) -> Response {
    // Asks the index.
    match tokio::task::spawn_blocking(move || super::status::status(&shared)).await {
        Ok(status) => Json(status).into_response(),
        Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

async fn gaps(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery) -> Response {
    let asked = params::Query::parse(raw.as_deref().unwrap_or_default()).and_then(|q| q.span());
    let span = match asked {
        Ok(span) => span,
        Err(e) => return problem(StatusCode::BAD_REQUEST, e.to_string()),
    };
    // Asks the index.
    match tokio::task::spawn_blocking(move || super::status::gaps(&shared, span)).await {
        Ok(Ok(gaps)) => Json(gaps).into_response(),
        Ok(Err(e)) => problem(StatusCode::SERVICE_UNAVAILABLE, crate::types::story(&e)),
        Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

pub(super) fn control(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/reload", post(reload))
        .route("/v1/holds", get(list_holds).post(change_holds))
        .route("/v1/trust", post(trust))
        .with_state(shared.clone())
}

async fn trust(State(shared): State<Arc<Shared>>, Json(word): Json<wire::Trust>) -> Response {
    // Waits for the ledger.
    match tokio::task::spawn_blocking(move || retention::trust(&shared, &word)).await {
        Ok(Ok(())) => Json(serde_json::json!({})).into_response(),
        Ok(Err(e @ (TrustError::Ledger(_) | TrustError::Notes(_)))) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, crate::types::story(&e))
        }
        Ok(Err(e)) => problem(StatusCode::CONFLICT, e.to_string()),
        Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

async fn list_holds(State(shared): State<Arc<Shared>>) -> Response {
    Json(holds::list(&shared)).into_response()
}

async fn change_holds(State(shared): State<Arc<Shared>>, Json(command): Json<wire::HoldCommand>) -> Response {
    // Waits for disks.
    match tokio::task::spawn_blocking(move || holds::command(&shared, &command)).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(e)) => {
            let status = match e {
                HoldError::Wrong(_) => StatusCode::CONFLICT,
                HoldError::Disks(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            problem(status, e.to_string())
        }
        Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

async fn reload(State(shared): State<Arc<Shared>>) -> Response {
    match tokio::task::spawn_blocking(move || config::reload(&shared)).await {
        Ok(Ok(changes)) => Json(changes).into_response(),
        Ok(Err(e)) => {
            log::error!(MESSAGE_ID = event::SITE_REFUSED, CAUSE = format!("{e:#}"); "the site is not taken over: {e:#}");
            problem(StatusCode::UNPROCESSABLE_ENTITY, format!("{e:#}"))
        }
        Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

pub(super) fn media(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/live/{camera}/{kind}", get(watch))
        .route("/v1/kept", get(camera_kept))
        .with_state(shared.clone())
        .merge(super::playback::router(shared))
}

#[derive(serde::Deserialize)]
struct Whose {
    camera: String,
}

async fn camera_kept(State(shared): State<Arc<Shared>>, Query(whose): Query<Whose>) -> Response {
    let id: CameraId = match whose.camera.parse() {
        Ok(id) => id,
        Err(e) => return problem(StatusCode::BAD_REQUEST, format!("camera: {e}")),
    };
    Json(retention::camera(&shared, &id)).into_response()
}

async fn watch(State(shared): State<Arc<Shared>>, Path((camera, kind)): Path<(String, String)>) -> Response {
    let parsed = camera.parse::<CameraId>().and_then(|c| Ok((c, kind.parse::<StreamKind>()?)));
    let (camera, kind) = match parsed {
        Ok(parsed) => parsed,
        Err(e) => return problem(StatusCode::BAD_REQUEST, e.to_string()),
    };
    match shared.supervisor.live(&camera, kind) {
        Some(tap) => Body::from_stream(live::body(tap)).into_response(),
        None => problem(StatusCode::NOT_FOUND, format!("camera {camera} has no {kind} stream here")),
    }
}
