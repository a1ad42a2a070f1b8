//! Asking a person at the console: texts page by page, questions, codes.

use std::{io, path::Path, time::Duration};

use crate::{
    console::{self, Choice, Line, Paged, Paint, draw},
    factors::FactorError,
    lang::t,
    services::factors,
    sys::{Key, Terminal},
    types::Lang,
};

/// Whoever leaves in the middle of a question has left: nothing is left open for the next one.
const PATIENCE: Duration = Duration::from_mins(5);
/// Nobody types as much.
const LONGEST: usize = 200;

/// A terminal and the language that its person reads.
pub(super) struct Dialog<'a> {
    pub(super) terminal: &'a mut dyn Terminal,
    pub(super) lang: Lang,
}

impl Dialog<'_> {
    pub(super) fn t(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, &format!("console.{key}"), values)
    }

    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let text = draw(lines, self.terminal.size());
        self.terminal.write(&text)
    }

    /// Says something, and goes on.
    pub(super) fn say(&mut self, title: &str, text: &str) -> io::Result<()> {
        self.draw(&console::message(title, text, self.terminal.size()))
    }

    /// A key; escape if nobody presses one.
    fn press(&mut self) -> io::Result<Key> {
        Ok(self.terminal.key(PATIENCE)?.unwrap_or(Key::Escape))
    }

    /// Shows a text to its end, and then asks for one of these keys; none of them is left to escape. Without any the last page is left by Enter too.
    pub(super) fn read(
        &mut self,
        title: &str,
        paint: Paint,
        text: &str,
        keys: &[(char, String)],
    ) -> io::Result<Option<char>> {
        let mut paged = Paged::new(title, paint, text);
        let leave = Choice::new(self.t("escape", &[]), self.t("leave", &[]));
        let choices = keys.iter().map(|(key, text)| Choice::new(key.to_string(), text.as_str())).chain([leave]);
        let choices: Vec<Choice> = choices.collect();
        loop {
            let size = self.terminal.size();
            self.draw(&paged.show(self.lang, &choices, size))?;
            match self.press()? {
                Key::Escape => return Ok(None),
                Key::Enter | Key::Down | Key::Char(' ') if paged.next(size) => {}
                Key::Enter if keys.is_empty() => return Ok(None),
                Key::Up => paged.back(size),
                Key::Char(c) if !paged.has_more(size) => {
                    let c = c.to_ascii_lowercase();
                    if keys.iter().any(|(key, _)| *key == c) {
                        return Ok(Some(c));
                    }
                }
                _ => {}
            }
        }
    }

    /// A line that is typed, shown or not. None: they left.
    pub(super) fn line(&mut self, title: &str, text: &str, hidden: bool) -> io::Result<Option<String>> {
        let mut typed = String::new();
        loop {
            let shown = if hidden { "*".repeat(typed.chars().count()) } else { typed.clone() };
            self.say(title, &format!("{text}\n\n> {shown}_"))?;
            match self.press()? {
                Key::Enter => return Ok(Some(typed)),
                Key::Escape => return Ok(None),
                Key::Back => {
                    typed.pop();
                }
                Key::Char(c) if typed.chars().count() < LONGEST => typed.push(c),
                _ => {}
            }
        }
    }

    /// Asks for the PIN until it is right. Whether it was.
    pub(super) fn pin(&mut self, state: &Path, why: &str) -> io::Result<bool> {
        let (title, ask) = (self.t("pin_title", &[]), self.t("pin_ask", &[]));
        Ok(self
            .factor(&title, &format!("{why}\n\n{ask}"), "pin_malformed", |typed| factors::check_pin(state, typed))?
            .is_some())
    }

    /// Asks for a code until it is right. None: they left, or it cannot be checked.
    pub(super) fn factor<T>(
        &mut self,
        title: &str,
        ask: &str,
        malformed: &str,
        check: impl Fn(&str) -> Result<T, FactorError>,
    ) -> io::Result<Option<T>> {
        let mut ask_again = ask.to_owned();
        loop {
            let Some(typed) = self.line(title, &ask_again, true)? else { return Ok(None) };
            let wrong = match check(&typed) {
                Ok(right) => return Ok(Some(right)),
                Err(FactorError::Malformed) => self.t(malformed, &[]),
                Err(FactorError::Wrong(wait)) if wait.is_zero() => self.t("factor_wrong_now", &[]),
                Err(FactorError::Wrong(wait)) => self.t("factor_wrong", &[("wait", &self.length(wait))]),
                Err(FactorError::Wait(left)) => self.t("factor_wait", &[("wait", &self.length(left))]),
                Err(e) => {
                    let why = e.to_string();
                    let key = match e {
                        FactorError::NotSet => "factors_none",
                        FactorError::Damaged(_) => "factors_damaged",
                        _ => "factors_io",
                    };
                    let text = self.t(key, &[("why", &why)]);
                    return self.read(title, Paint::Bad, &text, &[]).map(|_| None);
                }
            };
            ask_again = format!("{wrong}\n\n{ask}");
        }
    }

    fn length(&self, time: Duration) -> String {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let (key, n) = if seconds < 60 { ("seconds", seconds) } else { ("minutes", seconds.div_ceil(60)) };
        self.t(key, &[("n", &n.to_string())])
    }
}

/// A terminal at which nobody is taken for gone: what it shows must not vanish before a person has said so.
pub(super) struct Patient<'a>(pub(super) &'a mut dyn Terminal);

impl Terminal for Patient<'_> {
    fn key(&mut self, wait: Duration) -> io::Result<Option<Key>> {
        loop {
            if let Some(key) = self.0.key(wait)? {
                return Ok(Some(key));
            }
        }
    }

    fn size(&self) -> (usize, usize) {
        self.0.size()
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.0.write(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        factors::{Factors, Pin, SealedCode},
        sys::{FakeTerminal, RealClock, RealFiles},
    };

    #[test]
    fn a_text_is_read_to_its_end_before_its_question_can_be_answered() {
        let text = (0..60).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        for (typed, answer) in [("jj\nj\nj", Some('j')), ("\n\n\x1b", None), ("\n\nxJ", Some('j')), ("  j", Some('j'))]
        {
            let mut terminal = FakeTerminal::typing(typed);
            let mut dialog = Dialog { terminal: &mut terminal, lang: Lang::En };
            let keys = [('j', "do it".to_owned())];
            assert_eq!(dialog.read("T", Paint::Title, &text, &keys).unwrap(), answer, "{typed:?}");
        }
        // Nobody is there any more.
        let mut terminal = FakeTerminal { keys: [None].into(), size: (80, 25), ..FakeTerminal::default() };
        let mut dialog = Dialog { terminal: &mut terminal, lang: Lang::En };
        assert_eq!(dialog.read("T", Paint::Title, "x", &[('j', "do it".to_owned())]).unwrap(), None);
    }

    #[test]
    fn a_pin_is_asked_for_until_it_is_right_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let ask = |typed: &str| {
            let mut terminal = FakeTerminal::typing(typed);
            let mut dialog = Dialog { terminal: &mut terminal, lang: Lang::En };
            let right = dialog.pin(dir.path(), "Why.").unwrap();
            (right, terminal.shown)
        };
        let (right, shown) = ask("294173\n\x1b");
        assert!(!right && shown.contains("no PIN"), "{shown}");
        let factors = Factors::new(&RealFiles, &RealClock, dir.path(), "");
        factors.create(&Pin::choose("294173").unwrap(), &SealedCode::make().unwrap()).unwrap();
        let (right, shown) = ask("12\n294174\n294173\x08\x0873\n");
        assert!(
            right
                && shown.contains("6 to 12 digits")
                && shown.contains("That is not the one")
                && shown.contains("> ******_")
        );
        assert!(!shown.contains("2941"));
        assert!(!ask("2941\x1b").0);
        let (right, shown) = ask("294174\n294174\n294174\n294174\n294173\n\x1b");
        assert!(!right && shown.contains("again in 1 min"), "{shown}");
    }
}
