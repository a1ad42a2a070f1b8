//! The root of a segment whose row has none, from its closing box.

use std::{fs::File, path::PathBuf, sync::mpsc::channel, time::Duration};

use crate::{
    store::format::{self, CloseBuilder},
    types::merkle::Hash,
};

/// What a file says of its root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This.
    Root(Hash),
    /// Nothing, and why.
    None(String),
    /// Its disk does not answer.
    Silence,
}

/// Reads a file's closing box. A disk that takes longer than `limit` is left to a thread of its own.
pub(super) fn read(path: PathBuf, limit: Duration) -> Answer {
    let (answer, waiting) = channel();
    let look = move || {
        // Nobody may be waiting any more.
        let _ = answer.send(look(&path));
    };
    match std::thread::Builder::new().name("root".into()).spawn(look) {
        Ok(_) => waiting.recv_timeout(limit).unwrap_or(Answer::Silence),
        Err(_) => Answer::Silence,
    }
}

fn look(path: &std::path::Path) -> Answer {
    let read = || -> anyhow::Result<Hash> {
        let file = File::open(path)?;
        let found = format::read(&file, file.metadata()?.len())?;
        anyhow::ensure!(found.closed.is_some(), "it has no closing box");
        Ok(CloseBuilder::from_file(&found).root())
    };
    match read() {
        Ok(root) => Answer::Root(root),
        Err(e) => Answer::None(format!("{e:#}")),
    }
}
