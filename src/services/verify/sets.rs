//! What is missing as a whole: segments that the ledger vouches for and nobody else knows, and files that nobody knows.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::verifier::Verifier;
use crate::{
    store::{
        layout,
        verify::{Flaw, Kind, Place, Vouched, Wanted},
        volume::Volume,
    },
    types::{RunId, WallNs},
};

/// A file that was changed since is somebody's work in progress.
const YOUNG: Duration = Duration::from_mins(15);
/// So many unknown files are named.
const NAMED: usize = 100;

impl Verifier<'_> {
    /// Looks for segments that were closed, are not removed by the ledger's word, and have no row.
    pub(super) fn missing_rows(&mut self) -> anyhow::Result<()> {
        let scope = &self.ask.scope;
        let by_name = !scope.cameras.is_empty();
        let mut suspects = Vec::new();
        for (place, v) in self.ledger.vouchers.kept() {
            let wanted = self.archive.here.contains_key(&place.volume)
                && v.span.overlaps(scope.time())
                && self.archive.has(place.id.stream, by_name);
            if wanted && self.archive.index.reader()?.row(place.id, &place.volume)?.is_none() {
                suspects.push(place.clone());
            }
        }
        if suspects.is_empty() {
            return Ok(());
        }
        // Retention says so before it removes anything.
        self.ledger.refresh()?;
        suspects.sort();
        for place in suspects {
            let Some(vouched) = self.ledger.vouchers.of(&place).cloned() else { continue };
            if self.is_stopped() {
                return Ok(());
            }
            self.without_row(&place, &vouched)?;
        }
        Ok(())
    }

    fn without_row(&mut self, place: &Place, vouched: &Vouched) -> anyhow::Result<()> {
        let Some(volume) = self.archive.here.get(&place.volume) else { return Ok(()) };
        let raw_start = vouched.span.start.offset(vouched.clock_correction.saturating_neg());
        let path = layout::segment_path(&vouched.camera, vouched.kind, raw_start, place.id.run, place.id.seq);
        let full = volume.root.join(&path);
        let of_it_all = |kind| Flaw { span: vouched.span, fragment: None, kind };
        let flaws = match self.read(&full, false, &Wanted::by_ledger(place.id, vouched)) {
            Ok((mut flaws, bytes)) => {
                self.report.segments += 1;
                self.report.bytes += bytes;
                self.without_row.insert((place.id.run, place.id.seq, place.volume.clone()));
                flaws.push(of_it_all(Kind::NoRow));
                flaws
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if !self.archive.is_here(&place.volume)? {
                    return Ok(());
                }
                vec![of_it_all(Kind::Removed)]
            }
            Err(e) => vec![of_it_all(Kind::Unreadable { byte: 0, why: e.to_string() })],
        };
        if self.is_stopped() {
            return Ok(());
        }
        let names = self.archive.names(place.id.stream).unwrap_or_else(|| (vouched.camera.clone(), vouched.kind));
        for flaw in flaws {
            self.found(place, names.clone(), &path, flaw);
        }
        Ok(())
    }

    /// Names files that look like segments and that neither index nor ledger knows.
    pub(super) fn unknown_files(&mut self) -> anyhow::Result<()> {
        let volumes: Vec<Volume> = self.archive.here.values().cloned().collect();
        let old = self.now() - YOUNG;
        for volume in volumes {
            for path in files(&volume.root) {
                let Some(name) = layout::parse_name(&path) else { continue };
                if self.is_stopped() {
                    return Ok(());
                }
                if self.is_known(name, &volume)? || !is_older(&path, old) {
                    continue;
                }
                if self.report.unknown_files.len() < NAMED {
                    self.report.unknown_files.push(path.display().to_string());
                }
            }
        }
        Ok(())
    }

    fn is_known(&mut self, (run, seq): (RunId, u32), volume: &Volume) -> anyhow::Result<bool> {
        if self.archive.index.reader()?.has_file(run, seq, &volume.name)? {
            return Ok(true);
        }
        Ok(self.without_row.contains(&(run, seq, volume.name.clone())))
    }
}

/// Whether a file is still there, and was last changed before then.
fn is_older(path: &Path, then: WallNs) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).is_ok_and(|m| m.mtime().saturating_mul(1_000_000_000) < then.0)
}

/// All files where segments lie below a volume's root: `footage/<camera>/<stream>/<day>/…`.
fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
    let list = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().filter_map(|e| e.ok().map(|e| e.path()));
    list(root.join(layout::FOOTAGE)).flat_map(list).flat_map(list).flat_map(list)
}
