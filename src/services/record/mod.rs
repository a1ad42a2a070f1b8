//! The recorder: capture, store and sockets of one machine. `custodian record` runs it until a signal comes; the demo runs
//! the same one inside itself.

mod api;
mod comparing;
mod config;
mod evidence;
mod holds;
mod hours;
mod journal;
mod live;
mod lock;
mod playback;
mod reindex;
mod retention;
mod signals;
mod start;
mod status;
mod upkeep;
mod volumes;
mod watchdog;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

pub use self::reindex::reindex;
pub use self::signals::{Signal, Signals};
use self::{config::Files, volumes::Absent};
pub(in crate::services) use self::{config::recorder, retention::clock_doubt, volumes::places};
use crate::{
    capture::Supervisor,
    ledger::Journal,
    retrieve::Library,
    services::paths::Paths,
    site::Site,
    store::{Store, index::IndexQueue},
    sys::Clock,
    types::{RecorderId, VolumeName, WallNs, event, wire},
};

/// What `custodian record` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// site.toml.
    pub site: PathBuf,
    /// secrets.toml; the one beside site.toml where this is nothing.
    pub secrets: Option<PathBuf>,
    /// Which recorder of the site this is; may be left out where there is only one.
    pub recorder: Option<RecorderId>,
    /// Index and sockets.
    pub state: PathBuf,
}

/// What all parts of the recorder share.
struct Shared {
    files: Files,
    recorder: RecorderId,
    paths: Paths,
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    index: Arc<IndexQueue>,
    supervisor: Supervisor,
    library: Arc<Library>,
    holds: holds::Holding,
    retention: retention::Retention,
    site: Mutex<Arc<Site>>,
    wanted: Mutex<hours::Wanted>,
    journal: Journal,
    deposits: Arc<journal::Deposits>,
    /// Volumes whose segments were compared with the index since the start.
    compared: Mutex<BTreeSet<VolumeName>>,
    absent: Mutex<Vec<Absent>>,
    started: WallNs,
    stopping: AtomicBool,
}

impl Shared {
    fn site(&self) -> Arc<Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A recorder at work.
pub struct Recorder {
    shared: Arc<Shared>,
    sockets: [tokio::runtime::Runtime; 2],
    upkeep: Vec<std::thread::JoinHandle<()>>,
    feeders: journal::Feeders,
    sweeper: std::thread::JoinHandle<()>,
    evidence: evidence::Evidence,
    _lock: lock::Lock,
}

impl Recorder {
    /// Reads the site again and changes what must be changed.
    ///
    /// # Errors
    /// If the files are wrong; nothing has changed then.
    pub fn reload(&self) -> anyhow::Result<wire::Reloaded> {
        config::reload(&self.shared)
    }

    /// Its state.
    pub fn status(&self) -> wire::Status {
        status::status(&self.shared)
    }

    /// Where its sockets are.
    pub fn paths(&self) -> &Paths {
        &self.shared.paths
    }

    /// Stops: what was received is written, closed and committed. `who` goes on record as the cause of the gap that begins.
    pub fn stop(self, who: &str) {
        use std::sync::atomic::Ordering;
        crate::sys::notify::stopping();
        self.shared.stopping.store(true, Ordering::SeqCst);
        log::info!(RECORDER = self.shared.recorder.as_str(), CAUSE = who; "stopping: {who}");
        self.sockets[1].block_on(self.shared.supervisor.stop(who));
        for runtime in self.sockets {
            runtime.shutdown_background();
        }
        self.sweeper.thread().unpark();
        if self.sweeper.join().is_err() {
            log::error!("the retention thread panicked");
        }
        self.shared.index.put(|batch| {
            batch.meta.insert(start::STOPPED.into(), who.to_owned());
        });
        self.shared.store.stop();
        self.evidence.stop();
        for thread in self.upkeep {
            thread.thread().unpark();
            if thread.join().is_err() {
                log::error!("the upkeep thread panicked");
            }
        }
        self.feeders.stop(&self.shared, who);
        for socket in
            [self.shared.paths.media_socket(), self.shared.paths.status_socket(), self.shared.paths.control_socket()]
        {
            let _ = std::fs::remove_file(socket);
        }
        log::info!(
            MESSAGE_ID = event::RECORDER_STOPPED, RECORDER = self.shared.recorder.as_str(), CAUSE = who;
            "stopped; nothing that was received is lost"
        );
    }
}
