//! What a school has given a name to stays in the school, unless it says otherwise.

use proptest::prelude::*;

use super::{super::service::Request, *};

const ADDRESSES: [(PushKind, &str); 4] = [
    (PushKind::UptimeKuma, "https://m.example/api/push/t"),
    (PushKind::Healthchecks, "https://m.example/ping/key/check"),
    (PushKind::Gatus, "https://m.example/api/v1/endpoints/a_b/external"),
    (PushKind::Http, "https://m.example/"),
];

fn sent(kind: PushKind, url: &str, names: bool, report: &Report) -> (String, String) {
    let token = Secret::new("t");
    let service = Service::new(kind, &Secret::new(url), Some(&token), names).unwrap();
    let Request { url, body, .. } = service.request(&Beat::of(report, names, Duration::MAX));
    (url.into(), body.map(|(_, b)| String::from_utf8(b).unwrap()).unwrap_or_default())
}

fn id() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9-]{0,20}"
}

fn names() -> impl Strategy<Value = Names> {
    let cameras = prop::array::uniform3((id(), ".{1,40}"));
    (id(), id(), cameras, prop::array::uniform2(id()), ".{0,60}", ".{0,60}").prop_map(
        |(site, recorder, cameras, volumes, unit, person)| Names { site, recorder, cameras, volumes, unit, person },
    )
}

proptest! {
    /// Two schools that differ in nothing but names send the same bytes: so none of these comes from a name.
    #[test]
    fn names_make_no_difference(one in names(), other in names()) {
        for level in [Level::Ok, Level::Warn, Level::Fail] {
            for (kind, url) in ADDRESSES {
                prop_assert_eq!(sent(kind, url, false, &report(level, &one)), sent(kind, url, false, &report(level, &other)));
            }
        }
    }

    /// However long the names are, what is sent stays within what the services take, and the checkpoint stays whole.
    #[test]
    fn names_that_are_allowed_have_room(one in names(), long in 1_usize..2000) {
        let mut names = one;
        names.cameras[0].1 = "đ".repeat(long);
        names.unit = "\u{1f4f7}".repeat(long);
        let report = report(Level::Fail, &names);
        for (kind, url) in ADDRESSES {
            let (url, body) = sent(kind, url, true, &report);
            prop_assert!(url.len() < 1_700, "{}", url);
            prop_assert!(kind == PushKind::Http || body.len() <= 10_000);
            let ledger = url.contains("ledger+record+1234+AAEC") || body.contains(&format!("ledger record 1234 {ROOT} {SIGNATURE}\n"));
            prop_assert!(ledger == matches!(kind, PushKind::UptimeKuma | PushKind::Healthchecks));
        }
    }
}

/// The test above could fail.
#[test]
fn names_that_are_allowed_are_sent() {
    let report = report(Level::Fail, &Names::ours());
    for (kind, url) in ADDRESSES {
        let (url, body) = sent(kind, url, true, &report);
        let decoded: String = url::form_urlencoded::parse(url.split_once('?').unwrap_or_default().1.as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect();
        let (text, names) = if kind == PushKind::Http {
            (body, r#""about":["Main gate","Hội trường"]"#)
        } else {
            (decoded + &body, "fail footage.late (2): Main gate, Hội trường")
        };
        assert!(text.contains(names), "{text}");
        assert_eq!(text.contains("custodian/hill/attic/record"), kind == PushKind::Http, "{text}");
    }
}

/// Whatever stands in its place, nothing of it goes out.
#[test]
fn what_is_no_checkpoint_is_not_sent() {
    let mut report = report(Level::Ok, &Names::ours());
    let whole = report.checkpoints[0].checkpoint.clone();
    for broken in [
        whole.replace("1234", "1235"),
        whole.replace(ROOT, "Main gate"),
        whole.replace(SIGNATURE, "Main gate"),
        whole.replace("\n\n", "\nMain gate\n\n"),
        "Main gate".into(),
        String::new(),
    ] {
        report.checkpoints[0].checkpoint = broken;
        assert!(Beat::of(&report, false, Duration::MAX).checkpoints.is_empty());
    }
    report.checkpoints[0].checkpoint = whole;
    assert_eq!(Beat::of(&report, false, Duration::MAX).checkpoints.len(), 1);
}
