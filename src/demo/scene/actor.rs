//! What moves in the scenes.

use super::super::h264::{Sprite, Yuv};

const SKIN: Yuv = Yuv::rgb(0xe8_b8_90);
const HAIR: Yuv = Yuv::rgb(0x30_28_24);
const DARK: Yuv = Yuv::rgb(0x2c_34_44);
const GLASS: Yuv = Yuv::rgb(0xb8_d8_e8);

/// A kind of thing that moves, with its colour.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// A child with a satchel, walking.
    Child(Yuv),
    /// A ball, bouncing.
    Ball(Yuv),
    /// A small car.
    Car(Yuv),
}

impl Look {
    /// Size in units.
    fn size(self) -> (i32, i32) {
        match self {
            Self::Child(_) => (24, 48),
            Self::Ball(_) => (20, 20),
            Self::Car(_) => (54, 27),
        }
    }

    /// Its poses, each seen from both sides: going right, then going left.
    fn poses(self, scale: i32) -> Vec<Sprite> {
        let count = if matches!(self, Self::Child(_)) { 4 } else { 1 };
        (0..count).flat_map(|pose| [false, true].map(|left| self.drawn(pose, left, scale))).collect()
    }

    fn drawn(self, pose: i32, left: bool, scale: i32) -> Sprite {
        let (w, h) = self.size();
        // The car is drawn larger than it is shown.
        let shrunk = if matches!(self, Self::Car(_)) { 0.75 } else { 1.0 };
        let (k, width) = (scale as f32 * shrunk, w as f32 / shrunk);
        let mut sprite = Sprite::new(w * scale, h * scale);
        let mut shape = |colour: Yuv, inside: &dyn Fn(f32, f32) -> bool| {
            sprite.shape(colour, |x, y| inside(if left { width - x / k } else { x / k }, y / k));
        };
        let disc = |cx: f32, cy: f32, r: f32| move |x: f32, y: f32| (x - cx).hypot(y - cy) <= r;
        let block = |x0: f32, y0: f32, x1: f32, y1: f32| move |x: f32, y: f32| x0 <= x && x < x1 && y0 <= y && y < y1;
        match self {
            Self::Child(colour) => {
                let stride = [0.0, 5.0, 0.0, -5.0][pose as usize];
                for (side, shade) in [(-stride, Yuv::rgb(0x3c_44_58)), (stride, DARK)] {
                    shape(shade, &move |x, y| {
                        let reach = (y - 32.0) / 14.0;
                        (32.0..46.0).contains(&y) && (x - 12.0 - side * reach).abs() < 2.6
                    });
                    shape(HAIR, &block(9.5 + side, 45.0, 16.0 + side, 48.0));
                }
                shape(Yuv::rgb(0xf0_a8_28), &block(4.0, 18.0, 9.0, 30.0));
                shape(colour, &block(8.0, 16.0, 17.0, 34.0));
                let swing = -stride * 0.8;
                shape(SKIN, &move |x, y| {
                    let reach = (y - 18.0) / 12.0;
                    (18.0..30.0).contains(&y) && (x - 13.0 - swing * reach).abs() < 1.8
                });
                shape(SKIN, &disc(12.5, 9.0, 7.0));
                shape(HAIR, &|x: f32, y: f32| (x - 12.0).hypot(y - 8.5) <= 8.0 && (y < 6.5 || x < 8.5));
                shape(DARK, &disc(16.0, 9.0, 1.0));
            }
            Self::Ball(colour) => {
                shape(colour, &disc(10.0, 10.0, 9.5));
                shape(Yuv::rgb(0xff_f8_e8), &|x: f32, y: f32| {
                    (x - 10.0).hypot(y - 10.0) <= 9.5
                        && (x - 22.0).hypot(y - 10.0) > 14.0
                        && (x + 2.0).hypot(y - 10.0) > 11.0
                });
            }
            Self::Car(colour) => {
                shape(colour, &|x: f32, y: f32| {
                    (y < 14.0 && x > 22.0 - y && x < 44.0 + y)
                        || ((14.0..28.0).contains(&y) && (2.0..70.0).contains(&x))
                });
                shape(GLASS, &|x: f32, y: f32| {
                    (3.0..13.0).contains(&y) && x > 24.0 - y && x < 41.0 + y && (x - 33.0).abs() > 1.5
                });
                shape(Yuv::rgb(0xff_f0_a0), &block(66.0, 17.0, 70.0, 21.0));
                for wheel in [17.0, 55.0] {
                    shape(HAIR, &disc(wheel, 28.0, 7.5));
                    shape(Yuv::rgb(0xc0_c4_c8), &disc(wheel, 28.0, 3.5));
                }
            }
        }
        sprite
    }
}

/// Something that moves to and fro.
#[derive(Debug)]
pub(crate) struct Actor {
    look: Look,
    poses: Vec<Sprite>,
    scale: i32,
    /// Leftmost and rightmost place, and the ground that it stands on.
    span: (i32, i32),
    ground: i32,
    /// Units per second, and seconds that it is ahead.
    speed: f64,
    ahead: f64,
}

/// A part of the picture in pixels: left, top, width, height.
pub(crate) type Place = (i32, i32, i32, i32);

impl Actor {
    pub(crate) fn new(look: Look, span: (i32, i32), ground: i32, speed: f64, ahead: f64, scale: i32) -> Self {
        Self { look, poses: look.poses(scale), scale, span, ground, speed, ahead }
    }

    /// How it looks at a time (seconds), and where, in pixels.
    pub(crate) fn at(&self, seconds: f64) -> (&Sprite, Place) {
        let t = seconds + self.ahead;
        let (w, h) = self.look.size();
        let way = f64::from((self.span.1 - self.span.0 - w).max(1));
        let gone = (t * self.speed).rem_euclid(2.0 * way);
        let left = gone > way;
        let x = f64::from(self.span.0) + if left { 2.0 * way - gone } else { gone };
        let hop = if let Look::Ball(_) = self.look {
            let phase = (t * 0.9).rem_euclid(1.0) * 2.0 - 1.0;
            70.0 * (1.0 - phase * phase)
        } else {
            0.0
        };
        let pose = (t * 6.0).rem_euclid((self.poses.len() / 2) as f64) as usize;
        let sprite = &self.poses[pose * 2 + usize::from(left)];
        let k = f64::from(self.scale);
        let y = f64::from(self.ground - h) - hop;
        (sprite, ((x * k) as i32, (y * k) as i32, sprite.width, sprite.height))
    }
}
