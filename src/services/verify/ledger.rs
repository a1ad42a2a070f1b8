//! What the ledger vouches for, and the word that verifying leaves in it.

use std::{path::PathBuf, sync::Arc};

use anyhow::ensure;

use super::report::Report;
use crate::{
    ledger::{self, View, What},
    services::paths::Paths,
    store::verify::Vouchers,
    sys::{Files as _, RealFiles},
    types::merkle::{self, Accumulator},
};

/// A ledger that the recorder appends to may lose a tile between two looks, to a wider one.
const ATTEMPTS: u32 = 3;

/// The ledger as far as it has been read.
pub(super) struct Ledger {
    /// What its entries say of segments.
    pub(super) vouchers: Vouchers,
    /// All entries read.
    tree: Accumulator,
    public: PathBuf,
    /// Why it cannot be believed.
    pub(super) problem: Option<String>,
}

impl Ledger {
    /// The recorder's; it may have none.
    pub(super) fn of(paths: &Paths) -> Self {
        let public = ledger::public(&paths.ledger());
        Self { vouchers: Vouchers::default(), tree: Accumulator::default(), public, problem: None }
    }

    /// Entries read; 0 if there is no ledger.
    pub(super) fn entries(&self) -> u64 {
        self.tree.size()
    }

    /// Whether the entry of that number has been read.
    pub(super) fn has_read(&self, entry: u64) -> bool {
        entry < self.entries()
    }

    /// Reads what has been appended since.
    pub(super) fn refresh(&mut self) {
        if self.problem.is_some() || !self.public.exists() {
            return;
        }
        let mut attempt = 1;
        while let Err(e) = self.read_on() {
            if attempt == ATTEMPTS {
                self.problem = Some(format!("{e:#}"));
                return;
            }
            attempt += 1;
        }
    }

    /// Only what leads to the root that was signed vouches for anything.
    fn read_on(&mut self) -> anyhow::Result<()> {
        let verifier = ledger::verifier(&RealFiles, &self.public)?;
        let view = View::open(Arc::new(RealFiles), self.public.clone(), &verifier)?;
        ensure!(view.size() >= self.entries(), "it has fewer entries than a moment ago");
        for record in view.records(self.entries()..view.size()) {
            let record = record?;
            self.tree.push(merkle::leaf(&record.bytes));
            // Of an entry of a later version nothing is known.
            if let Ok(entry) = record.entry() {
                self.vouchers.take(record.n, &entry.what);
            }
        }
        ensure!(
            self.entries() == view.size() && self.tree.root() == view.head().root(),
            "its entries do not lead to the root that was signed"
        );
        Ok(())
    }
}

/// So many bytes of lines on what was found go into an entry.
const ROOM: usize = 40_000;

/// What an entry says of a verification.
pub(super) fn word(report: &Report) -> What {
    let mut damaged: Vec<String> = Vec::new();
    let mut room = ROOM;
    for line in &report.lines {
        if line.len() > room {
            break;
        }
        room -= line.len() + 3;
        damaged.push(line.clone());
    }
    let rest = report.found - damaged.len() as u64;
    if rest > 0 {
        damaged.push(format!("and {rest} more"));
    }
    let mut scope = report.scope.clone();
    scope.push_str(if report.interrupted { ", interrupted" } else { "" });
    scope.extend(report.absent.iter().map(|absent| format!(", without volume {}", absent.volume)));
    What::Verified { scope, segments: report.segments, bytes: report.bytes, damaged }
}

/// Whether there is a ledger whose recorder takes up what is left for it.
pub(super) fn is_kept(paths: &Paths) -> bool {
    RealFiles.list(&paths.ledger()).is_ok_and(|names| !names.is_empty())
}
