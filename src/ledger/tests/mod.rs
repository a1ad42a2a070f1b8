//! What a log promises, on disks that fail and against people who lie.

mod cuts;
mod deposits;
mod lost;
mod tamper;
mod third_party;

use std::{path::PathBuf, sync::Arc};

use super::*;
use crate::{
    sys::{FakeFiles, Files as _},
    types::WallNs,
};

/// A machine without a log, or with one.
struct World {
    files: FakeFiles,
    place: Place,
}

/// The private key that everybody has in these tests: an attacker too.
const SEED: [u8; 32] = [42; 32];

impl World {
    fn new() -> Self {
        let files = FakeFiles::new();
        for dir in ["/state", "/credentials"] {
            files.make_dir(&PathBuf::from(dir)).unwrap();
        }
        let credential = PathBuf::from("/credentials/key");
        files.write(&credential, &SEED, 0o600, None).unwrap();
        Self::on(files)
    }

    fn on(files: FakeFiles) -> Self {
        let place = Place {
            dir: "/state/ledger".into(),
            credential: Some("/credentials/key".into()),
            origin: "custodian/school/a/record".into(),
        };
        Self { files, place }
    }

    /// A machine with a log of these entries.
    fn with(entries: &[Vec<u8>]) -> Self {
        let world = Self::new();
        world.log().append(entries).unwrap();
        world
    }

    fn open(&self) -> Result<Log, LedgerError> {
        Log::open(Arc::new(self.files.clone()), &self.place)
    }

    fn log(&self) -> Log {
        self.open().unwrap()
    }

    fn verifier(&self) -> Verifier {
        verifier(&self.files, &self.place.public()).unwrap()
    }

    /// As somebody who has nothing but the folder sees it.
    fn view(&self) -> View {
        View::open(Arc::new(self.files.clone()), self.place.public(), &self.verifier()).unwrap()
    }

    /// What verifying finds.
    fn flaws(&self, kept: &[Checkpoint]) -> Vec<Flaw> {
        verify(&self.view(), kept, &mut |_| ()).flaws
    }

    fn checkpoint(&self) -> Checkpoint {
        self.view().head().clone()
    }
}

/// The `n`th of a row of entries that all differ.
fn entry(n: u64) -> Vec<u8> {
    let what = What::ServiceStopped { service: "record".into(), by: format!("test {n}") };
    Entry::new(WallNs(i64::try_from(n).unwrap()), "a".parse().unwrap(), what).to_bytes()
}

fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(entry).collect()
}
