//! Holds in words.

use std::fmt::Write as _;

use crate::{
    cli::{
        table::{Cell, Mood, Table},
        time::Shown,
    },
    lang::t,
    types::{
        CameraId, HoldId, Lang, WallNs,
        wire::{Hold, HoldChange, HoldChanged, HoldLack, HoldList, HoldShort},
    },
};

/// As much of an id as people need.
fn short_id(id: HoldId) -> String {
    id.to_string().chars().take(8).collect()
}

fn names(cameras: &[CameraId], lang: Lang) -> String {
    if cameras.is_empty() {
        return t(lang, "hold.all_cameras", &[]);
    }
    cameras.iter().map(CameraId::as_str).collect::<Vec<_>>().join(", ")
}

/// What was done, and what it takes.
pub(super) fn done(done: &HoldChanged, now: WallNs, shown: &Shown, lang: Lang, colour: bool) -> String {
    let hold = &done.hold;
    let (id, cameras) = (short_id(hold.id), names(&hold.cameras, lang));
    let (from, to) = (shown.second(hold.span.start), shown.second(hold.span.end));
    let values = [("hold", &*id), ("cameras", &*cameras), ("from", &*from), ("to", &*to), ("zone", shown.zone())];
    if hold.released.is_some() {
        return t(lang, "hold.released", &values) + "\n";
    }
    let mut out = t(lang, "hold.stands", &values) + "\n";
    if let Some(why) = &done.unreckoned {
        return out + &t(lang, "hold.unreckoned", &[("why", why)]) + "\n";
    }
    let files = done.files.to_string();
    out += &match done.files {
        0 => t(lang, "hold.no_footage", &[]),
        _ => t(lang, "hold.files", &[("files", &files)]),
    };
    if hold.span.end > now {
        let _ = write!(out, " {}", t(lang, "hold.ahead", &[]));
    }
    out.push('\n');
    let touched: Vec<_> = done.effects.iter().filter(|e| e.counts_from.is_some()).collect();
    if touched.is_empty() {
        return out + &t(lang, "hold.takes_nothing", &[]) + "\n";
    }
    let head = |key: &str| t(lang, &format!("hold.col_{key}"), &[]);
    let mut table = Table::default()
        .column(head("volume"), false)
        .column(head("beyond"), true)
        .column(head("promised"), true)
        .column(head("to_come"), true)
        .column(head("counts_from"), false)
        .column(head("needed"), true)
        .column(head("usable"), true);
    for e in &touched {
        let full = e.usable.is_some_and(|usable| e.needed > usable);
        table.row(vec![
            e.volume.as_str().into(),
            e.beyond.to_string().into(),
            e.promised.to_string().into(),
            e.to_come.to_string().into(),
            e.counts_from.map_or_else(|| "–".to_owned(), |at| shown.second(at)).into(),
            Cell::new(e.needed.to_string(), if full { Mood::Bad } else { Mood::Plain }),
            e.usable.map_or_else(|| "–".to_owned(), |b| b.to_string()).into(),
        ]);
    }
    out.push('\n');
    out += &table.render(colour);
    for e in touched {
        let volume = ("volume", e.volume.as_str());
        let line = match (e.breaks.map(|t| shown.second(t)), e.broke.map(|t| shown.second(t))) {
            (None, _) => t(lang, "hold.keeps", &[volume]),
            (Some(at), None) => t(lang, "hold.breaks", &[volume, ("at", &at)]),
            (Some(at), Some(before)) => t(lang, "hold.breaks_anyway", &[volume, ("at", &at), ("before", &before)]),
        };
        let _ = writeln!(out, "{line}");
    }
    out
}

/// What is to be worried about though it was done.
pub(super) fn doubts(done: &HoldChanged, shown: &Shown, lang: Lang) -> String {
    let mut lines: Vec<String> = Vec::new();
    if let Some(short) = &done.short {
        lines.push(t(lang, "hold.short_all_the_same", &[]));
        lines.extend(lacks(short, shown, lang));
    }
    lines.extend(done.refused.iter().map(|why| t(lang, "hold.copy_refused", &[("why", why)])));
    lines.extend(done.ledger.iter().map(|why| t(lang, "hold.not_logged", &[("why", why)])));
    lines.join("\n")
}

fn lacks(short: &HoldShort, shown: &Shown, lang: Lang) -> Vec<String> {
    let line = |l: &HoldLack| {
        let (needed, there, missing) = (l.needed.to_string(), l.there.to_string(), l.missing.to_string());
        let since = shown.second(l.since);
        let values = [
            ("volume", l.volume.as_str()),
            ("needed", &*needed),
            ("there", &*there),
            ("missing", &*missing),
            ("since", &*since),
            ("zone", shown.zone()),
        ];
        t(lang, "hold.lack", &values)
    };
    short.lacks.iter().map(line).collect()
}

/// Why a hold is refused, with the arithmetic.
pub(super) fn refused(short: &HoldShort, shown: &Shown, lang: Lang) -> String {
    let mut lines = vec![t(lang, "hold.refused", &[])];
    lines.extend(lacks(short, shown, lang));
    lines.push(t(lang, "hold.what_helps", &[]));
    if let Some(until) = short.until {
        lines.push(format!("  - {}", t(lang, "hold.until", &[("to", &shown.second(until)), ("zone", shown.zone())])));
    }
    if let Some(without) = &short.without {
        lines.push(format!("  - {}", t(lang, "hold.without", &[("cameras", &names(without, lang))])));
    }
    let more = |l: &HoldLack| format!("{} {}", l.volume, l.missing);
    let more = short.lacks.iter().map(more).collect::<Vec<_>>().join(", ");
    lines.push(format!("  - {}", t(lang, "hold.more", &[("volumes", &more)])));
    lines.push(t(lang, "hold.even_if_short", &[]));
    lines.join("\n")
}

fn row(hold: &Hold, shown: &Shown, lang: Lang) -> Vec<Cell> {
    // Why it was made; what came after is in --json.
    let made = hold.changes.first();
    let text = |of: fn(&HoldChange) -> Option<String>| made.and_then(of).unwrap_or_default();
    let state = match hold.released {
        Some(at) => Cell::from(t(lang, "hold.state_released", &[("at", &shown.second(at))])),
        None if hold.due => Cell::new(t(lang, "hold.state_due", &[]), Mood::Warn),
        None => Cell::new(t(lang, "hold.state_holds", &[]), Mood::Good),
    };
    let review = hold.review.clone().unwrap_or_default();
    vec![
        short_id(hold.id).into(),
        names(&hold.cameras, lang).into(),
        shown.second(hold.span.start).into(),
        shown.second(hold.span.end).into(),
        text(|c| Some(c.reason.clone())).into(),
        text(|c| c.case.clone()).into(),
        text(|c| Some(c.by.clone())).into(),
        Cell::new(review, if hold.due { Mood::Warn } else { Mood::Plain }),
        state,
    ]
}

/// All holds.
pub(super) fn list(list: &HoldList, shown: &Shown, lang: Lang, colour: bool) -> String {
    let mut out = String::new();
    if list.holds.is_empty() {
        out += &t(lang, "hold.none", &[]);
        out.push('\n');
    } else {
        let columns = ["id", "cameras", "from", "to", "reason", "case", "by", "review", "state"];
        let mut table = columns
            .iter()
            .fold(Table::default(), |table, key| table.column(t(lang, &format!("hold.col_{key}"), &[]), false));
        list.holds.iter().for_each(|hold| table.row(row(hold, shown, lang)));
        out += &table.render(colour);
        let (count, due) = (list.holds.len().to_string(), list.holds.iter().filter(|h| h.due).count().to_string());
        out += &t(lang, "hold.total", &[("count", &count), ("due", &due), ("zone", shown.zone())]);
        out.push('\n');
    }
    for (volume, why) in &list.unread {
        let _ = writeln!(out, "{}", t(lang, "hold.unread", &[("volume", volume.as_str()), ("why", why)]));
    }
    if let Some(why) = &list.own_copy {
        let _ = writeln!(out, "{}", t(lang, "hold.own_copy", &[("why", why)]));
    }
    out
}

#[cfg(test)]
#[path = "say_tests.rs"]
mod tests;
