//! The text that is read: places in it, and excerpts of it that show no password.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

/// A file's name and text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
    /// Whether nothing of the text may be shown (secrets.toml).
    pub(super) secret: bool,
}

/// Bytes of the text.
pub(super) type Bytes = Range<usize>;

/// A line, and where in it a caret goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line, passwords masked, tabs as one space.
    pub(super) line: String,
    /// Cells of the terminal left of the caret.
    pub(super) indent: usize,
    /// Cells to underline, at least one.
    pub(super) width: usize,
}

const MASK: &str = "•••";

impl Source {
    /// Line and column of a byte, both from 1, the column in characters.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let before = self.before(at);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// The line of a span with what to underline; `hide` masks the span itself. Nothing for a secret file.
    pub(super) fn excerpt(&self, span: &Bytes, hide: bool) -> Option<Excerpt> {
        if self.secret {
            return None;
        }
        let start = self.before(span.start).rfind('\n').map_or(0, |n| n + 1);
        let end = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n);
        let line = &self.text[start..end];
        let mut from = self.before(span.start).len() - start;
        let mut to = (self.before(span.end).len()).clamp(start + from, end) - start;
        let mut masked = secrets_in(line);
        if hide && from < to {
            // What the span covers is hidden with the quotes around it left in place.
            from += usize::from(line[from..to].starts_with(['"', '\'']) && to - from > 1);
            to -= usize::from(line[from..to].ends_with(['"', '\'']) && to > from);
            masked.push(from..to);
        }
        let cells = |upto: usize| shown(line, upto, &masked).width();
        let indent = cells(from);
        Some(Excerpt {
            line: shown(line, line.len(), &masked).trim_end().to_owned(),
            indent,
            width: cells(to).saturating_sub(indent).max(1),
        })
    }

    /// The text before a byte, which need not lie on a character's edge or inside the text.
    fn before(&self, at: usize) -> &str {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        &self.text[..at]
    }
}

/// The line up to a byte, as it is shown: each masked range as one mask, control characters as spaces.
fn shown(line: &str, upto: usize, masked: &[Bytes]) -> String {
    let mut out = String::new();
    let mut covered = false;
    for (at, c) in line[..upto].char_indices() {
        let inside = masked.iter().any(|m| m.contains(&at));
        if inside && !covered {
            out.push_str(MASK);
        } else if !inside {
            out.push(if c.is_control() { ' ' } else { c });
        }
        covered = inside;
    }
    out
}

/// A word of the file that is repeated elsewhere: at most 80 characters, passwords masked.
pub(super) fn presentable(text: &str) -> String {
    let whole = shown(text, text.len(), &secrets_in(text));
    if whole.chars().count() <= 80 { whole } else { whole.chars().take(79).chain(['…']).collect() }
}

/// What looks like a password: a URL's user part, and the value of a key named like one.
fn secrets_in(line: &str) -> Vec<Bytes> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("//") {
        let rest = &line[at + 2..];
        // Up to the last '@': a password with a stray '/' or quote in it is one all the same.
        if let Some(end) = rest.rfind('@') {
            found.push(at + 2..at + 2 + end);
        }
    }
    let lower = line.to_ascii_lowercase();
    for word in ["password", "passwd", "passwort", "pass=", "pwd", "secret", "token"] {
        for (at, _) in lower.match_indices(word) {
            // From the end of the key to the end of the line: hiding too much harms nobody.
            let end = line[at..].find(['=', ':', ' ', '\t']).map_or(line.len(), |n| at + n + 1);
            let blank = line[end..].len() - line[end..].trim_start_matches([' ', '\t', '=']).len();
            found.push(end + blank..line.len());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: "site.toml".into(), text: text.into(), secret: false }
    }

    #[test]
    fn places_count_characters() {
        let s = source("a = 1\nname = \"Cổng\" x");
        assert_eq!(s.place(0), (1, 1));
        assert_eq!(s.place(6), (2, 1));
        let x = s.text.find('x').expect("there");
        assert_eq!(s.place(x), (2, 15));
        assert_eq!(s.place(10_000), (2, 16));
        // inside a character
        assert_eq!(s.place(s.text.find('ổ').expect("there") + 1), (2, 10));
    }

    #[test]
    fn carets_count_cells() {
        let s = source("name = \"大门\" # x");
        let at = s.text.find('#').expect("there");
        let e = s.excerpt(&(at..at + 3), false).expect("not secret");
        assert_eq!((e.indent, e.width), (14, 3));
        let e = s.excerpt(&(7..s.text.find(" #").expect("there")), false).expect("not secret");
        assert_eq!((e.indent, e.width), (7, 6));
        // A span of several lines is underlined to the end of its first.
        let s = source("a = [\n1,\n]");
        assert_eq!(s.excerpt(&(4..10), false), Some(Excerpt { line: "a = [".into(), indent: 4, width: 1 }));
    }

    #[test]
    fn passwords_are_masked() {
        for line in [
            "main = \"rtsp://admin:hunter2@10.0.0.1/1\"",
            "main = \"rtsp://admin:hun/hunter2@10.0.0.1/1\" # x",
            "x = { main = 'rtsp://hunter2@h', sub = 'rtsp://b:hunter2@h' }",
            "password = \"hunter2\"",
            "credentials = { username = 'a', password = 'hunter2' }",
            "Password=hunter2",
            "password hunter2",
            "\"url_secret\" = 'hunter2'",
            "main = \"rtsp://10.0.0.1/user=admin_password=hunter2_channel=1\"",
            "main = \"rtsp://10.0.0.1/?user=admin&pwd=hunter2\"",
        ] {
            let e = source(line).excerpt(&(0..4), false).expect("not secret");
            assert!(!e.line.contains("hunter2"), "{}", e.line);
            assert!(e.line.contains(MASK), "{}", e.line);
        }
    }

    #[test]
    fn a_hidden_span_keeps_its_quotes() {
        let s = source("a = \"hunter2\" # c");
        assert_eq!(s.excerpt(&(4..13), true), Some(Excerpt { line: "a = \"•••\" # c".into(), indent: 5, width: 3 }));
    }

    #[test]
    fn a_secret_file_is_never_shown() {
        let s = Source { secret: true, ..source("a = 1") };
        assert_eq!(s.excerpt(&(0..1), false), None);
    }
}
