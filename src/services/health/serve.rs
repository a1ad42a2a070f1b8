//! The service itself: one thread that answers, one that looks, and one for the ways out, which wait for names and networks. None holds up another.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    runtime::{Builder, Handle},
    signal::unix::{SignalKind, signal},
    sync::{broadcast, oneshot::error::RecvError, watch},
    time::Instant,
};

use super::{
    Options,
    apart::Apart,
    heard::Ear,
    looker::{EVERY, Look, Looker},
    socket::{self, Desk},
    source::Said,
    ways::First,
};
use crate::{
    health::{facts::NoSite, pages::Reports},
    services::{
        lock::Lock,
        paths::Paths,
        socket::{For, listen},
        vendor::{self, Vendor},
    },
    site::{Site, secrets::Secrets},
    sys::{Files, RealClock, RealFiles, notify, processor_time},
    types::{
        RecorderId,
        wire::health::{Report, Turn},
    },
};

/// Whatever hangs beside a look, an end is waited for no longer.
const LEAVE: Duration = Duration::from_secs(2);
/// A look that takes so much longer than from one to the next does not come back.
const HUNG: Duration = Duration::from_mins(1);
/// Names that are looked up at a time.
const LOOKUPS: usize = 16;
/// Turns that wait for who is slow to hear them; who misses some goes by the report.
const TURNS: usize = 256;

/// What the ways out go by. Each is a task of its own: none holds up a look.
#[derive(Clone)]
pub struct Sight {
    /// The newest report; none before the first look.
    pub latest: watch::Receiver<Option<Arc<Report>>>,
    /// The same for the pages, with how often it is looked.
    pub reports: Reports,
    /// What turns, from now on: subscribe.
    pub turns: broadcast::Sender<Turn>,
    /// The site in force and which of its recorders this is; none: there is none.
    pub site: watch::Receiver<Option<(Arc<Site>, RecorderId)>>,
    /// The secrets that health may use.
    pub secrets: watch::Receiver<Arc<Secrets>>,
    /// Where the ways out leave what health is to know of them.
    pub ear: Ear,
    /// Who is told of turns first.
    pub first: First,
    /// Whether the vendor is let in; none: that cannot be read, and nobody is.
    pub vendor: Option<Arc<Vendor>>,
    /// Where names are looked up: a lookup is a thread that nothing ends, and may take half a minute.
    pub outside: Handle,
    /// Where the ways out may keep what must survive a restart, below this folder.
    pub paths: Paths,
}

/// What goes out to those who use a [`Sight`].
struct Told {
    latest: Arc<watch::Sender<Option<Arc<Report>>>>,
    every: watch::Sender<Duration>,
    turns: broadcast::Sender<Turn>,
    site: watch::Sender<Option<(Arc<Site>, RecorderId)>>,
    secrets: watch::Sender<Arc<Secrets>>,
}

impl Told {
    fn new(paths: &Paths, (ear, first): &(Ear, First), vendor: Option<Arc<Vendor>>, outside: Handle) -> (Self, Sight) {
        let (latest, latest_of) = watch::channel(None);
        let (every, every_of) = watch::channel(EVERY);
        let (site, site_of) = watch::channel(None);
        let (secrets, secrets_of) = watch::channel(Arc::default());
        let (turns, _) = broadcast::channel(TURNS);
        let reports = Reports { latest: latest_of.clone(), every: every_of, clock: Arc::new(RealClock) };
        let sight = Sight {
            latest: latest_of,
            reports,
            turns: turns.clone(),
            site: site_of,
            secrets: secrets_of,
            ear: ear.clone(),
            first: first.clone(),
            vendor,
            outside,
            paths: paths.clone(),
        };
        (Self { latest: Arc::new(latest), every, turns, site, secrets }, sight)
    }

    fn tell(&self, look: Look) {
        self.every.send_replace(look.every);
        let Said { site, secrets } = look.said;
        let site = site.ok();
        self.site.send_if_modified(|before| {
            let same = match (&*before, &site) {
                (Some((a, r)), Some((b, s))) => Arc::ptr_eq(a, b) && r == s,
                (None, None) => true,
                _ => false,
            };
            *before = site;
            !same
        });
        self.secrets.send_if_modified(|before| {
            let same = Arc::ptr_eq(before, &secrets);
            *before = secrets;
            !same
        });
        self.latest.send_replace(Some(Arc::new(look.report)));
        for turn in look.turns {
            // Nobody may be there to hear it.
            let _ = self.turns.send(turn);
        }
    }
}

/// Looks until SIGTERM or SIGINT. `ways_out` begins whatever goes by the reports.
///
/// # Errors
/// If another one runs with this state, or there can be no folders or sockets. A site that is missing or wrong is none: it is reported.
pub fn serve(options: &Options, ways_out: impl FnOnce(Sight)) -> anyhow::Result<()> {
    let paths = Paths::new(&options.state);
    make(&paths)?;
    let _lock = Lock::take(&paths.health().join("health.lock"), "health is looked after")?;
    // Its threads note what is announced and allowed, and gather for the vendor, which may take as long as it likes.
    let runtime = Builder::new_current_thread().max_blocking_threads(6).enable_all().build()?;
    let outside = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("outside")
        .max_blocking_threads(LOOKUPS)
        .enable_all()
        .build()?;
    let world = super::world();
    let told_by: (Ear, First) = Default::default();
    let looker = Looker::new(&paths, world.clone(), options.source(), told_by.clone());
    let vendor = vendor(&paths, &world);
    let (told, sight) = Told::new(&paths, &told_by, vendor.clone(), outside.handle().clone());
    let (silences, latest, site) = (looker.silences(), told.latest.clone(), sight.site.clone());
    let desk = Desk { silences, world, vendor, site, latest, turn: Arc::default() };
    let (looks, told) = (Apart::begin("looks", looker, Looker::save)?, Arc::new(told));
    let ended = runtime.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        answer(&paths.health_socket(), For::Group, socket::open(sight.reports.clone(), desk.clone()))?;
        answer(&paths.health_control_socket(), For::Owner, socket::control(desk.clone()))?;
        ways_out(sight);
        notify::ready();
        tokio::select! {
            never = go_on(&looks, &told, &desk) => match never {},
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        anyhow::Ok(())
    });
    notify::stopping();
    let began = Instant::now();
    looks.end(LEAVE);
    outside.shutdown_background();
    runtime.shutdown_timeout(LEAVE.saturating_sub(began.elapsed()));
    for path in [paths.health_socket(), paths.health_control_socket()] {
        let _ = std::fs::remove_file(path);
    }
    ended
}

/// The vendor's permission. What cannot be read lets nobody in.
fn vendor(paths: &Paths, world: &super::World) -> Option<Arc<Vendor>> {
    let boot = RealFiles.read("/proc/sys/kernel/random/boot_id".as_ref()).ok().flatten().unwrap_or_default();
    let place = vendor::Place {
        folder: paths.health(),
        spool: paths.ledger_spool(),
        ledger: crate::ledger::public(&paths.ledger()),
        files: world.files.clone(),
        clock: world.clock.clone(),
        boot: String::from_utf8_lossy(&boot).trim().to_owned(),
    };
    match Vendor::open(place) {
        Ok(vendor) => Some(Arc::new(vendor)),
        Err(e) => {
            log::error!("the vendor is not let in: the permission in {} cannot be read: {e}", paths.health().display());
            None
        }
    }
}

/// The folders, one level each; on an appliance they are there.
fn make(paths: &Paths) -> anyhow::Result<()> {
    let run = paths.health_run();
    for dir in [Some(paths.state()), Some(&*paths.health()), run.parent(), Some(&run)].into_iter().flatten() {
        if !dir.is_dir() {
            RealFiles.make_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
    }
    Ok(())
}

fn answer(path: &Path, whom: For, router: axum::Router) -> anyhow::Result<()> {
    let listener = listen(path, whom)?;
    let path = path.to_owned();
    tokio::spawn(async move {
        if let Err(e) = axum::serve(listener, router).await {
            log::error!("the socket {} has failed: {e}", path.display());
        }
    });
    Ok(())
}

/// Looks again and again.
async fn go_on(looks: &Apart<Looker>, told: &Arc<Told>, desk: &Desk) -> std::convert::Infallible {
    let beat = Arc::new(Mutex::new(Instant::now()));
    tokio::spawn(watchdog(beat.clone(), told.every.subscribe()));
    loop {
        let began = Instant::now();
        match look(looks, told, desk).await {
            Ok(line) => {
                notify::status(&line);
                *beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            Err(e) => log::error!("a look came to nothing: {e}"),
        }
        let pace = *told.every.borrow();
        tokio::time::sleep_until(began + pace).await;
    }
}

/// Looks once, and hands on what is seen. What waits for a disk does so apart.
async fn look(looks: &Apart<Looker>, told: &Arc<Told>, desk: &Desk) -> Result<String, RecvError> {
    let began = processor_time();
    let answers = looks.run(Looker::question).await?.ask().await;
    let spent = processor_time().saturating_sub(began);
    let (told, desk) = (told.clone(), desk.clone());
    let work = move |looker: &mut Looker| {
        let look = looker.look(answers, spent);
        desk.announced(look, |look| {
            let line = in_a_line(&look);
            told.tell(look);
            line
        })
    };
    looks.run(work).await
}

fn in_a_line(look: &Look) -> String {
    let troubles = look.report.troubles().len();
    match &look.said.site {
        Err(NoSite::Absent) => "no site is applied yet".to_owned(),
        Err(NoSite::Broken(why)) => why.clone(),
        Ok(_) => format!("{}: {troubles} things are not as they should be", look.report.level),
    }
}

/// Tells the service manager that it is looked, as long as looks come to an end.
async fn watchdog(beat: Arc<Mutex<Instant>>, every: watch::Receiver<Duration>) {
    let Some(limit) = notify::watchdog() else { return };
    let mut ticks = tokio::time::interval(limit / 3);
    loop {
        ticks.tick().await;
        let patience = *every.borrow() + HUNG;
        if beat.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < patience {
            notify::alive();
        }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
