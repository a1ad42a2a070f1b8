//! The pages in Chromium, fed by a fake recorder that can be told to fail.

mod demo;
mod driver;
#[path = "../../support/fake/mod.rs"]
mod fake;
mod kept;
mod playback;
mod served;
mod sheet;
mod wall;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use custodian::{
    types::Lang,
    web::{self, WebConfig},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use fake::{Fake, FakeCamera, now};

/// How long anything may take that a person waits for; generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// The web server before a fake recorder.
struct Served {
    fake: Fake,
    address: SocketAddr,
    server: JoinHandle<()>,
    _dir: TempDir,
}

impl Served {
    async fn start(cameras: Vec<FakeCamera>) -> Self {
        Self::in_language(cameras, Some(Lang::En)).await
    }

    async fn in_language(cameras: Vec<FakeCamera>, language: Option<Lang>) -> Self {
        let dir = TempDir::new().unwrap();
        let media_socket = dir.path().join("media.sock");
        let fake = Fake::start(&media_socket, cameras);
        let config = WebConfig {
            media_socket,
            site: "Trường mầm non Hoa Hướng Dương".to_owned(),
            time_zone: "Asia/Ho_Chi_Minh".to_owned(),
            language,
            clock: Arc::new(now),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { web::serve(listener, config, std::future::pending()).await.unwrap() });
        Self { fake, address, server, _dir: dir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}
