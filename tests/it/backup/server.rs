//! A real S3 server on loopback: `s3s` with `s3s-fs`, which keeps objects as files of a folder and checks every signature (AWS Signature Version
//! 4). Before it stands something that can break it.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::Notify};

/// Access key and secret; the secret has what must be encoded in an address.
pub const KEY: (&str, &str) = ("school", "s3cr/et+key");

/// What is wrong with it.
#[derive(Default)]
pub struct Faults {
    /// So many requests are answered with 500.
    pub errors: AtomicUsize,
    /// Requests are taken and never answered.
    pub hang: AtomicBool,
    /// After so many writes it dies, in the middle of the next one.
    pub die_after: Mutex<Option<usize>>,
    died: Notify,
    /// Names of all objects that were written.
    pub written: Mutex<Vec<String>>,
}

/// A server; its bucket outlives it.
pub struct Server {
    pub bucket: Arc<TempDir>,
    pub faults: Arc<Faults>,
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("backups")).unwrap();
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(dir))
    }

    fn on(listener: TcpListener, bucket: Arc<TempDir>) -> Self {
        let faults = Arc::new(Faults::default());
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(bucket.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY.0, KEY.1));
        let service = builder.build();
        let handler = {
            let faults = faults.clone();
            move |request: Request| {
                let (faults, mut service) = (faults.clone(), service.clone());
                async move {
                    let writes = (request.method() == Method::PUT).then(|| request.uri().path().to_owned());
                    if let Some(broken) = broken(&faults, writes).await {
                        return broken;
                    }
                    match tower::Service::call(&mut service, request).await {
                        Ok(answer) => answer.map(Body::new),
                        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e:?}")).into_response(),
                    }
                }
            }
        };
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime = Runtime::new().unwrap();
        let dying = faults.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().fallback(handler)).await.unwrap();
            drop(dying);
        });
        Self { bucket, faults, address, runtime: Some(runtime) }
    }

    /// Waits until it is to die, and kills it: every connection breaks.
    pub fn dies(mut self) -> (SocketAddr, Arc<TempDir>) {
        let runtime = self.runtime.take().unwrap();
        runtime.block_on(self.faults.died.notified());
        runtime.shutdown_background();
        (self.address, self.bucket.clone())
    }

    /// Again at the same address, with what was written.
    pub fn again((address, bucket): (SocketAddr, Arc<TempDir>)) -> Self {
        let bound = crate::support::wait_for("the address to be free", std::time::Duration::from_secs(20), || {
            TcpListener::bind(address).ok()
        });
        Self::on(bound, bucket)
    }

    /// The address as secrets.toml has it.
    pub fn url(&self) -> String {
        format!("http://{}:{}@{}/backups/kind/of", KEY.0, "s3cr%2Fet%2Bkey", self.address)
    }

    /// The folder of recorder a's backups, as the server keeps it.
    pub fn folder(&self) -> PathBuf {
        self.bucket.path().join("backups/kind/of/custodian-a")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is answered instead, if something is. `writes`: the object that is to be written.
async fn broken(faults: &Faults, writes: Option<String>) -> Option<Response> {
    if faults.hang.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    if faults.errors.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
        return Some(
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "<Error><Code>InternalError</Code><Message>We are ill.</Message></Error>",
            )
                .into_response(),
        );
    }
    // This server makes folders as they are needed; others know which buckets there are.
    if writes.as_ref().is_some_and(|name| name.starts_with("/nowhere/")) {
        let told = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
        return Some((StatusCode::NOT_FOUND, told).into_response());
    }
    if let Some(name) = writes {
        let dies = {
            let mut left = faults.die_after.lock().unwrap();
            match &mut *left {
                Some(0) => true,
                Some(n) => {
                    *n -= 1;
                    false
                }
                None => false,
            }
        };
        if dies {
            faults.died.notify_one();
            std::future::pending::<()>().await;
        }
        faults.written.lock().unwrap().push(name);
    }
    None
}
