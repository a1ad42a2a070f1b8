//! From the raw tables to a [`Site`]: what refers to what must exist, what must be unique is, defaults are filled in.
//!
//! Every check runs, whatever the others found. A part that cannot be built is left out of what is built, and then there
//! is no site, only the errors.

mod backup;
mod cameras;
mod health;
mod network;
mod people;
mod recorders;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

use self::recorders::Volumes;
use super::{
    choices::{Promise, WhenShort},
    model::{Retention, Site},
    problem::{Code, Problem},
    raw,
    read::{At, Named, Reader},
    source::{Bytes, Source},
    values::{Days, Length},
};
use crate::types::{AreaId, PersonId, RecorderId, RoleId};

/// What was declared, for those who refer to it. `None`: the table could not be read at all, and who refers to it
/// cannot be judged.
#[derive(Debug, Default)]
struct Declared {
    recorders: Option<BTreeMap<RecorderId, Bytes>>,
    volumes: Volumes,
    areas: Option<BTreeMap<AreaId, Bytes>>,
    roles: Option<BTreeMap<RoleId, Bytes>>,
    people: Option<BTreeMap<PersonId, Bytes>>,
}

fn ids<K: Ord + Clone, T>(named: Option<&At<Named<K, T>>>) -> BTreeMap<K, Bytes> {
    named.map(|n| n.value.0.iter().map(|(k, _)| (k.value.clone(), k.at.clone())).collect()).unwrap_or_default()
}

/// Checks a file and makes a site of it, unless something is wrong. Adds to the reader's problems.
pub(super) fn site(file: &raw::File, source: &Arc<Source>, r: &mut Reader) -> Option<Site> {
    // A table that is there and could not be read: who refers to it is left alone.
    let broken = |name: &str| r.problems.iter().any(|p| p.key == name && p.code == Code::WrongType);
    let declared = Declared {
        recorders: (!broken("recorder")).then(|| ids(file.recorder.as_ref())),
        areas: (!broken("area")).then(|| ids(file.area.as_ref())),
        roles: (!broken("role")).then(|| ids(file.role.as_ref())),
        people: (!broken("person")).then(|| ids(file.person.as_ref())),
        volumes: Volumes::default(),
    };
    let mut checker = Checker { r, declared, credentials: Vec::new(), secrets: Vec::new() };
    checker.whole(file, source)
}

struct Checker<'a> {
    r: &'a mut Reader,
    declared: Declared,
    credentials: Vec<(String, At<crate::types::CredentialsName>)>,
    secrets: Vec<(String, At<crate::types::SecretName>)>,
}

/// Retention with the places of its parts.
#[derive(Debug, Clone, Default)]
struct Placed {
    min: Option<At<Days>>,
    max: Option<At<Days>>,
}

impl Placed {
    fn plain(&self) -> Retention {
        Retention { min_days: self.min.as_ref().map(|d| d.value.0), max_days: self.max.as_ref().map(|d| d.value.0) }
    }
}

impl Checker<'_> {
    fn whole(&mut self, file: &raw::File, source: &Arc<Source>) -> Option<Site> {
        let site = file.site.as_ref().map(|s| &s.value);
        let general = file.retention.as_ref().map(|r| &r.value);
        let retention =
            Placed { min: general.and_then(|g| g.min_days.clone()), max: general.and_then(|g| g.max_days.clone()) };
        self.days_in_order("retention", &retention, &retention);

        let recorders = self.recorders(file.recorder.as_ref());
        let areas = self.areas(file.area.as_ref(), &retention);
        let cameras = self.cameras(file, &areas, &retention);
        let roles = self.roles(file.role.as_ref());
        let people = self.people(file.person.as_ref());
        let approvals = self.approvals(file.approval.as_ref(), &people);
        let language = site.and_then(|s| s.language.as_ref()).map(|l| l.value).unwrap_or_default();
        let health = self.health(file.health.as_ref().map(|h| &h.value), language);
        let backup = file.backup.as_ref().and_then(|b| self.backup(&b.value, &recorders));

        let site = site?;
        let name = site.name.as_ref()?.value.0.clone();
        let id = site.id.as_ref().map_or_else(|| derived_id(&name), |id| id.value.0.clone());
        let window = file.update.as_ref().and_then(|u| u.value.window.as_ref());
        let mut later: Vec<String> = self.r.later.iter().map(|l| general_key(&l.value)).collect();
        later.sort();
        later.dedup();
        Some(Site {
            name,
            id,
            timezone: site.timezone.as_ref()?.value.0.clone(),
            language,
            when_short: general.and_then(|g| g.when_short.as_ref()).map_or(WhenShort::Refuse, |w| w.value),
            promise: general.and_then(|g| g.promise.as_ref()).map_or(Promise::Invariant, |p| p.value),
            retention: retention.plain(),
            recorders,
            areas: areas.into_iter().map(|(id, a)| (id, a.area)).collect(),
            cameras,
            roles,
            people,
            approvals,
            health,
            backup,
            update_url: file.update.as_ref().and_then(|u| u.value.url.as_ref()).map(|u| u.value.0.clone()),
            update_window: window.map(|w| w.value.iter().map(|h| h.value).collect()).unwrap_or_default(),
            hash: Sha256::digest(source.text.as_bytes()).into(),
            later,
            source: Arc::clone(source),
            credentials_used: std::mem::take(&mut self.credentials),
            secrets_used: std::mem::take(&mut self.secrets),
        })
    }

    fn problem(&mut self, code: Code, at: &Bytes, key: impl Into<String>) -> &mut Problem {
        let last = self.r.problems.len();
        self.r.problems.push(Problem::new(code, at.clone(), key));
        &mut self.r.problems[last]
    }

    /// Whether something was said of that key: what is written there and wrong isn't missing as well.
    fn reported(&self, key: &str) -> bool {
        self.r.problems.iter().any(|p| p.key == key)
    }

    fn report(&mut self, problem: Problem) {
        self.r.problems.push(problem);
    }

    /// Whether what is referred to exists; `what` is a word of the catalog's `site_word`.
    fn exists<K: Ord + std::fmt::Display>(
        &mut self,
        what: &'static str,
        declared: Option<&BTreeMap<K, Bytes>>,
        id: &At<K>,
        key: &str,
    ) -> bool {
        let Some(declared) = declared else { return true };
        if declared.contains_key(&id.value) {
            return true;
        }
        let names: Vec<String> = declared.keys().map(ToString::to_string).collect();
        let found = id.value.to_string();
        let problem = Problem::new(Code::NoSuch, id.at.clone(), key)
            .with("what", what)
            .with("found", &found)
            .with("known", if names.is_empty() { "–".to_owned() } else { names.join(", ") })
            .near(&found, names.iter().map(String::as_str));
        self.report(problem);
        false
    }

    /// Own retention completed by the one above it, and checked if it says anything itself.
    fn retention(&mut self, key: &str, own: Option<&raw::OwnRetention>, above: &Placed) -> Placed {
        let own = own.map(|o| Placed { min: o.min_days.clone(), max: o.max_days.clone() }).unwrap_or_default();
        let whole = Placed {
            min: own.min.clone().or_else(|| above.min.clone()),
            max: own.max.clone().or_else(|| above.max.clone()),
        };
        self.days_in_order(key, &own, &whole);
        whole
    }

    fn days_in_order(&mut self, key: &str, own: &Placed, whole: &Placed) {
        let (Some(min), Some(max)) = (&whole.min, &whole.max) else { return };
        if min.value.0 <= max.value.0 {
            return;
        }
        let (at, other, name) = match (&own.min, &own.max) {
            (_, Some(max)) => (&max.at, &min.at, "max_days"),
            (Some(min), None) => (&min.at, &max.at, "min_days"),
            // Said where it was written.
            (None, None) => return,
        };
        let problem = Problem::new(Code::DaysOrder, at.clone(), format!("{key}.{name}"));
        self.report(problem.other(other).with("min", min.value.0).with("max", max.value.0));
    }

    /// Values that may be used once only.
    fn once<K: Ord>(
        &mut self,
        seen: &mut BTreeMap<K, Bytes>,
        what: &'static str,
        value: K,
        shown: &str,
        at: &Bytes,
        key: &str,
    ) {
        if let Some(first) = seen.get(&value) {
            let problem = Problem::new(Code::Twice, at.clone(), key).other(first);
            self.report(problem.with("what", what).with("found", shown));
        } else {
            seen.insert(value, at.clone());
        }
    }
}

/// The site's name on the disks where the file gives none.
fn derived_id(name: &str) -> String {
    let first = Sha256::digest(name.as_bytes()).iter().take(8).fold(0, |id, b| id << 8 | u64::from(*b));
    format!("{first:016x}")
}

/// `camera.gate-1.schedule` as `camera.schedule`.
fn general_key(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        [table, _, rest @ ..] if !rest.is_empty() => format!("{table}.{}", rest.join(".")),
        _ => path.to_owned(),
    }
}

fn text(value: Option<&At<super::values::Text>>) -> Option<String> {
    value.map(|t| t.value.0.clone())
}

fn length(value: Option<&At<Length>>, default: u64) -> Duration {
    value.map_or(Duration::from_secs(default), |l| l.value.0)
}

const DAY: u64 = 86_400;
