//! Health told to a monitor outside: Uptime Kuma, healthchecks, Gatus, or any server that takes JSON.
//!
//! Each endpoint has a task of its own and waits for nobody; nobody waits for it. It is told at half of the interval that the monitor
//! expects, and always what is newest: a beat that could not be told is never told later. If reports stop, because the loop that makes
//! them hangs, the monitor is told so: it must not take what was true once for what is.
//!
//! An address is a secret, for who has it can report in our name. No address is in any error, log line or `Debug` of this module.

mod beat;
mod client;
mod pace;
mod service;
#[cfg(test)]
pub(super) mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until, timeout},
};

use self::{beat::Beat, pace::Pace};
pub(super) use self::{
    client::{Carry, Network, Trouble},
    service::{Service, Verdict},
};
use super::facts::{Endpoint, Witness};
use crate::{
    health::lock,
    site::{Health, Push, PushKind, Secret},
    sys::{Clock, random},
    types::wire::health::Report,
};

/// Reports are missing after so many looks without one.
const MISSED: u32 = 3;

/// Why an endpoint cannot be told anything. Never shows its address.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// No URL.
    #[error("its address in secrets.toml is none: expected http:// or https://, a host and a path")]
    Address,
    /// Not of this kind.
    #[error("its address in secrets.toml is none of {0}: expected {expected}", expected = expected(*.0))]
    Path(PushKind),
    /// Gatus takes nothing without one.
    #[error("gatus wants a token: give token_secret, the name of the endpoint's token in secrets.toml")]
    NoToken,
    /// Not for a header.
    #[error("its token in secrets.toml has characters that no token has")]
    Token,
    /// Two logins.
    #[error(
        "its address in secrets.toml has a user name or password, and there is a token: only one of them can be sent"
    )]
    Twice,
    /// No proxy's address.
    #[error("health.proxy is no address of a proxy: expected http://HOST:PORT")]
    Proxy,
    /// No certificates.
    #[error("health.ca holds no certificate in PEM")]
    Ca,
    /// No client.
    #[error("no TLS client can be made here")]
    Client(#[source] reqwest::Error),
}

fn expected(kind: PushKind) -> &'static str {
    match kind {
        PushKind::UptimeKuma => "…/api/push/TOKEN, as the monitor's page shows it",
        PushKind::Healthchecks => "the check's ping address, without /fail, /start, /log or a number behind it",
        PushKind::Gatus => "…/api/v1/endpoints/GROUP_NAME/external",
        PushKind::Http => "any address",
    }
}

/// Tells one endpoint.
pub struct Pusher {
    service: Service,
    network: Box<dyn Carry>,
    interval: Duration,
    stale: Duration,
    late: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pusher({})", self.service.shown())
    }
}

/// The newest report, and when it came by the clock that nobody sets.
struct Newest(Mutex<(Option<Arc<Report>>, Instant)>);

impl Newest {
    fn look(&self) -> (Option<Arc<Report>>, Instant) {
        lock(&self.0).clone()
    }

    /// Keeps up with `reports`, for ever: when nobody makes them any more, that is to be told, too.
    async fn follow(&self, mut reports: Receiver<Option<Arc<Report>>>) {
        loop {
            let report = reports.borrow_and_update().clone();
            {
                let mut newest = lock(&self.0);
                if report.as_ref().map(|r| r.at) != newest.0.as_ref().map(|r| r.at) {
                    *newest = (report, Instant::now());
                }
            }
            if reports.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl Pusher {
    /// For `push` of `health`, whose address is `url`.
    ///
    /// # Errors
    /// If address, token, proxy or certificates are not what they should be.
    pub fn new(
        push: &Push,
        url: &Secret,
        token: Option<&Secret>,
        health: &Health,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PushError> {
        let service = Service::new(push.kind, url, token, push.names)?;
        let network = Box::new(Network::new(health.proxy.as_ref(), health.ca.as_deref())?);
        let (stale, late) = (health.every * MISSED, health.fail.newest);
        Ok(Self { service, network, interval: push.interval, stale, late, clock })
    }

    /// Its kind, its host, and the first 8 hexadecimal digits of the SHA-256 of its address: all that may be shown of it.
    pub fn shown(&self) -> &str {
        self.service.shown()
    }

    /// Tells what `reports` brings, and notes in `state` how that went. Ends never; to be aborted.
    pub async fn run(self, reports: Receiver<Option<Arc<Report>>>, state: Arc<Mutex<Endpoint>>) {
        let newest = Newest(Mutex::new((None, Instant::now())));
        tokio::select! {
            // In this order: a beat never misses the report that woke it.
            biased;
            () = newest.follow(reports.clone()) => {}
            () = self.beats(reports, &newest, &state) => {}
        }
    }

    async fn beats(&self, mut reports: Receiver<Option<Arc<Report>>>, newest: &Newest, state: &Mutex<Endpoint>) {
        // The first look takes a moment.
        let gone = matches!(timeout(self.stale, reports.wait_for(Option::is_some)).await, Ok(Err(_)));
        if gone {
            tokio::time::sleep(self.stale).await;
        }
        let mut pace = Pace::new(self.interval, self.service.per_minute(), Instant::now());
        lock(state).interval = pace.every().as_secs();
        let mut told = Told::default();
        loop {
            pace.asks(Instant::now());
            let (verdict, witnesses) = self.once(newest.look()).await;
            let next = pace.after(Instant::now(), &verdict, jitter());
            told.log(self.service.shown(), &verdict, pace.gave_up());
            self.note(&mut lock(state), verdict, witnesses);
            sleep_until(next).await;
        }
    }

    /// One try.
    async fn once(&self, (report, since): (Option<Arc<Report>>, Instant)) -> (Verdict, Vec<Witness>) {
        let now = self.clock.wall();
        let beat = match &report {
            Some(report) if since.elapsed() <= self.stale => Beat::of(report, self.service.names(), self.late),
            report => Beat::silent(report.as_ref().map(|r| r.at)),
        };
        let request = self.service.request(&beat);
        let verdict = match self.network.carry(&request, now).await {
            Ok(answer) => self.service.verdict(&request, &answer),
            Err(trouble) if trouble.is_ours() => Verdict::Wrong(trouble.text().to_owned()),
            Err(trouble) => Verdict::Later(trouble.text().to_owned(), None),
        };
        let at = self.clock.wall();
        let witness = |c: beat::Checkpoint| Witness { ledger: c.ledger, entries: c.entries, at };
        (verdict, beat.checkpoints.into_iter().map(witness).collect())
    }

    fn note(&self, state: &mut Endpoint, verdict: Verdict, witnesses: Vec<Witness>) {
        let now = self.clock.wall();
        match verdict {
            Verdict::Taken { witnessed } => {
                (state.taken, state.failing_since, state.problem, state.misconfigured) = (Some(now), None, None, false);
                if witnessed {
                    state.witnessed = witnesses;
                }
            }
            Verdict::Later(problem, _) => {
                state.failing_since.get_or_insert(now);
                // It is asked rightly, as far as anybody can tell.
                (state.problem, state.misconfigured) = (Some(problem), false);
            }
            Verdict::Wrong(problem) => {
                state.failing_since.get_or_insert(now);
                (state.problem, state.misconfigured) = (Some(problem), true);
            }
        }
    }
}

/// From 0 to below 1, other for each recorder of a school when its power comes back.
pub(super) fn jitter() -> f64 {
    let bytes = random::<2>().unwrap_or_default();
    f64::from(u16::from_be_bytes(bytes)) / 65_536.0
}

/// What stands in the log already: each trouble once, and its end.
#[derive(Debug, Default)]
struct Told {
    failing: bool,
    wrong: bool,
}

impl Told {
    fn log(&mut self, endpoint: &str, verdict: &Verdict, gave_up: bool) {
        match verdict {
            Verdict::Taken { .. } => {
                if self.failing || self.wrong {
                    log::info!("health reaches {endpoint} again");
                }
                *self = Self::default();
            }
            Verdict::Later(problem, _) => {
                if gave_up && !self.failing {
                    log::warn!("health does not reach {endpoint}: {problem}; it is tried again at each beat");
                    self.failing = true;
                }
            }
            Verdict::Wrong(problem) => {
                if !self.wrong {
                    log::error!(
                        "health cannot be told to {endpoint}: {problem}. Look at site.toml, secrets.toml and the monitor"
                    );
                    self.wrong = true;
                }
            }
        }
    }
}
