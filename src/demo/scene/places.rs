//! The places. Coordinates in units of a 640x360 picture; rectangles on multiples of eight are the cheap ones.

use super::{
    actor::{Actor, Look},
    painter::Painter,
};
use crate::demo::h264::Yuv;

const fn c(hex: u32) -> Yuv {
    Yuv::rgb(hex)
}

/// Colours by which cameras of the same kind of place differ: walls, and the clothes of who walks there.
const WALLS: [Yuv; 7] = [c(0xf0d8a0), c(0xd8e4c8), c(0xe8c8b8), c(0xc8d8ec), c(0xecd8ec), c(0xd0e8e4), c(0xe8e0d0)];
const CLOTHES: [Yuv; 5] = [c(0xd84848), c(0x3878c8), c(0x38a068), c(0x9858b8), c(0xe07830)];

/// Draws the `index`th place and gives what moves there.
pub(crate) fn draw(index: usize, p: &mut Painter) -> Vec<Actor> {
    let wall = WALLS[index % WALLS.len()];
    let clothes = CLOTHES[index % CLOTHES.len()];
    let other = CLOTHES[(index + 2) % CLOTHES.len()];
    let ahead = index as f64 * 3.7;
    let k = p.scale;
    match index % 4 {
        0 => {
            gate(p, wall);
            vec![
                Actor::new(Look::Child(clothes), (40, 600), 304, 34.0, ahead, k),
                Actor::new(Look::Ball(other), (300, 620), 300, 60.0, ahead, k),
            ]
        }
        1 => {
            playground(p, wall);
            vec![
                Actor::new(Look::Child(clothes), (20, 420), 320, 38.0, ahead, k),
                Actor::new(Look::Ball(other), (60, 620), 328, 70.0, ahead, k),
            ]
        }
        2 => {
            corridor(p, wall);
            vec![
                Actor::new(Look::Child(clothes), (150, 500), 320, 30.0, ahead, k),
                Actor::new(Look::Child(other), (220, 430), 272, 24.0, ahead + 4.0, k),
            ]
        }
        _ => {
            street(p, wall);
            vec![
                Actor::new(Look::Car(clothes), (8, 632), 320, 55.0, ahead, k),
                Actor::new(Look::Child(other), (40, 600), 272, 28.0, ahead, k),
            ]
        }
    }
}

/// Sky in bands, lighter towards the ground.
fn sky(p: &mut Painter, bottom: i32) {
    const BANDS: [Yuv; 5] = [c(0x78b0e0), c(0x88bce8), c(0x98c8ec), c(0xacd4f0), c(0xc0e0f4)];
    let step = (bottom / 5 + 7) / 8 * 8;
    for (i, band) in BANDS.into_iter().enumerate() {
        p.rect(0, i as i32 * step, 640, bottom - i as i32 * step, band);
    }
}

fn tree(p: &mut Painter, x: i32, ground: i32, size: i32) {
    p.rect(x - 4, ground - size, 8, size, c(0x80603c));
    for (dx, dy, r, leaf) in [(-14, 0, 18, 0x3c8444), (14, -2, 18, 0x44904c), (0, -16, 22, 0x54a458)] {
        p.disc(x + dx, ground - size + dy, r, c(leaf));
    }
}

/// A house front with rows of windows.
fn building(p: &mut Painter, x: i32, y: i32, columns: i32, rows: i32, wall: Yuv) {
    p.rect(x, y, columns * 48 + 8, rows * 48 + 8, wall);
    for row in 0..rows {
        for column in 0..columns {
            let (wx, wy) = (x + 16 + column * 48, y + 8 + row * 48);
            p.rect(wx, wy, 24, 32, c(0x88b0c8));
            p.rect(wx, wy, 24, 8, c(0xb0d0e0));
            p.rect(wx - 8, wy + 32, 40, 8, c(0xf8f8f0));
        }
    }
}

fn gate(p: &mut Painter, wall: Yuv) {
    sky(p, 160);
    building(p, 152, 64, 7, 2, wall);
    p.polygon(&[(136, 64), (324, 24), (512, 64)], c(0xb85040));
    p.rect(0, 160, 640, 80, c(0x8cb874));
    tree(p, 60, 232, 80);
    tree(p, 590, 232, 80);
    tree(p, 120, 216, 60);
    // The way in, in perspective, and the pavement before it.
    p.polygon(&[(280, 168), (360, 168), (432, 240), (208, 240)], c(0xd0c4a8));
    p.rect(0, 240, 640, 64, c(0xc8c0b4));
    p.rect(0, 304, 640, 8, c(0xa8a098));
    p.rect(0, 312, 640, 48, c(0x70747c));
    for x in (16..640).step_by(96) {
        p.rect(x, 328, 48, 8, c(0xe8e4d0));
    }
    for x in (8..168).step_by(24).chain((480..640).step_by(24)) {
        p.rect(x, 184, 8, 56, c(0x485868));
    }
    for x in [0, 472] {
        p.rect(x, 192, 168, 8, c(0x485868));
        p.rect(x, 224, 168, 8, c(0x485868));
    }
    for x in [168, 448] {
        p.rect(x, 152, 24, 96, c(0xb06048));
        p.rect(x - 8, 144, 40, 8, c(0xd8d0c0));
    }
    p.rect(192, 136, 256, 24, c(0x2858a0));
    p.rect(200, 144, 240, 8, c(0xf8d860));
}

fn playground(p: &mut Painter, wall: Yuv) {
    sky(p, 144);
    p.disc(560, 72, 26, c(0xfce878));
    building(p, 16, 56, 4, 2, wall);
    p.rect(8, 48, 216, 8, c(0xa04838));
    p.rect(0, 144, 640, 216, c(0x94c470));
    p.rect(0, 264, 640, 96, c(0xe4c890));
    p.rect(0, 256, 640, 8, c(0xf4e4b8));
    tree(p, 300, 200, 80);
    // Slide.
    p.rect(420, 176, 8, 96, c(0x4878b8));
    p.rect(444, 176, 8, 96, c(0x4878b8));
    for y in (192..264).step_by(16) {
        p.rect(420, y, 32, 4, c(0x4878b8));
    }
    p.rect(416, 168, 48, 8, c(0xe85050));
    p.polygon(&[(456, 168), (472, 168), (572, 268), (590, 276), (540, 276)], c(0xf0b430));
    // Swing.
    p.polygon(&[(150, 168), (158, 168), (140, 272), (132, 272)], c(0x50906c));
    p.polygon(&[(238, 168), (246, 168), (264, 272), (256, 272)], c(0x50906c));
    p.rect(144, 164, 108, 8, c(0x50906c));
    p.rect(184, 172, 2, 72, c(0x606870));
    p.rect(212, 172, 2, 72, c(0x606870));
    p.rect(180, 244, 38, 6, c(0xc84848));
}

fn corridor(p: &mut Painter, wall: Yuv) {
    p.rect(0, 0, 640, 360, wall);
    p.polygon(&[(0, 0), (640, 0), (416, 104), (224, 104)], c(0xf4f4ec));
    p.polygon(&[(224, 232), (416, 232), (640, 360), (0, 360)], c(0xb8a088));
    p.polygon(&[(288, 232), (352, 232), (440, 360), (200, 360)], c(0xc8b49c));
    p.rect(224, 104, 192, 128, c(0xe4e0d4));
    p.rect(280, 128, 80, 104, c(0x88b0c8));
    p.rect(280, 128, 80, 24, c(0xb0d4e4));
    p.rect(316, 128, 8, 104, c(0xf4f4f0));
    for (near, far) in [(40, 104), (136, 176)] {
        let top = |x: i32| 64 + x * 88 / 224;
        let bottom = |x: i32| 356 - x * 124 / 224;
        let door = [(near, top(near)), (far, top(far)), (far, bottom(far)), (near, bottom(near))];
        p.polygon(&door, c(0x9c6c44));
        p.polygon(&door.map(|(x, y)| (640 - x, y)), c(0x9c6c44));
        let (a, b) = (near + (far - near) / 4, far - (far - near) / 4);
        let pane = [(a, top(a) + 20), (b, top(b) + 16), (b, top(b) + 52), (a, top(a) + 64)];
        p.polygon(&pane, c(0xb8d4e0));
        p.polygon(&pane.map(|(x, y)| (640 - x, y)), c(0xb8d4e0));
    }
    for (x0, x1, y) in [(280, 360, 88), (256, 384, 64), (216, 424, 36)] {
        p.rect(x0, y, x1 - x0, 6, c(0xfcfcf8));
    }
}

fn street(p: &mut Painter, wall: Yuv) {
    sky(p, 176);
    building(p, 8, 80, 3, 2, wall);
    p.rect(0, 72, 168, 8, c(0x805048));
    building(p, 264, 32, 4, 3, c(0xdcd4c8));
    p.rect(256, 24, 216, 8, c(0x587080));
    tree(p, 224, 200, 70);
    tree(p, 540, 200, 90);
    tree(p, 606, 200, 70);
    p.rect(0, 184, 640, 40, c(0x84b070));
    p.rect(0, 224, 640, 56, c(0xccc4b8));
    for x in (0..640).step_by(64) {
        p.rect(x, 224, 8, 48, c(0xb8b0a4));
    }
    p.rect(0, 272, 640, 8, c(0xa09890));
    p.rect(0, 280, 640, 80, c(0x64686f));
    for x in (0..640).step_by(96) {
        p.rect(x, 328, 48, 8, c(0xe8e4d0));
    }
    p.rect(496, 120, 8, 112, c(0x404850));
    p.rect(480, 112, 40, 8, c(0x404850));
    p.rect(484, 120, 12, 4, c(0xfcf4c0));
}
