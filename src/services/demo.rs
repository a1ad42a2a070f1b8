//! The demo: simulated cameras and directories for disks; all else is what is used in earnest.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

use super::record::{Options, Recorder};
use crate::{
    demo::{
        cameras::{Fault, Server, ServerOptions},
        site,
    },
    store::volume,
    sys::{Clock, RealClock, RealDisk},
    types::{CameraId, Lang, wire},
    web::{self, WebConfig},
};

/// What a demo shall be like.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// How many cameras.
    pub cameras: usize,
    /// Where the pages are.
    pub listen: SocketAddr,
    /// Where footage and state are kept; a temporary folder, removed at the end, if none is named.
    pub dir: Option<PathBuf>,
    /// What is wrong with one of the cameras.
    pub fault: Option<Fault>,
    /// Language of the site.
    pub language: Lang,
}

/// A demo that runs.
pub struct Demo {
    runtime: Runtime,
    cameras: Server,
    recorder: Recorder,
    web: tokio::task::JoinHandle<Result<(), web::ServeError>>,
    stop_web: oneshot::Sender<()>,
    address: SocketAddr,
    faulty: Option<CameraId>,
    dir: Folder,
}

/// The folder that a demo works in.
#[derive(Debug)]
enum Folder {
    Named(PathBuf),
    Temporary(PathBuf),
}

impl Folder {
    fn make(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = named.map_or_else(
            || std::env::temp_dir().join(format!("custodian-demo-{}", std::process::id())),
            Path::to_owned,
        );
        match std::fs::create_dir(&path) {
            // A demo can be continued; a temporary folder is ours alone.
            Err(e) if named.is_some() && e.kind() == std::io::ErrorKind::AlreadyExists => {}
            other => other.with_context(|| format!("cannot make {}", path.display()))?,
        }
        Ok(if named.is_some() { Self::Named(path) } else { Self::Temporary(path) })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Temporary(path) => path,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Temporary(path) = self
            && let Err(e) = std::fs::remove_dir_all(&*path)
        {
            log::warn!(FILE:% = path.display(), CAUSE:% = e; "the demo's folder {} could not be removed: {e}", path.display());
        }
    }
}

/// The user and the password of the simulated cameras. Not a secret: they are not there for anybody else.
const USER: (&str, &str) = ("viewer", "demo");

impl Demo {
    /// Starts cameras, recorder and pages.
    ///
    /// # Errors
    /// If an address is taken or not loopback, or the folder can't be used.
    pub fn start(options: &DemoOptions) -> anyhow::Result<Self> {
        let listen = web::loopback_only(options.listen)?;
        let dir = Folder::make(options.dir.as_deref())?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("demo").enable_all().build()?;
        let cameras = site::cameras(options.cameras);
        let server = runtime.block_on(Server::start(ServerOptions {
            cameras: cameras.clone(),
            username: USER.0.into(),
            password: USER.1.into(),
            zone: jiff::tz::TimeZone::get(site::TIME_ZONE)?,
            ..ServerOptions::default()
        }))?;
        let ready = site::write(dir.path(), &cameras, server.addr(), USER, options.language)?;
        let parsed = crate::site::load(&ready.site)?;
        for (v, root) in parsed.volumes_of(&ready.recorder).iter().zip(&ready.volumes) {
            if !root.join(volume::MARKER).exists() {
                volume::init(&RealDisk, &v.name, root, parsed.id(), RealClock.wall())?;
            }
        }
        let faulty = options.fault.and_then(|fault| {
            let camera = cameras.last()?.id.clone();
            server.set_fault(&camera, Some(fault)).ok()?;
            Some(camera)
        });
        let recorder = Recorder::start(
            &Options {
                site: ready.site,
                secrets: Some(ready.secrets),
                recorder: Some(ready.recorder),
                state: dir.path().join("state"),
            },
            Arc::new(RealClock),
        )?;
        let config = WebConfig {
            media_socket: recorder.paths().media_socket(),
            site: parsed.name().to_owned(),
            time_zone: site::TIME_ZONE.to_owned(),
            language: Some(options.language),
            clock: Arc::new(|| RealClock.wall()),
        };
        let listener = runtime
            .block_on(TcpListener::bind(listen))
            .with_context(|| format!("cannot listen at {listen}: choose another port with --listen"))?;
        let address = listener.local_addr()?;
        let (stop_web, stopped) = oneshot::channel::<()>();
        let web = runtime.spawn(web::serve(listener, config, async {
            let _ = stopped.await;
        }));
        Ok(Self { runtime, cameras: server, recorder, web, stop_web, address, faulty, dir })
    }

    /// Where the pages are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where footage and state are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The camera that has the fault.
    pub fn faulty(&self) -> Option<&CameraId> {
        self.faulty.as_ref()
    }

    /// The recorder's state.
    pub fn status(&self) -> wire::Status {
        self.recorder.status()
    }

    /// Stops all of it; nothing that was received is lost.
    pub fn stop(self, who: &str) {
        let _ = self.stop_web.send(());
        let served = self.runtime.block_on(self.web);
        if let Ok(Err(e)) = served {
            log::error!("the pages failed: {e}");
        }
        self.recorder.stop(who);
        self.runtime.block_on(self.cameras.stop());
        self.runtime.shutdown_timeout(Duration::from_secs(2));
    }
}
