//! What root hands to health: of secrets.toml what `[health]` names, and nothing else.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::{
    site::{self, secrets},
    sys::Files,
};

/// Where systemd looks for what it hands to custodian-health.service.
pub const CREDENTIAL: &str = "/run/credstore/custodian.health-secrets";

/// Writes to `to` (0600, root's) a secrets.toml with those secrets that `[health]` of the site in force names. Where there is no site, it
/// names none, or something cannot be read, there is no such file afterwards: health then reports to this machine alone. Says whether there
/// is one.
///
/// # Errors
/// If site or secrets in force are broken, or the file cannot be written or removed.
pub fn prepare(files: &dyn Files, state: &Path, to: &Path) -> anyhow::Result<bool> {
    let wanted = selected(files, state);
    if let Ok(Some(text)) = &wanted {
        files.write(to, text.as_bytes(), 0o600, None).with_context(|| format!("cannot write {}", to.display()))?;
    } else {
        files.remove(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    wanted.map(|text| text.is_some())
}

/// The text of that file.
fn selected(files: &dyn Files, state: &Path) -> anyhow::Result<Option<String>> {
    let read = |name: &str| -> anyhow::Result<Option<String>> {
        let path = state.join("current").join(name);
        let bytes = files.read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        bytes.map(|b| String::from_utf8(b).map_err(|_| anyhow!("{} is no text", path.display()))).transpose()
    };
    let Some(site) = read("site.toml")? else { return Ok(None) };
    let site = site::parse(&site, "site.toml").map_err(|e| {
        let (path, n) = (state.join("current/site.toml"), e.len());
        anyhow!("the site in force is refused: {n} error(s): `custodian check --site {}` names them", path.display())
    })?;
    let names = site.health_secrets();
    if names.is_empty() {
        return Ok(None);
    }
    let all = read("secrets.toml")?.unwrap_or_default();
    // Its errors show nothing of it.
    let all = secrets::parse(&all, "secrets.toml").context("the secrets in force are refused")?;
    let mut table = toml::Table::new();
    for name in names {
        match all.other(name) {
            Some(secret) => drop(table.insert(name.to_string(), secret.reveal().into())),
            None => log::warn!("secrets.toml has no secret {name}, which [health] names"),
        }
    }
    let file = toml::Table::from_iter([("secrets".to_owned(), toml::Value::Table(table))]);
    Ok(Some(toml::to_string(&file).context("secrets as TOML")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::FakeFiles;

    const SITE: &str = "[site]\nname = \"S\"\ntimezone = \"UTC\"\n[recorder.r]\nvolume = [{ name = \"v\", path = \"/v\" }]\n\
                        [area.x]\nname = \"X\"\nkind = \"public\"\n\
                        [camera.c]\nname = \"C\"\narea = \"x\"\nmain = \"rtsp://h/1\"\ncredentials = \"viewer\"\n";
    const SECRETS: &str = "[credentials.viewer]\nusername = \"admin\"\npassword = \"hunter1\"\n[secrets]\nkuma = \"https://up/\\\"x\"\n\
                           store = \"https://k:hunter2@s3/b\"\n";
    const TO: &str = "/run/credstore/x";

    fn prepared(site: Option<&str>, secrets: Option<&str>) -> (anyhow::Result<bool>, Option<String>) {
        let files = FakeFiles::new();
        for dir in ["/state", "/state/current", "/run", "/run/credstore"] {
            files.make_dir(Path::new(dir)).unwrap();
        }
        // Of an earlier site.
        files.write(Path::new(TO), b"old", 0o600, None).unwrap();
        for (name, text) in [("site.toml", site), ("secrets.toml", secrets)] {
            if let Some(text) = text {
                files.write(&Path::new("/state/current").join(name), text.as_bytes(), 0o640, None).unwrap();
            }
        }
        let done = prepare(&files, Path::new("/state"), Path::new(TO));
        let left = files.read(Path::new(TO)).unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
        (done, left)
    }

    #[test]
    fn health_gets_what_it_names_and_no_password_of_a_camera() {
        let site = format!("{SITE}[health.push]\nkind = \"http\"\nurl_secret = \"kuma\"\ntoken_secret = \"absent\"\n");
        let (done, text) = prepared(Some(&site), Some(SECRETS));
        let text = text.unwrap();
        assert!(done.unwrap());
        assert!(!text.contains("hunter") && !text.contains("admin") && !text.contains("store"), "{text}");
        let read = secrets::parse(&text, "x").unwrap();
        assert_eq!(read.other(&"kuma".parse().unwrap()).unwrap().reveal(), "https://up/\"x", "letter by letter");
    }

    #[test]
    fn what_is_not_wanted_any_more_is_gone() {
        let pushed = format!("{SITE}[health.push]\nkind = \"http\"\nurl_secret = \"kuma\"\n");
        for (site, secrets, fine) in [
            (None, None, true),
            (Some(SITE), Some(SECRETS), true),
            (Some("nonsense"), Some(SECRETS), false),
            (Some(&*pushed), Some("kuma = hunter2"), false),
        ] {
            let (done, left) = prepared(site, secrets);
            assert_eq!((done.as_ref().ok(), left), (fine.then_some(&false), None), "{site:?}");
            let said = done.map_or_else(|e| format!("{e:#}"), |_| String::new());
            assert!(!said.contains("hunter"), "{said}");
            if site == Some("nonsense") {
                assert!(said.ends_with(": `custodian check --site /state/current/site.toml` names them"), "{said}");
            }
        }
    }
}
