//! secrets.toml: user names and passwords of cameras, and other secrets that site.toml names.
//!
//! Nothing of this file is ever shown: not in an error, not by `Debug`, not in a log.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    problem::{Code, Errors, Problem},
    raw::List,
    read::{At, Named, Node, Reader, Value, in_order, table},
    source::{Bytes, Source},
    syntax,
    web_address::{BadToken, BadWebAddress, bearer, web_address},
};
use crate::{
    site::{S3Address, Site},
    types::{CredentialsName, SecretName},
};

/// A text that shows itself to nobody; equal texts are equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret from elsewhere (a test, the demo).
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Never for a log, an error or a page.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// A user name and password for cameras.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password; may be empty, some cameras are like that.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// All of secrets.toml.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    credentials: BTreeMap<CredentialsName, Credentials>,
    others: BTreeMap<SecretName, Secret>,
}

impl Secret {
    fn read_text(node: &Node<'_>, r: &mut Reader, empty: bool) -> Option<String> {
        let text = r.text(node)?;
        if (!empty && text.is_empty()) || text.chars().any(char::is_control) || text.len() > 4096 {
            let problem = r.problem(Code::BadText, &node.span());
            r.report(problem);
            return None;
        }
        Some(text.to_owned())
    }
}

impl Value for Secret {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        Self::read_text(node, r, true).map(Self)
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "title": "secret", "type": "string" })
    }
}

/// A user name: shown as little as the password.
#[derive(Debug)]
pub(super) struct UserName(String);

impl Value for UserName {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        Secret::read_text(node, r, false).map(Self)
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "title": "user name", "type": "string", "minLength": 1 })
    }
}

/// `[secrets]`: texts by name.
#[derive(Debug, Default)]
pub(super) struct Others(List<(SecretName, Secret)>);

impl Value for Others {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let mut all = Vec::new();
        for (key, value) in in_order(r.table(node)?) {
            let secret = r.field::<Secret>(key, false, value);
            if let Ok(name) = key.get_ref().parse() {
                all.extend(secret.map(|s| At { value: (name, s.value), at: s.at }));
            } else {
                let problem = r.problem(Code::BadId, &key.span()).with("found", "•••");
                r.report(problem);
            }
        }
        Some(Self(all))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({
            "title": "secrets by name",
            "type": "object",
            "propertyNames": { "pattern": super::values::ID_PATTERN },
            "additionalProperties": Secret::schema(),
        })
    }
}

table! {
    /// secrets.toml
    SecretsFile {
        /// User names and passwords of cameras, by name.
        optional credentials: Named<CredentialsName, RawCredentials>,
        /// Other secrets, by name.
        optional secrets: Others,
    }

    /// A user name and password.
    RawCredentials {
        /// User name.
        required username: UserName,
        /// Password.
        required password: Secret,
    }
}

/// Parses secrets.toml. No error repeats anything of it but names of keys.
pub fn parse(text: &str, file: &str) -> Result<Secrets, Errors> {
    let source = Arc::new(Source { name: file.to_owned(), text: text.to_owned(), secret: true });
    let tree = syntax::tree(text);
    let mut r = Reader::default();
    let raw = SecretsFile::read(&tree.root, &(0..0), &mut r).unwrap_or_default();
    let mut secrets = Secrets::default();
    for (name, c) in raw.credentials.map(|c| c.value.0).unwrap_or_default() {
        if let (Some(username), Some(password)) = (c.username, c.password) {
            let credentials = Credentials { username: username.value.0, password: password.value };
            secrets.credentials.insert(name.value, credentials);
        }
    }
    secrets.others = raw.secrets.map(|s| s.value.0).unwrap_or_default().into_iter().map(|s| s.value).collect();
    let problems = tree.with(r.problems);
    if problems.is_empty() { Ok(secrets) } else { Err(Errors::new(source, problems, None)) }
}

/// Why there are no secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could read or change it.
    #[error("{} has mode {mode:04o}: others may read or change it; make it 0600 (or 0640), it holds passwords", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What it says is wrong.
    #[error("{} is refused: {} error(s), the first: {}", path.display(), errors.len(), errors.to_string().lines().next().unwrap_or_default())]
    Refused {
        /// Which.
        path: PathBuf,
        /// All that is wrong.
        errors: Errors,
    },
}

/// Reads and parses a secrets file that nobody but its owner may change, nor read but its owner and group.
pub fn load(path: &Path) -> Result<Secrets, SecretsError> {
    let failed = |source| SecretsError::Read { path: path.to_owned(), source };
    // One descriptor for both, so that what was looked at is what is read.
    let mut file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & 0o027 != 0 {
        return Err(SecretsError::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    io::Read::read_to_string(&mut file, &mut text).map_err(failed)?;
    parse(&text, &path.display().to_string()).map_err(|errors| SecretsError::Refused { path: path.to_owned(), errors })
}

impl Secrets {
    /// The credentials of that name.
    pub fn credentials(&self, name: &CredentialsName) -> Option<&Credentials> {
        self.credentials.get(name)
    }

    /// Another secret.
    pub fn other(&self, name: &SecretName) -> Option<&Secret> {
        self.others.get(name)
    }

    /// All that must never leave, user names included: for taking it out of texts.
    pub fn revealed(&self) -> impl Iterator<Item = &str> {
        let credentials = self.credentials.values().flat_map(|c| [c.username.as_str(), c.password.reveal()]);
        credentials.chain(self.others.values().map(Secret::reveal))
    }

    /// Whether all that a site relies on is there. Errors point into the site's file, at the first use of what is missing.
    pub fn cover(&self, site: &Site) -> Result<(), Errors> {
        let mut problems = Vec::new();
        let mut missing = std::collections::BTreeSet::new();
        for (key, used) in &site.credentials_used {
            if !self.credentials.contains_key(&used.value) && missing.insert(&used.value) {
                let names = self.credentials.keys().map(CredentialsName::as_str);
                let problem = Problem::new(Code::NoCredentials, used.at.clone(), key).with("found", &used.value);
                problems.push(problem.near(used.value.as_str(), names));
            }
        }
        for (key, used) in &site.secrets_used {
            if !self.others.contains_key(&used.value) {
                let names = self.others.keys().map(SecretName::as_str);
                let problem = Problem::new(Code::NoSecret, used.at.clone(), key).with("found", &used.value);
                problems.push(problem.near(used.value.as_str(), names));
            }
        }
        let stores = site.secrets_used.iter().filter(|(key, _)| key.starts_with("backup."));
        for (key, used) in stores {
            let Some(address) = self.others.get(&used.value) else { continue };
            if let Err(why) = address.reveal().parse::<S3Address>() {
                let problem = Problem::new(Code::BadS3, used.at.clone(), key).with("found", &used.value);
                problems.push(problem.with("why", format!("@s3_{}", why.as_str())));
            }
        }
        for (key, used) in site.secrets_used.iter().filter(|(key, _)| key.starts_with("health.")) {
            let Some(secret) = self.others.get(&used.value) else { continue };
            let door = ["health.pull.", "health.vendor."].iter().any(|d| key.starts_with(d));
            let (code, why) = if key.ends_with(".url_secret") {
                (Code::BadAddress, web_address(secret.reveal()).err().map(BadWebAddress::as_str))
            } else if key.ends_with(".token_secret") {
                (Code::BadToken, bearer(secret.reveal(), door).err().map(BadToken::as_str))
            } else {
                continue;
            };
            if let Some(why) = why {
                let problem = Problem::new(code, used.at.clone(), key).with("found", &used.value);
                problems.push(problem.with("why", format!("@{why}")));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Errors::new(Arc::clone(&site.source), problems, Some(site.language())))
        }
    }
}
