//! What `segments` and `gaps` have in common: which streams, which span, and the index to ask, with the recorder or without.

use std::path::PathBuf;

use anyhow::bail;
use jiff::tz::TimeZone;

use super::{
    chosen,
    time::{self, Shown},
};
use crate::{
    services::paths::{self, Paths},
    store::index::Reader,
    sys::{Clock as _, RealClock},
    types::{CameraId, Lang, Span, StreamKey, StreamKind},
};

#[derive(Debug, clap::Args)]
// The group would have the name of the commands' own.
#[group(skip)]
pub(super) struct Args {
    #[arg(long, value_name = "ID")]
    camera: Vec<CameraId>,
    #[arg(long, value_name = "main|sub")]
    stream: Option<StreamKind>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long)]
    utc: bool,
    #[arg(long)]
    pub(super) json: bool,
}

/// The index, open, and what was asked of it.
pub(super) struct Window {
    pub(super) index: Reader,
    pub(super) streams: Vec<StreamKey>,
    pub(super) span: Span,
    pub(super) shown: Shown,
    pub(super) lang: Lang,
}

/// The site's zone and language, as the recorder noted them in its index.
pub(super) fn manners(index: &Reader, utc: bool, lang: Option<Lang>) -> anyhow::Result<(TimeZone, Lang)> {
    let noted = index.meta("timezone")?.and_then(|name| TimeZone::get(&name).ok());
    let zone = noted.filter(|_| !utc).unwrap_or(TimeZone::UTC);
    let site = index.meta("language")?.and_then(|name| name.parse().ok());
    Ok((zone, chosen(lang, site)))
}

impl Window {
    pub(super) fn open(args: &Args, lang: Option<Lang>) -> anyhow::Result<Self> {
        let index = Reader::open(&Paths::new(&args.state).index())?;
        let (zone, lang) = manners(&index, args.utc, lang)?;
        let span = time::span(args.from.as_deref(), args.to.as_deref(), &zone, RealClock.wall())?;
        let mut streams: Vec<StreamKey> = index.streams()?.into_iter().map(|row| row.key).collect();
        if let Some(unknown) = args.camera.iter().find(|c| streams.iter().all(|s| s.camera != **c)) {
            bail!("the index knows no camera {unknown}");
        }
        streams.retain(|s| args.camera.is_empty() || args.camera.contains(&s.camera));
        streams.retain(|s| args.stream.is_none_or(|kind| kind == s.kind));
        Ok(Self { index, streams, span, shown: Shown::new(zone), lang })
    }
}
