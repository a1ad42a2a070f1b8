//! What is shown on a screen, line by line: text that is fitted by what a terminal shows, and the few codes that every terminal here
//! understands (docs/design/console.md).

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// How something is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paint {
    /// Grey on black.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Needs a look.
    Warn,
    /// Wrong.
    Bad,
    /// What it is about.
    Title,
    /// A key that can be pressed.
    Key,
    /// A band over the whole width, of this colour: as it should be.
    GoodBand,
    /// Needs a look.
    WarnBand,
    /// Wrong.
    BadBand,
}

impl Paint {
    /// One colour a code: that is all that bterm reads.
    fn codes(self) -> (u8, u8) {
        match self {
            Self::Plain => (37, 40),
            Self::Good => (32, 40),
            Self::Warn => (33, 40),
            Self::Bad => (31, 40),
            Self::Title | Self::Key => (36, 40),
            Self::GoodBand => (30, 42),
            Self::WarnBand => (30, 43),
            Self::BadBand => (37, 41),
        }
    }
}

/// A line in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(Vec<(Paint, String)>);

impl Line {
    /// Of one part.
    pub fn new(paint: Paint, text: impl AsRef<str>) -> Self {
        Self::default().and(paint, text)
    }

    /// And another part. Whatever moves a cursor, or turns the direction of writing, is left out of it: names come from files and cameras.
    #[must_use]
    pub fn and(mut self, paint: Paint, text: impl AsRef<str>) -> Self {
        let harmful = |c: &char| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        };
        self.0.push((paint, text.as_ref().chars().map(|c| if harmful(&c) { ' ' } else { c }).collect()));
        self
    }

    /// What it says.
    pub fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Its columns.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// At most so many columns of it.
    #[must_use]
    fn cut(self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mut left = columns.saturating_sub(1);
        let mut cut = Self::default();
        for (paint, text) in self.0 {
            let whole = width(&text);
            if whole <= left {
                left -= whole;
                cut.0.push((paint, text));
            } else {
                cut.0.push((paint, first(&text, left).to_owned() + "…"));
                break;
            }
        }
        cut
    }
}

/// The columns that a text takes, letter by letter, as the terminals of this machine count them.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The beginning of a text that takes at most so many columns.
fn first(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, c)| {
        taken += c.width().unwrap_or(0);
        taken > columns
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// Parts of a text between which a line may end: words with the space after them, and each letter of Chinese with what must not begin a line.
fn parts(text: &str) -> Vec<&str> {
    let mut ends = Vec::new();
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        let may_end = before.is_some_and(|b| {
            let after_space = b == ' ' && c != ' ';
            let wide = |c: char| c.width() == Some(2);
            after_space
                || ((wide(b) || wide(c))
                    && c != ' '
                    && !"，。：；！？、）》」』”’…,.:;!?)".contains(c)
                    && !"（《「『“‘(".contains(b))
        });
        if may_end {
            ends.push(at);
        }
        before = Some(c);
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends.iter().copied().chain([text.len()])).map(|(from, to)| &text[from..to]).collect()
}

/// Breaks a text into lines of at most so many columns. Its own lines stay; so does what they begin with, as far as there is room.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    text.lines().flat_map(|line| wrap_line(line, columns)).collect()
}

fn wrap_line(text: &str, columns: usize) -> Vec<String> {
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    let indent = if indent.len() * 2 < columns { indent } else { String::new() };
    let (mut lines, mut line) = (Vec::new(), indent.clone());
    for part in parts(text.trim_start_matches(' ')) {
        let mut part = part;
        if width(&line) + width(part.trim_end()) > columns && line.trim() != "" {
            lines.push(std::mem::replace(&mut line, indent.clone()).trim_end().to_owned());
        }
        // A word that is longer than a line is cut.
        while width(&line) + width(part.trim_end()) > columns {
            let room = columns - width(&line);
            // Not even one letter may fit beside the indent.
            let head = if first(part, room).is_empty() {
                &part[..part.chars().next().map_or(0, char::len_utf8)]
            } else {
                first(part, room)
            };
            lines.push(format!("{line}{head}"));
            line.clone_from(&indent);
            part = &part[head.len()..];
        }
        line.push_str(part);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// Columns and rows of a screen.
pub type Size = (usize, usize);

/// The page as a terminal takes it: from the first letter of the screen to the last, without a flicker.
pub fn draw(lines: &[Line], (columns, rows): Size) -> String {
    let mut out = "\x1b[?25l\x1b[H".to_owned();
    for (n, line) in lines.iter().take(rows).enumerate() {
        if n > 0 {
            out.push_str("\r\n");
        }
        let line = line.clone().cut(columns);
        let left = columns.saturating_sub(line.width());
        let mut last = Paint::Plain;
        for (paint, text) in &line.0 {
            let (front, back) = paint.codes();
            // Writing into a String does not fail.
            let _ = write!(out, "\x1b[{front}m\x1b[{back}m{text}");
            last = *paint;
        }
        // A band goes on to the edge; elsewhere the line is emptied.
        if matches!(last, Paint::GoodBand | Paint::WarnBand | Paint::BadBand) {
            out.push_str(&" ".repeat(left));
            out.push_str("\x1b[37m\x1b[40m");
        } else {
            out.push_str("\x1b[37m\x1b[40m");
            out.push_str(if left > 0 { "\x1b[K" } else { "" });
        }
    }
    if lines.len() < rows {
        out.push_str(if lines.is_empty() { "\x1b[37m\x1b[40m\x1b[J" } else { "\r\n\x1b[J" });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words_and_between_chinese_letters() {
        assert_eq!(wrap("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrap("   - a b c d e", 9), ["   - a b", "   c d e"]);
        assert_eq!(wrap("录像机正在录像，一切正常。", 10), ["录像机正在", "录像，一切", "正常。"]);
        assert_eq!(wrap("Đầu ghi đang ghi", 9), ["Đầu ghi", "đang ghi"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("摄像机 gate-1 正常", 8), ["摄像机", "gate-1", "正常"]);
    }

    #[test]
    fn a_line_is_cut_where_a_letter_would_stand_across_the_edge() {
        let line = Line::new(Paint::Plain, "一切").and(Paint::Bad, "正常x");
        assert_eq!(line.clone().cut(9), line);
        assert_eq!(line.clone().cut(8).text(), "一切正…");
        assert_eq!(line.cut(5).text(), "一切…");
        assert_eq!(Line::new(Paint::Plain, "a\x1b[2J\u{202e}\u{200b}b").text(), "a [2J  b");
    }

    #[test]
    fn a_page_is_drawn_with_codes_of_one_number_each() {
        let page = [Line::new(Paint::BadBand, "x"), Line::new(Paint::Plain, "full"), Line::default()];
        let drawn = draw(&page, (4, 5));
        assert_eq!(
            drawn,
            "\x1b[?25l\x1b[H\x1b[37m\x1b[41mx   \x1b[37m\x1b[40m\r\n\x1b[37m\x1b[40mfull\x1b[37m\x1b[40m\r\n\x1b[37m\x1b[40m\x1b[K\r\n\x1b[J"
        );
        assert!(!draw(&page, (4, 3)).contains("\x1b[J"), "the last line does not scroll");
        assert!(!drawn.contains(';'));
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_long_and_nothing_is_lost(text in "[ a-zắ中，。（x]{0,80}", columns in 2_usize..30) {
            let lines = wrap(&text, columns);
            for line in &lines {
                proptest::prop_assert!(width(line) <= columns, "{line:?}");
            }
            let letters = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            proptest::prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }

        #[test]
        fn whatever_is_shown_fits(texts in proptest::collection::vec("\\PC*", 0..9), columns in 2_usize..30) {
            for text in texts {
                proptest::prop_assert!(Line::new(Paint::Plain, text).cut(columns).width() <= columns);
            }
        }
    }
}
