//! Drawing in the units of a 640x360 picture, whatever size the picture has.

use super::super::h264::{Picture, Sprite, Yuv};

/// Draws onto a picture of 640x360 (`scale` 1) or 1280x720 (2).
pub(crate) struct Painter<'a> {
    pub(crate) picture: &'a mut Picture,
    pub(crate) scale: i32,
}

impl Painter<'_> {
    /// A rectangle. Multiples of eight cost next to nothing.
    pub(crate) fn rect(&mut self, x: i32, y: i32, w: i32, h: i32, colour: Yuv) {
        let k = self.scale;
        self.picture.rect(x * k, y * k, w * k, h * k, colour);
    }

    /// A smooth shape within a box; `inside` gets units from the box's corner.
    pub(crate) fn shape(&mut self, (x, y, w, h): (i32, i32, i32, i32), colour: Yuv, inside: impl Fn(f32, f32) -> bool) {
        let mut sprite = Sprite::new(w * self.scale, h * self.scale);
        let k = self.scale as f32;
        sprite.shape(colour, |x, y| inside(x / k, y / k));
        self.picture.blit(&sprite, x * self.scale, y * self.scale);
    }

    /// A disc.
    pub(crate) fn disc(&mut self, x: i32, y: i32, radius: i32, colour: Yuv) {
        let r = radius as f32;
        self.shape((x - radius, y - radius, radius * 2, radius * 2), colour, |x, y| (x - r).hypot(y - r) <= r);
    }

    /// A polygon that is convex or nearly so: a point is inside where a ray to the right crosses an odd number of edges.
    pub(crate) fn polygon(&mut self, points: &[(i32, i32)], colour: Yuv) {
        let bound = |f: fn(&(i32, i32)) -> i32| {
            (points.iter().map(f).min().unwrap_or(0), points.iter().map(f).max().unwrap_or(0))
        };
        let ((left, right), (top, bottom)) = (bound(|p| p.0), bound(|p| p.1));
        let edges: Vec<_> = points
            .iter()
            .zip(points.iter().cycle().skip(1))
            .map(|(a, b)| ((a.0 - left) as f32, (a.1 - top) as f32, (b.0 - left) as f32, (b.1 - top) as f32))
            .collect();
        self.shape((left, top, right - left, bottom - top), colour, |x, y| {
            edges
                .iter()
                .filter(|(ax, ay, bx, by)| (*ay > y) != (*by > y) && x < ax + (y - ay) / (by - ay) * (bx - ax))
                .count()
                % 2
                == 1
        });
    }
}
