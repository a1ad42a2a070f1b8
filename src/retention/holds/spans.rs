//! What is held, whoever holds it: spans per camera, joined.

use std::collections::BTreeMap;

use super::extent::{Cameras, Extent};
use crate::types::{CameraId, Span};

/// Held spans, per camera: ascending, neither overlapping nor touching.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans {
    /// Of every camera.
    all: Vec<Span>,
    /// Of a camera, with those of every camera.
    of: BTreeMap<CameraId, Vec<Span>>,
}

fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match out.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => out.push(span),
        }
    }
    out
}

impl Spans {
    /// Of these extents together.
    pub fn new(extents: impl IntoIterator<Item = Extent>) -> Self {
        let (mut all, mut of) = (Vec::new(), BTreeMap::<CameraId, Vec<Span>>::new());
        for extent in extents {
            match extent.cameras() {
                Cameras::All => all.push(extent.span()),
                Cameras::These(ids) => ids.iter().for_each(|id| of.entry(id.clone()).or_default().push(extent.span())),
            }
        }
        let all = joined(all);
        for spans in of.values_mut() {
            spans.extend(&all);
            *spans = joined(std::mem::take(spans));
        }
        Self { all, of }
    }

    /// These, and an extent more.
    #[must_use]
    pub fn with(&self, extent: &Extent) -> Self {
        let whole = |(id, spans): (&CameraId, &Vec<Span>)| {
            let extent = |span| Extent::new(Cameras::These([id.clone()].into()), span);
            spans.iter().copied().filter_map(extent).collect::<Vec<_>>()
        };
        let all = self.all.iter().filter_map(|span| Extent::new(Cameras::All, *span));
        Self::new(all.chain(self.of.iter().flat_map(whole)).chain([extent.clone()]))
    }

    /// What is held of a camera.
    pub fn of(&self, camera: &CameraId) -> &[Span] {
        self.of.get(camera).unwrap_or(&self.all)
    }

    /// Whether something of that camera and time is held.
    pub fn hold(&self, camera: &CameraId, span: Span) -> bool {
        let spans = self.of(camera);
        let next = spans.partition_point(|s| s.end <= span.start);
        spans.get(next).is_some_and(|s| s.overlaps(span))
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of.is_empty()
    }
}

/// What is in `these` and in none of `those`, which are ascending and do not overlap.
pub(in crate::retention) fn minus(these: &[Span], those: &[Span]) -> Vec<Span> {
    let mut out = Vec::new();
    for span in these {
        let mut rest = *span;
        let from = those.partition_point(|o| o.end <= span.start);
        for other in those[from..].iter().take_while(|o| o.start < span.end) {
            out.extend(Span::new(rest.start, other.start));
            rest.start = rest.start.max(other.end);
        }
        out.extend(Span::new(rest.start, rest.end));
    }
    out.retain(|s| s.len_ns() > 0);
    out
}
