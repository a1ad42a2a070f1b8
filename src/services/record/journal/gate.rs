//! Whether the log may be gone on with: what the volumes keep of it is compared first, and what they keep of others is taken down.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use super::{Beginning, Deposits, SERVICE};
use crate::{
    ledger::{self, Deposit, Gate, View, What},
    sys::{Clock, Monotonic, RealFiles},
    types::{Cause, CauseKind, VolumeName},
};

/// So long a log waits for volumes that may know an earlier one, or more of this one. Their mounts may come after the recorder.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Doorkeeper {
    deposits: Arc<Deposits>,
    clock: Arc<dyn Clock>,
    public: PathBuf,
    site: String,
    expected: Vec<VolumeName>,
    after: Option<Cause>,
    since: Monotonic,
    begun: bool,
    /// Why the log is not gone on with.
    closed: Option<String>,
    /// Deposits of other logs that wait to be taken down.
    others: Vec<(VolumeName, Deposit)>,
    /// Entries that each of the other logs is known to have, by its key.
    told: BTreeMap<String, u64>,
}

impl Doorkeeper {
    pub(super) fn new(
        deposits: Arc<Deposits>,
        clock: Arc<dyn Clock>,
        public: PathBuf,
        site: String,
        beginning: Beginning<'_>,
    ) -> Self {
        Self {
            deposits,
            since: clock.monotonic(),
            clock,
            public,
            site,
            expected: beginning.expected,
            after: beginning.after,
            begun: false,
            closed: None,
            others: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    /// Asked before anything is appended. Looks at what volumes have brought since; waits for none of their disks.
    pub(super) fn judge(&mut self, log: &View) -> Gate {
        if let Err(why) = self.compare(log) {
            self.closed.get_or_insert(why);
        }
        if let Some(why) = &self.closed {
            return Gate::Closed(why.clone());
        }
        let waited = self.clock.monotonic().since(self.since);
        if !self.begun && !self.deposits.have_been_looked_at(&self.expected) && waited < PATIENCE {
            return Gate::Wait;
        }
        let first = self.first(log.size());
        self.begun = true;
        self.deposits.open(log.size());
        Gate::Open(first)
    }

    /// Compares what is new with the log. An error is why it must not be gone on with.
    fn compare(&mut self, log: &View) -> Result<(), String> {
        let found = self.deposits.take();
        if found.is_empty() {
            return Ok(());
        }
        let ours = ledger::verifier(&RealFiles, &self.public).map_err(|e| e.to_string())?;
        for (volume, deposit) in found {
            if deposit.verifier != ours {
                self.others.push((volume, deposit));
                continue;
            }
            let contradiction = deposit.contradicts(log).map_err(|e| e.to_string())?;
            if let Some(contradiction) = contradiction {
                return Err(format!(
                    "volume {volume} keeps a checkpoint of this log, and {contradiction}. Nothing is appended to it: give back the \
                     newest copy, or move its folder elsewhere, with its key, keep it, and let a new log begin"
                ));
            }
        }
        Ok(())
    }

    /// The entries that come before all others now.
    fn first(&mut self, size: u64) -> Vec<What> {
        let mut first = Vec::new();
        if !self.begun && size == 0 {
            let newest = self.others.iter().reduce(|a, b| if b.1.is_newer(&a.1) { b } else { a });
            let predecessor = newest.map(|(_, deposit)| deposit.clone());
            if let Some(head) = &predecessor {
                self.told.insert(head.verifier.to_string(), head.checkpoint.size());
            }
            let predecessor = predecessor.map(|deposit| deposit.vouched());
            first.push(What::LogBegins { site: self.site.clone(), predecessor });
        }
        if !self.begun {
            // A log that is there was written before, even if nothing else of that time is left.
            let unknown = || Cause::new(CauseKind::Restart, "nothing is known of the time before");
            let after = self.after.take().or_else(|| (size > 0).then(unknown));
            let version = env!("CARGO_PKG_VERSION").to_owned();
            first.push(What::ServiceStarted { service: SERVICE.into(), version, after });
        }
        for (volume, deposit) in self.others.drain(..) {
            let known = self.told.entry(deposit.verifier.to_string()).or_default();
            if deposit.checkpoint.size() > *known {
                *known = deposit.checkpoint.size();
                first.push(What::OtherLog { volume, head: deposit.vouched() });
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Log, Place},
        sys::FakeClock,
        types::WallNs,
    };

    #[test]
    fn a_copy_of_a_log_waits_for_the_volume_that_contradicts_it() {
        let dir = tempfile::tempdir().unwrap();
        let place =
            Place { dir: dir.path().join("ledger"), credential: None, origin: "custodian/school/a/record".into() };
        let mut log = Log::open(Arc::new(RealFiles), &place).unwrap();
        log.append(&[b"one".to_vec()]).unwrap();
        // As the image of the system disk has it that is put back.
        let copy = log.view();
        log.append(&[b"two".to_vec()]).unwrap();
        let deposit = Deposit {
            recorder: "a".parse().unwrap(),
            at: WallNs(5),
            checkpoint: log.head().clone(),
            verifier: ledger::verifier(&RealFiles, &place.public()).unwrap(),
        };
        std::fs::write(dir.path().join(Deposit::FILE), deposit.to_text()).unwrap();
        let (deposits, clock) = (Arc::new(Deposits::default()), FakeClock::at(WallNs(1000)));
        let doorkeeper = || Doorkeeper {
            deposits: deposits.clone(),
            since: clock.monotonic(),
            clock: Arc::new(clock.clone()),
            public: place.public(),
            site: "school".into(),
            expected: vec!["v1".parse().unwrap()],
            after: None,
            begun: false,
            closed: None,
            others: Vec::new(),
            told: BTreeMap::new(),
        };
        let (mut patient, mut alone) = (doorkeeper(), doorkeeper());
        assert!(matches!(patient.judge(&copy), Gate::Wait));
        clock.advance(PATIENCE / 2);
        assert!(matches!(patient.judge(&copy), Gate::Wait));
        deposits.look(&"v1".parse().unwrap(), dir.path());
        assert!(matches!(patient.judge(&copy), Gate::Closed(_)));
        // Not for ever: a volume may be at the repairer's.
        alone.expected = vec!["v2".parse().unwrap()];
        assert!(matches!(alone.judge(&log.view()), Gate::Wait));
        clock.advance(PATIENCE);
        assert!(matches!(alone.judge(&log.view()), Gate::Open(_)));
    }
}
