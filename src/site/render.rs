//! Errors for people, each with its line and a caret.

use std::fmt::Write;

use super::{
    problem::{Errors, Problem, Report},
    source::Bytes,
};
use crate::{lang::t, types::Lang};

struct Printer<'a> {
    errors: &'a Errors,
    lang: Lang,
    colour: bool,
    out: String,
}

impl Errors {
    /// For people: each with its line, a caret, and what to do; coloured with ANSI escapes if wanted.
    pub fn render(&self, lang: Lang, colour: bool) -> String {
        let mut printer = Printer { errors: self, lang, colour, out: String::new() };
        for (problem, report) in self.problems.iter().zip(self.reports(lang)) {
            printer.problem(problem, &report);
        }
        printer.out
    }
}

impl Printer<'_> {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&mut self, parts: &[&str]) {
        // Writing into a String does not fail.
        let _ = writeln!(self.out, "{}", parts.join(" "));
    }

    fn problem(&mut self, p: &Problem, report: &Report) {
        let other = report.other.map(|(line, _)| line);
        let gutter = report.line.max(other.unwrap_or(0)).to_string().len();
        let (error, message) = (t(self.lang, "site_error.error", &[]), &report.message);
        self.line(&[&self.paint("1;31", &error), &self.paint("1", message)]);
        let place = format!("{}:{}:{}  {}", report.file, report.line, report.column, report.key);
        self.line(&[&self.paint("34", &format!("{:gutter$}-->", "")), place.trim_end()]);
        self.excerpt(gutter, report.line, &p.at, p.hide, ("1;31", "^"));
        if let (Some(at), Some(line)) = (&p.other, other) {
            self.excerpt(gutter, line, at, p.hide, ("1;34", "-"));
        }
        let help = t(self.lang, "site_error.help", &[]);
        self.line(&[&self.paint("34", &format!("{:gutter$} =", "")), &self.paint("1;32", &help), &report.help]);
        self.out.push('\n');
    }

    fn excerpt(&mut self, gutter: usize, line: usize, at: &Bytes, hide: bool, (style, mark): (&str, &str)) {
        let Some(e) = self.errors.source.excerpt(at, hide) else { return };
        self.line(&[&self.paint("34", &format!("{line:>gutter$} |")), &e.line]);
        let carets = format!("{}{}", " ".repeat(e.indent), self.paint(style, &mark.repeat(e.width)));
        self.line(&[&self.paint("34", &format!("{:gutter$} |", "")), &carets]);
    }
}
