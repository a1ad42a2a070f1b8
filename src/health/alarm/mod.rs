//! Alarms: who is told once that something begins, and once that it is over, by mail or by a webhook.
//!
//! A look's turns go into the outbox, which is on the disk before [`Alarms::put`] returns; each receiver has a task of its own that empties
//! its part of it. All that a look has to say to a receiver goes in one mail, so that a dead recorder is not a mail for each camera. A
//! receiver that cannot be reached is tried again for as long as it takes, after a quarter of an hour at most.
//!
//! No picture is ever in an alarm: nothing here could get at one.

mod mail;
mod outbox;
mod text;
mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use jiff::tz::TimeZone;
use lettre::{Address, message::Mailbox};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use self::{
    mail::Mail,
    outbox::{Message, Outbox, Wants},
    text::Manner,
};
use super::{
    facts::Endpoint,
    push::{Carry, Network, PushError, Service, Trouble, Verdict, jitter},
};
use crate::{
    health::lock,
    site::{Alarm, AlarmPlace, Health, PushKind, Secrets},
    sys::{Clock, Files},
    types::{
        Lang, SecretName,
        merkle::Hash,
        wire::health::{Report, Turn},
    },
};

/// The outbox, in the service's state folder.
const FILE: &str = "alarms.json";
/// Before a receiver is tried again; twice as long each time.
const FIRST: Duration = Duration::from_secs(10);
/// Nobody waits longer. A password that is refused again and again may lock its account.
const LONGEST: Duration = Duration::from_mins(15);
/// How long a mail server may take for a mail. RFC 5321 would give it longer; what it may have taken is sent again under its old number.
const MAIL: Duration = Duration::from_mins(2);
/// Alarms in a mail.
const DIGEST: usize = 500;

/// Why a receiver cannot be told anything. Shows neither address nor password.
#[derive(Debug, thiserror::Error)]
enum AlarmError {
    #[error("secrets.toml has no {0}")]
    NoSecret(SecretName),
    #[error("site.toml has something for it that is no mail address")]
    Address,
    #[error(transparent)]
    Web(#[from] PushError),
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    /// A status or a kind of error, without addresses.
    problem: String,
    /// Whether only somebody who changes site.toml, secrets.toml or the server ends it.
    misconfigured: bool,
    /// Whether it is certain that nobody has the message.
    untouched: bool,
    /// Whether all that was refused is addresses, for good: others can have the message.
    only_addresses: bool,
    /// How long the server wants to be left alone.
    wait: Option<Duration>,
}

impl Failure {
    fn of(problem: &str) -> Self {
        Self { problem: problem.to_owned(), misconfigured: false, untouched: true, only_addresses: false, wait: None }
    }

    fn wrong(problem: &str) -> Self {
        Self { misconfigured: true, ..Self::of(problem) }
    }
}

/// The way to a receiver.
enum Way {
    Mail(Box<Mail>),
    Web { service: Box<Service>, network: Box<dyn Carry> },
}

struct Receiver {
    /// Its number and kind: `alarm-1-email`.
    name: String,
    lang: Lang,
    names: bool,
    way: Result<Way, AlarmError>,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tried {
    /// There was nothing to say.
    Idle,
    Told,
    Failed(Failure),
}

/// See the module.
pub struct Alarms {
    receivers: Vec<Receiver>,
    outbox: Mutex<Outbox>,
    states: Mutex<Vec<Endpoint>>,
    news: Vec<Notify>,
    zone: TimeZone,
    names: bool,
    clock: Arc<dyn Clock>,
}

impl Alarms {
    /// Those of a site. `folder` is the service's state folder; what an earlier process left there is told on. A receiver that is set up in a
    /// wrong way is one that cannot be reached, see [`Alarms::endpoints`].
    pub fn new(
        health: &Health,
        secrets: &Secrets,
        zone: TimeZone,
        folder: &Path,
        files: Arc<dyn Files>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut wants: Vec<Wants> = Vec::new();
        let (mut receivers, mut states) = (Vec::new(), Vec::new());
        for (n, alarm) in health.alarms.iter().enumerate() {
            let (kind, at_once, addresses) = match &alarm.to {
                AlarmPlace::Email { to, .. } => ("email", DIGEST, sorted(to).join("\n")),
                AlarmPlace::Webhook { url_secret, .. } => ("webhook", 1, url_secret.to_string()),
            };
            let hash = Hash(Sha256::digest(&addresses).into()).to_string();
            let same = wants.iter().filter(|w| w.key.contains(&hash)).count();
            wants.push(Wants { key: format!("{kind}-{hash}-{same}"), from_level: alarm.from_level, at_once });
            let name = format!("alarm-{}-{kind}", n + 1);
            let way = way(alarm, health, secrets);
            let mut state = Endpoint::default();
            if let Err(e) = &way {
                log::error!("{name}: nobody can be told of alarms: {e}");
                state.failing_since = Some(clock.wall());
                (state.misconfigured, state.problem) = (true, Some(e.to_string()));
            }
            states.push(state);
            receivers.push(Receiver { name, lang: alarm.language, names: alarm.names, way });
        }
        let news = wants.iter().map(|_| Notify::new()).collect();
        let names = receivers.iter().any(|r| r.names);
        let outbox = Mutex::new(Outbox::open(files, folder.join(FILE), wants));
        Self { receivers, outbox, states: Mutex::new(states), news, zone, names, clock }
    }

    /// Takes in a look: to be called with each one, and before it is noted elsewhere that its turns were told. Whom it concerns is told
    /// though the machine restarts at once. Waits for nobody outside.
    pub fn put(&self, turns: &[Turn], report: &Report) {
        // Why it cannot be written stands in the log; they are told all the same.
        let _ = lock(&self.outbox).put(turns, report, self.names);
        self.news.iter().for_each(Notify::notify_one);
    }

    /// How each receiver was reached, by its number and kind (`alarm-1-email`).
    pub fn endpoints(&self) -> BTreeMap<String, Endpoint> {
        self.receivers.iter().map(|r| r.name.clone()).zip(lock(&self.states).iter().cloned()).collect()
    }

    /// Tells what is to be told. Ends never; to be aborted.
    pub async fn run(self: Arc<Self>) {
        join_all((0..self.receivers.len()).map(|n| Arc::clone(&self).serve(n))).await;
        std::future::pending::<()>().await;
    }

    async fn serve(self: Arc<Self>, n: usize) {
        let mut failures = 0;
        loop {
            match Arc::clone(&self).once(n).await {
                Tried::Idle => self.news[n].notified().await,
                Tried::Told => failures = 0,
                Tried::Failed(failure) => {
                    failures += 1;
                    tokio::time::sleep(pause(failures, &failure, jitter())).await;
                }
            }
        }
    }

    /// Tries once to say to receiver `n` what it is to be told next.
    async fn once(self: Arc<Self>, n: usize) -> Tried {
        let receiver = &self.receivers[n];
        let Ok(way) = &receiver.way else { return Tried::Idle };
        let now = self.clock.wall();
        let next = Arc::clone(&self).on_disk(move |outbox| {
            let message = outbox.next(n, now)?;
            Ok(message.map(|m| (m, outbox.cameras().to_vec())))
        });
        let Some((message, cameras)) = next.await else { return Tried::Idle };
        let cameras = if receiver.names { &cameras[..] } else { &[] };
        let manner = Manner { lang: receiver.lang, zone: &self.zone, cameras };
        let (taken, failure) = match way {
            Way::Mail(mail) => by_mail(mail, &message, &manner).await,
            Way::Web { service, network } => {
                (BTreeSet::new(), self.by_web(service, &**network, &message, &manner).await.err())
            }
        };
        let somebody = !(taken.is_empty() && message.taken.is_empty());
        let refused_for_good = |f: &Failure| f.only_addresses && somebody;
        let told = failure.as_ref().is_none_or(refused_for_good);
        self.note(n, told, failure.as_ref());
        let untouched = failure.as_ref().is_some_and(|f| f.untouched);
        Arc::clone(&self)
            .on_disk(move |outbox| {
                if told {
                    outbox.told(n)?;
                } else {
                    outbox.failed(n, &taken, untouched)?;
                }
                Ok(Some(()))
            })
            .await;
        match failure {
            Some(failure) if !told => Tried::Failed(failure),
            _ => Tried::Told,
        }
    }

    /// Does something with the outbox, apart from the threads that serve others: it waits for the disk.
    async fn on_disk<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&mut Outbox) -> std::io::Result<Option<T>> + Send + 'static,
    ) -> Option<T> {
        let done = tokio::task::spawn_blocking(move || work(&mut lock(&self.outbox))).await;
        match done {
            Ok(value) => value.ok().flatten(),
            Err(e) => {
                log::error!("the outbox of alarms: {e}");
                None
            }
        }
    }

    async fn by_web(
        &self,
        service: &Service,
        network: &dyn Carry,
        message: &Message,
        manner: &Manner<'_>,
    ) -> Result<(), Failure> {
        for event in &message.events {
            let body = webhook::body(message, event, manner).map_err(|e| Failure::wrong(&e.to_string()))?;
            let request = service.post(body);
            match network.carry(&request, self.clock.wall()).await {
                Ok(answer) => match service.verdict(&request, &answer) {
                    Verdict::Taken { .. } => {}
                    // It may have taken it for all that.
                    Verdict::Later(problem, wait) => {
                        return Err(Failure { untouched: false, wait, ..Failure::of(&problem) });
                    }
                    Verdict::Wrong(problem) => return Err(Failure::wrong(&problem)),
                },
                // As a mail server's: until somebody changes it, or what is trusted.
                Err(trouble) if trouble.is_ours() || trouble == Trouble::Certificate => {
                    return Err(Failure::wrong(trouble.text()));
                }
                Err(trouble) => {
                    let untouched = !matches!(trouble, Trouble::Slow | Trouble::Broken);
                    return Err(Failure { untouched, ..Failure::of(trouble.text()) });
                }
            }
        }
        Ok(())
    }

    /// Notes how a receiver was reached. The log has each trouble once, and its end.
    fn note(&self, n: usize, told: bool, failure: Option<&Failure>) {
        let (now, name) = (self.clock.wall(), &self.receivers[n].name);
        let mut states = lock(&self.states);
        let Some(state) = states.get_mut(n) else { return };
        if told {
            state.taken = Some(now);
        }
        let before = std::mem::replace(&mut state.problem, failure.map(|f| f.problem.clone()));
        state.misconfigured = failure.is_some_and(|f| f.misconfigured);
        match failure {
            None => {
                if state.failing_since.take().is_some() {
                    log::info!("{name}: alarms are taken again");
                }
            }
            Some(f) => {
                state.failing_since.get_or_insert(now);
                if before.as_ref() != Some(&f.problem) {
                    log::warn!("{name}: alarms are not taken, and kept until they are: {}", f.problem);
                }
            }
        }
    }
}

/// Addresses in one order, whatever the order in site.toml.
fn sorted(to: &[String]) -> Vec<String> {
    to.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn way(alarm: &Alarm, health: &Health, secrets: &Secrets) -> Result<Way, AlarmError> {
    let secret = |name: &SecretName| secrets.other(name).ok_or_else(|| AlarmError::NoSecret(name.clone()));
    match &alarm.to {
        AlarmPlace::Email { to, from, server, port, security, login } => {
            let login = match login {
                Some((user, name)) => Some((user.clone(), secret(name)?.clone())),
                None => None,
            };
            let address = |text: &String| text.parse::<Address>().map_err(|_| AlarmError::Address);
            Ok(Way::Mail(Box::new(Mail {
                from: from.parse::<Mailbox>().map_err(|_| AlarmError::Address)?,
                to: sorted(to).iter().map(address).collect::<Result<_, _>>()?,
                server: server.clone(),
                port: *port,
                security: *security,
                login,
                ca: health.ca.clone(),
                limit: MAIL,
            })))
        }
        AlarmPlace::Webhook { url_secret, token_secret } => {
            let token = token_secret.as_ref().map(secret).transpose()?;
            let service = Service::new(PushKind::Http, secret(url_secret)?, token, alarm.names)?;
            let network = Network::new(health.proxy.as_ref(), health.ca.as_deref())?;
            Ok(Way::Web { service: Box::new(service), network: Box::new(network) })
        }
    }
}

/// Which addresses took a mail, and why others did not.
async fn by_mail(mail: &Mail, message: &Message, manner: &Manner<'_>) -> (BTreeSet<usize>, Option<Failure>) {
    match mail.compose(&manner.mail(message), message) {
        Ok(letter) => mail.deliver(&letter, &message.taken).await,
        Err(e) => (BTreeSet::new(), Some(Failure::wrong(&format!("the mail cannot be made: {e}")))),
    }
}

/// How long to wait after so many failures in a row. `jitter` is from 0 to below 1.
fn pause(failures: u32, failure: &Failure, jitter: f64) -> Duration {
    let step = if failure.misconfigured { LONGEST } else { FIRST * (1 << failures.clamp(1, 10).saturating_sub(1)) };
    let step = step.min(LONGEST).mul_f64(1.0 - jitter / 4.0);
    step.max(failure.wait.unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests;
