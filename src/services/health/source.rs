//! Site and secrets: those that the service manager hands over, else those that the command line names.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    health::facts::NoSite,
    services::record,
    site::{
        self, Site,
        secrets::{self, Secrets},
    },
    types::{RecorderId, story},
};

/// What stands for no file where the service manager must hand over one.
const NONE: &str = "none";

/// A file as it was when it was read.
type Stamp = Option<(u64, i64, i64, u64)>;

/// Where site and secrets are, and what they said last.
pub(super) struct Source {
    site: PathBuf,
    secrets: Option<PathBuf>,
    wanted: Option<RecorderId>,
    seen: Option<(Stamp, Stamp)>,
    said: Said,
}

/// What they say.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) site: Result<(Arc<Site>, RecorderId), NoSite>,
    pub(super) secrets: Arc<Secrets>,
}

impl Source {
    /// `credentials` is the folder that the service manager hands over.
    pub(super) fn new(
        credentials: Option<&Path>,
        (site, secrets): (PathBuf, Option<PathBuf>),
        wanted: Option<RecorderId>,
    ) -> Self {
        let handed = |name| credentials.map(|dir| dir.join(name)).filter(|path| path.exists());
        Self {
            site: handed("site.toml").unwrap_or(site),
            secrets: handed("custodian.health-secrets").or(secrets),
            wanted,
            seen: None,
            said: Said { site: Err(NoSite::Absent), secrets: Arc::default() },
        }
    }

    /// What they say now. Files that have not changed are not read again.
    pub(super) fn read(&mut self) -> &Said {
        let now = (stamp(&self.site), self.secrets.as_deref().and_then(stamp));
        if self.seen != Some(now) {
            self.seen = Some(now);
            let site = read_site(&self.site, self.wanted.as_ref());
            if let Err(NoSite::Broken(why)) = &site {
                log::error!("there is no site to judge by: {why}");
            }
            let secrets = self.secrets.as_deref().map(read_secrets).transpose();
            let secrets = secrets.unwrap_or_else(|why| {
                log::error!("health has no secrets, so nothing that needs one is told: {why}");
                None
            });
            self.said = Said { site, secrets: Arc::new(secrets.unwrap_or_default()) };
        }
        &self.said
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = path.metadata().ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
}

/// Whether a file has something to say.
fn is_none(text: &str) -> bool {
    matches!(text.trim(), "" | NONE)
}

fn read_site(path: &Path, wanted: Option<&RecorderId>) -> Result<(Arc<Site>, RecorderId), NoSite> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(NoSite::Absent),
        Err(e) => return Err(NoSite::Broken(format!("site.toml cannot be read: {}", e.kind()))),
        Ok(text) if is_none(&text) => return Err(NoSite::Absent),
        Ok(text) => text,
    };
    // What is wrong may hold names.
    let site = site::parse(&text, "site.toml").map_err(|errors| {
        NoSite::Broken(format!("site.toml is refused: {} error(s); `custodian check` says which", errors.len()))
    })?;
    let recorder = record::recorder(&site, wanted).map_err(|e| NoSite::Broken(format!("{e:#}")))?;
    Ok((Arc::new(site), recorder))
}

fn read_secrets(path: &Path) -> Result<Secrets, String> {
    match std::fs::read_to_string(path) {
        Ok(text) if is_none(&text) => Ok(Secrets::default()),
        _ => secrets::load(path).map_err(|e| story(&e)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    const SITE: &str = "[site]\nname = \"S\"\ntimezone = \"UTC\"\nlanguage = \"en\"\n[recorder.a]\n";

    #[test]
    fn a_site_that_is_absent_or_broken_is_a_fact_and_one_that_comes_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.toml");
        let mut source = Source::new(None, (file.clone(), None), None);
        assert_eq!(source.read().site.clone().unwrap_err(), NoSite::Absent);
        fs::write(&file, "none\n").unwrap();
        assert_eq!(source.read().site.clone().unwrap_err(), NoSite::Absent);
        fs::write(&file, "[site]\nname = \"Trường Hoa\"\nnonsense = 1\n").unwrap();
        let Err(NoSite::Broken(why)) = source.read().site.clone() else { panic!("it is broken") };
        assert!(why.contains("refused") && !why.contains("Hoa"), "{why}");
        fs::write(&file, SITE).unwrap();
        let (site, recorder) = source.read().site.clone().unwrap();
        assert_eq!((site.name(), recorder.as_str()), ("S", "a"));
        let (again, _) = source.read().site.clone().unwrap();
        assert!(Arc::ptr_eq(&site, &again), "it has not changed");
        fs::write(&file, SITE.to_owned() + "[recorder.b]\n").unwrap();
        let Err(NoSite::Broken(why)) = source.read().site.clone() else { panic!("which one is it?") };
        assert!(why.contains("a, b"), "{why}");
    }

    #[test]
    fn what_the_service_manager_hands_over_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("site.toml"), SITE).unwrap();
        let handed = dir.path().join("custodian.health-secrets");
        let read = |text: &str| {
            fs::write(&handed, text).unwrap();
            fs::set_permissions(&handed, fs::Permissions::from_mode(0o400)).unwrap();
            let nowhere = (dir.path().join("absent"), Some(dir.path().join("absent")));
            let said = Source::new(Some(dir.path()), nowhere, None).read().clone();
            fs::remove_file(&handed).unwrap();
            assert!(said.site.is_ok());
            said.secrets.other(&"push".parse().unwrap()).map(|s| s.reveal().to_owned())
        };
        assert_eq!(read("[secrets]\npush = \"https://example.org/x\"\n").as_deref(), Some("https://example.org/x"));
        assert_eq!((read("none"), read("")), (None, None));
        assert_eq!(read("nonsense"), None, "nothing of it is told");
    }
}
