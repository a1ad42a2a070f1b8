//! Texts for technicians come from programs that know names. Health says none.

use std::{cell::OnceCell, net::IpAddr};

use crate::health::{facts::Facts, report};

/// What is put in the place of a person or an address.
const HIDDEN: &str = "…";

/// Names that no text may have, with what is said instead. Collected for the first text.
#[derive(Debug, Default)]
pub(super) struct Masks(OnceCell<Vec<(String, String)>>);

impl Masks {
    /// The text with cameras by number, and without people and addresses.
    pub(super) fn mask(&self, text: &str, facts: &Facts) -> String {
        let mut text = text.trim().to_owned();
        for (name, instead) in self.0.get_or_init(|| names(facts)) {
            replace(&mut text, name, instead);
        }
        without_addresses(&text)
    }
}

/// The longest first, so that no name is cut by a shorter one.
fn names(facts: &Facts) -> Vec<(String, String)> {
    let Ok((site, recorder)) = &facts.site else { return Vec::new() };
    let mut all = Vec::new();
    for (number, camera) in report::numbered(facts, site, recorder) {
        let instead = format!("camera {number}");
        let ids = std::iter::once(&camera.id).chain(&camera.previously).map(|id| id.as_str().to_owned());
        all.extend(ids.chain([camera.name.clone()]).map(|name| (name, instead.clone())));
    }
    let mut hide = |name: &str| all.push((name.to_owned(), HIDDEN.to_owned()));
    for camera in site.cameras() {
        [Some(&camera.main), camera.sub.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|url| url.host_str())
            .for_each(&mut hide);
        if camera.recorder != *recorder {
            hide(camera.id.as_str());
            hide(&camera.name);
        }
    }
    for (id, person) in site.people() {
        hide(id.as_str());
        hide(&person.name);
        [&person.phone, &person.email].into_iter().flatten().for_each(|s| hide(s));
    }
    site.recorders().filter_map(|r| r.address.as_deref()).for_each(&mut hide);
    all.retain(|(name, _)| !name.is_empty());
    all.sort_by(|a, b| (b.0.len(), &a.0).cmp(&(a.0.len(), &b.0)));
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

/// Replaces a name where it stands as a word of its own.
fn replace(text: &mut String, name: &str, instead: &str) {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(name)).map(|at| at + from) {
        let end = at + name.len();
        if inside(text[..at].chars().next_back()) || inside(text[end..].chars().next()) {
            from = end;
        } else {
            text.replace_range(at..end, instead);
            from = at + instead.len();
        }
    }
}

/// Without IP addresses, with ports or not.
fn without_addresses(text: &str) -> String {
    let part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '%');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(part) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c| !part(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        out.push_str(before);
        out.push_str(if is_address(word) { HIDDEN } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_address(word: &str) -> bool {
    let word = word.trim_matches([':', '.']);
    let alone = |s: &str| s.split('%').next().is_some_and(|s| s.parse::<IpAddr>().is_ok());
    alone(word) || word.rsplit_once(':').is_some_and(|(host, _)| alone(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go() {
        for (text, is) in [
            ("connect to 10.20.1.11:554: refused", "connect to … refused"),
            ("fe80::1%2 and [2001:db8::7]:443", "… and […]:443"),
            ("it took 1.5 s, error 104 at 12:30", "it took 1.5 s, error 104 at 12:30"),
            ("10.0.0.1.", "…"),
            ("a1: cannot write it", "a1: cannot write it"),
        ] {
            assert_eq!(without_addresses(text), is);
        }
    }

    #[test]
    fn names_go_as_words() {
        let mut text = "gate: gate-2/gate, gates, (gate)".to_owned();
        replace(&mut text, "gate", "camera 1");
        assert_eq!(text, "camera 1: gate-2/camera 1, gates, (camera 1)");
    }
}
