//! What the vendor is answered: health and metrics, versions, the journal without names, and the diagnostic text. There is nothing else,
//! and nothing behind it: the service that answers has neither footage nor passwords of cameras.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::{Semaphore, watch};

use super::{Vendor, VendorError};
use crate::types::{story, wire::health::Report};

/// What is gathered when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathered {
    /// Versions of programs.
    Versions,
    /// The journal of so many hours.
    Journal(u32),
    /// All of it.
    Diagnose(u32),
}

/// Gathers; may take seconds.
pub type Gather = Arc<dyn Fn(Gathered) -> String + Send + Sync>;

/// The routes of it.
pub const ROUTES: [&str; 4] = ["/v1/report", "/v1/versions", "/v1/journal", "/v1/diagnose"];

struct Shared {
    reports: watch::Receiver<Option<Arc<Report>>>,
    gather: Gather,
    /// One at a time: it starts programs.
    turn: Arc<Semaphore>,
}

/// The router. `common` is what everybody who is let in may ask for: `/healthz` and `/metrics`.
pub fn router(
    vendor: Arc<Vendor>,
    reports: watch::Receiver<Option<Arc<Report>>>,
    gather: Gather,
    common: Router,
) -> Router {
    let shared = Arc::new(Shared { reports, gather, turn: Arc::new(Semaphore::new(1)) });
    let own = Router::new()
        .route(ROUTES[0], get(report))
        .route(ROUTES[1], get(versions))
        .route(ROUTES[2], get(journal))
        .route(ROUTES[3], get(diagnose))
        .with_state(shared);
    own.merge(common).layer(middleware::from_fn_with_state(vendor, noted))
}

/// Every use is in the ledger before it is answered, what is not there included.
async fn noted(State(vendor): State<Arc<Vendor>>, request: Request, next: Next) -> Response {
    // A path may hold anything, and be long.
    let path: String = request.uri().path().chars().filter(|c| !c.is_control()).take(100).collect();
    let route = format!("{} {path}", request.method());
    // Waits for a disk.
    match tokio::task::spawn_blocking(move || vendor.uses(&route)).await {
        Ok(Ok(())) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Ok(Err(VendorError::TooOften)) => too_often("2", "too often: one request a second\n"),
        Ok(Err(VendorError::NotNow)) => (StatusCode::FORBIDDEN, "the school does not allow it now\n").into_response(),
        Ok(Err(e)) => {
            log::error!("the vendor was not answered, because it could not be noted: {}", story(&e));
            (StatusCode::SERVICE_UNAVAILABLE, "it cannot be noted\n").into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

fn too_often(seconds: &'static str, why: &'static str) -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], why).into_response()
}

async fn report(State(shared): State<Arc<Shared>>) -> Response {
    let report = shared.reports.borrow().clone();
    match report {
        Some(report) => Json(report.masked()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "nobody has looked yet\n").into_response(),
    }
}

#[derive(serde::Deserialize)]
struct Back {
    hours: Option<u32>,
}

impl Back {
    fn hours(&self) -> u32 {
        self.hours.unwrap_or(24).clamp(1, 720)
    }
}

async fn versions(State(shared): State<Arc<Shared>>) -> Response {
    gathered(&shared, Gathered::Versions).await
}

async fn journal(State(shared): State<Arc<Shared>>, Query(back): Query<Back>) -> Response {
    gathered(&shared, Gathered::Journal(back.hours())).await
}

async fn diagnose(State(shared): State<Arc<Shared>>, Query(back): Query<Back>) -> Response {
    gathered(&shared, Gathered::Diagnose(back.hours())).await
}

async fn gathered(shared: &Arc<Shared>, what: Gathered) -> Response {
    let Ok(turn) = shared.turn.clone().try_acquire_owned() else {
        return too_often("10", "one at a time\n");
    };
    let gather = shared.gather.clone();
    // Whoever asks may go away; what was begun goes on, and it is its turn until it has ended.
    let gathering = move || {
        let text = gather(what);
        drop(turn);
        text
    };
    match tokio::task::spawn_blocking(gathering).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from(text)).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_whoever_goes_away() {
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let gather: Gather = Arc::new(move |_| {
            begun.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            "text".into()
        });
        let shared = Arc::new(Shared { reports: watch::channel(None).1, gather, turn: Arc::new(Semaphore::new(1)) });
        let first = tokio::spawn({
            let shared = shared.clone();
            async move { gathered(&shared, Gathered::Versions).await }
        });
        begins.recv().await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(gathered(&shared, Gathered::Versions).await.status(), StatusCode::TOO_MANY_REQUESTS);
        release.send(()).unwrap();
        // It has ended when its turn is free again.
        drop(shared.turn.acquire().await.unwrap());
        release.send(()).unwrap();
        assert_eq!(gathered(&shared, Gathered::Versions).await.status(), StatusCode::OK);
    }
}
