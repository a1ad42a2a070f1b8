//! What live taps get.

use std::sync::Arc;

use crate::{
    capture::{
        clockmap::{ns_to_ticks, ticks_to_ns},
        reorder::Timed,
        tap::TapHub,
    },
    types::{Run, Sample},
};

use super::AudioIn;

/// Gives samples to taps as soon as their decode time is known.
pub(super) struct Live<'a> {
    hub: &'a TapHub,
    run: Option<Arc<Run>>,
    /// Ticks of the session's time line at decode time 0.
    origin: i64,
    last_dts: i64,
    /// Ticks that a picture lasts: the next one tells, but nobody waits for it.
    usual: u32,
}

impl<'a> Live<'a> {
    pub(super) fn new(hub: &'a TapHub, rate: u32) -> Self {
        Self { hub, run: None, origin: 0, last_dts: 0, usual: rate / 25 }
    }

    /// New parameters, from the key frame at `pts` on.
    pub(super) fn begin(&mut self, pts: i64, run: Run) {
        self.origin = pts;
        self.last_dts = pts;
        let run = Arc::new(run);
        self.run = Some(run.clone());
        self.hub.init(run);
    }

    pub(super) fn picture(&mut self, timed: &Timed) {
        let Timed { picture, dts } = timed;
        if *dts > self.last_dts {
            self.usual = u32::try_from(dts - self.last_dts).unwrap_or(self.usual);
        }
        self.last_dts = *dts;
        let cts = picture.pts.saturating_sub(*dts);
        self.hub.sample(Sample {
            track: 0,
            dts: u64::try_from(dts.saturating_sub(self.origin)).unwrap_or(0),
            duration: self.usual,
            cts: i32::try_from(cts).unwrap_or(0),
            key: picture.key,
            data: picture.data.clone(),
        });
    }

    /// An audio frame at `dts` ticks of its own clock of `rate` a second.
    pub(super) fn audio(&mut self, frame: &AudioIn, dts: i64, rate: u32) {
        let Some(run) = &self.run else { return };
        let origin = ns_to_ticks(ticks_to_ns(self.origin, run.video().timescale), rate);
        // Sound from before the first picture is not heard.
        if let Ok(dts) = u64::try_from(dts.saturating_sub(origin)) {
            let data = frame.data.clone();
            self.hub.sample(Sample { track: 1, dts, duration: frame.length, cts: 0, key: true, data });
        }
    }

    pub(super) fn end(&self) {
        self.hub.session_over();
    }
}
