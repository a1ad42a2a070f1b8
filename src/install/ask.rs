//! The questions that a machine and a recorder leave, one after the other, and the order that their answers give. Pure.

use super::{Footage, FootageState, How, Order, Then, View, order::how};
use crate::{
    disks::{Secret, Token},
    factors::{Pin, PinError},
    site::{Recorder, Unlock},
    types::{Lang, VolumeName, code},
};

/// What is asked. Each wants one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The code of the disk for the system.
    System,
    /// The codes of all new disks for footage.
    Footage,
    /// A PIN.
    Pin,
    /// A PIN, a space, and a passphrase.
    PinAndPassphrase,
}

/// Why a line is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// No disk has that code.
    Code,
    /// The codes of these are missing, or wrong.
    Codes(Vec<VolumeName>),
    /// It is no PIN.
    Pin(PinError),
    /// It is no passphrase.
    Passphrase,
}

/// The questions for a recorder. `secrets`: whether there are any on the stick.
#[derive(Debug)]
pub struct Questions<'a> {
    recorder: &'a Recorder,
    view: &'a View,
    secrets: bool,
    system: Option<(String, Token)>,
    footage: Option<Vec<Footage>>,
    pin: Option<(Pin, Option<Secret>)>,
}

impl<'a> Questions<'a> {
    /// None is answered yet.
    pub fn new(recorder: &'a Recorder, view: &'a View, secrets: bool) -> Self {
        let mut new = Self { recorder, view, secrets, system: None, footage: None, pin: None };
        // Without a new disk there is no code to give.
        new.footage = new.chosen(&[]).ok();
        new
    }

    /// The next one.
    pub fn next(&self) -> Option<Question> {
        if self.system.is_none() {
            return Some(Question::System);
        }
        if self.footage.is_none() {
            return Some(Question::Footage);
        }
        let both = self.recorder.unlock == Unlock::Passphrase;
        self.pin.is_none().then_some(if both { Question::PinAndPassphrase } else { Question::Pin })
    }

    /// Answers it.
    ///
    /// # Errors
    /// If the line is no answer: it is asked again.
    pub fn answer(&mut self, line: &str) -> Result<(), Wrong> {
        let line = line.trim();
        match self.next() {
            None => {}
            Some(Question::System) => {
                let typed: Token = line.parse().map_err(|_| Wrong::Code)?;
                let fits = |c: &super::Candidate| Some((c.by_id.clone()?, c.token.clone().ok()?));
                let mut all = self.view.systems.iter().filter_map(fits);
                self.system = Some(all.find(|(_, token)| *token == typed).ok_or(Wrong::Code)?);
            }
            Some(Question::Footage) => self.footage = Some(self.chosen(&tokens(line)).map_err(Wrong::Codes)?),
            Some(Question::Pin) => self.pin = Some((Pin::choose(line).map_err(Wrong::Pin)?, None)),
            Some(Question::PinAndPassphrase) => {
                let (pin, passphrase) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                let pin = Pin::choose(pin).map_err(Wrong::Pin)?;
                let passphrase = Secret::passphrase(passphrase.trim()).map_err(|_| Wrong::Passphrase)?;
                self.pin = Some((pin, Some(passphrase)));
            }
        }
        Ok(())
    }

    /// What is done with the disks for footage, if the code of each that wants one is among the codes; else whose are missing.
    fn chosen(&self, given: &[Token]) -> Result<Vec<Footage>, Vec<VolumeName>> {
        let (mut all, mut missing) = (Vec::new(), Vec::new());
        for disk in &self.view.footage {
            let fits = given.iter().find_map(|token| how(&disk.state, Some(token)));
            match fits.or_else(|| (disk.state == FootageState::Ours).then_some(How::Keep)) {
                Some(how) => all.push(Footage { volume: disk.volume.clone(), by_id: disk.by_id.clone(), how }),
                None => missing.push(disk.volume.clone()),
            }
        }
        if missing.is_empty() { Ok(all) } else { Err(missing) }
    }

    /// The order, when all is answered.
    pub fn order(self, lang: Lang) -> Option<Order> {
        let ((system, token), (pin, passphrase)) = (self.system?, self.pin?);
        Some(Order {
            lang,
            recorder: self.recorder.id.clone(),
            system,
            token,
            footage: self.footage?,
            pin,
            passphrase,
            sheet_code: None,
            wipe_secrets: self.secrets,
            then: Then::Reboot,
            asked: true,
        })
    }
}

/// Codes in a line, however they are set apart. What is left over is none.
fn tokens(line: &str) -> Vec<Token> {
    let letters: Vec<char> = line.chars().filter(char::is_ascii_alphanumeric).collect();
    let of = |sixteen: &[char]| code::read(&sixteen.iter().collect::<String>()).map(|l| code::show(&l));
    letters.chunks(16).filter_map(of).filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_codes_stand_in_a_line() {
        let one: Token = "etjx-5zwc-n8fr-6g4d".parse().unwrap();
        for line in [
            "etjx-5zwc-n8fr-6g4d etjx-5zwc-n8fr-6g4d",
            "ETJX 5ZWC N8FR 6G4D,etjx5zwcn8fr6g4d",
            "etjx5zwcn8fr6g4detjx5zwcn8fr6g4d",
        ] {
            assert_eq!(tokens(line), [one.clone(), one.clone()], "{line}");
        }
        assert_eq!(tokens("etjx-5zwc-n8fr-6g4d etjx-5"), [one]);
        assert_eq!(tokens(""), []);
    }
}
