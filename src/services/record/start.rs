//! Starting the recorder: what can't be helped is an error, what can is logged and recording begins.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use anyhow::Context as _;

use super::{
    Options, Recorder, Shared, api, config,
    evidence::Evidence,
    holds, hours, journal,
    lock::Lock,
    playback, retention, upkeep,
    volumes::{self, Absent},
    watchdog,
};
use crate::{
    capture::{Env, Settings, Supervisor},
    services::{
        paths::Paths,
        socket::{self, For},
    },
    store::{
        Footage as _, Setup, SharedFootage, Store, VolumeSetup,
        identity::Trace,
        index::{IndexError, IndexQueue, Reader, Writer},
        recovery,
    },
    sys::{Clock, RealDisk, notify},
    types::{ByteSize, Cause, CauseKind, event, story},
};

/// The note in the index that says who stopped the recorder; empty while it runs.
pub(super) const STOPPED: &str = "stopped";

/// Memory for footage that waits for disks.
const MEMORY: ByteSize = ByteSize(256 << 20);

impl Recorder {
    /// Starts recording.
    ///
    /// # Errors
    /// If site or secrets are wrong, another recorder has the state, or the state can't be written. Volumes that are not there are
    /// no error: they are looked for while the cameras of the others are recorded.
    pub fn start(options: &Options, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let secrets = options.secrets.clone().unwrap_or_else(|| options.site.with_file_name("secrets.toml"));
        let files = config::Files { site: options.site.clone(), secrets };
        let (site, secrets) = files.read()?;
        let recorder = config::recorder(&site, options.recorder.as_ref())?;
        let paths = Paths::new(&options.state);
        paths.make().context("the state folder")?;
        let lock = Lock::take(&paths.lock())?;
        let started = clock.wall();

        let writer = open_index(&paths.index(), started)?;
        let reader = Reader::open(&paths.index())?;
        let known = recovery::known(&reader)?;
        let deposits = Arc::new(journal::Deposits::default());
        let context = volumes::Context { index: paths.index(), recorder: recorder.clone(), deposits: deposits.clone() };
        let places = volumes::places(&site, &recorder);
        let volume_count = places.len();
        let names: Vec<_> = places.iter().map(|(name, _)| name.clone()).collect();
        let (volumes, absent) = volumes::open_all(places, &context, &*clock);
        let killed = || Cause::new(CauseKind::Restart, "killed, crashed, or without power");
        let before = reader
            .meta(STOPPED)?
            .map(|who| if who.is_empty() { killed() } else { Cause::new(CauseKind::Stopped, who) });
        if let Some(cause) = before.as_ref().filter(|cause| cause.kind == CauseKind::Restart) {
            log::warn!(
                MESSAGE_ID = event::RECORDER_KILLED, RECORDER = recorder.as_str(), CAUSE:% = cause;
                "recorder {recorder} did not end in order the last time: {}", cause.detail
            );
        }
        let downtime = before.clone().unwrap_or_else(killed);
        let traces = traces(&paths, &known.traces, &volumes, &absent, &deposits);
        let retention = retention::Retention::new(clock.clone(), paths.retention(), &traces);
        drop(reader);
        let index = Arc::new(IndexQueue::start(writer, paths.index())?);
        index.put(|batch| {
            batch.meta.insert(STOPPED.into(), String::new());
            batch.meta.insert("timezone".into(), site.timezone().iana_name().unwrap_or("UTC").to_owned());
            batch.meta.insert("language".into(), site.language().as_str().to_owned());
        });
        let store = Arc::new(Store::start(Setup {
            volumes,
            volume_count,
            memory: MEMORY,
            disk: Arc::new(RealDisk),
            clock: clock.clone(),
            index: index.clone(),
            known: known.traces,
            renamed: site
                .cameras()
                .iter()
                .flat_map(|c| c.previously.iter().map(|p| (p.clone(), c.id.clone())))
                .collect(),
            places: config::places(&files, &site),
            downtime,
        })?);
        let events = store.events();
        playback::note_roots(&index, &store);
        let beginning = journal::Beginning { site: &site, recorder: &recorder, expected: names.clone(), after: before };
        let journal = journal::open(&paths, &clock, &deposits, beginning)?;
        let supervisor = Supervisor::start(Env {
            clock: clock.clone(),
            footage: store.clone() as SharedFootage,
            site: site.name().to_owned(),
            recorder: recorder.clone(),
            settings: Settings::default(),
        })?;
        let holding = holds::Holding::open(&paths.record(), &site, &recorder, started);
        let streams = config::streams(&site, &secrets, &recorder);
        let recorded = streams.iter().filter(|s| s.record).count();
        let shared = Arc::new(Shared {
            files,
            library: playback::library(paths.index(), &store),
            holds: holding,
            retention,
            recorder,
            paths,
            clock,
            store,
            index,
            supervisor,
            site: Mutex::new(Arc::new(site)),
            wanted: Mutex::default(),
            journal,
            deposits,
            compared: Mutex::default(),
            absent: Mutex::new(absent),
            started,
            stopping: AtomicBool::new(false),
        });
        hours::take_over(&shared, &shared.site(), streams);
        hours::follow(&shared);
        // The cameras are recorded by now: a disk that does not answer keeps nobody waiting but those who ask for holds.
        let there = shared.store.roots().into_keys().filter_map(|name| shared.store.volume(&name));
        shared.holds.mount(there, started);
        shared.holds.follow(&shared.site(), &shared.recorder, started);
        let sockets = serve(&shared)?;
        let behind = shared.clone();
        let feeders = journal::Feeders::start(&shared, events)?;
        let sweeper = retention::Sweeper::start(&shared)?;
        let upkeep = std::thread::Builder::new().name("upkeep".into()).spawn(move || upkeep::run(&behind))?;
        log::info!(
            MESSAGE_ID = event::RECORDER_STARTED, RECORDER = shared.recorder.as_str(), COUNT = recorded;
            "recorder {}: {recorded} streams to record", shared.recorder
        );
        let evidence = Evidence::start(&shared, &names)?;
        notify::ready();
        watchdog::start(&shared)?;
        Ok(Self { shared, sockets, upkeep: vec![upkeep], feeders, sweeper, evidence, _lock: lock })
    }
}

/// What is found of an earlier time.
fn traces(
    paths: &Paths,
    known: &[Trace],
    volumes: &[VolumeSetup],
    absent: &[Absent],
    deposits: &journal::Deposits,
) -> retention::Traces {
    let all = || known.iter().chain(volumes.iter().flat_map(|v| &v.traces));
    let footage = all().filter_map(|trace| trace.newest.as_ref().map(|(end, _)| *end)).max();
    let (ledger, on_volumes) = (journal::newest(paths), footage.max(deposits.newest()));
    let is_new = absent.is_empty() && all().next().is_none() && ledger.max(on_volumes).is_none();
    retention::Traces { ledger, on_volumes, is_new }
}

/// Opens the index. A damaged one is set aside, and a new one filled from the volumes while recording goes on.
fn open_index(path: &Path, now: crate::types::WallNs) -> anyhow::Result<Writer> {
    match Writer::open(path) {
        Ok(writer) => Ok(writer),
        Err(e @ (IndexError::Damaged { .. } | IndexError::Sqlite { .. })) if path.exists() => {
            let aside = path.with_extension(format!("damaged-{}", now.timestamp().strftime("%Y%m%dT%H%M%SZ")));
            log::error!(
                MESSAGE_ID = event::INDEX_DAMAGED, CAUSE = story(&e), FILE:% = aside.display();
                "{}; it is kept as {} and a new one is made from the volumes", story(&e), aside.display()
            );
            for suffix in ["", "-wal", "-shm"] {
                let part = |p: &Path| std::path::PathBuf::from(format!("{}{suffix}", p.display()));
                if part(path).exists() {
                    std::fs::rename(part(path), part(&aside)).context("the damaged index cannot be set aside")?;
                }
            }
            Ok(Writer::open(path)?)
        }
        Err(e) => Err(e.into()),
    }
}

/// Readers that may be waiting for disks at once. Of one that hangs, only those that came before it was noticed stay there: see
/// [`playback::volumes_changed`].
const READERS: usize = 128;

/// The sockets have threads of their own: a slow disk under a reader never delays capture, nor the answer to how the recorder is.
fn serve(shared: &Arc<Shared>) -> anyhow::Result<[tokio::runtime::Runtime; 2]> {
    let runtime = |name: &str, blocking: usize| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(blocking)
            .thread_name(name)
            .enable_all()
            .build()
    };
    let runtimes = [runtime("media", READERS)?, runtime("sockets", 8)?];
    for (runtime, path, whom, router) in [
        (&runtimes[0], shared.paths.media_socket(), For::Group, api::media(shared)),
        (&runtimes[1], shared.paths.status_socket(), For::Group, api::status(shared)),
        (&runtimes[1], shared.paths.control_socket(), For::Owner, api::control(shared)),
    ] {
        let _inside = runtime.enter();
        let listener = socket::listen(&path, whom)?;
        runtime.spawn(async move {
            if let Err(e) = axum::serve(listener, router).await {
                log::error!(FILE:% = path.display(), CAUSE:% = e; "the socket {} has failed: {e}", path.display());
            }
        });
    }
    Ok(runtimes)
}
