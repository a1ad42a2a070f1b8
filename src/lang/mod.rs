//! What people read, in Vietnamese, Chinese and English.
//!
//! A text has a key, `section.name`, and stands in each of the three catalogs beside this file. Placeholders are
//! written `{name}`. Nothing falls back to another language: a test proves that the catalogs have the same keys with
//! the same placeholders, and another that every key named in the sources exists.
//!
//! Log lines and what only technicians see (the journal, [`crate::types::wire::Problem`], a gap's detail) are English
//! and do not stand here.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use crate::types::Lang;

mod catalog;

use catalog::Catalog;

static VI: LazyLock<Catalog> = LazyLock::new(|| catalog::parse(include_str!("vi.toml")));
static ZH: LazyLock<Catalog> = LazyLock::new(|| catalog::parse(include_str!("zh.toml")));
static EN: LazyLock<Catalog> = LazyLock::new(|| catalog::parse(include_str!("en.toml")));

fn of(lang: Lang) -> &'static Catalog {
    match lang {
        Lang::Vi => &VI,
        Lang::Zh => &ZH,
        Lang::En => &EN,
    }
}

/// The text of `key` with its placeholders filled in. A key that no catalog has comes back as itself.
pub fn t(lang: Lang, key: &str, values: &[(&str, &str)]) -> String {
    match raw(lang, key) {
        Some(text) => fill(text, values).into_owned(),
        None => key.to_owned(),
    }
}

/// What a way of unlocking disks (`unlock` in site.toml: `tpm`, `usb-key`, `passphrase`, `none`) means: what a stolen
/// disk shows, what a stolen machine shows, and whether a power cut needs a person.
pub fn secrecy(lang: Lang, unlock: &str) -> [String; 3] {
    ["disk", "machine", "power"].map(|what| t(lang, &format!("secrecy.{unlock}_{what}"), &[]))
}

/// The text of `key` as it stands in the catalog.
pub fn raw(lang: Lang, key: &str) -> Option<&'static str> {
    of(lang).get(key).map(String::as_str)
}

/// All texts whose key begins with `prefix` (`"web."`, say), under the rest of their keys, as a JSON object for a page.
pub fn catalog_json(lang: Lang, prefix: &str) -> serde_json::Value {
    let texts: BTreeMap<&str, &str> =
        of(lang).iter().filter_map(|(key, text)| Some((key.strip_prefix(prefix)?, text.as_str()))).collect();
    serde_json::json!(texts)
}

/// Puts values into `{name}`; a placeholder without a value stays as it is, and values are never filled again.
fn fill<'a>(text: &'a str, values: &[(&str, &str)]) -> Cow<'a, str> {
    if !text.contains('{') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let end = rest.find('}').map_or(rest.len(), |at| at + 1);
        let name = rest[1..end].trim_end_matches('}');
        match values.iter().find(|(n, _)| *n == name) {
            Some((_, value)) => out.push_str(value),
            None => out.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
