//! One file, every byte of it.

use super::{Flaw, Kind, Wanted, Witness, facts::Facts, reading::Noted, walk};
use crate::{
    store::{
        format::{self, Checked, Close, FORMAT, FormatError, FragmentEntry, Head, ReadAt},
        index::SegmentState,
    },
    types::{Span, WallNs},
};

/// Reads a file of `len` bytes wholly, and says all that is wrong with it. Time is linear in its length, memory bounded. An open segment
/// is looked at as far as its row says that it was committed.
pub fn examine(file: &(impl ReadAt + ?Sized), len: u64, wanted: &Wanted<'_>) -> Vec<Flaw> {
    let mut look = Look { file: Noted::new(file), len, wanted, strict: true, flaws: Vec::new() };
    look.all();
    look.flaws
}

/// A file being examined.
pub(super) struct Look<'a, F: ?Sized> {
    pub(super) file: Noted<'a, F>,
    len: u64,
    pub(super) wanted: &'a Wanted<'a>,
    /// Whether each byte is known: a later version may have added boxes.
    pub(super) strict: bool,
    pub(super) flaws: Vec<Flaw>,
}

/// What was found of a segment's fragments.
pub(super) struct Fragments {
    /// As their boxes say, with the leaves that were computed; only those whose samples were read.
    pub(super) entries: Vec<FragmentEntry>,
    /// Whether all that the segment had are among them, with the leaves that they state.
    pub(super) whole: bool,
}

impl<F: ReadAt + ?Sized> Look<'_, F> {
    /// As the file is to be seen: closed, or as far as it was committed.
    fn is_open(&self) -> bool {
        self.wanted.row.is_some_and(|row| row.state == SegmentState::Open)
    }

    fn committed(&self) -> u64 {
        self.wanted.row.map_or(self.len, |row| row.bytes)
    }

    /// Notes a flaw of the whole segment.
    fn all_of_it(&mut self, kind: Kind) {
        self.flaws.push(Flaw { span: self.wanted.span, fragment: None, kind });
    }

    /// Notes a flaw of a part of it.
    pub(super) fn part(&mut self, uncorrected: Span, fragment: Option<u32>, kind: Kind) {
        let by = |t: WallNs| t.offset(self.wanted.clock_correction);
        let span = Span { start: by(uncorrected.start), end: by(uncorrected.end) };
        self.flaws.push(Flaw { span, fragment, kind });
    }

    fn unreadable(&self, e: &std::io::Error) -> Kind {
        Kind::Unreadable { byte: self.file.failed_at(), why: e.to_string() }
    }

    fn all(&mut self) {
        let limit = if self.is_open() { self.len.min(self.committed()) } else { self.len };
        let head = match format::read_head(&self.file, limit) {
            Ok(found) if found.head.segment() != self.wanted.id => return self.all_of_it(swapped(&found.head)),
            Ok(found) => Some((found.head, found.head_len)),
            Err(FormatError::TooNew { needs }) => return self.all_of_it(Kind::TooNew { needs }),
            Err(e) => {
                let kind = match &e {
                    FormatError::Io(e) => self.unreadable(e),
                    FormatError::Foreign(what) => Kind::Foreign(what),
                    FormatError::NoHead => Kind::Head("it is empty, cut or zeros"),
                    FormatError::DamagedHead(what) => Kind::Head(what),
                    FormatError::TooNew { .. } | FormatError::Fragment { .. } => Kind::Head("it cannot be understood"),
                };
                self.all_of_it(kind);
                None
            }
        };
        self.strict = head.as_ref().is_none_or(|(head, _)| head.format == FORMAT);
        let close = if self.is_open() { None } else { self.closing(head.as_ref()) };
        let fragments = match &close {
            Some(close) => self.by_rows(head.as_ref(), close),
            None => walk::walk(self, head.as_ref().map(|(_, len)| *len), limit),
        };
        if fragments.entries.is_empty() && head.is_none() {
            // Nothing of ours is in it, and that is said once.
            self.flaws.truncate(1);
        } else if let Some(Flaw { kind, .. }) = self.flaws.first_mut()
            && let Kind::Foreign(what) = kind
        {
            *kind = Kind::Head(what);
        }
        self.compare(head.as_ref().map(|(head, _)| head), close.as_ref(), &fragments);
        self.length();
    }

    /// The closing boxes, where the index says that the file ends, else where it does end.
    fn closing(&mut self, head: Option<&(Head, u64)>) -> Option<Close> {
        let (expected, head_len) = (self.committed(), head.map_or(0, |(_, len)| *len));
        let mut ends = vec![expected, self.len];
        ends.retain(|end| *end <= self.len);
        ends.dedup();
        let mut wrong = None;
        for end in ends {
            match format::end_of_file(&self.file, head_len, end) {
                Ok(Ok(end)) => {
                    if self.strict && !end.is_exact() {
                        self.all_of_it(Kind::Close("they are not those that belong to its fragments"));
                    }
                    if head.is_none_or(|(head, _)| head.digest == end.close.head) {
                        return Some(end.close);
                    }
                    wrong = Some(Kind::Close("they belong to another file"));
                }
                Ok(Err(what)) => wrong = wrong.or(Some(Kind::Close(what))),
                Err(e) => wrong = wrong.or(Some(self.unreadable(&e))),
            }
        }
        // A file that was cut has none, which is the lesser trouble.
        if let Some(kind) = wrong.filter(|_| expected <= self.len) {
            self.all_of_it(kind);
        }
        None
    }

    /// Looks at each fragment that the close box has a row for.
    fn by_rows(&mut self, head: Option<&(Head, u64)>, close: &Close) -> Fragments {
        let mut found = Fragments { entries: Vec::with_capacity(close.fragments.len()), whole: true };
        let tracks = head.map_or(2, |(head, _)| head.run.tracks.len());
        let mut at = head.map(|(_, len)| *len);
        // The sender reports of the fragments that come yet; nothing once they do not fit any more.
        let mut reports = Some(close.reports.as_slice());
        for (n, row) in close.fragments.iter().enumerate() {
            if self.file.given_up() {
                found.whole = false;
                let rest = close.fragments[n..].last().map_or(row.span, |last| Span { end: last.span.end, ..row.span });
                let why = "not tried, after so many errors".to_owned();
                self.part(rest, Some(row.number), Kind::Unreadable { byte: row.offset, why });
                return found;
            }
            if self.strict && at.is_some_and(|at| at != row.offset) {
                self.part(row.span, Some(row.number), Kind::Fragment("there are bytes before it that belong to none"));
            }
            at = Some(row.end());
            match format::check(&self.file, self.wanted.id, row.offset, row.end()) {
                Ok(read) => {
                    found.entries.push(FragmentEntry { leaf: read.leaf, ..*row });
                    found.whole &= read.leaf == row.leaf;
                    let rest = reports.map(|left| left.strip_prefix(read.reports.as_slice()));
                    reports = rest.flatten();
                    let other = rest.is_some_and(|rest| rest.is_none()).then_some("its sender reports are others");
                    if let Some(what) = self.wrong_with(&read, Some(row), tracks).or(other) {
                        reports = None;
                        self.part(row.span, Some(row.number), Kind::Fragment(what));
                    }
                }
                Err(e) => {
                    found.whole = false;
                    reports = None;
                    let kind = self.kind_of(&e);
                    self.part(row.span, Some(row.number), kind);
                }
            }
        }
        if self.strict && at.is_some_and(|at| at != close.closing.offset) {
            self.all_of_it(Kind::Close("there are bytes before them that belong to no fragment"));
        }
        if reports.is_some_and(|left| !left.is_empty()) {
            self.all_of_it(Kind::Close("they have other sender reports than its fragments"));
        }
        found
    }

    pub(super) fn kind_of(&self, e: &FormatError) -> Kind {
        match e {
            FormatError::Io(e) => self.unreadable(e),
            FormatError::Fragment { what, .. } => Kind::Fragment(what),
            _ => Kind::Fragment("it is none"),
        }
    }

    /// What is wrong with a fragment that could be read, if something is.
    pub(super) fn wrong_with(
        &self,
        read: &Checked,
        row: Option<&FragmentEntry>,
        tracks: usize,
    ) -> Option<&'static str> {
        let stated = row.map_or(read.entry.leaf, |row| row.leaf);
        if read.leaf != stated {
            return Some("its leaf does not fit its samples and their times");
        }
        if read.leaf != read.entry.leaf {
            return Some("the leaf in its own box is another one");
        }
        if row.is_some_and(|row| *row != read.entry) {
            return Some("its box and the close box do not say the same of it");
        }
        if read.tracks > tracks {
            return Some("it has a track that the file does not have");
        }
        (self.strict && !read.exact).then_some("its boxes are not those that belong to its samples")
    }

    /// Compares what was found with those who know what it was.
    fn compare(&mut self, head: Option<&Head>, close: Option<&Close>, fragments: &Fragments) {
        let digest = head.map(|head| head.digest).or(close.map(|close| close.head));
        let Some(digest) = digest.filter(|_| fragments.whole && !self.is_open()) else { return };
        let root = format::root(&digest, &fragments.entries);
        let Wanted { row, vouched, .. } = self.wanted;
        if vouched.is_some_and(|v| v.root != root) {
            return self.all_of_it(Kind::Root(Witness::Ledger));
        }
        if row.and_then(|row| row.root).is_some_and(|r| r != root) {
            self.all_of_it(Kind::Root(Witness::Index));
        }
        // Without closing boxes the file does not say whether it was recovered, and they are missed already.
        let facts = close
            .and_then(|close| Facts::of(&fragments.entries, self.wanted.clock_correction, close.closing.recovered));
        let Some(facts) = facts else { return };
        let ledger = vouched.and_then(|v| facts.against_ledger(v));
        for kind in ledger.into_iter().chain(row.and_then(|row| facts.against_index(row))) {
            self.all_of_it(kind);
        }
    }

    /// If the file is shorter than it is to be: that.
    pub(super) fn cut(&self) -> Option<Kind> {
        self.committed().checked_sub(self.len).filter(|by| *by > 0).map(|by| Kind::Shorter { by })
    }

    fn length(&mut self) {
        let expected = self.committed();
        let is_said = || self.flaws.iter().any(|flaw| matches!(flaw.kind, Kind::Shorter { .. }));
        if let Some(cut) = self.cut().filter(|_| !is_said()) {
            self.all_of_it(cut);
        } else if self.len > expected && !self.is_open() {
            self.all_of_it(Kind::Longer { by: self.len - expected });
        }
    }
}

fn swapped(head: &Head) -> Kind {
    let start = head.run.start.offset(head.run.clock_correction);
    Kind::Swapped { id: head.segment(), camera: head.run.stream.camera.clone(), start }
}
