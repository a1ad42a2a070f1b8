//! QEMU's own control: keys, pictures of the screen, the power button. QEMU Machine Protocol, a line of JSON each.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use super::wait_for;

/// A connection to a running QEMU.
pub struct Qmp(BufReader<UnixStream>);

impl Qmp {
    /// Connects as soon as QEMU listens.
    pub fn connect(socket: &Path) -> Self {
        let stream = wait_for("QEMU's control socket", Duration::from_secs(30), || UnixStream::connect(socket).ok());
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut qmp = Self(BufReader::new(stream));
        qmp.line();
        qmp.ask("qmp_capabilities", &json!({}));
        qmp
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("QEMU says {line:?}: {e}"))
    }

    /// Carries out a command and returns its answer; events between are passed over.
    pub fn ask(&mut self, command: &str, arguments: &Value) -> Value {
        let order = json!({ "execute": command, "arguments": arguments });
        writeln!(self.0.get_mut(), "{order}").unwrap();
        loop {
            let mut said = self.line();
            assert!(said.get("error").is_none(), "{order}: {said}");
            if let Some(answer) = said.get_mut("return") {
                return answer.take();
            }
        }
    }

    /// A picture of the screen.
    pub fn picture(&mut self, to: &Path, format: &str) {
        self.ask("screendump", &json!({ "filename": to, "format": format }));
    }

    /// Presses keys one after the other, as a person types that text. US layout; `\n` is Enter, `\u{8}` Backspace, `\u{1b}` Escape.
    pub fn type_text(&mut self, text: &str) {
        for letter in text.chars() {
            let keys: Vec<Value> = keys(letter).iter().map(|code| json!({ "type": "qcode", "data": code })).collect();
            self.ask("send-key", &json!({ "keys": keys, "hold-time": 20 }));
            // A key is held in QEMU's time. The next one would be pressed while it is: QEMU queues them, but for 1024 at most.
        }
    }
}

/// The keys that are held together for a letter, by QEMU's names.
fn keys(letter: char) -> Vec<String> {
    const SHIFTED: &str = "!@#$%^&*()_+{}|:\"<>?~";
    const PLAIN: &str = "1234567890-=[]\\;',./`";
    let shifted = letter.is_ascii_uppercase() || SHIFTED.contains(letter);
    let plain = match SHIFTED.find(letter) {
        Some(at) => char::from(PLAIN.as_bytes()[at]),
        None => letter.to_ascii_lowercase(),
    };
    let name = match plain {
        'a'..='z' | '0'..='9' => plain.to_string(),
        _ => match plain {
            ' ' => "spc",
            '\n' => "ret",
            '\t' => "tab",
            '\u{8}' => "backspace",
            '\u{1b}' => "esc",
            '-' => "minus",
            '=' => "equal",
            '[' => "bracket_left",
            ']' => "bracket_right",
            '\\' => "backslash",
            ';' => "semicolon",
            '\'' => "apostrophe",
            ',' => "comma",
            '.' => "dot",
            '/' => "slash",
            '`' => "grave_accent",
            _ => panic!("no key types {letter:?}"),
        }
        .to_owned(),
    };
    let shift = shifted.then(|| "shift".to_owned());
    shift.into_iter().chain([name]).collect()
}
