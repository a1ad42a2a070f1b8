//! Entries in the words of people.

use crate::{
    cli::{gaps::in_words, time::Shown},
    lang::t,
    ledger::{Entry, Record, RemoteChange, Salted, SegmentEntry, SilenceChange, UpdateChange, What},
    types::{ByteSize, CameraId, Cause, Lang, Span, WallNs, wire::health::Level},
};

/// When something happened, and what. Of an entry that a later version made: the entry itself.
pub(super) fn record(record: &Record, shown: &Shown, lang: Lang) -> (String, String) {
    let Ok(entry) = record.entry() else {
        let text = String::from_utf8_lossy(&record.bytes);
        return (String::new(), t(lang, "ledger.unknown", &[("entry", &text)]));
    };
    (shown.second(entry.at), Words { shown, lang }.entry(&entry))
}

/// What the first two lines of a checkpoint say.
fn log_and_size(note: &str) -> (&str, &str) {
    let mut lines = note.lines();
    (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
}

fn person(by: Option<&Salted>) -> String {
    by.map_or_else(|| "–".to_owned(), Salted::short)
}

struct Words<'a> {
    shown: &'a Shown,
    lang: Lang,
}

impl Words<'_> {
    fn t(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, &format!("ledger.{key}"), values)
    }

    fn span(&self, span: Span) -> String {
        format!("{} – {}", self.shown.second(span.start), self.shown.second(span.end))
    }

    fn cause(&self, cause: &Cause) -> String {
        let words = in_words(cause, self.lang);
        if cause.detail.is_empty() { words } else { format!("{words} ({})", cause.detail) }
    }

    fn cameras(&self, cameras: &[CameraId]) -> String {
        let names: Vec<&str> = cameras.iter().map(CameraId::as_str).collect();
        if names.is_empty() { self.t("all_cameras", &[]) } else { names.join(", ") }
    }

    fn entry(&self, entry: &Entry) -> String {
        match &entry.what {
            What::LogBegins { site, predecessor: None } => self.t("log_begins", &[("site", site)]),
            What::LogBegins { site, predecessor: Some(head) } => {
                let (log, size) = log_and_size(&head.checkpoint);
                self.t("log_goes_on", &[("site", site), ("log", log), ("size", size)])
            }
            What::OtherLog { volume, head } => {
                let (log, size) = log_and_size(&head.checkpoint);
                self.t("other_log", &[("volume", volume.as_str()), ("log", log), ("size", size)])
            }
            What::Omitted { entries, since } => {
                self.t("omitted", &[("count", &entries.to_string()), ("since", &self.shown.second(*since))])
            }
            What::ServiceStarted { service, version, after } => {
                let values = [("service", service.as_str()), ("version", version)];
                match after {
                    None => self.t("started", &values),
                    Some(cause) => {
                        let cause = self.cause(cause);
                        self.t("started_after", &[&values[..], &[("cause", cause.as_str())]].concat())
                    }
                }
            }
            What::ServiceStopped { service, by } => self.t("stopped", &[("service", service), ("by", by)]),
            What::Segment(segment) => self.segment(segment),
            What::Retired { camera, volume, reason, span, segments, .. } => {
                let reason = serde_json::to_value(reason).ok();
                let why = reason.as_ref().and_then(|r| r.as_str()).unwrap_or_default().replace('-', "_");
                let (count, why) = (segments.len().to_string(), self.t(&format!("reason_{why}"), &[]));
                let values = [("camera", camera.as_str()), ("volume", volume.as_str()), ("span", &self.span(*span))];
                self.t("retired", &[&values[..], &[("count", &count), ("why", &why)]].concat())
            }
            What::Gap { camera, start, end, cause, .. } => {
                let (start, cause) = (self.shown.second(*start), self.cause(cause));
                let values = [("camera", camera.as_str()), ("start", &start), ("cause", &cause)];
                match end {
                    None => self.t("gap_lasts", &values),
                    Some(end) => self.t("gap", &[&values[..], &[("end", self.shown.second(*end).as_str())]].concat()),
                }
            }
            What::ClockStep { by } => {
                #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
                let seconds = format!("{:+.1}", *by as f64 / 1e9);
                self.t("clock_step", &[("seconds", &seconds)])
            }
            What::ClockConfirmed { by, .. } => self.t("clock_confirmed", &[("person", &by.short())]),
            What::Hold { hold, change, span, cameras, by, even_if_short, .. } => {
                let change = serde_json::to_value(change).ok();
                let change = change.as_ref().and_then(|c| c.as_str()).unwrap_or_default();
                let (id, cameras) = (hold.as_simple().to_string(), self.cameras(cameras));
                let values = [("hold", &id[..8]), ("cameras", &cameras), ("span", &self.span(*span))];
                let text = self.t(&format!("hold_{change}"), &[&values[..], &[("person", &by.short())]].concat());
                if *even_if_short { text + &self.t("hold_short", &[]) } else { text }
            }
            What::Generation { number, by, .. } => {
                self.t("generation", &[("number", &number.to_string()), ("person", &by.short())])
            }
            What::Volume { volume, event, detail, .. } => self.volume(volume, event, detail),
            What::VolumeConfirmed { volume, by, detail, .. } => {
                self.t("volume_confirmed", &[("person", &by.short()), ("volume", volume.as_str()), ("detail", detail)])
            }
            What::Breach { camera, span, cause } => {
                let (span, cause) = (self.span(*span), self.cause(cause));
                self.t("breach", &[("camera", camera.as_str()), ("span", &span), ("cause", &cause)])
            }
            What::Room { camera, volume, recorded, substream } => {
                let key = match (recorded, substream) {
                    (false, _) => "room_none",
                    (true, true) => "room_substream",
                    (true, false) => "room_again",
                };
                self.t(key, &[("camera", camera.as_str()), ("volume", volume.as_str())])
            }
            What::Verified { scope, segments, bytes, damaged } => {
                let (segments, size) = (segments.to_string(), ByteSize(*bytes).to_string());
                let values = [("scope", scope.as_str()), ("segments", &segments), ("size", &size)];
                let key = if damaged.is_empty() { "verified" } else { "verified_damage" };
                let (count, list) = (damaged.len().to_string(), damaged.join("; "));
                self.t(key, &[&values[..], &[("count", &count), ("damage", &list)]].concat())
            }
            What::Backup { backup, place, files, bytes, missing, .. } => {
                let (files, size) = (files.to_string(), ByteSize(*bytes).to_string());
                let values = [("backup", backup.as_str()), ("place", place), ("files", &files), ("size", &size)];
                let key = if missing.is_empty() { "backup" } else { "backup_missing" };
                self.t(key, &[&values[..], &[("missing", &missing.join("; "))]].concat())
            }
            What::Alarm { probe, camera, subject, level, from, code, unsteady } => {
                let whom = camera.as_ref().map(CameraId::as_str).or(subject.as_deref());
                let what = whom.map_or_else(|| probe.clone(), |whom| format!("{probe} {whom}"));
                self.alarm(&what, (*from, *level), code, *unsteady)
            }
            What::Silence { silence, change, until, probes, cameras, by, .. } => {
                let (id, cameras) = (silence.as_simple().to_string(), self.cameras(cameras));
                let probes = if probes.is_empty() { self.t("all_probes", &[]) } else { probes.join(", ") };
                let (until, person) = (self.shown.second(*until), person(by.as_ref()));
                let values = [("id", &id[..8]), ("until", &until), ("probes", &probes), ("cameras", &cameras)];
                let key = match (change, by) {
                    (SilenceChange::Begun, _) => "silence_begun",
                    (SilenceChange::Ended, Some(_)) => "silence_ended",
                    (SilenceChange::Ended, None) => "silence_over",
                };
                self.t(key, &[&values[..], &[("person", person.as_str())]].concat())
            }
            What::Remote { change, until, route, by, .. } => {
                self.remote(*change, *until, route.as_deref().unwrap_or("–"), by.as_ref())
            }
            What::Update { version, change, sums, by, .. } => {
                let key = match change {
                    UpdateChange::Consented => "update_consented",
                    UpdateChange::Applied => "update_applied",
                    UpdateChange::Good => "update_good",
                    UpdateChange::FellBack => "update_fell_back",
                    UpdateChange::Refused => "update_refused",
                };
                let sums = sums.to_string();
                self.t(key, &[("version", version), ("sums", &sums[..16]), ("person", &person(by.as_ref()))])
            }
            What::Reset { generation, by, .. } => {
                let number = generation.map_or_else(|| "–".to_owned(), |n| n.to_string());
                self.t("reset", &[("number", &number), ("person", &by.short())])
            }
        }
    }

    fn alarm(&self, what: &str, (from, to): (Level, Level), code: &str, unsteady: bool) -> String {
        let level = |level: Level| self.t(&format!("level_{level}"), &[]);
        let values = [("what", what), ("level", &level(to)), ("from", &level(from)), ("code", code)];
        let text = self.t("alarm", &values);
        if unsteady { text + &self.t("alarm_unsteady", &[]) } else { text }
    }

    fn remote(&self, change: RemoteChange, until: WallNs, route: &str, by: Option<&Salted>) -> String {
        let key = match (change, by) {
            (RemoteChange::Allowed, _) => "remote_allowed",
            (RemoteChange::Used, _) => "remote_used",
            (RemoteChange::Ended, Some(_)) => "remote_ended",
            (RemoteChange::Ended, None) => "remote_over",
        };
        self.t(key, &[("until", &self.shown.second(until)), ("route", route), ("person", &person(by))])
    }

    fn segment(&self, segment: &SegmentEntry) -> String {
        let (frames, lost) = (segment.frames.to_string(), segment.lost_packets.to_string());
        let root = segment.root.to_string();
        let mut text = self.t(
            "segment",
            &[
                ("camera", segment.camera.as_str()),
                ("stream", segment.kind.as_str()),
                ("span", &self.span(segment.span)),
                ("volume", segment.volume.as_str()),
                ("frames", &frames),
                ("root", &root[..16]),
            ],
        );
        if segment.recovered {
            text.push_str(&self.t("segment_recovered", &[]));
        }
        if segment.lost_packets > 0 {
            text.push_str(&self.t("segment_lost", &[("count", &lost)]));
        }
        if !segment.holes.is_empty() {
            text.push_str(&self.t("segment_holes", &[("count", &segment.holes.len().to_string())]));
        }
        text
    }

    /// Events have words of their own, as far as this version knows them.
    fn volume(&self, volume: &str, event: &str, detail: &str) -> String {
        const KNOWN: [&str; 8] = ["opened", "failed", "back", "absent", "prepared", "recovered", "released", "erased"];
        let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        let key = if KNOWN.contains(&event) { event } else { "other" };
        self.t(&format!("volume_{key}"), &[("volume", volume), ("event", event), ("detail", &detail)])
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::ledger::{Change, Reason, samples::samples};

    fn said(lang: Lang) -> String {
        let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
        let records = samples().into_iter().map(|entry| Record { n: 0, bytes: entry.to_bytes() });
        records.map(|r| record(&r, &shown, lang).1 + "\n").collect()
    }

    #[test]
    fn every_kind_reads_like_prose() {
        insta::assert_snapshot!(said(Lang::En));
        insta::assert_snapshot!(said(Lang::Vi));
        insta::assert_snapshot!(said(Lang::Zh));
    }

    #[test]
    fn nothing_is_without_words() {
        for lang in Lang::ALL {
            assert!(!said(lang).contains("ledger.") && !said(lang).contains('{'), "{lang}: {}", said(lang));
            for reason in [Reason::MaxDays, Reason::Room, Reason::Target] {
                let name = serde_json::to_value(reason).unwrap().as_str().unwrap().replace('-', "_");
                assert_ne!(t(lang, &format!("ledger.reason_{name}"), &[]), format!("ledger.reason_{name}"));
            }
            for level in [Level::Ok, Level::Warn, Level::Fail] {
                assert_ne!(t(lang, &format!("ledger.level_{level}"), &[]), format!("ledger.level_{level}"));
            }
            for change in [Change::Added, Change::Extended, Change::Released] {
                let name = serde_json::to_value(change).unwrap().as_str().unwrap().to_owned();
                assert_ne!(t(lang, &format!("ledger.hold_{name}"), &[]), format!("ledger.hold_{name}"));
            }
            let words = Words { shown: &Shown::new(TimeZone::UTC), lang };
            for event in ["opened", "failed", "back", "absent", "prepared", "recovered", "released", "erased", "novel"]
            {
                assert!(!words.volume("a1", event, "").contains("ledger."), "{lang}: {event}");
            }
        }
    }
}
