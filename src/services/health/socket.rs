//! The sockets of health, as JSON over HTTP/1.1.
//!
//! `health.sock`, for the group of its folder:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/report` | [`Report`]; 503 and [`Problem`] before the first look |
//! | `GET /v1/masked` | the same without names of cameras, persons and reasons |
//! | `GET /v1/vendor` | [`VendorAccess`](crate::types::wire::health::VendorAccess) |
//! | `GET /healthz`, `GET /metrics` | see [`crate::health::pages`] |
//!
//! `health-control.sock`, for health's own user and root:
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/silence` with a [`SilenceOrder`] | nothing; 409 and a problem if it is refused |
//! | `POST /v1/silence/{id}/end` with a [`SilenceEnd`] | nothing; 409 and a problem if nothing like that is announced |
//! | `POST /v1/vendor` with a [`VendorAllow`] | nothing; 409 and a problem if it is refused |
//! | `POST /v1/vendor/end` | nothing; 503 and a problem if that cannot be noted: the door is shut all the same |

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::sync::{Mutex as Turn, watch};
use uuid::Uuid;

use super::{gather::World, looker::Look, state::Silences};
use crate::{
    health::{
        pages::{self, Reports},
        silence,
    },
    services::vendor::{Vendor, VendorError},
    types::{
        RecorderId, WallNs,
        wire::{
            Problem,
            health::{Report, Silence, SilenceEnd, SilenceOrder, VendorAllow},
        },
    },
};

type Site = watch::Receiver<Option<(Arc<crate::site::Site>, RecorderId)>>;
/// What is said where nobody knows whether the vendor is let in.
const UNREADABLE: &str =
    "the vendor's permission cannot be read, so nobody is let in: remove vendor.json from health's state folder";

type Latest = watch::Receiver<Option<Arc<Report>>>;

fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Problem { error: error.into() })).into_response()
}

/// What whoever is in the group may ask.
pub(super) fn open(reports: Reports, desk: Desk) -> Router {
    let access = Router::new().route("/v1/vendor", get(access)).with_state(desk);
    Router::new()
        .route("/v1/report", get(|State(latest): State<Latest>| async move { said(&latest, Report::clone) }))
        .route("/v1/masked", get(|State(latest): State<Latest>| async move { said(&latest, Report::masked) }))
        .with_state(reports.latest.clone())
        .merge(pages::router(reports))
        .merge(access)
}

async fn access(State(desk): State<Desk>) -> Response {
    let Some(vendor) = desk.vendor else { return problem(StatusCode::SERVICE_UNAVAILABLE, UNREADABLE) };
    let site = desk.site.borrow().clone();
    // To note an end waits for a disk.
    let work = move || vendor.access(site.as_ref().and_then(|(site, _)| site.health().vendor.as_ref()));
    match tokio::task::spawn_blocking(work).await {
        Ok(access) => Json(access).into_response(),
        Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
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
    /// The vendor's permission; none: it cannot be read.
    pub(super) vendor: Option<Arc<Vendor>>,
    /// The site in force.
    pub(super) site: Site,
    /// The newest report, which says at once what is announced. A look more would take one chance for two.
    pub(super) latest: Arc<watch::Sender<Option<Arc<Report>>>>,
    /// Who changes something comes in turn, also where nobody waits for the answer any more: an end never overtakes what it is to end.
    pub(super) turn: Arc<Turn<()>>,
}

/// A report as it is with these announcements.
fn announced(report: &Report, silences: Vec<Silence>, now: WallNs) -> Report {
    let mut report = report.clone();
    silence::apply(&silences, &mut report.findings, now);
    let loud = report.findings.iter().filter(|f| f.silenced.is_none());
    report.level = loud.map(|f| f.level).max().unwrap_or_default();
    report.silences = silences.into_iter().filter(|s| s.from <= now && now < s.until).collect();
    report
}

impl Desk {
    /// Hands on a look as it is with what was announced meanwhile; before that is done nothing more is. May wait for a disk.
    pub(super) fn announced<T>(&self, mut look: Look, hand_on: impl FnOnce(Look) -> T) -> T {
        let silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        look.report = announced(&look.report, silences.running(), self.world.clock.wall());
        hand_on(look)
    }

    /// Writes a small file: on a thread that may wait for the disk.
    async fn change(
        self,
        change: impl FnOnce(&mut Silences, &World) -> Result<(), String> + Send + 'static,
    ) -> Response {
        let turn = self.turn.clone().lock_owned().await;
        let work = move || -> Result<(), String> {
            let _turn = turn;
            let mut silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut silences, &self.world)?;
            let (running, now) = (silences.running(), self.world.clock.wall());
            self.latest.send_modify(|latest| {
                *latest = latest.as_ref().map(|report| Arc::new(announced(report, running, now)));
            });
            Ok(())
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
    Router::new()
        .route("/v1/vendor", post(allow))
        .route("/v1/vendor/end", post(shut))
        .route("/v1/silence", post(begin))
        .route("/v1/silence/{id}/end", post(end))
        .with_state(desk)
}

async fn allow(State(desk): State<Desk>, Json(word): Json<VendorAllow>) -> Response {
    let configured = desk.site.borrow().as_ref().is_some_and(|(site, _)| site.health().vendor.is_some());
    if !configured {
        return problem(StatusCode::CONFLICT, VendorError::NotConfigured.to_string());
    }
    permission(desk, move |vendor| vendor.allow(word)).await
}

async fn shut(State(desk): State<Desk>) -> Response {
    permission(desk, Vendor::end).await
}

/// Writes small files: on a thread that may wait for the disk.
async fn permission(desk: Desk, change: impl FnOnce(&Vendor) -> Result<(), VendorError> + Send + 'static) -> Response {
    let Some(vendor) = desk.vendor else { return problem(StatusCode::SERVICE_UNAVAILABLE, UNREADABLE) };
    let turn = desk.turn.lock_owned().await;
    let work = move || {
        let _turn = turn;
        change(&vendor)
    };
    let changed = tokio::task::spawn_blocking(work).await;
    match changed {
        Ok(Ok(())) => Json(serde_json::json!({})).into_response(),
        Ok(Err(e @ (VendorError::Keep(_) | VendorError::Ledger(_)))) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, crate::types::story(&e))
        }
        Ok(Err(e)) => problem(StatusCode::CONFLICT, e.to_string()),
        Err(e) => problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}
