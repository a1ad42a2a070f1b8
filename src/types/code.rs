//! Codes that people copy and type: sixteen letters in four groups, such as `7k3q-0xv9-hm2c-4tda`.

/// Letters and digits that are not mistaken for one another.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Sixteen of these.
pub type Letters = [u8; 16];

/// Reads them as people write them: capitals, spaces, dashes, and o, i, l for 0 and 1. None: something else.
pub fn read(text: &str) -> Option<Letters> {
    let letters: Vec<u8> = text
        .trim_end_matches(['\r', '\n'])
        .bytes()
        .filter(|b| !matches!(b, b'-' | b' '))
        .map(|b| match b.to_ascii_lowercase() {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            other => other,
        })
        .collect();
    let letters: Letters = letters.try_into().ok()?;
    letters.iter().all(|l| ALPHABET.contains(l)).then_some(letters)
}

/// Five bits of each byte.
pub fn of(bytes: &[u8; 16]) -> Letters {
    bytes.map(|b| ALPHABET[usize::from(b % 32)])
}

/// As it is shown.
pub fn show(letters: &Letters) -> String {
    let groups: Vec<String> = letters.chunks(4).map(|g| String::from_utf8_lossy(g).into_owned()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_however_it_is_typed() {
        let letters = of(&std::array::from_fn(|n| u8::try_from(n * 17).unwrap_or(0)));
        let shown = show(&letters);
        assert_eq!(shown.len(), 19);
        for typed in [shown.clone(), shown.to_uppercase().replace('0', "O").replace('-', " "), format!("{shown}\r\n")] {
            assert_eq!(read(&typed), Some(letters), "{typed}");
        }
        for wrong in ["", &shown[1..], &format!("{shown}0"), &format!("u{}", &shown[1..])] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
