//! Texts that are longer than a screen, page by page, and questions below them.

use super::page::{Line, Paint, Size, wrap};
use crate::{lang::t, types::Lang};

/// A key that can be pressed, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The key as it is shown.
    pub key: String,
    /// What it does.
    pub text: String,
}

impl Choice {
    /// A key and what it does.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }
}

/// A text under a title, of which one screenful is shown at a time.
#[derive(Debug, Clone)]
pub struct Paged {
    title: String,
    paint: Paint,
    text: Vec<(Paint, String)>,
    /// The first line that is shown.
    from: usize,
}

/// Title, rule, and at the end a rule and the keys.
const FRAME: usize = 4;

impl Paged {
    /// Of a text with its own lines.
    pub fn new(title: impl Into<String>, paint: Paint, text: &str) -> Self {
        let text = text.lines().map(|line| (Paint::Plain, line.to_owned())).collect();
        Self { title: title.into(), paint, text, from: 0 }
    }

    fn lines(&self, columns: usize) -> Vec<(Paint, String)> {
        let room = columns.saturating_sub(2);
        self.text
            .iter()
            .flat_map(|(paint, text)| wrap_or_empty(text, room).into_iter().map(|line| (*paint, line)))
            .collect()
    }

    /// Lines that fit at once.
    fn room((_, rows): Size) -> usize {
        rows.saturating_sub(FRAME).max(1)
    }

    /// Goes a page on. Whether there was one.
    pub fn next(&mut self, size: Size) -> bool {
        let more = self.has_more(size);
        if more {
            self.from += Self::room(size);
        }
        more
    }

    /// Goes a page back.
    pub fn back(&mut self, size: Size) {
        self.from = self.from.saturating_sub(Self::room(size));
    }

    /// Whether there is a page after this one.
    pub fn has_more(&self, size: Size) -> bool {
        self.from + Self::room(size) < self.lines(size.0).len()
    }

    /// The page, with the keys that lead on where there is more to read, else with these.
    pub fn show(&self, lang: Lang, choices: &[Choice], size: Size) -> Vec<Line> {
        let (all, room) = (self.lines(size.0), Self::room(size));
        let (page, pages) = (self.from / room + 1, all.len().div_ceil(room).max(1));
        let count = if pages > 1 { format!("  {page}/{pages}") } else { String::new() };
        let mut lines =
            vec![Line::new(self.paint, format!(" {}{count}", self.title)), Line::new(Paint::Plain, "─".repeat(size.0))];
        lines.extend(
            all.into_iter().skip(self.from).take(room).map(|(paint, text)| Line::new(paint, format!(" {text}"))),
        );
        lines.resize(room + 2, Line::default());
        lines.push(Line::new(Paint::Plain, "─".repeat(size.0)));
        let lead = |key: &str| t(lang, &format!("console.{key}"), &[]);
        let on = [Choice::new(lead("enter"), lead("read_on")), Choice::new(lead("escape"), lead("leave"))];
        let choices = if self.has_more(size) { &on[..] } else { choices };
        let mut foot = Line::default();
        for choice in choices {
            foot = foot
                .and(Paint::Plain, "  ")
                .and(Paint::Key, &choice.key)
                .and(Paint::Plain, format!(" {}", choice.text));
        }
        lines.push(foot);
        lines
    }
}

fn wrap_or_empty(text: &str, columns: usize) -> Vec<String> {
    let lines = wrap(text, columns);
    if lines.is_empty() { vec![String::new()] } else { lines }
}

/// A page that says something while nothing can be pressed.
pub fn message(title: &str, text: &str, size: Size) -> Vec<Line> {
    Paged::new(title, Paint::Title, text).show(Lang::En, &[], size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_long_text_is_shown_once() {
        let text = (0..50).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let size = (40, 12);
        let mut paged = Paged::new("Plan", Paint::Title, &text);
        let ask = [Choice::new("j", "do it")];
        let mut seen = Vec::new();
        loop {
            let page = paged.show(Lang::En, &ask, size);
            assert_eq!(page.len(), 12);
            seen.extend(page.iter().map(Line::text).filter(|l| l.starts_with(" line")));
            let asked = page.last().unwrap().text().contains("do it");
            assert_eq!(asked, !paged.has_more(size), "nothing is asked before all is read");
            if !paged.next(size) {
                break;
            }
        }
        assert_eq!(seen, (0..50).map(|n| format!(" line {n}")).collect::<Vec<_>>());
        paged.back(size);
        assert!(paged.has_more(size));
    }

    #[test]
    fn an_empty_line_stays_one() {
        let page = Paged::new("T", Paint::Title, "a\n\nb").show(Lang::Vi, &[], (20, 9));
        let said: Vec<String> = page.iter().map(Line::text).collect();
        assert_eq!(said[2..5], [" a", " ", " b"]);
    }
}
