//! The fake's footage: files of a minute each, all of them the same clip with moved decode times.

use axum::{
    Json,
    extract::{Path, Query},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use custodian::types::{
    RunId, Span, StreamId, StreamKind, WallNs,
    wire::{FragmentPart, Fragments, Gap, SegmentPart, Timeline},
};

use super::{Clip, FakeCamera, FakeRun, MINUTE, SECOND, State, clip, now, problem};

/// What one fragment covers.
const FRAGMENT: i64 = clip::GOP.cast_signed() * SECOND / clip::RATE.cast_signed();

fn stream_id(camera: usize, kind: StreamKind) -> StreamId {
    StreamId::from(uuid(camera, usize::from(kind == StreamKind::Sub)))
}

fn run_id(run: usize) -> RunId {
    RunId::from(uuid(0x700, run))
}

fn uuid(a: usize, b: usize) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(a as u64, b as u64)
}

/// The end of what can be read of a run: whole fragments, and of an open one nothing of the last two seconds.
fn readable(run: &FakeRun) -> WallNs {
    let end = run.end.unwrap_or_else(|| now().offset(-2 * SECOND));
    WallNs(run.start.0 + (end.0 - run.start.0) / FRAGMENT * FRAGMENT)
}

/// Parameters as they come: `camera` may stand several times.
type Parameters = Query<Vec<(String, String)>>;

fn one<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn span(parameters: &Parameters) -> Option<Span> {
    let ns = |name| one(parameters, name)?.parse().ok().map(WallNs);
    Span::new(ns("from")?, ns("to")?)
}

fn kind(parameters: &Parameters) -> StreamKind {
    one(parameters, "stream").and_then(|s| s.parse().ok()).unwrap_or(StreamKind::Main)
}

pub(super) async fn timeline(axum::extract::State(shared): State, parameters: Parameters) -> Response {
    if let Err(refusal) = shared.trouble().await {
        return refusal;
    }
    let Some(asked) = span(&parameters) else {
        return problem(StatusCode::BAD_REQUEST, "from and to are nanoseconds");
    };
    let mut answer = Vec::new();
    for (_, id) in parameters.iter().filter(|(n, _)| n == "camera") {
        let Some((_, camera)) = shared.camera(id) else {
            return problem(StatusCode::NOT_FOUND, "no such camera");
        };
        let runs: Vec<Span> = camera.runs.iter().filter_map(|r| Span::new(r.start, readable(r))).collect();
        let gaps = camera.runs.windows(2).map(|pair| Gap {
            start: readable(&pair[0]),
            end: Some(pair[1].start),
            cause: pair[1].before.clone().expect("a cause"),
        });
        answer.push(Timeline {
            camera: camera.id.clone(),
            stream: kind(&parameters),
            footage: runs.iter().filter_map(|r| r.intersect(asked)).collect(),
            gaps: gaps.filter(|g| g.start < asked.end && g.end.is_none_or(|end| asked.start < end)).collect(),
            newest: runs.last().map(|r| r.end),
        });
    }
    Json(answer).into_response()
}

pub(super) async fn kept(axum::extract::State(shared): State, parameters: Parameters) -> Response {
    let camera = one(&parameters, "camera").and_then(|id| shared.camera(id));
    Json(camera.and_then(|(_, camera)| camera.kept.clone())).into_response()
}

pub(super) async fn fragments(axum::extract::State(shared): State, parameters: Parameters) -> Response {
    if let Err(refusal) = shared.trouble().await {
        return refusal;
    }
    let (Some(asked), Some(id)) = (span(&parameters), one(&parameters, "camera")) else {
        return problem(StatusCode::BAD_REQUEST, "camera, from and to are needed");
    };
    let Some((number, camera)) = shared.camera(id) else {
        return problem(StatusCode::NOT_FOUND, "no such camera");
    };
    let kind = kind(&parameters);
    let clip = recorded(camera, kind);
    let mut segments = Vec::new();
    for (index, run) in camera.runs.iter().enumerate() {
        let Some(whole) = Span::new(run.start, readable(run)) else { continue };
        let Some(part) = whole.intersect(asked) else { continue };
        for seq in (part.start.0 - run.start.0) / MINUTE..=(part.end.0 - 1 - run.start.0) / MINUTE {
            segments.push(segment_part(&clip, (number, kind), (index, run), seq, part));
        }
    }
    segments.retain(|s| !s.fragments.is_empty());
    Json(Fragments { camera: camera.id.clone(), stream: kind, segments }).into_response()
}

fn recorded(camera: &FakeCamera, kind: StreamKind) -> std::sync::Arc<Clip> {
    Clip::load(if kind == StreamKind::Main { camera.main } else { camera.sub })
}

fn segment_part(
    clip: &Clip,
    (camera, kind): (usize, StreamKind),
    (index, run): (usize, &FakeRun),
    seq: i64,
    asked: Span,
) -> SegmentPart {
    let start = run.start.0 + seq * MINUTE;
    let end = readable(run).0.min(start + MINUTE);
    let mut offset = clip.init.len() as u64;
    let mut fragments = Vec::new();
    for (n, piece) in (0i64..).zip(&clip.pieces) {
        let span = Span { start: WallNs(start + n * FRAGMENT), end: WallNs(start + (n + 1) * FRAGMENT) };
        let len = piece.bytes.len() as u64;
        if span.end.0 <= end {
            if span.overlaps(asked) {
                let dts = u64::try_from((span.start.0 - run.start.0) / SECOND).expect("after the start");
                fragments.push(FragmentPart { offset, len, span, dts: dts * u64::from(clip.timescale), key: true });
            }
            offset += len;
        }
    }
    SegmentPart {
        stream: stream_id(camera, kind),
        run: run_id(index),
        seq: u32::try_from(seq).expect("small"),
        mime: clip.mime.clone(),
        size: (clip.recipe.width, clip.recipe.height),
        timescale: clip.timescale,
        init_len: clip.init.len() as u64,
        len: offset,
        open: run.end.is_none() && end < start + MINUTE,
        fragments,
    }
}

pub(super) async fn segment(
    axum::extract::State(shared): State,
    Path((stream, run, seq)): Path<(StreamId, RunId, u64)>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = shared.trouble().await {
        return refusal;
    }
    let found = shared.cameras.iter().enumerate().find_map(|(number, camera)| {
        let kind = [StreamKind::Main, StreamKind::Sub].into_iter().find(|k| stream_id(number, *k) == stream)?;
        (0..camera.runs.len()).any(|r| run_id(r) == run).then(|| recorded(camera, kind))
    });
    let Some(clip) = found else {
        return problem(StatusCode::NOT_FOUND, "no such file");
    };
    let mut body = clip.init.clone();
    for piece in &clip.pieces {
        body.extend(piece.moved(seq * 60));
    }
    let range = headers.get(header::RANGE).and_then(|r| r.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let Some((from, to)) = range else { return body.into_response() };
    let from: usize = from.parse().expect("pages ask for a-b");
    let to = to.parse::<usize>().map_or(body.len(), |to| body.len().min(to + 1));
    let told = [(header::CONTENT_RANGE, format!("bytes {from}-{}/{}", to - 1, body.len()))];
    (StatusCode::PARTIAL_CONTENT, told, body[from..to].to_vec()).into_response()
}
