//! What the simulated cameras see: stylised places of a school, somebody walking through, a clock.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::many_single_char_names,
    clippy::unreadable_literal,
    reason = "coordinates of pictures of at most 1280x720, named x, y, w, h; colours are six digits to everybody"
)]

mod actor;
mod font;
mod painter;
mod places;

use jiff::tz::TimeZone;

use self::{
    actor::{Actor, Place},
    font::Font,
    painter::Painter,
};
use super::h264::{Picture, Yuv};
use crate::types::WallNs;

/// What one stream of one camera shows.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The picture as it was last drawn.
    pub(crate) picture: Picture,
    empty: Picture,
    actors: Vec<Actor>,
    occupied: Vec<Place>,
    scale: i32,
    zone: TimeZone,
    clock: Line,
    /// In large pictures only: in small ones it would cost more than it tells.
    counter: Option<Line>,
}

impl Scene {
    /// The `index`th camera's scene in 640x360 (`scale` 1) or 1280x720 (2), with its name burnt in.
    pub(crate) fn new(index: usize, name: &str, scale: i32, zone: TimeZone) -> Self {
        let size = |n: i32| (n * scale) as u16;
        let mut empty = Picture::new(size(640), size(360), Yuv::rgb(0xb0_c4_d4));
        let actors = places::draw(index, &mut Painter { picture: &mut empty, scale });
        let name: String = font::plain(name).chars().take(24).collect();
        Line::new(0, 0).write(&mut empty, scale, &format!(" {name} "));
        empty.take_changed();
        let clock = Line::new(640 - 25 * font::ADVANCE, 0);
        let counter = (scale > 1).then(|| Line::new(640 - 10 * font::ADVANCE, 360 - font::LINE));
        Self { picture: empty.clone(), empty, actors, occupied: Vec::new(), scale, zone, clock, counter }
    }

    /// Draws the scene as it is at `wall`, `seconds` after its beginning. `shown` is the time on the camera's own clock.
    pub(crate) fn draw(&mut self, seconds: f64, shown: WallNs, frame: u64) {
        for (x, y, w, h) in self.occupied.drain(..) {
            self.picture.restore(&self.empty, x, y, w, h);
        }
        for actor in &self.actors {
            let (sprite, place) = actor.at(seconds);
            self.picture.blit(sprite, place.0, place.1);
            self.occupied.push(place);
        }
        let time = shown.timestamp().to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
        self.clock.write(&mut self.picture, self.scale, &format!(" {time} "));
        if let Some(counter) = &mut self.counter {
            counter.write(&mut self.picture, self.scale, &format!(" #{:07} ", frame % 10_000_000));
        }
    }
}

/// A line of text that draws only what has changed.
#[derive(Debug)]
struct Line {
    x: i32,
    y: i32,
    shown: Vec<char>,
}

impl Line {
    fn new(x: i32, y: i32) -> Self {
        Self { x, y, shown: Vec::new() }
    }

    fn write(&mut self, picture: &mut Picture, scale: i32, text: &str) {
        let font = Font::of(scale);
        for (i, c) in text.chars().enumerate() {
            if self.shown.get(i) != Some(&c) {
                picture.blit(font.glyph(c), (self.x + i as i32 * font::ADVANCE) * scale, self.y * scale);
            }
        }
        self.shown = text.chars().collect();
    }
}
