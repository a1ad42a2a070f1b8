//! A bitmap font for what cameras burn into their pictures: capitals, digits and a few signs.

use std::{collections::HashMap, sync::LazyLock};

use super::super::h264::{Sprite, Yuv};

/// Width of a character with its gap, in units of a 640x360 picture.
pub(crate) const ADVANCE: i32 = 12;
/// Height of a line, in the same units.
pub(crate) const LINE: i32 = 16;

const INK: Yuv = Yuv::rgb(0xff_ff_f4);
const GROUND: Yuv = Yuv::rgb(0x18_20_2a);

/// Five columns by seven rows, top row first, leftmost column in bit 4.
const GLYPHS: [(char, [u8; 7]); 43] = [
    ('0', [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110]),
    ('1', [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110]),
    ('2', [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111]),
    ('3', [0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110]),
    ('4', [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110]),
    ('6', [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00100, 0b00100, 0b01000, 0b01000]),
    ('8', [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110]),
    ('9', [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100]),
    ('A', [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001]),
    ('B', [0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110]),
    ('C', [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110]),
    ('D', [0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110]),
    ('E', [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111]),
    ('F', [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000]),
    ('G', [0b01110, 0b10001, 0b10000, 0b10111, 0b10001, 0b10001, 0b01111]),
    ('H', [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001]),
    ('I', [0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110]),
    ('J', [0b00111, 0b00010, 0b00010, 0b00010, 0b00010, 0b10010, 0b01100]),
    ('K', [0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001]),
    ('L', [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
    ('M', [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001]),
    ('N', [0b10001, 0b11001, 0b10101, 0b10101, 0b10011, 0b10001, 0b10001]),
    ('O', [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('P', [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000]),
    ('Q', [0b01110, 0b10001, 0b10001, 0b10001, 0b10101, 0b10010, 0b01101]),
    ('R', [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001]),
    ('S', [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110]),
    ('T', [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100]),
    ('U', [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('V', [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01010, 0b00100]),
    ('W', [0b10001, 0b10001, 0b10001, 0b10101, 0b10101, 0b11011, 0b10001]),
    ('X', [0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001]),
    ('Y', [0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100]),
    ('Z', [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b11111]),
    (':', [0b00000, 0b00100, 0b00100, 0b00000, 0b00100, 0b00100, 0b00000]),
    ('.', [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100]),
    ('-', [0b00000, 0b00000, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000]),
    ('+', [0b00000, 0b00100, 0b00100, 0b11111, 0b00100, 0b00100, 0b00000]),
    ('/', [0b00001, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b10000]),
    ('#', [0b01010, 0b01010, 0b11111, 0b01010, 0b11111, 0b01010, 0b01010]),
    (' ', [0; 7]),
];

/// A black and white picture.
type Bits = Vec<Vec<bool>>;

/// Twice the size, corners rounded by the rule known as Scale2x: a dot's quarter takes the colour of the two neighbours
/// at its corner where these agree and the other two don't.
fn doubled(small: &Bits) -> Bits {
    let (h, w) = (small.len(), small[0].len());
    let at = |y: usize, x: usize| small[y.min(h - 1)][x.min(w - 1)];
    let mut out = vec![vec![false; w * 2]; h * 2];
    for y in 0..h {
        for x in 0..w {
            let (dot, up, left, right, down) =
                (at(y, x), at(y.saturating_sub(1), x), at(y, x.saturating_sub(1)), at(y, x + 1), at(y + 1, x));
            let mixed = up != down && left != right;
            for (dy, dx, vertical, horizontal) in
                [(0, 0, up, left), (0, 1, up, right), (1, 0, down, left), (1, 1, down, right)]
            {
                out[y * 2 + dy][x * 2 + dx] = if mixed && vertical == horizontal { vertical } else { dot };
            }
        }
    }
    out
}

/// The font for pictures of 640x360 (`scale` 1) or 1280x720 (2).
#[derive(Debug)]
pub(crate) struct Font(HashMap<char, Sprite>);

impl Font {
    /// Shared by all cameras.
    pub(crate) fn of(scale: i32) -> &'static Self {
        static FONTS: LazyLock<[Font; 2]> = LazyLock::new(|| [Font::new(1), Font::new(2)]);
        &FONTS[usize::from(scale == 2)]
    }

    fn new(scale: i32) -> Self {
        let glyph = |rows: &[u8; 7]| {
            let mut bits: Bits = rows.iter().map(|r| (0..5).map(|c| r >> (4 - c) & 1 == 1).collect()).collect();
            for _ in 0..scale {
                bits = doubled(&bits);
            }
            let mut sprite = Sprite::new(ADVANCE * scale, LINE * scale);
            for y in 0..sprite.height {
                for x in 0..sprite.width {
                    let (column, row) = ((x - scale) as usize, (y - scale) as usize);
                    let ink = x >= scale && y >= scale && bits.get(row).and_then(|r| r.get(column)) == Some(&true);
                    sprite.dot(x, y, if ink { INK } else { GROUND });
                }
            }
            sprite
        };
        Self(GLYPHS.iter().map(|(c, rows)| (*c, glyph(rows))).collect())
    }

    /// The picture of a character; unknown ones are blank.
    pub(crate) fn glyph(&self, c: char) -> &Sprite {
        self.0.get(&c).unwrap_or(&self.0[&' '])
    }
}

/// A text in the letters that the font has: capitals, Vietnamese letters without their marks.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| base(c.to_lowercase().next().unwrap_or(c)).to_ascii_uppercase()).collect()
}

fn base(c: char) -> char {
    const MARKED: [(char, &str); 7] = [
        ('a', "àáảãạăằắẳẵặâầấẩẫậ"),
        ('d', "đ"),
        ('e', "èéẻẽẹêềếểễệ"),
        ('i', "ìíỉĩị"),
        ('o', "òóỏõọôồốổỗộơờớởỡợ"),
        ('u', "ùúủũụưừứửữự"),
        ('y', "ỳýỷỹỵ"),
    ];
    MARKED.iter().find(|(_, marked)| marked.contains(c)).map_or(c, |(plain, _)| *plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vietnamese_names_can_be_drawn() {
        let text = plain("Cổng chính 1 – Đường Nguyễn Huệ");
        assert_eq!(text, "CONG CHINH 1 – DUONG NGUYEN HUE");
        let font = Font::of(1);
        for c in text.chars().filter(char::is_ascii) {
            assert!(font.0.contains_key(&c), "{c:?}");
        }
    }

    #[test]
    fn characters_differ() {
        for (i, a) in GLYPHS.iter().enumerate() {
            assert!(GLYPHS[i + 1..].iter().all(|b| a.0 != b.0 && a.1 != b.1), "{:?}", a.0);
        }
    }
}
