//! Going back never brings back people: who has left the site stays away, and what was revoked stays revoked.

use toml::Table;

/// Top-level tables of site.toml that stay as they are when a site goes back.
const STAY: [&str; 3] = ["role", "person", "approval"];

/// The text of `to`, an older site, with the people, roles and approvals of `from`, the present one. Where these are equal it is
/// `to` letter by letter. Otherwise comments and order of the rest are kept.
///
/// # Errors
/// If a text is no TOML, or is written so that the tables cannot be told apart (`person = { … }` on one line): then nothing is guessed.
pub fn carry_over(from: &str, to: &str) -> Result<String, String> {
    let table = |text: &str| text.parse::<Table>().map_err(|e| e.message().to_owned());
    let (present, mut wanted) = (table(from)?, table(to)?);
    if STAY.iter().all(|key| present.get(*key) == wanted.get(*key)) {
        return Ok(to.to_owned());
    }
    for key in STAY {
        match present.get(key) {
            Some(value) => drop(wanted.insert(key.to_owned(), value.clone())),
            None => drop(wanted.remove(key)),
        }
    }
    let stays = |(key, _): &(String, String)| STAY.contains(&key.as_str());
    let kept = sections(to).into_iter().filter(|s| !stays(s)).map(|s| s.1);
    let mut text: String = kept.collect();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.extend(sections(from).into_iter().filter(stays).map(|s| s.1));
    // The cut was made by lines; that it was right is seen by reading what came out.
    match table(&text) {
        Ok(made) if made == wanted => Ok(text),
        _ => Err("role, person and approval must stand below [headers] of their own".to_owned()),
    }
}

/// The text in pieces, each beginning with a line that looks like a header, with the first key of that.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections = vec![(String::new(), String::new())];
    for line in text.split_inclusive('\n') {
        if let Some(header) = line.trim_start().strip_prefix('[') {
            let key = header.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default();
            sections.push((key.trim().trim_matches(['"', '\'']).to_owned(), String::new()));
        }
        if let Some((_, piece)) = sections.last_mut() {
            piece.push_str(line);
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "# the school\n[site]\nname = \"x\" # here\n\n[person.eve]\nname = \"Eve\"\nroles = [\n  \"head\",\n]\n\n\
                       [camera.b]\nname = \"b\"\n[camera.a]\nname = \"a\"\n";

    #[test]
    fn people_stay_and_the_rest_goes_back() {
        let now = "[site]\nname = \"y\"\n[person.ann]\nname = \"Ann\"\n[role.head]\nname = \"Head\"\n[approval]\n\
                   [approval.ordinary]\nby = [\"head\"]\n";
        let text = carry_over(now, OLD).unwrap();
        assert!(text.starts_with("# the school\n[site]\nname = \"x\" # here\n\n[camera.b]"), "{text}");
        assert!(!text.contains("Eve") && text.contains("Ann") && text.contains("[approval.ordinary]"), "{text}");
        let none = carry_over("[site]\nname = \"y\"\n", OLD).unwrap();
        assert!(!none.contains("person"), "who was taken out of the site does not come back: {none}");
    }

    #[test]
    fn the_same_people_leave_the_old_text_as_it_was() {
        let now = "[person]\neve = { roles = [\"head\"], name = \"Eve\" }\n";
        assert_eq!(carry_over(now, OLD).unwrap(), OLD);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for (from, to) in [
            ("person = { ann = { name = \"Ann\" } }\n", OLD),
            ("[person.ann]\nname = \"Ann\"\n", "person.eve.name = \"Eve\"\n[site]\nname = \"x\"\n"),
            ("[person.ann]\nname = \"\"\"\n[camera.x]\"\"\"\n", OLD),
            ("[person.ann]\n", "no toml"),
        ] {
            assert!(carry_over(from, to).is_err(), "{from} over {to}");
        }
    }

    proptest! {
        #[test]
        fn afterwards_people_are_the_present_ones(
            now in prop::collection::btree_map("[a-c]", "[a-z]{0,3}", 0..3),
            old in prop::collection::btree_map("[a-c]", "[a-z]{0,3}", 0..3),
            first in any::<bool>(),
        ) {
            let site = |people: &std::collections::BTreeMap<String, String>, name: &str| {
                let people: Vec<String> = people.iter().map(|(id, n)| format!("[person.{id}]\nname = \"{n}\"\n")).collect();
                let people = people.concat();
                let rest = format!("[site]\nname = \"{name}\"\n");
                if first { people + rest.as_str() } else { rest + people.as_str() }
            };
            let (now, old) = (site(&now, "now"), site(&old, "old"));
            let made: Table = carry_over(&now, &old).unwrap().parse().unwrap();
            let (now, old): (Table, Table) = (now.parse().unwrap(), old.parse().unwrap());
            prop_assert_eq!(made.get("person"), now.get("person"));
            prop_assert_eq!(made.get("site"), old.get("site"));
        }
    }
}
