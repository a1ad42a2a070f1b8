//! Where a stream's coded pictures come from: drawn as they are needed, or a loop coded once.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::{
    demo::{
        h264::{AccessUnit, Encoder},
        rtsp::Description,
        scene::Scene,
    },
    types::{BitRate, WallNs},
};

/// Seconds in a loop coded once.
const LOOP: u32 = 4;

/// What a camera shows.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Which of the places.
    pub(crate) index: usize,
    /// Burnt in.
    pub(crate) name: String,
    /// Of the burnt-in clock.
    pub(crate) zone: TimeZone,
    /// 1 for 640x360, 2 for 1280x720.
    pub(crate) scale: i32,
    pub(crate) fps: u32,
    /// Filled up to this rate.
    pub(crate) rate: Option<BitRate>,
}

impl View {
    fn budget(&self) -> Option<usize> {
        self.rate.and_then(|r| usize::try_from(r.0 / 8 / u64::from(self.fps)).ok())
    }

    fn encoder(&self, scale: i32) -> Encoder {
        let [width, height] = [640, 360].map(|n: u16| if scale == 2 { n * 2 } else { n });
        Encoder::new(width, height, self.fps)
    }

    /// What the SDP is to say of it.
    pub(crate) fn description(&self) -> Description {
        describe(&self.encoder(self.scale), self.fps)
    }
}

fn describe(encoder: &Encoder, fps: u32) -> Description {
    let (sps, pps) = encoder.parameter_sets();
    Description { sps: sps.clone(), pps: pps.clone(), fps }
}

/// A row of coded pictures that can be sent over and over: it begins with a key picture and holds whole GOPs, so
/// `frame_num` goes on from loop to loop without a change.
#[derive(Debug)]
pub(crate) struct Clip {
    units: Vec<AccessUnit>,
}

impl Clip {
    /// Codes a few seconds of a view.
    pub(crate) fn new(view: &View, wall: WallNs) -> Self {
        let mut scene = Scene::new(view.index, &view.name, view.scale, view.zone.clone());
        let mut encoder = view.encoder(view.scale);
        let units = (0..view.fps * LOOP)
            .map(|n| {
                let seconds = f64::from(n) / f64::from(view.fps);
                scene.draw(seconds, wall.offset(i64::from(n) * 1_000_000_000 / i64::from(view.fps)), u64::from(n));
                encoder.encode(&mut scene.picture, n % (view.fps * 2) == 0, view.budget())
            })
            .collect();
        Self { units }
    }
}

/// A source of coded pictures.
pub(crate) enum Source {
    /// Drawn and coded one by one.
    Drawn { view: View, large: bool, drawing: Option<Box<(Scene, Encoder)>> },
    /// Sent from a loop that all cameras share.
    Replayed { view: View, clip: Arc<Clip>, next: usize },
}

impl Source {
    pub(crate) fn drawn(view: View) -> Self {
        Self::Drawn { large: view.scale == 2, view, drawing: None }
    }

    pub(crate) fn replayed(view: View, clip: Arc<Clip>) -> Self {
        Self::Replayed { view, clip, next: 0 }
    }

    pub(crate) fn fps(&self) -> u32 {
        match self {
            Self::Drawn { view, .. } | Self::Replayed { view, .. } => view.fps,
        }
    }

    /// Nobody watches: memory is given back, a loop begins anew.
    pub(crate) fn rest(&mut self) {
        match self {
            Self::Drawn { drawing, .. } => *drawing = None,
            Self::Replayed { next, .. } => *next = 0,
        }
    }

    /// Has the other size or its own from now on. Says whether that is a change; a loop never changes.
    pub(crate) fn resize(&mut self, other: bool) -> bool {
        let Self::Drawn { view, large, drawing } = self else { return false };
        let wanted = (view.scale == 2) != other;
        if *large == wanted {
            return false;
        }
        (*large, *drawing) = (wanted, None);
        true
    }

    pub(crate) fn description(&self) -> Description {
        match self {
            Self::Drawn { view, large, .. } => describe(&view.encoder(1 + i32::from(*large)), view.fps),
            Self::Replayed { view, .. } => view.description(),
        }
    }

    /// The next picture; a loop knows its own key pictures.
    pub(crate) fn picture(&mut self, key: bool, seconds: f64, wall: WallNs, number: u64) -> AccessUnit {
        match self {
            Self::Drawn { view, large, drawing } => {
                let scale = 1 + i32::from(*large);
                let fresh = drawing.is_none();
                let drawing = drawing.get_or_insert_with(|| {
                    let scene = Scene::new(view.index, &view.name, scale, view.zone.clone());
                    Box::new((scene, view.encoder(scale)))
                });
                let (scene, encoder) = &mut **drawing;
                scene.draw(seconds, wall, number);
                encoder.encode(&mut scene.picture, key || fresh, view.budget())
            }
            Self::Replayed { clip, next, .. } => {
                let unit = clip.units[*next].clone();
                *next = (*next + 1) % clip.units.len();
                unit
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the first key picture and bit/s over ten seconds.
    fn rate(index: usize, scale: i32, fps: u32, rate: Option<BitRate>) -> (usize, u64) {
        let mut source =
            Source::drawn(View { index, name: "Cổng chính".into(), zone: TimeZone::UTC, scale, fps, rate });
        let sizes: Vec<usize> = (0..fps * 10)
            .map(|n| {
                let at = f64::from(n) / f64::from(fps);
                let wall = WallNs(i64::from(n) * 1_000_000_000 / i64::from(fps));
                source.picture(n % (fps * 2) == 0, at, wall, n.into()).len()
            })
            .collect();
        (sizes[0], sizes.iter().sum::<usize>() as u64 * 8 / 10)
    }

    #[test]
    fn pictures_need_what_cameras_need() {
        for index in 0..4 {
            let (main_key, main) = rate(index, 2, 15, None);
            assert!((1_500_000..3_000_000).contains(&main) && main_key < 200_000, "{index}: {main} bit/s, {main_key}");
            let (sub_key, sub) = rate(index, 1, 8, None);
            assert!((300_000..750_000).contains(&sub) && sub_key < 100_000, "{index}: {sub} bit/s, {sub_key}");
        }
    }

    #[test]
    fn a_wanted_rate_is_kept() {
        for wanted in [4_000_000, 8_000_000] {
            let got = rate(0, 2, 15, Some(BitRate(wanted))).1;
            assert!(got.abs_diff(wanted) < wanted / 10, "{got} instead of {wanted} bit/s");
        }
    }

    #[test]
    fn a_loop_holds_whole_groups() {
        let view = View { index: 1, name: String::new(), zone: TimeZone::UTC, scale: 1, fps: 8, rate: None };
        let clip = Arc::new(Clip::new(&view, WallNs(0)));
        let mut source = Source::replayed(view, clip);
        let keys: Vec<bool> = (0..64).map(|n| source.picture(false, 0.0, WallNs(0), n).key).collect();
        assert!(keys.iter().enumerate().all(|(n, key)| *key == (n % 16 == 0)), "{keys:?}");
    }
}
