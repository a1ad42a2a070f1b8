//! The files of the pages, compiled in.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

struct Asset {
    name: &'static str,
    body: &'static str,
}

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        static ASSETS: &[Asset] = &[$(Asset { name: $name, body: include_str!(concat!("assets/", $name)) }),*];
    };
}

assets!(
    "api.js",
    "boxes.js",
    "camera.css",
    "camera.js",
    "dom.js",
    "frame.js",
    "footage.js",
    "gaps.js",
    "i18n.js",
    "icon.svg",
    "kept.js",
    "live.js",
    "loader.js",
    "master.js",
    "playback.css",
    "playback.js",
    "player.js",
    "style.css",
    "tile.js",
    "timeline.js",
    "times.js",
    "vlc.js",
    "wall.css",
    "wall.js",
);

/// The shell of every page; [`super::pages`] fills it.
pub(super) const SHELL: &str = include_str!("assets/shell.html");

/// Names and bodies of all files but the shell.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ASSETS.iter().map(|a| (a.name, a.body))
}

/// Entity tags (RFC 9110 section 8.8.3), in the order of [`ASSETS`].
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| ASSETS.iter().map(|a| tag(a.body.as_bytes())).collect());

/// A strong entity tag of `body`.
pub(super) fn tag(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let number = hash.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    format!("\"{number:016x}\"")
}

/// Whether the asker has already what carries `tag`.
pub(super) fn unchanged(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).unwrap_or("");
    given.split(',').any(|t| t.trim().trim_start_matches("W/") == tag)
}

/// `GET /assets/{name}`. Kept by browsers, but asked for again each time: an update of the program shows at once.
pub(super) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((asset, tag)) = ASSETS.iter().zip(TAGS.iter()).find(|(a, _)| a.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit_once('.').map(|(_, ext)| ext) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let known = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache"), (header::CONTENT_TYPE, kind)];
    if unchanged(&headers, tag) {
        return (StatusCode::NOT_MODIFIED, known).into_response();
    }
    (known, asset.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_compiled_in_and_below_the_limit() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/assets");
        for entry in std::fs::read_dir(dir).expect("the assets can be listed") {
            let name = entry.expect("the assets can be listed").file_name().into_string().expect("a plain name");
            assert!(name == "shell.html" || ASSETS.iter().any(|a| a.name == name), "{name} is not served");
        }
        for asset in ASSETS {
            assert!(asset.body.lines().count() <= 500, "{} is too long", asset.name);
        }
    }

    #[test]
    fn tags_are_compared_as_lists() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, "\"a\", W/\"b\"".parse().expect("a header"));
        assert!(unchanged(&headers, "\"a\"") && unchanged(&headers, "\"b\"") && !unchanged(&headers, "\"c\""));
    }
}
