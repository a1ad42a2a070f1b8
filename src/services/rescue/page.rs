//! The page that says how a machine is that did not come up: read-only, over HTTP, without names and pictures. It answers `GET /` and nothing else.

use std::{
    net::{Ipv6Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use axum::{Router, extract::State, http::header, routing::get};

use super::{failed, seen};
use crate::{
    services::updating,
    sys::{Clock as _, Commands, Monotonic, RealClock},
};

/// Where the pages of the school's side are in other times, without TLS: no key is at hand.
pub(super) const PORT: u16 = 80;
/// It is looked anew no more often, whoever asks how often.
const FRESH: Duration = Duration::from_secs(10);

/// What the page says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// custodian's version.
    pub program: String,
    /// The version of the system; none where it has none as a whole.
    pub system: Option<String>,
    /// Whether this start is on probation.
    pub on_probation: bool,
    /// Whether this mode was asked for: then the machine stays in it.
    pub asked_for: bool,
    /// Whether the partition of the state is open.
    pub open: bool,
    /// Units that failed.
    pub failed: Vec<String>,
    /// Disks: name, model, size.
    pub disks: Vec<String>,
}

pub(super) fn look(commands: &dyn Commands, state: &Path) -> Page {
    let known = updating::known(state).ok();
    Page {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        system: known.as_ref().and_then(|k| k.running.as_ref().map(ToString::to_string)),
        on_probation: known.is_some_and(|k| k.on_probation),
        asked_for: updating::rescue_asked(),
        open: state.join("generations").is_dir(),
        failed: failed(commands),
        disks: seen(commands, state),
    }
}

impl Page {
    /// As text, in English: whoever reads it may be elsewhere.
    pub fn text(&self) -> String {
        let yes = |is: bool| if is { "yes" } else { "no" };
        let mut lines = vec![
            "custodian: rescue mode".to_owned(),
            "This recorder did not come up as it should. It records nothing.".to_owned(),
            String::new(),
            format!("program: {}", self.program),
            format!("system: {}", self.system.as_deref().unwrap_or("–")),
            format!("on probation: {}", yes(self.on_probation)),
            format!("state open: {}", yes(self.open)),
        ];
        let list = |title: &str, all: &[String]| {
            let all = if all.is_empty() { vec!["–".to_owned()] } else { all.to_vec() };
            [vec![String::new(), title.to_owned()], all.iter().map(|l| format!("  {l}")).collect()].concat()
        };
        lines.extend(list("failed:", &self.failed));
        lines.extend(list("disks:", &self.disks));
        lines.join("\n") + "\n"
    }
}

type Looker = Box<dyn Fn() -> Page + Send>;

struct Seen {
    look: Looker,
    last: Option<(Monotonic, Page)>,
}

async fn answer(State(last): State<Arc<Mutex<Seen>>>) -> ([(header::HeaderName, &'static str); 3], String) {
    let text = tokio::task::spawn_blocking(move || {
        let mut seen = last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = RealClock.monotonic();
        if seen.last.as_ref().is_none_or(|(at, _)| now.since(*at) >= FRESH) {
            seen.last = Some((now, (seen.look)()));
        }
        seen.last.as_ref().map(|(_, page)| page.text()).unwrap_or_default()
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text.await.unwrap_or_default())
}

/// Serves the page on all addresses for as long as the process lives. Says at which port.
///
/// # Errors
/// If it cannot listen.
pub fn serve(look: Looker, port: u16) -> anyhow::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).context("cannot listen")?;
    listener.set_nonblocking(true).context("cannot listen")?;
    let port = listener.local_addr().context("cannot listen")?.port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let router = Router::new().route("/", get(answer)).with_state(Arc::new(Mutex::new(Seen { look, last: None })));
    let service = move || {
        let served =
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await });
        if let Err(e) = served {
            log::error!("the rescue page is not served any more: {e}");
        }
    };
    thread::Builder::new().name("rescue-page".into()).spawn(service).context("no thread")?;
    Ok(port)
}
