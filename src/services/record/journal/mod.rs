//! What the recorder writes into its ledger, and when. Nothing of it is waited for where footage is concerned: entries are handed over,
//! and closed segments, which must not be missed, are found in the index.

mod deposits;
mod draft;
mod feed;
mod gate;
mod root;
mod watch;

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

pub(super) use self::deposits::Deposits;
use self::{feed::Feed, gate::Doorkeeper};
use super::Shared;
use crate::{
    ledger::{self, Journal, Pace, Place, View, What},
    services::paths::Paths,
    site::Site,
    store::StoreEvent,
    sys::{Clock, RealFiles},
    types::{Cause, RecorderId, VolumeName, WallNs, wire},
};

/// The name of the private key among the credentials that the service manager holds, systemd.exec(5).
const CREDENTIAL: &str = "custodian.ledger-key";
/// The service's name in entries.
const SERVICE: &str = "record";
/// How long a stop waits for the ledger's disk.
const LEAVE: Duration = Duration::from_secs(5);

/// What the first entries of this process say.
pub(super) struct Beginning<'a> {
    pub site: &'a Site,
    pub recorder: &'a RecorderId,
    /// The volumes that may bring checkpoints.
    pub expected: Vec<VolumeName>,
    /// Why the recorder was not running until now; none if nothing is known of an earlier time.
    pub after: Option<Cause>,
}

/// Opens the ledger, or says by its status why it cannot: recording goes on without.
pub(super) fn open(
    paths: &Paths,
    clock: &Arc<dyn Clock>,
    deposits: &Arc<Deposits>,
    beginning: Beginning<'_>,
) -> std::io::Result<Journal> {
    let (site, recorder) = (beginning.site.id().to_owned(), beginning.recorder.clone());
    let place = Place {
        dir: paths.ledger(),
        credential: std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| PathBuf::from(dir).join(CREDENTIAL)),
        origin: ledger::origin(&site, &recorder),
    };
    let mut doorkeeper = Doorkeeper::new(deposits.clone(), clock.clone(), place.public(), site, beginning);
    Journal::start(ledger::Setup {
        place,
        spool: paths.ledger_spool(),
        recorder,
        clock: clock.clone(),
        files: Arc::new(RealFiles),
        pace: Pace::default(),
        gate: Box::new(move |log| doorkeeper.judge(log)),
    })
}

/// When the newest entry was made, before this process makes any; none if there is none that can be read.
pub(super) fn newest(paths: &Paths) -> Option<WallNs> {
    let public = ledger::public(&paths.ledger());
    let verifier = ledger::verifier(&RealFiles, &public).ok()?;
    let view = View::open(Arc::new(RealFiles), public, &verifier).ok()?;
    Some(view.record(view.size().checked_sub(1)?).ok()?.entry().ok()?.at)
}

/// The threads that feed the ledger.
pub(super) struct Feeders {
    watch: JoinHandle<()>,
    feed: JoinHandle<Feed>,
}

impl Feeders {
    /// Starts them. `events` is what the store has said since it was there.
    pub(super) fn start(
        shared: &Arc<Shared>,
        events: tokio::sync::broadcast::Receiver<StoreEvent>,
    ) -> std::io::Result<Self> {
        let (watching, feeding) = (shared.clone(), Feed::new(shared.clone()));
        Ok(Self {
            watch: Builder::new().name("ledger watch".into()).spawn(move || watch::run(&watching, events))?,
            feed: Builder::new().name("ledger feed".into()).spawn(move || feeding.run())?,
        })
    }

    /// After the last segment was closed: says so in the ledger, lays its checkpoint down and closes it.
    pub(super) fn stop(self, shared: &Shared, who: &str) {
        let Self { watch, feed } = self;
        for thread in [watch.thread(), feed.thread()] {
            thread.unpark();
        }
        match feed.join() {
            Ok(mut feed) => feed.last(),
            Err(_) => log::error!("the thread that feeds the ledger panicked"),
        }
        if watch.join().is_err() {
            log::error!("the thread that watches for the ledger panicked");
        }
        let stopped = What::ServiceStopped { service: SERVICE.into(), by: who.to_owned() };
        if let Err(e) = shared.journal.commit(vec![stopped.clone()], LEAVE) {
            log::warn!(CAUSE:% = e; "that the recorder stops comes into the ledger at its next start: {e}");
            shared.journal.put(stopped);
        }
        shared.deposits.lay(shared, deposits::When::Now);
        shared.journal.stop();
    }
}

/// How the ledger is.
pub(super) fn status(journal: &Journal) -> wire::LedgerStatus {
    let status = journal.status();
    wire::LedgerStatus {
        entries: status.size,
        at: status.at,
        checkpoint: status.checkpoint,
        waiting: status.waiting as u64,
        dropped: status.dropped,
        problem: status.problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        services::installing::{Accounts, keys},
        site,
        sys::FakeClock,
    };

    /// The key stands on the receipt before the recorder has run; nothing is missed, and nothing is taken for lost.
    #[test]
    fn a_ledger_whose_key_the_installer_has_made_is_begun_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["record", "ledger-spool"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let Ok(site) = site::parse(include_str!("../../../../image/site.example.toml"), "site.toml") else {
            panic!("the site is wrong")
        };
        let (paths, recorder) = (Paths::standard_at(dir.path()), site.recorders().next().unwrap().id.clone());
        let clock = FakeClock::at(WallNs(1_795_336_198_000_000_000));
        assert!(keys::make(&paths, Accounts::None, &clock, &site, &recorder).unwrap());
        let public = ledger::public(&paths.ledger());
        let key = ledger::verifier(&RealFiles, &public).unwrap();
        assert_eq!(newest(&paths), None, "nobody was there before");

        let beginning = Beginning { site: &site, recorder: &recorder, expected: Vec::new(), after: None };
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let journal = open(&paths, &clock, &Arc::default(), beginning).unwrap();
        let stopped = What::ServiceStopped { service: SERVICE.into(), by: "a test".into() };
        journal.commit(vec![stopped], Duration::from_mins(1)).unwrap();
        journal.stop();
        assert_eq!(status(&journal).problem, None);
        let view = View::open(Arc::new(RealFiles), public, &key).unwrap();
        let what = |n| view.record(n).unwrap().entry().unwrap().what;
        assert!(matches!(what(0), What::LogBegins { predecessor: None, .. }), "{:?}", what(0));
        assert!(matches!(what(1), What::ServiceStarted { after: None, .. }), "{:?}", what(1));
        assert_eq!(view.size(), 3);
    }
}
