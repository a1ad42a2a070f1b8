//! The two secrets of a school: the PIN that it chooses, and the leaders' code that the machine makes.

use std::{fmt, io, str::FromStr};

use crate::{
    sys::random,
    types::code::{self, Letters},
};

/// 6 to 12 digits. Debug does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

/// Why a PIN is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Too short or too long, or something else than digits.
    #[error("a PIN is 6 to 12 digits")]
    Malformed,
    /// Who guesses begins with it.
    #[error("a PIN of one digit, or of digits in a row, is the first that is guessed: choose another")]
    Simple,
}

impl Pin {
    /// Takes one that is chosen now: what anybody guesses first is refused.
    pub fn choose(text: &str) -> Result<Self, PinError> {
        let pin: Self = text.parse()?;
        let steps: Vec<i16> = pin.0.as_bytes().windows(2).map(|w| i16::from(w[1]) - i16::from(w[0])).collect();
        let simple = [-1, 0, 1].iter().any(|step| steps.iter().all(|s| s == step));
        if simple { Err(PinError::Simple) } else { Ok(pin) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for Pin {
    type Err = PinError;
    fn from_str(text: &str) -> Result<Self, PinError> {
        let text = text.trim();
        let right = (6..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if right { Ok(Self(text.to_owned())) } else { Err(PinError::Malformed) }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// The leaders' code, which lies in a sealed envelope: 80 random bits. Debug does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCode(Letters);

/// A text is no sealed code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leaders' code is four groups of four letters and digits")]
pub struct NoSealedCode;

impl SealedCode {
    /// A new one, from the kernel.
    pub fn make() -> io::Result<Self> {
        Ok(Self(code::of(&random()?)))
    }

    /// For showing it once.
    pub fn reveal(&self) -> String {
        code::show(&self.0)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for SealedCode {
    type Err = NoSealedCode;
    fn from_str(text: &str) -> Result<Self, NoSealedCode> {
        code::read(text).map(Self).ok_or(NoSealedCode)
    }
}

impl fmt::Debug for SealedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_six_to_twelve_digits_and_not_the_first_that_is_guessed() {
        for right in ["294173", "000001", " 121212\n", "294173294173"] {
            assert!(Pin::choose(right).is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("29417", PinError::Malformed),
            ("2941732941732", PinError::Malformed),
            ("29417a", PinError::Malformed),
            ("２９４１７３", PinError::Malformed),
            ("", PinError::Malformed),
            ("777777", PinError::Simple),
            ("123456", PinError::Simple),
            ("87654321", PinError::Simple),
        ] {
            assert_eq!(Pin::choose(wrong), Err(why), "{wrong}");
        }
        assert!("123456".parse::<Pin>().is_ok(), "one that was chosen elsewhere is checked all the same");
        assert_eq!(format!("{:?}", Pin::choose("294173").unwrap()), "Pin(…)");
    }

    #[test]
    fn a_sealed_code_is_copied_from_paper() {
        let code = SealedCode::make().unwrap();
        assert_ne!(code, SealedCode::make().unwrap());
        assert_eq!(code.reveal().to_uppercase().replace('-', " ").parse(), Ok(code.clone()));
        assert_eq!("7k3q-0xv9-hm2c".parse::<SealedCode>(), Err(NoSealedCode));
        assert_eq!(format!("{code:?}"), "SealedCode(…)");
    }
}
