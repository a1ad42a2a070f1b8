use jiff::tz::TimeZone;

use super::*;
use crate::types::{
    ByteSize, Span,
    wire::{HoldChange, HoldEffect},
};

fn hours(n: i64) -> WallNs {
    // 2026-11-22T08:00:00Z.
    WallNs(1_795_334_400_000_000_000 + n * 3_600_000_000_000)
}

fn hold() -> Hold {
    Hold {
        id: uuid::Uuid::from_u128(0x3f2a_91c0 << 96).into(),
        cameras: vec!["gate".parse().unwrap(), "yard".parse().unwrap()],
        span: Span { start: hours(-2), end: hours(1) },
        review: Some("2026-12-22".into()),
        due: true,
        released: None,
        changes: vec![HoldChange {
            act: "added".into(),
            at: hours(0),
            by: "Cô Hoa".into(),
            reason: "Va chạm ở cổng".into(),
            case: Some("BB 12/2026".into()),
            entered_by: "it".into(),
            even_if_short: false,
            logged: true,
        }],
    }
}

fn short() -> HoldShort {
    let gb = |n: u64| ByteSize(n * 1_000_000_000);
    HoldShort {
        lacks: vec![HoldLack {
            volume: "v1".parse().unwrap(),
            needed: gb(390),
            there: gb(340),
            missing: gb(50),
            since: hours(290),
        }],
        until: Some(hours(50)),
        without: Some(vec!["yard".parse().unwrap()]),
    }
}

fn changed() -> HoldChanged {
    let effect = HoldEffect {
        volume: "v1".parse().unwrap(),
        beyond: ByteSize(0),
        promised: ByteSize(2_000_000_000),
        to_come: ByteSize(1_000_000_000),
        counts_from: Some(hours(238)),
        needed: ByteSize(390_000_000_000),
        usable: Some(ByteSize(340_000_000_000)),
        breaks: Some(hours(290)),
        broke: None,
    };
    let on = |volume: &str, breaks, broke| HoldEffect {
        volume: volume.parse().unwrap(),
        needed: ByteSize(240_000_000_000),
        breaks,
        broke,
        ..effect.clone()
    };
    let effects = vec![effect.clone(), on("v2", None, None), on("v3", Some(hours(48)), Some(hours(72)))];
    HoldChanged {
        hold: hold(),
        files: 24,
        effects,
        short: Some(short()),
        unreckoned: None,
        refused: vec!["volume v2: its disk does not answer".into()],
        ledger: Some("its disk is slow".into()),
    }
}

fn shown() -> Shown {
    Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap())
}

/// All that can be said, in every language.
#[test]
fn everything_is_said_in_words() {
    for lang in Lang::ALL {
        let (released, shown) = (Hold { released: Some(hours(9)), due: false, ..hold() }, shown());
        let all = HoldList {
            holds: vec![hold(), released.clone(), Hold { due: false, cameras: Vec::new(), ..hold() }],
            unread: vec![("v2".parse().unwrap(), "its disk does not answer".into())],
            own_copy: Some("it is damaged".into()),
        };
        let nothing = HoldChanged { files: 0, effects: Vec::new(), ..changed() };
        let unknown = HoldChanged { unreckoned: Some("locked".into()), ..changed() };
        let let_go = HoldChanged { hold: released, ..changed() };
        let parts = [
            done(&changed(), hours(0), &shown, lang, false),
            doubts(&changed(), &shown, lang),
            done(&nothing, hours(0), &shown, lang, false),
            done(&changed(), hours(2), &shown, lang, false),
            done(&unknown, hours(0), &shown, lang, false),
            done(&let_go, hours(0), &shown, lang, false),
            refused(&short(), &shown, lang),
            list(&all, &shown, lang, false),
            list(&HoldList::default(), &shown, lang, false),
        ];
        let text = parts.join("\n----\n");
        assert!(!text.contains("hold.") && !text.contains(['{', '}']), "{lang}: {text}");
        insta::assert_snapshot!(format!("hold_{lang}"), text);
    }
}
