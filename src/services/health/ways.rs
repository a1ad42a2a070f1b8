//! The ways out of health: endpoints that are told, alarms, the doors where it is asked. They follow the site; each is a task of its own.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use super::{
    heard::{Heard, Source},
    serve::Sight,
};
use crate::{
    health::{
        alarm::Alarms,
        door::{
            Door,
            certificate::{Own, Presented},
        },
        facts::Endpoint,
        mask::Mask,
        pages,
        push::Pusher,
    },
    services::{
        diagnose::{self, Known},
        paths::Paths,
        socket,
        vendor::routes::{self, Gather, Gathered},
    },
    site::{self, Secrets, Site},
    sys::{Files as _, RealClock, RealCommands, RealFiles},
    types::{
        WallNs, story,
        wire::{Retention, Status, health::Report},
    },
};

/// How often it is looked whether the vendor's time is over.
const LOOK: Duration = Duration::from_secs(1);
/// Lines of the journal.
const LINES: usize = 5000;

/// Begins them, and begins them anew when site or secrets change.
pub fn go(sight: Sight) {
    tokio::spawn(follow(sight));
}

async fn follow(sight: Sight) {
    let (mut site, mut secrets) = (sight.site.clone(), sight.secrets.clone());
    loop {
        let now = (site.borrow_and_update().clone(), secrets.borrow_and_update().clone());
        let own = sight.clone();
        // Reads and makes files.
        let running = tokio::task::spawn_blocking(move || Running::begin(&own, now.0.as_ref(), &now.1)).await;
        if let Err(e) = &running {
            log::error!("the ways out are shut: {e}");
        }
        let changed = tokio::select! {
            changed = site.changed() => changed,
            changed = secrets.changed() => changed,
        };
        // Nothing of the old ones goes on beside the new ones.
        drop(running);
        if changed.is_err() {
            return;
        }
    }
}

/// All that goes by one site. Ends with this.
struct Running {
    _tasks: JoinSet<()>,
    _doors: Vec<watch::Sender<bool>>,
    sight: Sight,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.sight.first.set(None);
    }
}

impl Running {
    fn begin(sight: &Sight, now: Option<&(Arc<Site>, crate::types::RecorderId)>, secrets: &Arc<Secrets>) -> Self {
        let (mut tasks, mut sources, mut doors) = (JoinSet::new(), Vec::<Source>::new(), Vec::new());
        if let Some(vendor) = sight.vendor.clone() {
            tasks.spawn(watch_vendor(vendor.clone()));
            sources.push(Box::new(move |heard| heard.vendor_until = vendor.until()));
        }
        if let Some((site, _)) = now {
            pushes(sight, site, secrets, &mut tasks, &mut sources);
            alarms(sight, site, secrets, &mut tasks, &mut sources);
            let health = site.health();
            if let Some(door) = &health.pull {
                let (open, is_open) = watch::channel(true);
                let at = At { name: "pull", door, site, secrets, sight };
                at.open(pages::router(sight.reports.clone()), is_open, &mut tasks, &mut sources);
                doors.push(open);
            }
            if let (Some(door), Some(vendor)) = (&health.vendor, &sight.vendor) {
                let gather = gather(sight, site.clone(), secrets.clone());
                let common = pages::router(sight.reports.clone());
                let router = routes::router(vendor.clone(), sight.latest.clone(), gather, common);
                let at = At { name: "vendor", door, site, secrets, sight };
                at.open(router, vendor.is_open(), &mut tasks, &mut sources);
            }
        }
        sight.ear.ask(sources);
        Self { _tasks: tasks, _doors: doors, sight: sight.clone() }
    }
}

/// The vendor is no longer let in when the time is over, whether anybody looks or not.
async fn watch_vendor(vendor: Arc<crate::services::vendor::Vendor>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let vendor = vendor.clone();
        // To note the end waits for a disk.
        let _ = tokio::task::spawn_blocking(move || vendor.look()).await;
    }
}

/// What somebody outside has taken last.
fn witness(heard: &mut Heard, endpoint: &Endpoint) {
    let newest = endpoint.witnessed.iter().map(|w| w.at).max();
    heard.witnessed = heard.witnessed.max(newest);
}

fn pushes(sight: &Sight, site: &Site, secrets: &Secrets, tasks: &mut JoinSet<()>, sources: &mut Vec<Source>) {
    for (n, push) in site.health().push.iter().enumerate() {
        let name = format!("push-{}-{}", n + 1, push.kind);
        let state = Arc::new(Mutex::new(Endpoint::default()));
        let token = push.token_secret.as_ref().and_then(|name| secrets.other(name));
        let pusher = secrets.other(&push.url_secret).ok_or_else(|| format!("secrets.toml has no {}", push.url_secret));
        let pusher = pusher
            .and_then(|url| Pusher::new(push, url, token, site.health(), Arc::new(RealClock)).map_err(|e| story(&e)));
        match pusher {
            Ok(pusher) => {
                tasks.spawn_on(pusher.run(sight.latest.clone(), state.clone()), &sight.outside);
            }
            Err(why) => {
                log::error!("{name}: health is not told there: {why}");
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let now = crate::sys::Clock::wall(&RealClock);
                (state.misconfigured, state.problem, state.failing_since) = (true, Some(why), Some(now));
            }
        }
        sources.push(Box::new(move |heard| {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
            witness(heard, &state);
            heard.endpoints.insert(name.clone(), state);
        }));
    }
}

fn alarms(sight: &Sight, site: &Site, secrets: &Secrets, tasks: &mut JoinSet<()>, sources: &mut Vec<Source>) {
    let (files, clock) = (Arc::new(RealFiles), Arc::new(RealClock));
    let zone = site.timezone().clone();
    let alarms = Arc::new(Alarms::new(site.health(), secrets, zone, &sight.paths.health(), files, clock));
    let taker = alarms.clone();
    sight.first.set(Some(Arc::new(move |turns, report| taker.put(turns, report))));
    tasks.spawn_on(alarms.clone().run(), &sight.outside);
    sources.push(Box::new(move |heard| heard.endpoints.extend(alarms.endpoints())));
}

/// A door to be opened.
struct At<'a> {
    name: &'static str,
    door: &'a site::Door,
    site: &'a Site,
    secrets: &'a Secrets,
    sight: &'a Sight,
}

impl At<'_> {
    fn open(
        &self,
        router: axum::Router,
        open: watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
        sources: &mut Vec<Source>,
    ) {
        let folder = self.sight.paths.doors();
        let own = Own {
            folder: folder.clone(),
            name: self.name,
            warn: self.site.warn().certificate,
            files: Arc::new(RealFiles),
            clock: Arc::new(RealClock),
        };
        let token = self.door.token_secret.as_ref().and_then(|name| self.secrets.other(name));
        let made = RealFiles.make_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()));
        match made.and_then(|()| Door::new(self.door, token, own).map_err(|e| story(&e))) {
            Ok(door) => {
                let (presented, name) = (door.presented(), self.name);
                sources.push(Box::new(move |heard| {
                    let shown: Option<Presented> = presented.borrow().clone();
                    heard.certificates.extend(shown.map(|shown| (name.to_owned(), shown.not_after)));
                }));
                tasks.spawn(door.run(router, open));
            }
            Err(why) => log::error!("the door {} stays shut: {why}", self.name),
        }
    }
}

/// Gathers for the vendor with what health may know.
fn gather(sight: &Sight, site: Arc<Site>, secrets: Arc<Secrets>) -> Gather {
    let (latest, paths) = (sight.latest.clone(), sight.paths.clone());
    Arc::new(move |what| {
        let report = latest.borrow().clone();
        let (status, retention) = ask(&paths);
        let mut numbers = super::numbers(&paths);
        numbers.extend(report.iter().flat_map(|r| &r.cameras).filter_map(|c| Some((c.id.clone()?, c.number))));
        let known = Known {
            site: Some(&site),
            secrets: Some(&secrets),
            numbers: &numbers,
            report: report.as_deref(),
            status: status.as_ref(),
            retention: retention.as_ref(),
            inventory: None,
        };
        told(what, &known)
    })
}

fn told(what: Gathered, known: &Known<'_>) -> String {
    let host = sysinfo::System::host_name().unwrap_or_default();
    let mask = || -> Mask { diagnose::mask(known, &host) };
    match what {
        Gathered::Versions => diagnose::versions(known, &RealCommands).text,
        Gathered::Journal(hours) => diagnose::journal(&RealCommands, &mask(), hours, LINES).text,
        Gathered::Diagnose(hours) => {
            let sections = diagnose::sections(known, &RealCommands, &host, hours);
            let now: WallNs = crate::sys::Clock::wall(&RealClock);
            crate::health::diagnose::text(&format!("custodian, {now}"), &sections)
        }
    }
}

/// What the recorder says, if it does so now.
fn ask(paths: &Paths) -> (Option<Status>, Option<Retention>) {
    async fn one<T: DeserializeOwned>(socket: PathBuf, path: &str) -> Option<T> {
        socket::at_once(socket::ask(&socket, reqwest::Method::GET, path)).await.ok()
    }
    // Its own thread, and so its own runtime: to gather takes time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return (None, None) };
    runtime.block_on(async {
        tokio::join!(
            one::<Status>(paths.status_socket(), "/v1/status"),
            one::<Retention>(paths.status_socket(), "/v1/retention")
        )
    })
}

/// Who is told of turns before they are noted anywhere else: so none is lost to a restart.
#[derive(Clone, Default)]
pub struct First(Arc<Mutex<Option<Taker>>>);

/// Takes turns, and keeps them before it returns.
pub type Taker = Arc<dyn Fn(&[crate::types::wire::health::Turn], &Report) + Send + Sync>;

impl First {
    /// From now on this one is told.
    pub fn set(&self, taker: Option<Taker>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = taker;
    }

    /// Tells it.
    pub fn tell(&self, turns: &[crate::types::wire::health::Turn], report: &Report) {
        let taker = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(taker) = taker {
            taker(turns, report);
        }
    }
}
