//! Whoever sits at the terminal.

use std::io::{self, Write as _};

use crate::sys::ask_hidden;

/// What is said and typed.
pub trait Talk {
    /// Writes as it is.
    ///
    /// # Errors
    /// If there is no terminal any more.
    fn write(&mut self, text: &str) -> io::Result<()>;
    /// A line that is typed; nothing if nobody types any more. What is no UTF-8 is replaced. `hidden`: it is not shown, and whoever gives up
    /// with Ctrl-C has typed nothing.
    ///
    /// # Errors
    /// If there is no terminal any more.
    fn line(&mut self, hidden: bool) -> io::Result<Option<String>>;
}

/// A line of bytes that may be anything, as a serial line with the wrong speed brings it.
pub(super) fn line_of(input: &mut impl io::BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = input.read_until(b'\n', &mut line)?;
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
}

/// Standard input and output.
pub struct Standard;

impl Talk for Standard {
    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(text.as_bytes())?;
        output.flush()
    }

    fn line(&mut self, hidden: bool) -> io::Result<Option<String>> {
        if !hidden {
            return line_of(&mut io::stdin().lock());
        }
        // The question was written already: what goes to standard error nobody sees here. A terminal gives line by line, so nothing waits in the
        // buffer of the other reader.
        Ok(ask_hidden(&io::stdin(), "")?.map(|line| line.trim().to_owned()))
    }
}
