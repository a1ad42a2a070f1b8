//! Whether the network cards that site.toml names for a machine are there.

use serde::Serialize;

use crate::{
    inventory::{self, Inventory},
    site::{Link, Network, Site},
    types::RecorderId,
};

/// What is wrong with a network card of the site. In force, it would take the machine off the net, and nobody but who stands before it could
/// bring it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum LinkNote {
    /// No card has that name or MAC address.
    Gone {
        /// Where site.toml says it: `recorder.a.network.school.link`.
        place: String,
        /// What it says.
        link: String,
        /// The cards that there are: name and MAC address.
        there: Vec<String>,
    },
    /// Both sides name one card, in two ways: networkd would give one of them no link.
    Twice {
        /// As `school` names it.
        school: String,
        /// As `cameras` names it.
        cameras: String,
    },
}

/// Looks at the links of one recorder, which is the machine of the inventory. `before`: how it is wired already; a card that is in use and
/// has died does not keep anything else from being changed.
pub(super) fn notes(
    site: &Site,
    recorder: &RecorderId,
    inventory: &Inventory,
    before: Option<&Network>,
) -> Vec<LinkNote> {
    let Some(network) = site.recorder(recorder).and_then(|r| r.network.as_ref()) else { return Vec::new() };
    let card = |link: &Link| inventory.links.iter().find(|l| is(link, l));
    let known: Vec<&Link> = before.iter().flat_map(|n| [&n.school, &n.cameras]).flatten().map(|w| &w.link).collect();
    let mut all = Vec::new();
    for (side, wire) in [("school", &network.school), ("cameras", &network.cameras)] {
        let Some(link) = wire.as_ref().map(|w| &w.link) else { continue };
        if card(link).is_none() && !known.contains(&link) {
            let place = format!("recorder.{recorder}.network.{side}.link");
            all.push(LinkNote::Gone {
                place,
                link: link.to_string(),
                there: inventory.links.iter().map(name).collect(),
            });
        }
    }
    if let (Some(school), Some(cameras)) = (&network.school, &network.cameras)
        && school.link != cameras.link
        && card(&school.link).is_some_and(|l| is(&cameras.link, l))
    {
        all.push(LinkNote::Twice { school: school.link.to_string(), cameras: cameras.link.to_string() });
    }
    all
}

fn is(link: &Link, card: &inventory::Link) -> bool {
    match link {
        Link::Name(name) => card.name == *name,
        Link::Mac(mac) => card.mac.as_ref().is_some_and(|m| m.eq_ignore_ascii_case(mac)),
    }
}

fn name(card: &inventory::Link) -> String {
    card.mac.as_ref().map_or_else(|| card.name.clone(), |mac| format!("{} ({mac})", card.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(network: &str) -> Site {
        let text = format!(
            "[site]\nname = \"x\"\ntimezone = \"UTC\"\n[area.y]\nname = \"y\"\nkind = \"public\"\n[recorder.a]\n{network}\n\
             [[recorder.a.volume]]\nname = \"a1\"\npath = \"/a1\"\n[camera.c]\nname = \"c\"\narea = \"y\"\nmain = \"rtsp://10.20.1.11/\"\n"
        );
        crate::site::parse(&text, "site.toml").unwrap_or_else(|e| panic!("{e}"))
    }

    fn of(network: &str, before: Option<&str>) -> Vec<LinkNote> {
        let card = |name: &str, mac: &str| inventory::Link {
            name: name.into(),
            mac: Some(mac.into()),
            up: Some(true),
            addresses: Vec::new(),
            speed: None,
        };
        let links = vec![card("enp1s0", "52:54:00:00:00:01"), card("enp2s0", "52:54:00:00:00:02")];
        let inventory = Inventory { links, ..Inventory::default() };
        let recorder = "a".parse().unwrap();
        let before = before.map(site);
        let before = before.as_ref().and_then(|s| s.recorder(&recorder)).and_then(|r| r.network.as_ref());
        notes(&site(network), &recorder, &inventory, before)
    }

    const SCHOOL: &str = "network.school = { link = \"enp1s0\" }\n";

    #[test]
    fn a_link_that_no_card_has_is_told_with_the_cards_that_there_are() {
        assert_eq!(of("", None), []);
        assert_eq!(
            of(
                &format!("{SCHOOL}network.cameras = {{ link = \"52:54:00:00:00:02\", address = \"10.20.1.2/24\" }}"),
                None
            ),
            []
        );
        let there = vec!["enp1s0 (52:54:00:00:00:01)".to_owned(), "enp2s0 (52:54:00:00:00:02)".to_owned()];
        for link in ["enp1so", "52:54:00:00:00:03"] {
            let gone = |side: &str| LinkNote::Gone {
                place: format!("recorder.a.network.{side}.link"),
                link: link.into(),
                there: there.clone(),
            };
            assert_eq!(of(&SCHOOL.replace("enp1s0", link), None), [gone("school")]);
            let cameras = format!("{SCHOOL}network.cameras = {{ link = \"{link}\", address = \"10.20.1.2/24\" }}");
            assert_eq!(of(&cameras, Some(SCHOOL)), [gone("cameras")]);
            assert_eq!(of(&cameras, Some(&cameras)), [], "it was there, and has died: the rest goes on");
        }
    }

    #[test]
    fn one_card_by_two_names_is_told() {
        for vlan in ["", "vlan = 20, "] {
            let cameras =
                format!("network.cameras = {{ link = \"52:54:00:00:00:01\", {vlan}address = \"10.20.1.2/24\" }}");
            let twice = LinkNote::Twice { school: "enp1s0".into(), cameras: "52:54:00:00:00:01".into() };
            assert_eq!(of(&format!("{SCHOOL}{cameras}"), None), [twice]);
        }
    }
}
