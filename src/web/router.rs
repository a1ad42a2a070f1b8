//! Which request goes where, and the server.

use std::{future::Future, time::Duration};

use axum::{
    Router,
    extract::FromRef,
    http::{StatusCode, header},
    middleware,
    response::IntoResponse,
    routing::get,
};

use tokio::net::TcpListener;

use super::{NotLoopback, WebConfig, assets, guard, live, loopback_only, media, pages};

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    config: WebConfig,
    recorder: media::Recorder,
}

impl FromRef<Shared> for WebConfig {
    fn from_ref(shared: &Shared) -> Self {
        shared.config.clone()
    }
}

impl FromRef<Shared> for media::Recorder {
    fn from_ref(shared: &Shared) -> Self {
        shared.recorder.clone()
    }
}

/// Why the pages cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client for the recorder's socket could not be made.
    #[error("no client for the recorder's socket")]
    Client(#[from] reqwest::Error),
    /// Other machines could reach the address.
    #[error(transparent)]
    Address(#[from] NotLoopback),
    /// The listening socket failed.
    #[error("the listening socket failed")]
    Socket(#[from] std::io::Error),
}

/// How long running downloads may go on after the server was told to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// The pages and their API, to be served on loopback ([`super::loopback_only`]).
///
/// | request | answer |
/// |---|---|
/// | `GET /`, `/camera/{id}`, `/playback?camera=a,b&t=TIME` | pages |
/// | `GET /assets/{name}`, `/lang/{lang}.json`, `/site.json` | their files, their texts, the site |
/// | `GET /api/{path}` | `/v1/{path}` of the recorder, for paths that pages need |
/// | `GET /live/{camera}/{kind}` | WebSocket with live messages |
pub fn router(config: WebConfig) -> Result<Router, ServeError> {
    let recorder = media::Recorder::at(&config.media_socket)?;
    Ok(Router::new()
        .route("/", get(pages::wall))
        .route("/camera/{id}", get(pages::camera))
        .route("/playback", get(pages::playback))
        .route("/assets/{name}", get(assets::serve))
        .route("/favicon.ico", get(async || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "/assets/icon.svg")])))
        .route("/lang/{file}", get(pages::texts))
        .route("/site.json", get(pages::site))
        .route("/api/{*path}", get(media::proxy))
        .route("/live/{camera}/{kind}", get(live::live))
        .fallback(async || StatusCode::NOT_FOUND.into_response())
        .layer(middleware::from_fn_with_state(config.clone(), guard::guard))
        .with_state(Shared { config, recorder }))
}

/// Serves the pages until `stop` is ready. Refuses a listener that other machines can reach.
pub async fn serve(
    listener: TcpListener,
    config: WebConfig,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    loopback_only(listener.local_addr()?)?;
    let router = router(config)?;
    let (told, mut was_told) = tokio::sync::watch::channel(false);
    let stopping = async move {
        stop.await;
        told.send_replace(true);
    };
    let late = async move {
        // An error means that the server has ended, and this branch is dropped with it.
        let _ = was_told.wait_for(|told| *told).await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(stopping) => Ok(served?),
        () = late => Ok(()),
    }
}
