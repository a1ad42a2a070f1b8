//! A picture as the encoder likes it: most macroblocks are made of flat cells, a few of pixels.

/// A colour in BT.709, limited range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Yuv {
    /// Luma, 16 to 235.
    pub(crate) y: u8,
    /// Cb, 16 to 240.
    pub(crate) u: u8,
    /// Cr, 16 to 240.
    pub(crate) v: u8,
}

impl Yuv {
    /// From 8-bit sRGB. Luma is rounded to a multiple of four: such cells are coded without loss.
    pub(crate) const fn rgb(hex: u32) -> Self {
        let (r, g, b) = ((hex >> 16 & 255) as i32, (hex >> 8 & 255) as i32, (hex & 255) as i32);
        let y = 16 + (1826 * r + 6142 * g + 620 * b + 5000) / 10_000;
        let u = 128 + (-1006 * r - 3386 * g + 4392 * b) / 10_000;
        let v = 128 + (4392 * r - 3989 * g - 403 * b) / 10_000;
        Self { y: ((y + 2) / 4 * 4) as u8, u: u as u8, v: v as u8 }
    }

    /// This colour with `alpha` of 255 parts of itself over `below`.
    fn over(self, alpha: u8, below: Self) -> Self {
        let mix = |a: u8, b: u8| {
            ((u32::from(a) * u32::from(alpha) + u32::from(b) * (255 - u32::from(alpha)) + 127) / 255) as u8
        };
        Self { y: mix(self.y, below.y), u: mix(self.u, below.u), v: mix(self.v, below.v) }
    }
}

/// Samples of a macroblock, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) y: [u8; 256],
    pub(crate) u: [u8; 64],
    pub(crate) v: [u8; 64],
}

/// A macroblock whose 4x4 blocks are flat, luma (multiples of four) and chroma each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) y: [u8; 16],
    pub(crate) u: [u8; 4],
    pub(crate) v: [u8; 4],
}

/// A macroblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mb {
    /// 24 values say all.
    Cells(Cells),
    /// Too detailed for that.
    Pixels(Box<Pixels>),
}

impl Mb {
    /// All samples.
    pub(crate) fn pixels(&self) -> Pixels {
        match self {
            Self::Pixels(p) => (**p).clone(),
            Self::Cells(c) => Pixels {
                y: std::array::from_fn(|i| c.y[i / 64 * 4 + i % 16 / 4]),
                u: std::array::from_fn(|i| c.u[i / 32 * 2 + i % 8 / 4]),
                v: std::array::from_fn(|i| c.v[i / 32 * 2 + i % 8 / 4]),
            },
        }
    }

    /// The same samples as cells, where that can be said without loss.
    fn simplified(self) -> Self {
        let Self::Pixels(p) = &self else { return self };
        let y: [u8; 16] = std::array::from_fn(|i| p.y[i / 4 * 64 + i % 4 * 4]);
        if y.iter().any(|y| y % 4 != 0) || (0..256).any(|i| p.y[i] != y[i / 64 * 4 + i % 16 / 4]) {
            return self;
        }
        let u: [u8; 4] = std::array::from_fn(|i| p.u[i / 2 * 32 + i % 2 * 4]);
        let v: [u8; 4] = std::array::from_fn(|i| p.v[i / 2 * 32 + i % 2 * 4]);
        let flat = |i: usize| p.u[i] == u[i / 32 * 2 + i % 8 / 4] && p.v[i] == v[i / 32 * 2 + i % 8 / 4];
        if (0..64).all(flat) { Self::Cells(Cells { y, u, v }) } else { self }
    }

    fn pixels_mut(&mut self) -> &mut Pixels {
        if let Self::Cells(_) = self {
            *self = Self::Pixels(Box::new(self.pixels()));
        }
        match self {
            Self::Pixels(p) => p,
            Self::Cells(_) => unreachable!("turned into pixels above"),
        }
    }
}

/// A small picture with transparency, to be put onto another.
#[derive(Debug, Clone)]
pub(crate) struct Sprite {
    pub(crate) width: i32,
    pub(crate) height: i32,
    dots: Vec<(Yuv, u8)>,
}

impl Sprite {
    /// Transparent all over.
    pub(crate) fn new(width: i32, height: i32) -> Self {
        Self { width, height, dots: vec![(Yuv { y: 16, u: 128, v: 128 }, 0); (width * height) as usize] }
    }

    /// Sets a pixel.
    pub(crate) fn dot(&mut self, x: i32, y: i32, colour: Yuv) {
        self.dots[(y * self.width + x) as usize] = (colour, 255);
    }

    /// Paints the points for which `inside` holds, with smooth edges (four samples a pixel).
    pub(crate) fn shape(&mut self, colour: Yuv, inside: impl Fn(f32, f32) -> bool) {
        for y in 0..self.height {
            for x in 0..self.width {
                let hits = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
                    .iter()
                    .filter(|(dx, dy)| inside(x as f32 + dx, y as f32 + dy))
                    .count();
                if hits > 0 {
                    let alpha = (hits * 255 / 4) as u8;
                    let at = (y * self.width + x) as usize;
                    let (below, covered) = self.dots[at];
                    self.dots[at] =
                        if covered == 0 { (colour, alpha) } else { (colour.over(alpha, below), covered.max(alpha)) };
                }
            }
        }
    }
}

/// A picture in macroblocks. Remembers which ones have changed since it was last coded.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// Pixels shown, even.
    #[cfg(test)]
    pub(crate) width: u16,
    /// Pixels shown, even.
    #[cfg(test)]
    pub(crate) height: u16,
    /// Macroblocks in a row.
    pub(crate) wide: usize,
    /// In raster order.
    pub(crate) mbs: Vec<Mb>,
    before: Vec<Option<Mb>>,
    touched: Vec<usize>,
}

impl Picture {
    /// One colour all over.
    pub(crate) fn new(width: u16, height: u16, colour: Yuv) -> Self {
        let wide = usize::from(width.div_ceil(16));
        let count = wide * usize::from(height.div_ceil(16));
        let mb = Mb::Cells(Cells { y: [colour.y; 16], u: [colour.u; 4], v: [colour.v; 4] });
        Self {
            #[cfg(test)]
            width,
            #[cfg(test)]
            height,
            wide,
            mbs: vec![mb; count],
            before: vec![None; count],
            touched: Vec::new(),
        }
    }

    /// Fills a rectangle (pixels; clipped).
    pub(crate) fn rect(&mut self, x: i32, y: i32, w: i32, h: i32, colour: Yuv) {
        self.each(x, y, w, h, |mb, (left, top, right, bottom)| {
            if let (Mb::Cells(c), 0) = (&mut *mb, (left | top | right | bottom) % 8) {
                for i in 0..16 {
                    if (left / 4..right / 4).contains(&(i % 4)) && (top / 4..bottom / 4).contains(&(i / 4)) {
                        c.y[i as usize] = colour.y;
                    }
                }
                for i in 0..4 {
                    if (left / 8..right / 8).contains(&(i % 2)) && (top / 8..bottom / 8).contains(&(i / 2)) {
                        (c.u[i as usize], c.v[i as usize]) = (colour.u, colour.v);
                    }
                }
                return;
            }
            let p = mb.pixels_mut();
            for y in top..bottom {
                for x in left..right {
                    p.set(x, y, colour);
                }
            }
        });
    }

    /// Puts a sprite's top left corner at a place (clipped).
    pub(crate) fn blit(&mut self, sprite: &Sprite, at_x: i32, at_y: i32) {
        let mut row = 0;
        let mut column = 0;
        let wide = self.wide as i32;
        self.each_indexed(at_x, at_y, sprite.width, sprite.height, |index, mb, (left, top, right, bottom)| {
            (row, column) = (index / wide * 16, index % wide * 16);
            let p = mb.pixels_mut();
            for y in top..bottom {
                for x in left..right {
                    let (colour, alpha) = sprite.dots[((row + y - at_y) * sprite.width + column + x - at_x) as usize];
                    match alpha {
                        0 => {}
                        255 => p.set(x, y, colour),
                        _ => p.set(x, y, colour.over(alpha, p.get(x, y))),
                    }
                }
            }
        });
    }

    /// Takes the macroblocks below a rectangle from another picture of the same size.
    pub(crate) fn restore(&mut self, from: &Self, x: i32, y: i32, w: i32, h: i32) {
        self.each_indexed(x, y, w, h, |index, mb, _| *mb = from.mbs[index as usize].clone());
    }

    /// Which macroblocks differ from when this was last asked, ascending.
    pub(crate) fn take_changed(&mut self) -> Vec<usize> {
        self.touched.sort_unstable();
        let mut changed = Vec::with_capacity(self.touched.len());
        for index in self.touched.drain(..) {
            if self.before[index].take().is_some_and(|before| before != self.mbs[index]) {
                changed.push(index);
            }
        }
        changed
    }

    fn each(&mut self, x: i32, y: i32, w: i32, h: i32, mut f: impl FnMut(&mut Mb, (i32, i32, i32, i32))) {
        self.each_indexed(x, y, w, h, |_, mb, part| f(mb, part));
    }

    /// Calls `f` with each macroblock that a rectangle meets, its index, and the part met: left, top, right, bottom.
    fn each_indexed(&mut self, x: i32, y: i32, w: i32, h: i32, mut f: impl FnMut(i32, &mut Mb, (i32, i32, i32, i32))) {
        let (wide, high) = (self.wide as i32, (self.mbs.len() / self.wide) as i32);
        let (left, top) = (x.max(0), y.max(0));
        let (right, bottom) = ((x + w).min(wide * 16), (y + h).min(high * 16));
        if left >= right || top >= bottom {
            return;
        }
        for row in top / 16..=(bottom - 1) / 16 {
            for column in left / 16..=(right - 1) / 16 {
                let index = (row * wide + column) as usize;
                if self.before[index].is_none() {
                    self.before[index] = Some(self.mbs[index].clone());
                    self.touched.push(index);
                }
                let part = (
                    (left - column * 16).max(0),
                    (top - row * 16).max(0),
                    (right - column * 16).min(16),
                    (bottom - row * 16).min(16),
                );
                let mb = &mut self.mbs[index];
                f(index as i32, mb, part);
                if matches!(mb, Mb::Pixels(_)) {
                    let whole = std::mem::replace(mb, Mb::Cells(Cells { y: [0; 16], u: [0; 4], v: [0; 4] }));
                    *mb = whole.simplified();
                }
            }
        }
    }

    /// The samples shown, as planar YUV 4:2:0.
    #[cfg(test)]
    pub(crate) fn i420(&self) -> Vec<u8> {
        let pixels: Vec<Pixels> = self.mbs.iter().map(Mb::pixels).collect();
        let (w, h) = (usize::from(self.width), usize::from(self.height));
        let mut out = Vec::with_capacity(w * h * 3 / 2);
        for y in 0..h {
            out.extend((0..w).map(|x| pixels[y / 16 * self.wide + x / 16].y[y % 16 * 16 + x % 16]));
        }
        let plane = |f: fn(&Pixels) -> &[u8; 64]| {
            let pixels = &pixels;
            (0..h / 2)
                .flat_map(move |y| (0..w / 2).map(move |x| f(&pixels[y / 8 * self.wide + x / 8])[y % 8 * 8 + x % 8]))
                .collect::<Vec<u8>>()
        };
        out.extend(plane(|p| &p.u));
        out.extend(plane(|p| &p.v));
        out
    }
}

impl Pixels {
    /// Sets a pixel; the chroma of four pixels is that of the top left one.
    fn set(&mut self, x: i32, y: i32, colour: Yuv) {
        self.y[(y * 16 + x) as usize] = colour.y;
        if x % 2 == 0 && y % 2 == 0 {
            let at = (y / 2 * 8 + x / 2) as usize;
            (self.u[at], self.v[at]) = (colour.u, colour.v);
        }
    }

    fn get(&self, x: i32, y: i32) -> Yuv {
        let at = (y / 2 * 8 + x / 2) as usize;
        Yuv { y: self.y[(y * 16 + x) as usize], u: self.u[at], v: self.v[at] }
    }
}
