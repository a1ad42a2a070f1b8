//! How many days of a camera are there in truth, and what of the promise is not.

use serde::{Deserialize, Serialize};

use super::{holds, terms::days_ns};
use crate::types::{CauseKind, Span, WallNs, wire::Gap};

/// What is known of one stream's recording.
#[derive(Debug, Clone, Copy)]
pub struct Recording<'a> {
    /// Footage, ascending, not overlapping, copies joined; and whether it can be read now.
    pub footage: &'a [(Span, bool)],
    /// Gaps with their causes, ascending.
    pub gaps: &'a [Gap],
    /// What was recorded and is no more, though nobody let it go: lost with a disk, removed by hand, overwritten where the promise is
    /// a target.
    pub lost: &'a [Span],
    /// When the recording began, as far back as is known.
    pub since: Option<WallNs>,
}

/// Less than this between two segments is no gap.
const SEAM_NS: i64 = 20_000_000;

/// Stretches of footage, from segments whose files can be read and others: ascending by their start, copies in both.
pub fn stretches(readable: &[Span], unreadable: &[Span]) -> Vec<(Span, bool)> {
    let (readable, unreadable) = (joined(readable), joined(unreadable));
    let mut all: Vec<(Span, bool)> = readable.iter().map(|s| (*s, true)).collect();
    all.extend(minus(&unreadable, &readable).into_iter().map(|s| (s, false)));
    all.sort();
    all
}

/// Spans that adjoin or overlap, joined.
fn joined(spans: &[Span]) -> Vec<Span> {
    let mut all: Vec<Span> = Vec::new();
    for span in spans {
        match all.last_mut() {
            Some(last) if span.start.since(last.end) <= SEAM_NS => last.end = last.end.max(span.end),
            _ => all.push(*span),
        }
    }
    all
}

/// What is in `these` and in none of `those`, but for seams.
fn minus(these: &[Span], those: &[Span]) -> Vec<Span> {
    let mut all = holds::minus(these, those);
    all.retain(|s| s.len_ns() > SEAM_NS);
    all
}

/// What is kept of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Start of the oldest footage that can be read, whatever lies between.
    pub oldest: Option<WallNs>,
    /// So many seconds back from now everything that was recorded can be read.
    pub seconds: u64,
    /// Within the promise: seconds without footage, those aside that the site did not want.
    pub gap_seconds: u64,
    /// Within the promise: seconds on volumes that are not there.
    pub unreadable_seconds: u64,
    /// Within the promise: seconds that are lost.
    pub lost_seconds: u64,
    /// Whether the recording is simply younger than the promise.
    pub young: bool,
}

impl Kept {
    /// Whether promised footage is not there though it was recorded.
    pub fn is_breach(&self) -> bool {
        self.unreadable_seconds > 0 || self.lost_seconds > 0
    }

    /// [`Kept::seconds`] in days.
    pub fn days(&self) -> f64 {
        self.seconds as f64 / 86_400.0
    }
}

/// Seconds of the spans within another one; one that has begun counts.
fn seconds(spans: impl Iterator<Item = Span>, within: Span) -> u64 {
    let ns: i64 = spans.filter_map(|s| s.intersect(within)).map(Span::len_ns).fold(0, i64::saturating_add);
    u64::try_from(ns).unwrap_or(0).div_ceil(1_000_000_000)
}

/// Measures. Without a promise the span that counts is what there is.
pub fn kept(now: WallNs, min_days: Option<u32>, recording: &Recording<'_>) -> Kept {
    let readable = || recording.footage.iter().filter(|(_, readable)| *readable).map(|(span, _)| *span);
    let unreadable = || recording.footage.iter().filter(|(_, readable)| !readable).map(|(span, _)| *span);
    let oldest = readable().next().map(|s| s.start);
    let first = recording.footage.first().map(|(span, _)| span.start);
    let start = match min_days {
        Some(days) => now.offset(-days_ns(days)),
        None => first.unwrap_or(now),
    };
    let promised = Span { start: start.min(now), end: now };
    // Gaps end where nothing is known of: a lost span may be told as one.
    let wanted = recording.gaps.iter().filter(|g| !matches!(g.cause.kind, CauseKind::Site | CauseKind::Retention));
    let gaps = wanted.map(|g| Span { start: g.start, end: g.end.unwrap_or(now) });
    // What is there in a copy is not lost.
    let there: Vec<Span> = recording.footage.iter().map(|(span, _)| *span).collect();
    let lost = minus(recording.lost, &there);
    let lost_seconds = seconds(lost.iter().copied(), promised);
    Kept {
        oldest,
        seconds: u64::try_from(now.since(whole_since(now, recording, &lost)) / 1_000_000_000).unwrap_or(0),
        gap_seconds: seconds(gaps, promised).saturating_sub(lost_seconds),
        unreadable_seconds: seconds(unreadable(), promised),
        lost_seconds,
        young: recording.since.or(first).is_none_or(|since| since > promised.start),
    }
}

/// Back to where everything can be read: the start of the first footage after the last stretch that is not readable, is lost, or went when
/// its time was over.
fn whole_since(now: WallNs, recording: &Recording<'_>, lost: &[Span]) -> WallNs {
    let unreadable = recording.footage.iter().filter(|(_, readable)| !readable).map(|(span, _)| span.end);
    let went = recording.gaps.iter().filter(|g| g.cause.kind == CauseKind::Retention);
    let went = went.map(|g| g.end.unwrap_or(now));
    let broken = unreadable.chain(went).chain(lost.iter().map(|l| l.end)).max().unwrap_or(WallNs::MIN);
    let after = recording.footage.iter().map(|(span, _)| span.start).find(|start| *start >= broken);
    after.unwrap_or(now).min(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{retention::DAY_NS, types::Cause};

    const H: i64 = DAY_NS / 24;

    fn now() -> WallNs {
        WallNs(100 * DAY_NS)
    }

    /// So many hours before now.
    fn ago(from: i64, to: i64) -> Span {
        Span { start: now().offset(-from * H), end: now().offset(-to * H) }
    }

    fn gap(from: i64, to: i64, kind: CauseKind) -> Gap {
        let span = ago(from, to);
        Gap { start: span.start, end: Some(span.end), cause: Cause::new(kind, "") }
    }

    fn measure(footage: &[(Span, bool)], gaps: &[Gap], lost: &[Span], since: i64) -> Kept {
        let since = Some(now().offset(-since * H));
        kept(now(), Some(2), &Recording { footage, gaps, lost, since })
    }

    #[test]
    fn gaps_are_counted_and_do_not_end_what_is_kept() {
        let footage = [(ago(60, 30), true), (ago(28, 0), true)];
        let k = measure(&footage, &[gap(30, 28, CauseKind::Unreachable)], &[], 1000);
        assert_eq!(k.seconds, 60 * 3600);
        assert_eq!((k.gap_seconds, k.young, k.is_breach()), (7200, false, false));
        assert_eq!(k.oldest, Some(ago(60, 0).start));
        let k = measure(&footage, &[gap(30, 28, CauseKind::Site)], &[], 1000);
        assert_eq!(k.gap_seconds, 0, "the site did not want it");
    }

    #[test]
    fn a_young_recording_is_no_breach() {
        let k = measure(&[(ago(5, 0), true)], &[], &[], 5);
        assert!(k.young && !k.is_breach());
        assert!(measure(&[], &[], &[], -1).young);
        assert!(!measure(&[(ago(5, 0), true)], &[], &[], 100).young);
    }

    #[test]
    fn what_cannot_be_read_or_is_lost_ends_what_is_kept_and_breaks_the_promise() {
        let k = measure(&[(ago(60, 20), false), (ago(20, 0), true)], &[], &[], 1000);
        assert_eq!((k.seconds, k.unreadable_seconds), (20 * 3600, 28 * 3600));
        assert!(k.is_breach());
        let lost = [ago(20, 19)];
        let k = measure(&[(ago(60, 20), true), (ago(19, 0), true)], &[gap(20, 19, CauseKind::Unknown)], &lost, 1000);
        assert_eq!((k.seconds, k.lost_seconds, k.gap_seconds), (19 * 3600, 3600, 0));
        assert!(k.is_breach());
        let old = measure(&[(ago(90, 80), false), (ago(70, 0), true)], &[], &[], 1000);
        assert!(!old.is_breach(), "it is older than the promise");
        assert_eq!(old.seconds, 70 * 3600);
    }

    #[test]
    fn what_is_lost_in_one_copy_only_is_not_lost() {
        let lost = [ago(30, 10), ago(50, 49)];
        let k = measure(&[(ago(60, 25), true), (ago(20, 0), true)], &[], &lost, 1000);
        assert_eq!((k.lost_seconds, k.seconds), (5 * 3600, 20 * 3600));
    }

    #[test]
    fn copies_count_where_one_can_be_read() {
        let (a, b) = ([ago(60, 50), ago(50, 40), ago(20, 0)], [ago(55, 30), ago(20, 10)]);
        let all = stretches(&a, &b);
        assert_eq!(all, [(ago(60, 40), true), (ago(40, 30), false), (ago(20, 0), true)]);
        assert_eq!(stretches(&b, &[]), [(ago(55, 30), true), (ago(20, 10), true)]);
    }

    #[test]
    fn an_island_under_a_hold_does_not_count_as_kept_days() {
        let footage = [(ago(1000, 990), true), (ago(60, 0), true)];
        let k = measure(&footage, &[gap(990, 60, CauseKind::Retention)], &[], 2000);
        assert_eq!(k.seconds, 60 * 3600);
        assert_eq!(k.oldest, Some(ago(1000, 0).start));
        assert!(!k.is_breach());
    }

    #[test]
    fn without_a_promise_all_that_is_there_counts() {
        let footage = [(ago(60, 30), true), (ago(28, 0), true)];
        let gaps = [gap(30, 28, CauseKind::Camera)];
        let k = kept(now(), None, &Recording { footage: &footage, gaps: &gaps, lost: &[], since: None });
        assert_eq!((k.seconds, k.gap_seconds), (60 * 3600, 7200));
    }
}
