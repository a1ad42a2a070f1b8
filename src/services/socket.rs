//! Unix sockets that speak HTTP: serving them, and asking them.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixListener;

use crate::types::wire::Problem;

/// Why a socket gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no recorder answers at {0}: is it running, with this --state?")]
    Nobody(PathBuf),
    /// It said no.
    #[error("the recorder refuses: {0}")]
    Refused(String),
    /// The conversation failed.
    #[error("the recorder's answer cannot be read")]
    Broken(#[from] reqwest::Error),
    /// It answers nothing.
    #[error("no answer within {} s: it hangs", .0.as_secs())]
    Slow(Duration),
}

impl AskError {
    /// Whether what was asked for may have been done for all that, or be done later.
    pub fn may_be_done(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Slow(_))
    }

    /// In the words of health: its own are those of the recorder.
    pub fn of_health(self) -> anyhow::Error {
        match self {
            Self::Nobody(socket) => {
                anyhow!("health does not answer at {}: is it running, with this --state?", socket.display())
            }
            Self::Refused(why) => anyhow!("health says: {why}"),
            Self::Broken(e) => anyhow::Error::new(e).context("health's answer cannot be read"),
            e @ Self::Slow(_) => anyhow::Error::new(e).context("health"),
        }
    }
}

/// What answers at once, or not at all, is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits no longer than a few seconds.
pub async fn at_once<T>(asked: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(AskError::Slow(PATIENCE)))
}

/// Who may speak to a socket, besides root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The service's own user.
    Owner,
    /// The group of its folder, too.
    Group,
}

/// Listens at `path`. A socket that a dead process left behind is replaced.
pub fn listen(path: &Path, whom: For) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)
        .map_err(|e| io::Error::new(e.kind(), format!("cannot listen at {}: {e}", path.display())))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(if whom == For::Group { 0o660 } else { 0o600 }))?;
    Ok(listener)
}

/// Asks a socket and reads the JSON that it answers.
pub async fn ask<T: DeserializeOwned>(socket: &Path, method: reqwest::Method, path: &str) -> Result<T, AskError> {
    answer(socket, request(socket, method, path)?).await
}

/// Sends JSON to a socket and reads the JSON that it answers.
pub async fn tell<T: DeserializeOwned>(socket: &Path, path: &str, body: &impl Serialize) -> Result<T, AskError> {
    answer(socket, request(socket, reqwest::Method::POST, path)?.json(body)).await
}

fn request(socket: &Path, method: reqwest::Method, path: &str) -> Result<reqwest::RequestBuilder, AskError> {
    // Nothing is encrypted on it: a machine that knows no certificates asks all the same.
    let none: [reqwest::Certificate; 0] = [];
    let client = reqwest::Client::builder().unix_socket(socket).no_proxy().tls_certs_only(none).build()?;
    Ok(client.request(method, format!("http://recorder{path}")))
}

async fn answer<T: DeserializeOwned>(socket: &Path, request: reqwest::RequestBuilder) -> Result<T, AskError> {
    let answer = match request.send().await {
        Err(e) if e.is_connect() => return Err(AskError::Nobody(socket.to_owned())),
        other => other?,
    };
    if answer.status().is_success() {
        return Ok(answer.json().await?);
    }
    let status = answer.status();
    let text = answer.text().await?;
    Err(AskError::Refused(serde_json::from_str::<Problem>(&text).map_or(format!("{status}: {text}"), |p| p.error)))
}
