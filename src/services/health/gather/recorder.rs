//! What the recorder says of itself, with a limit: one that hangs holds nothing up.

use std::{path::Path, time::Duration};

use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::{
    health::facts::NoAnswer,
    services::socket::{self, AskError},
    types::{
        Span, story,
        wire::{HoldsHealth, Retention, Status, health::GapSeconds},
    },
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// All that it says.
#[derive(Debug)]
pub(in crate::services::health) struct Answers {
    pub(super) status: Result<Box<Status>, NoAnswer>,
    pub(super) retention: Option<Box<Retention>>,
    pub(super) holds: Option<HoldsHealth>,
    /// The span that was asked for, and what is missing in it.
    pub(super) gaps: Option<(Span, Vec<GapSeconds>)>,
}

/// Asks for everything; for gaps within a span, if there is one.
pub(super) async fn ask(socket: &Path, span: Option<Span>) -> Answers {
    let status = get(socket, "/v1/status", LIMIT).await.map(Box::new);
    if status.is_err() {
        return Answers { status, retention: None, holds: None, gaps: None };
    }
    let gaps = async {
        let span = span?;
        let path = format!("/v1/gaps?from={}&to={}", span.start.0, span.end.0);
        Some((span, told("/v1/gaps", get(socket, &path, LIMIT).await)?))
    };
    let (retention, holds, gaps) =
        tokio::join!(get(socket, "/v1/retention", LIMIT), get(socket, "/v1/holds", LIMIT), gaps);
    let retention = told("/v1/retention", retention).map(Box::new);
    Answers { status, retention, holds: told("/v1/holds", holds), gaps }
}

async fn get<T: DeserializeOwned>(socket: &Path, path: &str, limit: Duration) -> Result<T, NoAnswer> {
    match tokio::time::timeout(limit, socket::ask(socket, Method::GET, path)).await {
        Err(_) => Err(NoAnswer::Slow),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(AskError::Nobody(_))) => Err(NoAnswer::Down),
        Ok(Err(e)) => Err(NoAnswer::Broken(story(&e))),
    }
}

/// What is said, if it is; why not is for a technician who looks for it.
fn told<T>(path: &str, answer: Result<T, NoAnswer>) -> Option<T> {
    answer.inspect_err(|why| log::debug!("the recorder does not answer {path}: {why:?}")).ok()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixListener,
    };

    use super::*;

    #[tokio::test]
    async fn one_that_is_down_hangs_or_talks_nonsense_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("status.sock");
        let soon = Duration::from_millis(50);
        let down = get::<Status>(&socket, "/v1/status", soon).await;
        assert_eq!(down.unwrap_err(), NoAnswer::Down, "no socket");
        // The kernel takes the connection for a process that is stopped; nobody ever answers.
        let listener = UnixListener::bind(&socket).unwrap();
        let slow = get::<Status>(&socket, "/v1/status", soon).await;
        assert_eq!(slow.unwrap_err(), NoAnswer::Slow);
        drop(listener);
        assert_eq!(get::<Status>(&socket, "/v1/status", soon).await.unwrap_err(), NoAnswer::Down, "it was killed");
        std::fs::remove_file(&socket).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let nonsense = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        };
        let (answer, ()) = tokio::join!(get::<Status>(&socket, "/v1/status", LIMIT), nonsense);
        assert!(matches!(answer, Err(NoAnswer::Broken(_))), "{answer:?}");
    }
}
