//! A backup's record as a sheet that can be printed and filed (KEEP6).

use unicode_width::UnicodeWidthStr as _;

use crate::{
    backup::{Content, Outcome, Record},
    cli::{
        table::Table,
        time::{Shown, length},
    },
    lang::t,
    types::{ByteSize, Lang},
};

/// How it went, in words.
pub(super) fn outcome(outcome: Outcome, lang: Lang) -> String {
    t(lang, &format!("backup.outcome_{}", outcome.as_str()), &[])
}

/// The sheet.
pub(super) fn sheet(record: &Record, shown: &Shown, lang: Lang) -> String {
    let word = |key: &str| t(lang, &format!("backup.{key}"), &[]);
    let mut facts: Vec<(String, String)> = vec![
        (word("school"), record.site.clone()),
        (word("recorder"), record.recorder.to_string()),
        (word("place"), record.to.to_string()),
        (word("begun"), format!("{} ({})", shown.second(record.started), shown.zone())),
    ];
    if let Some(ended) = record.ended {
        facts.push((word("ended"), format!("{} ({})", shown.second(ended), length(ended.since(record.started)))));
    }
    facts.push((word("result"), outcome(record.outcome, lang)));
    facts.extend(record.problem.iter().map(|p| (word("problem"), p.clone())));
    facts.push((word("asked"), record.what.join(", ")));
    if let Some(sealed) = &record.sealed {
        let amount = |objects: u64, bytes| {
            let values = [("objects", &*objects.to_string()), ("size", &ByteSize(bytes).to_string())];
            t(lang, "backup.amount", &values)
        };
        facts.push((word("whole"), amount(sealed.objects, sealed.bytes)));
        facts.push((word("written"), amount(sealed.new_objects, sealed.new_bytes)));
        facts.push((word("digest"), sealed.manifest.sha256.to_string()));
    }
    facts.extend(record.recipients.iter().map(|r| (word("readers"), r.clone())));
    let entry = record.ledger.map_or_else(|| word("no_entry"), |id| id.to_string());
    facts.push((word("entry"), entry));
    if let Some(check) = &record.check {
        let key = if check.decrypted { "check_decrypted" } else { "check_sealed" };
        let well = if check.damaged.is_empty() { word("check_well") } else { check.damaged.join("; ") };
        facts.push((word("check"), format!("{} ({}): {well}", shown.second(check.at), word(key))));
    }
    facts.extend(record.removed.map(|at| (word("gone"), shown.second(at))));
    let mut parts = vec![t(lang, "backup.title", &[("id", record.id.as_str())]) + "\n", aligned(&facts)];
    if !record.contents.is_empty() {
        parts.push(format!("{}\n{}", word("contents"), contents(&record.contents, shown, lang).render(false)));
    }
    if record.open > 0 {
        parts.push(t(lang, "backup.open", &[("count", &record.open.to_string())]) + "\n");
    }
    if !record.missing.is_empty() {
        parts.push(format!("{}\n  {}\n", word("missing"), record.missing.join("\n  ")));
    }
    if !record.expired.is_empty() {
        let ids = record.expired.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        parts.push(t(lang, "backup.removed_ids", &[("ids", &ids)]) + "\n");
    }
    parts.push(word("signature") + "\n");
    parts.join("\n")
}

/// Names and values, the values below one another.
fn aligned(facts: &[(String, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    // What comes from messages of systems keeps to its line.
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let line =
        |(name, value): &(String, String)| format!("{name}{}  {}\n", " ".repeat(width - name.width()), plain(value));
    facts.iter().map(line).collect()
}

fn contents(all: &[Content], shown: &Shown, lang: Lang) -> Table {
    let head = |key: &str| t(lang, &format!("backup.{key}"), &[]);
    let mut table = Table::default()
        .column(head("what"), false)
        .column(head("camera"), false)
        .column(head("stream"), false)
        .column(head("from"), false)
        .column(head("to"), false)
        .column(head("files"), true)
        .column(head("size"), true);
    for c in all {
        let text = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        table.row(vec![
            t(lang, &format!("backup.kind_{}", c.kind.as_str()), &[]).into(),
            text(c.camera.as_ref().map(ToString::to_string)).into(),
            text(c.stream.map(|s| s.to_string())).into(),
            text(c.span.map(|s| shown.second(s.start))).into(),
            text(c.span.map(|s| shown.second(s.end))).into(),
            c.files.to_string().into(),
            ByteSize(c.bytes).to_string().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::{
        backup::{Check, Kind, Label},
        types::{Span, StreamKind, WallNs, merkle::Hash},
    };

    /// 2026-11-22T19:30:00Z, half past two at night in Viet Nam.
    const NIGHT: WallNs = WallNs(1_795_375_800_000_000_000);

    fn record() -> Record {
        let id = "20261122T193000Z-1a2b3c4d".parse().unwrap();
        let sealed = serde_json::json!({
            "format": 1, "min_reader": 1, "id": id, "place": uuid::Uuid::from_u128(7), "started": NIGHT,
            "ended": NIGHT.offset(95_000_000_000), "files": 4, "objects": 9, "bytes": 61_000_000, "new_objects": 5,
            "new_bytes": 31_000_000, "missing": 1,
            "manifest": { "bytes": 900, "sha256": Hash([1; 32]) }, "list": { "bytes": 900, "sha256": Hash([2; 32]) },
            "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
        });
        let sealed: crate::backup::ClearRecord = serde_json::from_value(sealed).unwrap();
        let span = Span { start: NIGHT.offset(-7_200_000_000_000), end: NIGHT.offset(-3_600_000_000_000) };
        let (camera, stream) = (Some("gate-1".parse().unwrap()), Some(StreamKind::Main));
        let footage = Content { kind: Kind::Footage, camera, stream, span: Some(span), files: 3, bytes: 60_000_000 };
        let site = Content { kind: Kind::Site, camera: None, stream: None, span: None, files: 1, bytes: 4000 };
        Record {
            format: 1,
            min_reader: 1,
            id,
            site: "Trường mầm non Hoa Hướng Dương".to_owned(),
            recorder: "a".parse().unwrap(),
            to: Label("directory:/mnt/nas".to_owned()),
            place: Some(sealed.place),
            what: ["holds", "site", "area:yard"].map(str::to_owned).into(),
            recipients: sealed.recipients.clone(),
            started: NIGHT,
            ended: Some(sealed.ended),
            outcome: Outcome::Incomplete,
            problem: None,
            contents: vec![site, footage],
            missing: vec!["footage/gate-1/main/x.mp4: Input/output error (os error 5)".to_owned()],
            open: 1,
            lost: 0,
            sealed: Some(sealed),
            expired: vec!["20261022T193000Z-00000000".parse().unwrap()],
            kept: None,
            removed: None,
            check: Some(Check { at: NIGHT.offset(1), decrypted: true, damaged: Vec::new() }),
            ledger: Some(uuid::Uuid::from_u128(9)),
        }
    }

    #[test]
    fn a_sheet_tells_time_content_place_and_result_in_each_language() {
        let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
        for lang in Lang::ALL {
            insta::assert_snapshot!(format!("sheet_{lang}"), sheet(&record(), &shown, lang));
        }
    }

    #[test]
    fn every_word_has_its_texts() {
        for lang in Lang::ALL {
            for outcome in Outcome::ALL {
                assert!(!super::outcome(outcome, lang).starts_with("backup."), "{lang} {outcome:?}");
            }
            for kind in Kind::ALL {
                let key = format!("backup.kind_{}", kind.as_str());
                assert_ne!(t(lang, &key, &[]), key);
            }
        }
    }
}
