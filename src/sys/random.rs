//! Numbers that nobody can guess.

use std::{
    fs::File,
    io::{self, Read as _},
};

/// Bytes of the kernel's random number generator, see random(4).
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_equal() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
