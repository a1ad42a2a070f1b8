//! The part of `media.sock` that reads from disk. The requests are described in [`crate::types::wire`].

mod bytes;
mod gate;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{
    RetrieveError,
    clip::{self, Chunks},
    hls,
    library::Library,
    params::{self, Query},
    place,
};
use bytes::Moved;
use gate::Gate;

use crate::{
    sys::Clock,
    types::{
        CameraId, Span, StreamKey, StreamKind, WallNs,
        wire::{Camera, Problem},
    },
};

/// How long after the end of a span its footage may still come: what a group commit and a slow disk hold back.
const SETTLED_NS: i64 = 30_000_000_000;

/// The cameras of the site as it is now, for `GET /v1/cameras`. Must not block.
pub trait Cameras: Send + Sync + 'static {
    /// In the order in which people see them.
    fn cameras(&self) -> Vec<Camera>;
}

impl<F: Fn() -> Vec<Camera> + Send + Sync + 'static> Cameras for F {
    fn cameras(&self) -> Vec<Camera> {
        self()
    }
}

struct App {
    library: Arc<Library>,
    cameras: Arc<dyn Cameras>,
    clock: Arc<dyn Clock>,
    gate: Gate,
    /// Whether the index failed lately, so that it is said once.
    failing: AtomicBool,
}

/// The routes of `media.sock` that read from disk: all but `/v1/live`.
pub fn router(library: Arc<Library>, cameras: Arc<dyn Cameras>, clock: Arc<dyn Clock>) -> Router {
    let app = Arc::new(App { library, cameras, clock, gate: Gate::new(), failing: AtomicBool::new(false) });
    Router::new()
        .route("/v1/cameras", get(cameras_list))
        .route("/v1/timeline", get(timeline))
        .route("/v1/fragments", get(fragments))
        .route("/v1/segments/{stream}/{run}/{file}", get(segment))
        .route("/v1/hls/{camera}/{file}", get(playlist))
        .route("/v1/clip/{camera}/{file}", get(clip_file))
        .with_state(app)
}

/// An answer that is an error.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl From<RetrieveError> for Refusal {
    fn from(e: RetrieveError) -> Self {
        use RetrieveError as E;
        let status = match &e {
            E::Parameter(_) => StatusCode::BAD_REQUEST,
            E::NoCamera(_) | E::NoFootage(..) | E::NoPage(_) | E::NoSegment(_) => StatusCode::NOT_FOUND,
            E::NoVolume(_) | E::Index(_) | E::Read { .. } => StatusCode::SERVICE_UNAVAILABLE,
            E::Format { .. } | E::Fragment { .. } | E::Write { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, e.story())
    }
}

impl From<params::BadParameter> for Refusal {
    fn from(e: params::BadParameter) -> Self {
        RetrieveError::from(e).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Problem { error: self.1 })).into_response()
    }
}

type Answer<T> = Result<T, Refusal>;

impl App {
    /// Runs what asks the index alone, where it may block.
    async fn asking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, RetrieveError> + Send + 'static,
    ) -> Answer<T> {
        let app = Arc::clone(self);
        let answer = self.gate.ask(move || work(&app)).await?;
        self.judge(answer)
    }

    /// Runs what reads from disks, where it may block.
    async fn reading<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, RetrieveError> + Send + 'static,
    ) -> Answer<T> {
        let app = Arc::clone(self);
        let answer = self.gate.read(&self.library, move || work(&app)).await?;
        self.judge(answer)
    }

    fn judge<T>(&self, answer: Result<T, RetrieveError>) -> Answer<T> {
        let failing = matches!(answer, Err(RetrieveError::Index(_) | RetrieveError::NoVolume(_)));
        if self.failing.swap(failing, Ordering::Relaxed) != failing
            && let Err(e) = &answer
        {
            log::error!("pages get no footage: {}", e.story());
        }
        Ok(answer?)
    }

    fn configured(&self, camera: &CameraId) -> bool {
        self.cameras.cameras().iter().any(|c| c.id == *camera)
    }

    /// The stream of a camera; nothing for one that has no footage yet, an error for one that nobody knows.
    fn stream(&self, camera: &CameraId, kind: StreamKind) -> Result<Option<StreamKey>, RetrieveError> {
        let streams = self.library.streams()?;
        match streams.iter().find(|key| key.camera == *camera && key.kind == kind) {
            Some(key) => Ok(Some(key.clone())),
            None if streams.iter().any(|key| key.camera == *camera) || self.configured(camera) => Ok(None),
            None => Err(RetrieveError::NoCamera(camera.clone())),
        }
    }

    fn stream_with_footage(&self, camera: &CameraId, kind: StreamKind) -> Result<StreamKey, RetrieveError> {
        self.stream(camera, kind)?.ok_or_else(|| RetrieveError::NoFootage(camera.clone(), kind))
    }

    /// Whether no further footage can come into a span of a stream.
    fn settled(&self, stream: &StreamKey, span: Span) -> Result<bool, RetrieveError> {
        let newest = self.library.newest(stream)?;
        Ok(newest.is_some_and(|newest| newest >= span.end) || self.clock.wall().since(span.end) > SETTLED_NS)
    }
}

/// Reads a query that may be absent.
fn query(raw: Option<&str>) -> Result<Query, params::BadParameter> {
    Query::parse(raw.unwrap_or_default())
}

fn camera_id(text: &str) -> Answer<CameraId> {
    text.parse().map_err(|_| RetrieveError::NoPage(format!("{text:?} is no camera's id")).into())
}

async fn cameras_list(State(app): State<Arc<App>>) -> Answer<Json<Vec<Camera>>> {
    let streams = app.asking(|app| app.library.streams()).await;
    // Live pictures do not need the index: without it there are the configured cameras still.
    let streams = streams.unwrap_or_default();
    let mut cameras = app.cameras.cameras();
    let mut gone: BTreeMap<CameraId, Vec<StreamKind>> = BTreeMap::new();
    for key in streams {
        if cameras.iter().all(|c| c.id != key.camera) {
            gone.entry(key.camera).or_default().push(key.kind);
        }
    }
    cameras.extend(gone.into_iter().map(|(id, streams)| Camera {
        name: id.to_string(),
        id,
        area: String::new(),
        streams,
        configured: false,
    }));
    Ok(Json(cameras))
}

async fn timeline(State(app): State<Arc<App>>, RawQuery(raw): RawQuery) -> Answer<Response> {
    let q = query(raw.as_deref())?;
    let span = q.span()?;
    if q.cameras.is_empty() {
        return Err(params::BadParameter::Missing("camera").into());
    }
    let answer = app
        .asking(move |app| {
            let known = app.library.streams()?;
            let configured = app.cameras.cameras();
            for camera in &q.cameras {
                if known.iter().all(|key| key.camera != *camera) && configured.iter().all(|c| c.id != *camera) {
                    return Err(RetrieveError::NoCamera(camera.clone()));
                }
            }
            app.library.timelines(&q.cameras, q.stream(), span)
        })
        .await?;
    Ok(Json(answer).into_response())
}

async fn fragments(State(app): State<Arc<App>>, RawQuery(raw): RawQuery) -> Answer<Response> {
    let q = query(raw.as_deref())?;
    let (camera, span, kind) = (q.camera()?, q.span()?, q.stream());
    let answer = app
        .reading(move |app| match app.stream(&camera, kind)? {
            Some(stream) => Ok(app.library.footage(&stream, span)?.fragments),
            None => Ok(super::no_fragments(camera, kind)),
        })
        .await?;
    Ok(Json(answer).into_response())
}

async fn segment(
    State(app): State<Arc<App>>,
    Path((stream, run, file)): Path<(String, String, String)>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Answer<Response> {
    let id = params::segment(&stream, &run, &file)
        .ok_or_else(|| RetrieveError::NoPage(format!("segments/{stream}/{run}/{file}")))?;
    let shift = query(raw.as_deref())?.shift.filter(|ticks| *ticks != 0);
    let (segment, moved) = app
        .reading(move |app| {
            let segment = app.library.open(id)?;
            let moved = match shift {
                Some(ticks) => Some(Moved::new(app.library.table(&segment.row)?, ticks)),
                None => None,
            };
            Ok((segment, moved))
        })
        .await?;
    Ok(bytes::respond(segment, moved, &headers))
}

async fn playlist(
    State(app): State<Arc<App>>,
    Path((camera, file)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> Answer<Response> {
    let camera = camera_id(&camera)?;
    let which = hls::file_name(&file).ok_or_else(|| RetrieveError::NoPage(format!("hls/{camera}/{file}")))?;
    let q = query(raw.as_deref())?;
    let span = q.span()?;
    let text = app
        .reading(move |app| {
            let none = || RetrieveError::NoFootage(camera.clone(), which.unwrap_or(StreamKind::Main));
            if let Some(kind) = which {
                let stream = app.stream_with_footage(&camera, kind)?;
                let complete = app.settled(&stream, span)?;
                let footage = app.library.footage(&stream, span)?;
                let shifts = place::shifts(&app.library, &footage)?;
                return hls::media(&footage.fragments, &shifts, complete).ok_or_else(none);
            }
            let mut all = Vec::new();
            for kind in [StreamKind::Main, StreamKind::Sub] {
                if let Some(stream) = app.stream(&camera, kind)? {
                    all.push(app.library.footage(&stream, span)?.fragments);
                }
            }
            // Only what was understood goes into the list: what came may hold anything.
            let query = format!("from={}&to={}", span.start.0, span.end.0);
            hls::multivariant(&all, &query).ok_or_else(none)
        })
        .await?;
    // RFC 8216 section 4.
    Ok(([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl"), (header::CACHE_CONTROL, "no-cache")], text)
        .into_response())
}

async fn clip_file(
    State(app): State<Arc<App>>,
    Path((camera, file)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> Answer<Response> {
    let camera = camera_id(&camera)?;
    let kind = params::clip_name(&file).ok_or_else(|| RetrieveError::NoPage(format!("clip/{camera}/{file}")))?;
    let q = query(raw.as_deref())?;
    let (span, part) = (q.span()?, q.part.unwrap_or(1));
    let named = camera.clone();
    let plan = app
        .reading(move |app| {
            let stream = app.stream_with_footage(&camera, kind)?;
            let mut plan = clip::plan(&app.library, &stream, span)?;
            // A clip with holes that nobody mentions is worse than none.
            if plan.unreadable.is_empty() { Ok(plan) } else { Err(plan.unreadable.swap_remove(0).1) }
        })
        .await?;
    let at = usize::try_from(part).unwrap_or(usize::MAX) - 1;
    let Some(wanted) = plan.files.get(at) else {
        return Err(Refusal(StatusCode::NOT_FOUND, format!("the clip has {} files, not {part}", plan.files.len())));
    };
    let name = clip_name(&named, kind, wanted.span.map_or(span.start, |s| s.start));
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(wanted.bytes));
    headers.insert("custodian-parts", HeaderValue::from(plan.files.len()));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let chunks = Chunks::new(Arc::clone(&app.library), Arc::new(plan), at);
    *response.body_mut() = bytes::body(chunks);
    Ok(response)
}

/// `gate-1-main-20261122T080000Z.mp4`.
fn clip_name(camera: &CameraId, kind: StreamKind, start: WallNs) -> String {
    format!("{camera}-{kind}-{}.mp4", start.timestamp().strftime("%Y%m%dT%H%M%SZ"))
}
