//! What is in a file, in little memory: where its fragments lie and when they play.

use std::{fs::File, path::Path};

use crate::{
    retrieve::RetrieveError,
    store::{
        format::{self, FormatError, SegmentFile, Verify},
        index::{SegmentRow, SegmentState},
    },
    types::{Run, Span, WallNs, wire::FragmentPart},
};

/// One file's contents as far as they have been looked at.
#[derive(Debug, Clone)]
pub struct Table {
    /// The run that the file belongs to.
    pub run: Run,
    /// Bytes of `ftyp` and `moov`.
    pub init_len: u64,
    /// The fragments, ascending, at uncorrected times.
    pub fragments: Vec<FragmentPart>,
    /// Up to where the file was looked at.
    scanned: u64,
    /// Of an open file: what the scan goes on from.
    partial: Option<SegmentFile>,
}

impl Table {
    /// Whether the table says all that the row does.
    pub(super) fn covers(&self, row: &SegmentRow) -> bool {
        self.scanned >= row.bytes
    }

    /// Reads a file up to the length that the row says has been committed. `known` is an older table of the same file,
    /// from which the scan of an open one goes on: fragments never change once they are committed.
    pub(super) fn read(
        file: &File,
        path: &Path,
        row: &SegmentRow,
        known: Option<&Self>,
    ) -> Result<Self, RetrieveError> {
        let bad = |source| RetrieveError::Format { path: path.to_owned(), source };
        let open = row.state == SegmentState::Open;
        let (mut found, mut fragments) = match known.and_then(|k| Some((k.partial.clone()?, k.fragments.clone()))) {
            Some((mut partial, fragments)) if open => {
                partial.extend(file, row.bytes, Verify::No).map_err(bad)?;
                // The one that the scan went on from is known already.
                partial.fragments.retain(|f| fragments.last().is_none_or(|last| f.offset > last.offset));
                (partial, fragments)
            }
            _ => (format::read(file, row.bytes).map_err(bad)?, Vec::new()),
        };
        let head = &found.head;
        if head.segment() != row.id {
            return Err(bad(FormatError::DamagedHead("it holds another segment than its name and the index say")));
        }
        fragments.extend(found.fragments.iter().map(|f| FragmentPart {
            offset: f.offset,
            len: f.len,
            span: f.span,
            dts: f.dts,
            key: f.key,
        }));
        fragments.shrink_to_fit();
        let (run, init_len) = (head.run.clone(), found.init_len);
        let partial = open.then(|| {
            // The last one must stay: by it the scan sees that the next one goes on.
            found.fragments.drain(..found.fragments.len().saturating_sub(1));
            found.reports.clear();
            found
        });
        Ok(Self { run, init_len, fragments, scanned: row.bytes, partial })
    }

    /// The fragments that cover `span` (corrected) and can be read by the row's length, from the key frame at or before
    /// its start. Times are corrected.
    pub fn within(&self, row: &SegmentRow, span: Span) -> Vec<FragmentPart> {
        let correct = |t: WallNs| t.offset(row.clock_correction);
        let committed = |f: &FragmentPart| f.offset.checked_add(f.len).is_some_and(|end| end <= row.bytes);
        let all = &self.fragments;
        let Some(touched) = all.iter().position(|f| correct(f.span.end) > span.start) else { return Vec::new() };
        let key = all.get(..=touched).and_then(|before| before.iter().rposition(|f| f.key)).unwrap_or(touched);
        all.iter()
            .skip(key)
            .take_while(|f| correct(f.span.start) < span.end && committed(f))
            .map(|f| FragmentPart { span: Span { start: correct(f.span.start), end: correct(f.span.end) }, ..*f })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::retrieve::testing;

    /// A table of `n` fragments of 2 s, every other one beginning with a key frame, from 1970 on.
    pub(in crate::retrieve::library) fn table_of(n: u64) -> Table {
        let at = |n: u64| WallNs(n.cast_signed() * 2_000_000_000);
        let fragments = (0..n)
            .map(|n| FragmentPart {
                offset: 1000 + n * 100,
                len: 100,
                span: Span { start: at(n), end: at(n + 1) },
                dts: n * 180_000,
                key: n % 2 == 0,
            })
            .collect();
        Table { run: testing::run(1), init_len: 800, fragments, scanned: 1000 + n * 100, partial: None }
    }

    fn row(bytes: u64, correction: i64) -> SegmentRow {
        SegmentRow { bytes, clock_correction: correction, ..testing::row(&testing::run(1), 0, 0) }
    }

    fn seconds(from: i64, to: i64) -> Span {
        Span { start: WallNs(from * 1_000_000_000), end: WallNs(to * 1_000_000_000) }
    }

    #[test]
    fn a_span_begins_at_its_key_frame() {
        let table = table_of(10);
        let starts = |span| {
            let found = table.within(&row(2000, 0), span);
            found.iter().map(|f| f.span.start.0 / 1_000_000_000).collect::<Vec<_>>()
        };
        assert_eq!(starts(seconds(7, 9)), [4, 6, 8]);
        assert_eq!(starts(seconds(8, 10)), [8]);
        assert_eq!(starts(seconds(-5, 1)), [0]);
        assert_eq!(starts(seconds(18, 99)), [16, 18]);
        assert!(starts(seconds(20, 99)).is_empty() && starts(seconds(-5, 0)).is_empty());
    }

    #[test]
    fn nothing_beyond_the_committed_length_is_named() {
        let table = table_of(10);
        assert_eq!(table.within(&row(1250, 0), seconds(0, 20)).len(), 2);
        assert!(table.within(&row(1000, 0), seconds(0, 20)).is_empty());
    }

    #[test]
    fn times_are_corrected() {
        let found = table_of(10).within(&row(2000, 3_600_000_000_000), seconds(3600, 3602));
        assert_eq!(found.first().map(|f| f.span), Some(seconds(3600, 3602)));
        assert_eq!(found.len(), 1);
    }
}
