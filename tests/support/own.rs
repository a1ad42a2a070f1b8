//! Simulated cameras of our own, in this process: they outlive clients that vanish often, which `GStreamer`'s server does not.

use custodian::{
    demo::{
        self,
        cameras::{Server, ServerOptions},
    },
    types::StreamKind,
};

use super::recorder::Site;

/// Some cameras, until they are dropped.
pub struct OwnCameras {
    pub names: Vec<String>,
    urls: Vec<String>,
    user: (String, String),
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
}

impl OwnCameras {
    pub fn start(count: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cameras = demo::site::cameras(count);
        let options = ServerOptions { cameras: cameras.clone(), ..ServerOptions::default() };
        let user = (options.username.clone(), options.password.clone());
        let server = runtime.block_on(Server::start(options)).unwrap();
        Self {
            names: cameras.iter().map(|c| c.id.to_string()).collect(),
            urls: cameras.iter().map(|c| server.url(&c.id, StreamKind::Main)).collect(),
            user,
            server: Some(server),
            runtime,
        }
    }

    /// Their addresses, in the order of their names.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Who may watch them: name and password.
    pub fn user(&self) -> (&str, &str) {
        (&self.user.0, &self.user.1)
    }

    /// A site of all of them, over TCP.
    pub fn site(&self) -> Site {
        self.site_with(|_| ())
    }

    /// The same, where something is done to the site's directory before its volumes are prepared.
    pub fn site_with(&self, prepare: impl FnOnce(&Site)) -> Site {
        let cameras =
            self.names.iter().cloned().zip(&self.urls).map(|(name, url)| (name, url.clone(), false)).collect();
        Site::prepared(cameras, (&self.user.0, &self.user.1), prepare)
    }
}

impl Drop for OwnCameras {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}
