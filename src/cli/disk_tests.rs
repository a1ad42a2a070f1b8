use jiff::tz::TimeZone;

use super::*;
use crate::{
    inventory::{Content, Disk, Footage},
    types::{ByteSize, WallNs},
};

fn sheet() -> Sheet {
    let newest = Some(WallNs(1_795_336_198_000_000_000));
    Sheet {
        disk: Disk {
            name: "sda".into(),
            by_id: vec!["ata-WDC_5QJ0A1CD".into(), "wwn-0x5000cca2".into()],
            serial: Some("5QJ0A1CD".into()),
            wwn: Some("0x5000cca2".into()),
            model: Some("WDC WD120EFBX".into()),
            size: ByteSize(12_000_138_625_024),
            transport: Some("sata".into()),
            removable: false,
            read_only: false,
            system: false,
            content: Content::Ours(crate::inventory::OurVolume {
                site: "hoa-huong-duong".into(),
                volume: "a1".parse().unwrap(),
                id: None,
                encrypted: false,
                device: "/dev/sda1".into(),
                mounted: None,
                newest,
            }),
            smart: None,
        },
        footage: Some(Footage { days: 20, newest }),
        init: Err(Refusal::Ours { site: "hoa-huong-duong".into(), volume: "a1".parse().unwrap(), newest }),
        erase: Ok("efbv-5zwc-n8fr-9m2q".parse().unwrap()),
    }
}

#[test]
fn facts_for_people() {
    let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
    for lang in Lang::ALL {
        let refused = in_words(&sheet().init.unwrap_err(), &shown, lang);
        insta::assert_snapshot!(format!("disk_{lang}"), format!("{}\n\n{refused}", facts(&sheet(), &shown, lang)));
    }
}

#[test]
fn every_way_of_unlocking_has_its_words() {
    for lang in Lang::ALL {
        for unlock in Unlock::ALL {
            let words = secrecy(lang, unlock.as_str());
            assert!(words.iter().all(|w| !w.starts_with("secrecy.")), "{words:?}");
        }
    }
}
