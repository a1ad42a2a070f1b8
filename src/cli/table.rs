//! Tables for people: columns aligned by what a terminal shows, not by bytes; colours on a terminal only.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use unicode_width::UnicodeWidthStr as _;

/// How a cell stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mood {
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Needs a look.
    Warn,
    /// Wrong.
    Bad,
}

impl Mood {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// A cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    mood: Mood,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, mood: Mood) -> Self {
        // Names and details come from files and cameras: nothing in them moves the cursor.
        let text = text.into().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { text, mood }
    }
}

impl Cell {
    /// What it says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Mood::Plain)
    }
}

/// Rows of cells under headings.
#[derive(Debug, Default)]
pub(super) struct Table {
    heads: Vec<(String, bool)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Adds a column; numbers go to the right.
    pub(super) fn column(mut self, head: String, number: bool) -> Self {
        self.heads.push((head, number));
        self
    }

    /// Adds a row, a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table's lines.
    pub(super) fn render(&self, colour: bool) -> String {
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|n| {
                let cells = self.rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.text.width());
                cells.chain([self.heads[n].0.width()]).max().unwrap_or(0)
            })
            .collect();
        let heads: Vec<Cell> = self.heads.iter().map(|(head, _)| Cell::from(head.as_str())).collect();
        let mut out = String::new();
        for (line, row) in std::iter::once(&heads).chain(&self.rows).enumerate() {
            let mut text = String::new();
            for (n, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let (space, number) = (width.saturating_sub(cell.text.width()), self.heads[n].1);
                let code = if line == 0 { "\x1b[1m" } else { cell.mood.code() };
                let (on, off) = if colour && !code.is_empty() { (code, "\x1b[0m") } else { ("", "") };
                text.push_str(if n > 0 { "  " } else { "" });
                let (before, after) = if number { (space, 0) } else { (0, space) };
                text.extend(std::iter::repeat_n(' ', before));
                text.push_str(on);
                text.push_str(&cell.text);
                text.push_str(off);
                text.extend(std::iter::repeat_n(' ', after));
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Whether what is printed may be coloured: it goes to a terminal, and nobody objects (<https://no-color.org>).
pub(super) fn coloured() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Prints all of a text. Whoever closes the pipe (`| head`) has had enough: that is no error.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default().column("摄像机".into(), false).column("Khung".into(), true);
        table.row(vec!["gate-1".into(), "7".into()]);
        table.row(vec![Cell::new("大门\x1b[2J", Mood::Bad), "12345".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        assert_eq!(table().render(false), "摄像机    Khung\ngate-1        7\n大门 [2J  12345\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let plain = table().render(false);
        let coloured = table().render(true);
        assert!(coloured.contains("\x1b[31m大门 [2J\x1b[0m"), "{coloured:?}");
        let stripped = ["\x1b[1m", "\x1b[31m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(stripped, plain);
    }
}
