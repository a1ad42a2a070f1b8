//! HTTP for a store that is far away: at a limited rate, and without waiting for ever. `object_store` brings retrying and the protocol.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    },
};

use crate::sys::{Clock as _, Pace, RealClock};

/// How long a store is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// While not a byte goes in either direction.
    pub stall: Duration,
    /// How often a request is made again.
    pub retries: usize,
    /// For how long it is made again.
    pub retry_for: Duration,
    /// The pause before the first repetition; later ones are longer.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            stall: Duration::from_mins(1),
            retries: 8,
            retry_for: Duration::from_mins(3),
            pause: Duration::from_millis(200),
        }
    }
}

/// Most that goes out between two looks at the pace.
const PIECE: u64 = 64 << 10;

/// Makes the client that every request goes through.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) pace: Arc<Pace>,
    pub(super) patience: Patience,
    /// Whether a connection without TLS is refused.
    pub(super) https_only: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .connect_timeout(self.patience.connect)
            .https_only(self.https_only)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("custodian/", env!("CARGO_PKG_VERSION")));
        // Without TLS none of the system's certificates, which a machine may lack.
        let client = if self.https_only { client } else { client.tls_certs_only([]) };
        let client = client.build().map_err(|e| object_store::Error::Generic { store: "S3", source: Box::new(e) })?;
        Ok(HttpClient::new(Paced { client, pace: Arc::clone(&self.pace), stall: self.patience.stall }))
    }
}

#[derive(Debug)]
struct Paced {
    client: reqwest::Client,
    pace: Arc<Pace>,
    stall: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("not a byte has moved for {0:?}")]
struct Stalled(Duration);

fn failed(e: reqwest::Error) -> HttpError {
    let kind = if e.is_timeout() {
        HttpErrorKind::Timeout
    } else if e.is_connect() {
        HttpErrorKind::Connect
    } else {
        // Cut while it was going on: what was asked may be asked again.
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, e.without_url())
}

impl Paced {
    fn stalled(&self) -> HttpError {
        HttpError::new(HttpErrorKind::Timeout, Stalled(self.stall))
    }

    async fn pass(pace: &Pace, bytes: u64) {
        let wait = pace.reserve(bytes, RealClock.monotonic());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// The body in small pieces, each when it is its time; counts what has gone.
    fn body(&self, whole: Bytes, gone: Arc<AtomicU64>) -> reqwest::Body {
        let piece = self.pace.rate().map_or(PIECE, |rate| (rate / 4).clamp(1024, PIECE));
        let pace = Arc::clone(&self.pace);
        let stream = futures::stream::unfold(whole, move |mut rest| {
            let (pace, gone) = (Arc::clone(&pace), Arc::clone(&gone));
            async move {
                let n = rest.len().min(usize::try_from(piece).unwrap_or(1024));
                if n == 0 {
                    return None;
                }
                Self::pass(&pace, n as u64).await;
                gone.fetch_add(n as u64, Ordering::Relaxed);
                Some((Ok::<_, std::convert::Infallible>(rest.split_to(n)), rest))
            }
        });
        reqwest::Body::wrap_stream(stream)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let whole = body.collect().await?.to_bytes();
        let url = parts.uri.to_string().parse().map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?;
        let gone = Arc::new(AtomicU64::new(0));
        let mut out = reqwest::Request::new(parts.method, url);
        *out.headers_mut() = parts.headers;
        if !whole.is_empty() {
            *out.body_mut() = Some(self.body(whole, Arc::clone(&gone)));
        }
        let mut answer = pin!(self.client.execute(out));
        let mut response = loop {
            let before = gone.load(Ordering::Relaxed);
            match tokio::time::timeout(self.stall, &mut answer).await {
                Ok(answer) => break answer.map_err(failed)?,
                Err(_) if gone.load(Ordering::Relaxed) > before => {}
                Err(_) => return Err(self.stalled()),
            }
        };
        // Objects are small enough to be held.
        let mut bytes = Vec::new();
        while let Some(piece) =
            tokio::time::timeout(self.stall, response.chunk()).await.map_err(|_| self.stalled())?.map_err(failed)?
        {
            Self::pass(&self.pace, piece.len() as u64).await;
            bytes.extend_from_slice(&piece);
        }
        let mut back = HttpResponse::new(HttpResponseBody::from(bytes));
        *back.status_mut() = response.status();
        *back.headers_mut() = response.headers().clone();
        Ok(back)
    }
}

impl HttpService for Paced {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.exchange(request))
    }
}
