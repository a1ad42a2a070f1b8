//! A file without closing boxes that can be believed: one that is open, was cut, or was damaged at its end. Its fragments are found one
//! behind the other, and behind a damaged one the next is searched for.

use super::{
    Kind,
    segment::{Fragments, Look},
};
use crate::{
    store::format::{self, Checked, FormatError, FragmentEntry, ReadAt},
    types::{Span, WallNs},
};

/// What the kernel reads at once; nothing smaller is worth trying again behind a place that cannot be read.
const PAGE: u64 = 4096;
/// How much is hashed for nothing, as a multiple of the file, before the rest of it is given up; and how often something that looks like a
/// fragment may turn out to be none. A file that somebody made to be searched for ever is not.
const PATIENCE: u64 = 4;
const STUMBLES: u32 = 1000;

/// Where the walk is.
struct Walk {
    at: u64,
    /// What was found, with the leaves computed.
    found: Vec<FragmentEntry>,
    /// What is wrong with the place behind the last fragment.
    trouble: Option<Kind>,
    whole: bool,
    hashed_for_nothing: u64,
    stumbles: u32,
}

impl Walk {
    /// Uncorrected end of what was found; `start` if there is nothing.
    fn end(&self, start: WallNs) -> WallNs {
        self.found.last().map_or(start, |last| last.span.end)
    }

    /// Notes trouble at the present place.
    fn stumble(&mut self, kind: Kind) {
        self.stumbles += 1;
        self.trouble.get_or_insert(kind);
        self.at += 1;
    }

    fn is_worth_it(&self, limit: u64) -> bool {
        self.at < limit && self.stumbles < STUMBLES && self.hashed_for_nothing <= PATIENCE.saturating_mul(limit)
    }

    fn continues(&self, next: &FragmentEntry) -> bool {
        self.found.last().is_none_or(|last| last.number < next.number && last.dts < next.dts)
    }
}

/// Walks a file as far as `limit`, from the end of its head, if that is known.
pub(super) fn walk<F: ReadAt + ?Sized>(look: &mut Look<'_, F>, head_len: Option<u64>, limit: u64) -> Fragments {
    let uncorrect = |t: WallNs| t.offset(look.wanted.clock_correction.saturating_neg());
    let (start, end) = (uncorrect(look.wanted.span.start), uncorrect(look.wanted.span.end));
    let mut walk = Walk {
        at: head_len.unwrap_or(0),
        found: Vec::new(),
        trouble: None,
        whole: true,
        hashed_for_nothing: 0,
        stumbles: 0,
    };
    if head_len.is_none() {
        search(look, &mut walk, limit);
    }
    while walk.is_worth_it(limit) && !look.file.given_up() {
        match format::check(&look.file, look.wanted.id, walk.at, limit) {
            Ok(read) if read.leaf == read.entry.leaf && walk.continues(&read.entry) => {
                accept(look, &mut walk, &read, start);
            }
            Ok(read) => {
                walk.hashed_for_nothing += read.entry.len;
                let kind = Kind::Fragment("its leaf does not fit its samples and their times");
                let end = read.entry.end();
                walk.stumble(kind);
                if begins(look, end, limit) {
                    walk.at = end;
                } else {
                    search(look, &mut walk, limit);
                }
            }
            Err(e) => {
                walk.stumble(look.kind_of(&e));
                if matches!(e, FormatError::Io(_)) {
                    walk.at = walk.at.max(look.file.failed_at() / PAGE * PAGE + PAGE);
                }
                search(look, &mut walk, limit);
            }
        }
    }
    let rest = Span { start: walk.end(start), end };
    if rest.start < rest.end {
        let kind = look.cut().or(walk.trouble.take()).unwrap_or(Kind::Missing);
        walk.whole = false;
        look.part(rest, None, kind);
    }
    Fragments { entries: walk.found, whole: walk.whole }
}

/// Whether a fragment begins there, or nothing does any more.
fn begins<F: ReadAt + ?Sized>(look: &Look<'_, F>, at: u64, limit: u64) -> bool {
    at == limit || matches!(format::find_fragment(&look.file, at, limit.min(at + 40)), Ok(Some(found)) if found == at)
}

fn accept<F: ReadAt + ?Sized>(look: &mut Look<'_, F>, walk: &mut Walk, read: &Checked, start: WallNs) {
    let before = Span { start: walk.end(start), end: read.entry.span.start };
    let expected = walk.found.last().map(|last| last.number.wrapping_add(1));
    let is_next = expected.is_none_or(|n| n == read.entry.number);
    let is_late = walk.found.is_empty() && before.start < before.end;
    // A later version may have put boxes of its own between two fragments.
    let trouble = walk.trouble.take().filter(|_| look.strict || !is_next || is_late);
    if trouble.is_some() || !is_next || is_late {
        walk.whole &= is_next && !is_late;
        look.part(before, expected, trouble.unwrap_or(Kind::Missing));
    }
    // Of the tracks the head knows, which may be damaged; two is what there can be.
    if let Some(what) = look.wrong_with(read, None, 2) {
        look.part(read.entry.span, Some(read.entry.number), Kind::Fragment(what));
    }
    walk.at = read.entry.end();
    walk.found.push(FragmentEntry { leaf: read.leaf, ..read.entry });
}

/// Goes to where the next fragment may begin.
fn search<F: ReadAt + ?Sized>(look: &Look<'_, F>, walk: &mut Walk, limit: u64) {
    loop {
        match format::find_fragment(&look.file, walk.at, limit) {
            Ok(next) => {
                walk.at = next.unwrap_or(limit);
                return;
            }
            Err(_) if look.file.given_up() => {
                walk.at = limit;
                return;
            }
            // What lies behind it may be readable.
            Err(_) => walk.at = walk.at.max(look.file.failed_at() / PAGE * PAGE + PAGE),
        }
    }
}
