//! The pages' shells, the texts, and what the scripts must know of the site.
//!
//! A page is one shell with the name of its script: all that stands on it is made by that script, so that its
//! language can change while pictures go on.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{WebConfig, assets};
use crate::{lang, types::Lang};

/// The sections of the catalogs that pages use.
const SECTIONS: [&str; 3] = ["web.", "cause.", "lang."];

/// `GET /`: the wall.
pub(super) async fn wall(State(config): State<WebConfig>, headers: HeaderMap) -> Response {
    shell(&config, &headers, "wall")
}

/// `GET /camera/{id}`: one camera, live.
pub(super) async fn camera(State(config): State<WebConfig>, headers: HeaderMap) -> Response {
    shell(&config, &headers, "camera")
}

/// `GET /playback`: recordings.
pub(super) async fn playback(State(config): State<WebConfig>, headers: HeaderMap) -> Response {
    shell(&config, &headers, "playback")
}

fn shell(config: &WebConfig, headers: &HeaderMap, page: &str) -> Response {
    let language = language(config, headers);
    let site = if config.site.is_empty() { "custodian" } else { &config.site };
    let html = assets::SHELL
        .replace("%LANG%", language.as_str())
        .replace("%PAGE%", page)
        .replace("%NOSCRIPT%", &escape(&lang::t(language, "web.noscript", &[])))
        .replace("%SITE%", &escape(site));
    let known = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (known, html).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The language of an answer: the site's, else the first one of ours among those that the browser asks for.
pub(super) fn language(config: &WebConfig, headers: &HeaderMap) -> Lang {
    config.language.unwrap_or_else(|| {
        let wish = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or("");
        preferred(wish)
    })
}

/// `Accept-Language` (RFC 9110 section 12.5.4): the language of ours with the greatest weight, English if there is none.
fn preferred(wish: &str) -> Lang {
    let mut best = (0.0, Lang::En);
    for entry in wish.split(',') {
        let (name, rest) = entry.split_once(';').unwrap_or((entry, ""));
        let weight = match rest.trim().strip_prefix("q=") {
            Some(q) => q.trim().parse().unwrap_or(0.0),
            None => 1.0,
        };
        if let Some(lang) = Lang::from_locale(&name.trim().to_ascii_lowercase())
            && weight > best.0
        {
            best = (weight, lang);
        }
    }
    best.1
}

/// `GET /lang/{lang}.json`: all texts of the pages under their keys, `web.` taken off.
pub(super) async fn texts(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let Some(language) = file.strip_suffix(".json").and_then(|name| name.parse::<Lang>().ok()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut all = serde_json::Map::new();
    for section in SECTIONS {
        if let serde_json::Value::Object(texts) = lang::catalog_json(language, section) {
            let prefix = if section == "web." { "" } else { section };
            all.extend(texts.into_iter().map(|(key, text)| (format!("{prefix}{key}"), text)));
        }
    }
    let body = serde_json::Value::Object(all).to_string();
    let tag = assets::tag(body.as_bytes());
    let known = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    if assets::unchanged(&headers, &tag) {
        return (StatusCode::NOT_MODIFIED, known).into_response();
    }
    (known, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What the scripts know of the site. `now` is in nanoseconds ([`crate::types::WallNs`]).
#[derive(serde::Serialize)]
struct Site<'a> {
    name: &'a str,
    time_zone: &'a str,
    now: crate::types::WallNs,
    /// Each language with its own name for itself.
    languages: Vec<(Lang, String)>,
}

/// `GET /site.json`.
pub(super) async fn site(State(config): State<WebConfig>) -> Response {
    let languages = Lang::ALL.into_iter().map(|l| (l, lang::t(l, "lang.name", &[]))).collect();
    let site = Site { name: &config.site, time_zone: &config.time_zone, now: (config.clock)(), languages };
    ([(header::CACHE_CONTROL, "no-store")], Json(site)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_wish_is_weighed() {
        assert_eq!(preferred("vi-VN,vi;q=0.9,en;q=0.8"), Lang::Vi);
        assert_eq!(preferred("fr, en;q=0.5, zh-Hans-CN;q=0.7"), Lang::Zh);
        assert_eq!(preferred("fr;q=1, vi;q=0"), Lang::En);
        assert_eq!(preferred(""), Lang::En);
        assert_eq!(preferred(";;q=,=x"), Lang::En);
    }

    #[test]
    fn a_name_cannot_break_out_of_the_page() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
