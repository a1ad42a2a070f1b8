//! Alarms as JSON, one POST for each thing that is to be said.

use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

use super::{
    outbox::{Event, Message},
    text::Manner,
};
use crate::types::{
    CameraId, Lang, RecorderId, WallNs,
    wire::health::{Level, Probe, Subject, Value},
};

/// The body of a POST. docs/ref/health.md says what is in it; it changes with `format` only.
#[derive(Debug, Serialize)]
struct Body<'a> {
    format: u16,
    event: &'static str,
    id: Uuid,
    message: Uuid,
    at: String,
    began: String,
    changed: String,
    recorder: Option<&'a RecorderId>,
    version: &'static str,
    probe: Probe,
    subject: Option<&'a Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera: Option<&'a CameraId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera_name: Option<&'a str>,
    from: Level,
    level: Level,
    code: &'a str,
    values: BTreeMap<&'a str, &'a Value>,
    /// Whether an earlier message said that it began.
    told_before: bool,
    language: Lang,
    sentence: String,
    to_do: Option<String>,
}

/// What is posted for an event of a message.
pub(super) fn body(message: &Message, event: &Event, manner: &Manner<'_>) -> serde_json::Result<Vec<u8>> {
    let words = manner.words();
    let finding = &event.finding;
    let time = |at: WallNs| at.timestamp().to_string();
    let camera = match finding.subject {
        Some(Subject::Camera(number)) => manner.cameras.iter().find(|c| c.number == number),
        _ => None,
    };
    serde_json::to_vec(&Body {
        format: 1,
        event: event.kind.as_str(),
        id: event.alarm,
        message: message.id,
        at: time(message.at),
        began: time(event.began),
        changed: time(event.at),
        recorder: message.recorder.as_ref(),
        version: env!("CARGO_PKG_VERSION"),
        probe: finding.probe,
        subject: finding.subject.as_ref(),
        camera: camera.and_then(|c| c.id.as_ref()),
        camera_name: camera.and_then(|c| c.name.as_deref()),
        from: event.from,
        level: finding.level,
        code: &finding.code,
        values: finding.values.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        told_before: event.raised_by.is_some(),
        language: manner.lang,
        sentence: words.sentence(finding),
        to_do: words.to_do(finding),
    })
}
