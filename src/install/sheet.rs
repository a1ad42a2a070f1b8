//! The recovery sheet: one page of HTML that any browser opens and prints without a network. What it holds is encrypted with a key from a
//! code that is shown once: AES-256-GCM (NIST SP 800-38D), the key by PBKDF2 with HMAC-SHA-256 (RFC 8018) from the 80 bits of the code.

use std::{fmt, io, num::NonZeroU32};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    pbkdf2,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Begun;
use crate::{
    lang::t,
    sys::random,
    types::{
        Lang,
        code::{self, Letters},
    },
};

/// As OWASP has it for PBKDF2-HMAC-SHA256; with 80 random bits it is more than is needed.
const ITERATIONS: u32 = 600_000;
const TEMPLATE: &str = include_str!("sheet.html");

/// The code that opens a sheet: 80 bits. Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SheetCode(Letters);

impl SheetCode {
    /// A new one, from the kernel.
    pub fn make() -> io::Result<Self> {
        Ok(Self(code::of(&random()?)))
    }

    /// Reads it as people write it.
    pub fn read(text: &str) -> Option<Self> {
        code::read(text).map(Self)
    }

    /// For showing it once.
    pub fn reveal(&self) -> String {
        code::show(&self.0)
    }
}

impl fmt::Debug for SheetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SheetCode(…)")
    }
}

/// What the sheet says in the clear.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// The school.
    pub site: &'a str,
    /// The recorder.
    pub recorder: &'a str,
    /// When it was written, in the school's time.
    pub at: &'a str,
    /// The system disk: model and serial number.
    pub disk: &'a str,
}

/// Names and values that the sheet keeps.
pub fn rows(begun: &Begun, lang: Lang) -> Vec<(String, String)> {
    let state = begun.state.iter().map(|key| (t(lang, "install.sheet_state", &[]), key.clone()));
    let volumes = begun.volumes.iter();
    let volumes =
        volumes.map(|(volume, key)| (t(lang, "install.sheet_volume", &[("volume", volume.as_str())]), key.clone()));
    let sealed = begun.sealed.iter().map(|code| (t(lang, "install.sheet_sealed", &[]), code.clone()));
    state.chain(volumes).chain(sealed).collect()
}

/// The page.
///
/// # Errors
/// If the kernel gives no random bytes.
pub fn page(heading: Heading<'_>, rows: &[(String, String)], code: &SheetCode, lang: Lang) -> io::Result<String> {
    let (salt, nonce): ([u8; 16], [u8; 12]) = (random()?, random()?);
    let mut key = [0; 32];
    let iterations = NonZeroU32::new(ITERATIONS).ok_or(io::ErrorKind::InvalidInput)?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, &code.0, &mut key);
    let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut text = serde_json::to_vec(rows)?;
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let sealed = serde_json::json!({
        "salt": base64(&salt), "nonce": base64(&nonce), "iterations": ITERATIONS, "text": base64(&text),
    });
    let word = |key: &str| t(lang, &format!("install.sheet_{key}"), &[]);
    let machine = [("site", heading.site), ("recorder", heading.recorder), ("at", heading.at), ("disk", heading.disk)];
    let mut page = TEMPLATE.to_owned();
    for (name, text) in [
        ("lang", lang.as_str().to_owned()),
        ("title", escape(&word("title"))),
        ("machine", escape(&t(lang, "install.sheet_machine", &machine))),
        ("ask", escape(&word("ask"))),
        ("open", escape(&word("open"))),
        ("print", escape(&word("print"))),
        ("do_print", escape(&word("do_print"))),
        ("keep", escape(&word("keep"))),
        ("wrong", as_script(&word("wrong"))),
        ("browser", as_script(&word("browser"))),
        ("sealed", sealed.to_string()),
    ] {
        page = page.replace(&format!("{{{{{name}}}}}"), &text);
    }
    Ok(page)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace("{{", "{ {")
}

/// A text as a literal in the page's script.
fn as_script(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_keeps_its_secrets() {
        let code = SheetCode::make().unwrap();
        let rows = [("State".to_owned(), "cccjbcbj-dcdjecej".to_owned())];
        let heading = Heading { site: "<Trường> & {{sealed}}", recorder: "a", at: "now", disk: "X" };
        let page = page(heading, &rows, &code, Lang::Vi).unwrap();
        assert!(!page.contains("cccjbcbj") && !page.contains(&code.reveal()) && !page.contains("{{"), "{page}");
        assert!(page.contains("&lt;Trường&gt; &amp; { {sealed}}"), "{page}");
        assert_eq!(SheetCode::read(&code.reveal().to_uppercase()), Some(code));
    }
}
