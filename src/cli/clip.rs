//! `custodian clip`: a span of a camera's footage as a file of its own, with the recorder or without.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};

use super::{
    time::{self, Shown},
    window::manners,
};
use crate::{
    lang::t,
    retrieve::{
        Library, RetrieveError,
        clip::{self, ClipFile},
    },
    services::paths::{self, Paths},
    store::index::Reader,
    sys::{Clock as _, RealClock},
    types::{ByteSize, CameraId, Lang, Span, StreamKey, StreamKind, VolumeName},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "ID")]
    camera: CameraId,
    #[arg(long, value_name = "main|sub", default_value = "main")]
    stream: StreamKind,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: String,
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: String,
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "NAME=DIR", value_parser = volume)]
    volume: Vec<(VolumeName, PathBuf)>,
    #[arg(long)]
    utc: bool,
}

fn volume(text: &str) -> Result<(VolumeName, PathBuf), String> {
    let (name, dir) = text.split_once('=').ok_or("write NAME=DIR")?;
    Ok((name.parse().map_err(|e| format!("{e}"))?, dir.into()))
}

pub(super) fn run(args: &Args, lang: Option<Lang>) -> anyhow::Result<ExitCode> {
    let path = Paths::new(&args.state).index();
    let index = Reader::open(&path)?;
    let (zone, lang) = manners(&index, args.utc, lang)?;
    let span = time::span(Some(&args.from), Some(&args.to), &zone, RealClock.wall())?;
    let streams = index.streams()?.into_iter().map(|row| row.key);
    let stream = streams
        .into_iter()
        .find(|key| key.camera == args.camera && key.kind == args.stream)
        .with_context(|| format!("the index knows no {} stream of a camera {}", args.stream, args.camera))?;
    let library = Library::new(path, volumes(&index, &stream, span, &args.volume)?);
    let plan = clip::plan(&library, &stream, span)?;
    let shown = Shown::new(zone);
    for (n, file) in plan.files.iter().enumerate() {
        let out = numbered(&args.out, n);
        write(&library, file, &out)?;
        let named = out.display().to_string();
        let (size, runs) = (ByteSize(file.bytes).to_string(), file.runs.to_string());
        let span = file.span.unwrap_or(span);
        let (from, to) = (shown.second(span.start), shown.second(span.end));
        let values =
            [("file", &*named), ("size", &size), ("from", &from), ("to", &to), ("zone", shown.zone()), ("runs", &runs)];
        super::print(&t(lang, "clip.written", &values));
    }
    for (row, error) in &plan.unreadable {
        let (from, to) = (shown.second(row.span.start), shown.second(row.span.end));
        super::print_error(&t(lang, "clip.missing", &[("from", &from), ("to", &to), ("why", &error.story())]));
    }
    Ok(if plan.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the volumes of that footage are: as named on the command line, else as the recorder noted it last, else where
/// disks are mounted.
fn volumes(
    index: &Reader,
    stream: &StreamKey,
    span: Span,
    named: &[(VolumeName, PathBuf)],
) -> anyhow::Result<BTreeMap<VolumeName, PathBuf>> {
    let mut roots: BTreeMap<VolumeName, PathBuf> = named.iter().cloned().collect();
    for row in index.segments(stream.id, span)? {
        if let Entry::Vacant(unnamed) = roots.entry(row.volume) {
            let noted = index.meta(&paths::root_note(unnamed.key()))?.map(PathBuf::from);
            let root = noted.unwrap_or_else(|| paths::mount_point(unnamed.key()));
            unnamed.insert(root);
        }
    }
    Ok(roots)
}

/// `clip.mp4`, `clip-2.mp4`, …
fn numbered(out: &Path, n: usize) -> PathBuf {
    if n == 0 {
        return out.to_owned();
    }
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let ending = out.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    out.with_file_name(format!("{stem}-{}{ending}", n + 1))
}

/// Writes a file under another name first: what stands under the name asked for is whole.
fn write(library: &Library, file: &ClipFile, out: &Path) -> anyhow::Result<()> {
    if out.exists() {
        bail!("{} exists already: name another file", out.display());
    }
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let made = OpenOptions::new().write(true).create(true).truncate(true).open(&part);
    let target: File = made.with_context(|| format!("cannot make {}", part.display()))?;
    let mut said = None;
    let written = file.write(library, &target, &part, |done| {
        let percent = done.saturating_mul(100) / file.bytes.max(1);
        if io::stderr().is_terminal() && said != Some(percent) {
            said = Some(percent);
            // A progress that cannot be shown is none that is missed.
            let _ = write!(io::stderr(), "\r{percent:3} %");
        }
    });
    if said.is_some() {
        let _ = write!(io::stderr(), "\r     \r");
    }
    let finish = |result: Result<(), RetrieveError>| -> anyhow::Result<()> {
        result?;
        std::fs::rename(&part, out).with_context(|| format!("cannot rename {} to {}", part.display(), out.display()))
    };
    finish(written).inspect_err(|_| {
        let _ = std::fs::remove_file(&part);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_files_are_numbered() {
        assert_eq!(numbered(Path::new("/tmp/a.b.mp4"), 0), Path::new("/tmp/a.b.mp4"));
        assert_eq!(numbered(Path::new("/tmp/a.b.mp4"), 1), Path::new("/tmp/a.b-2.mp4"));
        assert_eq!(numbered(Path::new("clip"), 2), Path::new("clip-3"));
    }

    #[test]
    fn volumes_are_named_with_their_folder() {
        assert_eq!(volume("a1=/mnt/x=y"), Ok(("a1".parse().unwrap(), PathBuf::from("/mnt/x=y"))));
        assert!(volume("a1").is_err() && volume("A 1=/mnt").is_err());
    }
}
