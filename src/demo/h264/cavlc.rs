//! Coding of transform coefficient levels (H.264 section 9.2), the way an encoder walks it.

use super::bits::BitWriter;

/// Length and code word.
type Code = (u8, u8);

/// `coeff_token` for 0 <= nC < 2 (table 9-5), by total of coefficients, then by trailing ones.
const COEFF_TOKEN: [&[Code]; 17] = [
    &[(1, 1)],
    &[(6, 5), (2, 1)],
    &[(8, 7), (6, 4), (3, 1)],
    &[(9, 7), (8, 6), (7, 5), (5, 3)],
    &[(10, 7), (9, 6), (8, 5), (6, 3)],
    &[(11, 7), (10, 6), (9, 5), (7, 4)],
    &[(13, 15), (11, 6), (10, 5), (8, 4)],
    &[(13, 11), (13, 14), (11, 5), (9, 4)],
    &[(13, 8), (13, 10), (13, 13), (10, 4)],
    &[(14, 15), (14, 14), (13, 9), (11, 4)],
    &[(14, 11), (14, 10), (14, 13), (13, 12)],
    &[(15, 15), (15, 14), (14, 9), (14, 12)],
    &[(15, 11), (15, 10), (15, 13), (14, 8)],
    &[(16, 15), (15, 1), (15, 9), (15, 12)],
    &[(16, 11), (16, 14), (16, 13), (15, 8)],
    &[(16, 7), (16, 10), (16, 9), (16, 12)],
    &[(16, 4), (16, 6), (16, 5), (16, 8)],
];

/// `coeff_token` for nC = -1, chroma DC.
const COEFF_TOKEN_CHROMA: [&[Code]; 5] = [
    &[(2, 1)],
    &[(6, 7), (1, 1)],
    &[(6, 4), (6, 6), (3, 1)],
    &[(6, 3), (7, 3), (7, 2), (6, 5)],
    &[(6, 2), (8, 3), (8, 2), (7, 0)],
];

/// `total_zeros` of a 4x4 block (tables 9-7 and 9-8), by total of coefficients less one, then by zeros.
const TOTAL_ZEROS: [&[Code]; 15] = [
    &[
        (1, 1),
        (3, 3),
        (3, 2),
        (4, 3),
        (4, 2),
        (5, 3),
        (5, 2),
        (6, 3),
        (6, 2),
        (7, 3),
        (7, 2),
        (8, 3),
        (8, 2),
        (9, 3),
        (9, 2),
        (9, 1),
    ],
    &[
        (3, 7),
        (3, 6),
        (3, 5),
        (3, 4),
        (3, 3),
        (4, 5),
        (4, 4),
        (4, 3),
        (4, 2),
        (5, 3),
        (5, 2),
        (6, 3),
        (6, 2),
        (6, 1),
        (6, 0),
    ],
    &[(4, 5), (3, 7), (3, 6), (3, 5), (4, 4), (4, 3), (3, 4), (3, 3), (4, 2), (5, 3), (5, 2), (6, 1), (5, 1), (6, 0)],
    &[(5, 3), (3, 7), (4, 5), (4, 4), (3, 6), (3, 5), (3, 4), (4, 3), (3, 3), (4, 2), (5, 2), (5, 1), (5, 0)],
    &[(4, 5), (4, 4), (4, 3), (3, 7), (3, 6), (3, 5), (3, 4), (3, 3), (4, 2), (5, 1), (4, 1), (5, 0)],
    &[(6, 1), (5, 1), (3, 7), (3, 6), (3, 5), (3, 4), (3, 3), (3, 2), (4, 1), (3, 1), (6, 0)],
    &[(6, 1), (5, 1), (3, 5), (3, 4), (3, 3), (2, 3), (3, 2), (4, 1), (3, 1), (6, 0)],
    &[(6, 1), (4, 1), (5, 1), (3, 3), (2, 3), (2, 2), (3, 2), (3, 1), (6, 0)],
    &[(6, 1), (6, 0), (4, 1), (2, 3), (2, 2), (3, 1), (2, 1), (5, 1)],
    &[(5, 1), (5, 0), (3, 1), (2, 3), (2, 2), (2, 1), (4, 1)],
    &[(4, 0), (4, 1), (3, 1), (3, 2), (1, 1), (3, 3)],
    &[(4, 0), (4, 1), (2, 1), (1, 1), (3, 1)],
    &[(3, 0), (3, 1), (1, 1), (2, 1)],
    &[(2, 0), (2, 1), (1, 1)],
    &[(1, 0), (1, 1)],
];

/// `total_zeros` of a chroma DC block (table 9-9 a).
const TOTAL_ZEROS_CHROMA: [&[Code]; 3] =
    [&[(1, 1), (2, 1), (3, 1), (3, 0)], &[(1, 1), (2, 1), (2, 0)], &[(1, 1), (1, 0)]];

/// `run_before` (table 9-10), by zeros left less one (7 and more share a row), then by run.
const RUN_BEFORE: [&[Code]; 7] = [
    &[(1, 1), (1, 0)],
    &[(1, 1), (2, 1), (2, 0)],
    &[(2, 3), (2, 2), (2, 1), (2, 0)],
    &[(2, 3), (2, 2), (2, 1), (3, 1), (3, 0)],
    &[(2, 3), (2, 2), (3, 3), (3, 2), (3, 1), (3, 0)],
    &[(2, 3), (3, 0), (3, 1), (3, 3), (3, 2), (3, 5), (3, 4)],
    &[
        (3, 7),
        (3, 6),
        (3, 5),
        (3, 4),
        (3, 3),
        (3, 2),
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (8, 1),
        (9, 1),
        (10, 1),
        (11, 1),
    ],
];

/// Which tables a block uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// A luma block, with the `nC` that its neighbours give: here only 0, 8 and 16 occur.
    Luma(u8),
    /// A 2x2 chroma DC block.
    ChromaDc,
}

/// Writes `residual_block_cavlc` for levels in scan order: 16 of luma, 4 of chroma.
///
/// Levels may have magnitudes up to 2000: escape codes longer than those of Baseline are not made.
pub(crate) fn block(w: &mut BitWriter, levels: &[i32], context: Context) {
    let total = levels.iter().filter(|&&l| l != 0).count();
    let ones = levels.iter().rev().filter(|&&l| l != 0).take(3).take_while(|&&l| l.abs() == 1).count();
    token(w, total, ones, context);
    if total == 0 {
        return;
    }
    values(w, levels.iter().rev().copied().filter(|&l| l != 0), total, ones);

    let last = levels.iter().rposition(|&l| l != 0).unwrap_or(0);
    let mut zeros = last + 1 - total;
    if total < levels.len() {
        let row = if context == Context::ChromaDc { TOTAL_ZEROS_CHROMA[total - 1] } else { TOTAL_ZEROS[total - 1] };
        put(w, row[zeros]);
    }
    let mut run = 0;
    // From the highest frequency down: how many zeros lie below each level, until none is left.
    for &level in levels[..last].iter().rev() {
        if zeros == 0 {
            break;
        }
        if level == 0 {
            run += 1;
        } else {
            put(w, RUN_BEFORE[zeros.min(7) - 1][run]);
            zeros -= run;
            run = 0;
        }
    }
}

fn token(w: &mut BitWriter, total: usize, ones: usize, context: Context) {
    match context {
        Context::ChromaDc => put(w, COEFF_TOKEN_CHROMA[total][ones]),
        Context::Luma(0 | 1) => put(w, COEFF_TOKEN[total][ones]),
        Context::Luma(n) => {
            debug_assert!(n >= 8, "nC {n} needs a table that flat macroblocks never lead to");
            w.put(if total == 0 { 3 } else { ((total - 1) << 2 | ones) as u32 }, 6);
        }
    }
}

/// Signs of the trailing ones, then the other levels, highest frequency first (section 9.2.2).
fn values(w: &mut BitWriter, levels: impl Iterator<Item = i32>, total: usize, ones: usize) {
    let mut suffix = u32::from(total > 10 && ones < 3);
    for (i, level) in levels.enumerate() {
        if i < ones {
            w.flag(level < 0);
            continue;
        }
        let mut code = level.unsigned_abs() * 2 - if level > 0 { 2 } else { 1 };
        if i == ones && ones < 3 {
            code -= 2;
        }
        match suffix {
            0 if code < 14 => w.put(1, code + 1),
            0 if code < 30 => {
                w.put(1, 15);
                w.put(code - 14, 4);
            }
            0 => {
                w.put(1, 16);
                w.put(code - 30, 12);
            }
            s if code < 15 << s => {
                w.put(1, (code >> s) + 1);
                w.put(code & ((1 << s) - 1), s);
            }
            s => {
                w.put(1, 16);
                w.put(code - (15 << s), 12);
            }
        }
        suffix = suffix.max(1);
        if level.abs() > 3 << (suffix - 1) && suffix < 6 {
            suffix += 1;
        }
    }
}

fn put(w: &mut BitWriter, (len, code): Code) {
    w.put(u32::from(code), u32::from(len));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kraft: the code words of a complete table fill the code space, and none is the beginning of another.
    fn prefix_free<'a>(codes: impl Iterator<Item = &'a Code>) -> f64 {
        let codes: Vec<Code> = codes.copied().collect();
        for (i, a) in codes.iter().enumerate() {
            for b in &codes[i + 1..] {
                let n = a.0.min(b.0);
                assert_ne!(u32::from(a.1) >> (a.0 - n), u32::from(b.1) >> (b.0 - n), "{a:?} {b:?}");
            }
        }
        codes.iter().map(|c| 0.5_f64.powi(i32::from(c.0))).sum()
    }

    #[test]
    fn tables_are_prefix_free() {
        assert!(prefix_free(COEFF_TOKEN.iter().copied().flatten()) <= 1.0);
        assert!(prefix_free(COEFF_TOKEN_CHROMA.iter().copied().flatten()) <= 1.0);
        for table in TOTAL_ZEROS.iter().chain(&TOTAL_ZEROS_CHROMA).chain(&RUN_BEFORE) {
            assert!(prefix_free(table.iter()) <= 1.0);
        }
    }

    #[test]
    fn a_block_known_from_the_literature() {
        // Zigzag 0, 3, 0, 1, -1, -1, 0, 1, 0…: Richardson's well-known example, 000010001110010111101101.
        let mut w = BitWriter::default();
        block(&mut w, &[0, 3, 0, 1, -1, -1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], Context::Luma(0));
        assert_eq!(w.len(), 24);
        assert_eq!(&w.finish()[..3], [0b0000_1000, 0b1110_0101, 0b1110_1101]);
    }
}
