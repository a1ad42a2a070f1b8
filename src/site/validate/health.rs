//! How health is reported.

use std::{collections::BTreeMap, time::Duration};

use super::{Checker, DAY, length};
use crate::{
    site::{
        choices::{AlarmKind, PushKind, SmtpSecurity},
        health::{Alarm, AlarmPlace, Door, Fail, Health, Push, Warn},
        network::{Certificates, Listen},
        problem::{Code, Problem},
        raw,
        read::{At, OneOrMore},
        source::Bytes,
        values::{Length, Whole},
    },
    types::{Lang, SecretName, wire::health::Level},
};

const MINUTE: u64 = 60;

/// Addresses in secrets.toml that were named already: each is told once.
type Addresses = BTreeMap<SecretName, Bytes>;

impl Checker<'_> {
    pub(super) fn health(&mut self, raw: Option<&raw::Health>, site_language: Lang) -> Health {
        let none = raw::Health::default();
        let raw = raw.unwrap_or(&none);
        let mut seen = Addresses::new();
        let push = each(raw.push.as_ref()).filter_map(|(i, p)| self.push(&format!("health.push[{i}]"), p, &mut seen));
        let push = push.collect();
        let alarms = each(raw.alarm.as_ref())
            .filter_map(|(i, a)| self.alarm(&format!("health.alarm[{i}]"), a, site_language, &mut seen))
            .collect();
        let pull = raw.pull.as_ref().and_then(|at| {
            let p = &at.value;
            self.door("health.pull", &at.at, p.listen.as_ref(), p.token_secret.as_ref(), p.client_ca.as_ref(), None)
        });
        let vendor = raw.vendor.as_ref().and_then(|at| {
            let v = &at.value;
            let tunnel = v.tunnel.as_ref().map(|t| t.value.0.clone());
            self.door("health.vendor", &at.at, v.listen.as_ref(), v.token_secret.as_ref(), v.client_ca.as_ref(), tunnel)
        });
        let listen = |p: Option<&At<Listen>>| p.cloned();
        let (first, second) = (
            raw.pull.as_ref().and_then(|p| listen(p.value.listen.as_ref())),
            raw.vendor.as_ref().and_then(|v| listen(v.value.listen.as_ref())),
        );
        if let (Some(first), Some(second)) = (first, second)
            && first.value.clashes(second.value)
        {
            let problem = Problem::new(Code::Twice, second.at, "health.vendor.listen").other(&first.at);
            self.report(problem.with("what", "@url").with("found", second.value.0));
        }
        let (raw_warn, raw_fail) = (raw.warn.as_ref().map(|w| &w.value), raw.fail.as_ref().map(|f| &f.value));
        let (warn, fail) = (warn(raw_warn), fail(raw_fail));
        self.thresholds((raw_warn, &warn), (raw_fail, &fail));
        Health {
            every: self
                .within("health.interval", raw.interval.as_ref(), "5 s", "10 min")
                .unwrap_or(Duration::from_secs(30)),
            push,
            alarms,
            pull,
            vendor,
            proxy: raw.proxy.as_ref().map(|p| p.value.0.clone()),
            ca: raw.ca.as_ref().map(|c| c.value.0.clone()),
            warn,
            fail,
        }
    }

    fn push(&mut self, key: &str, raw: &At<raw::Push>, seen: &mut Addresses) -> Option<Push> {
        let (at, raw) = (&raw.at, &raw.value);
        self.uses(&format!("{key}.url_secret"), raw.url_secret.as_ref());
        self.uses(&format!("{key}.token_secret"), raw.token_secret.as_ref());
        self.address_once(&format!("{key}.url_secret"), raw.url_secret.as_ref(), seen);
        let interval = self.within(&format!("{key}.interval"), raw.interval.as_ref(), "10 s", "1 d");
        let kind = raw.kind.as_ref()?.value;
        match kind {
            PushKind::Gatus => self.wanted(key, at, "token_secret", raw.token_secret.is_some()),
            PushKind::UptimeKuma | PushKind::Healthchecks => {
                self.not_for(key, kind.as_str(), &[("token_secret", raw.token_secret.as_ref().map(|t| &t.at))]);
            }
            PushKind::Http => {}
        }
        Some(Push {
            kind,
            url_secret: raw.url_secret.as_ref()?.value.clone(),
            token_secret: raw.token_secret.as_ref().map(|t| t.value.clone()),
            interval: interval.unwrap_or(Duration::from_mins(1)),
            names: raw.names.as_ref().is_some_and(|n| n.value),
        })
    }

    fn alarm(&mut self, key: &str, raw: &At<raw::Alarm>, language: Lang, seen: &mut Addresses) -> Option<Alarm> {
        let (at, raw) = (&raw.at, &raw.value);
        let secrets = [
            ("password_secret", raw.password_secret.as_ref()),
            ("url_secret", raw.url_secret.as_ref()),
            ("token_secret", raw.token_secret.as_ref()),
        ];
        for (name, secret) in secrets {
            self.uses(&format!("{key}.{name}"), secret);
        }
        let kind = raw.kind.as_ref()?.value;
        let to = match kind {
            AlarmKind::Email => {
                let others = [
                    ("url_secret", raw.url_secret.as_ref().map(|u| &u.at)),
                    ("token_secret", raw.token_secret.as_ref().map(|t| &t.at)),
                ];
                self.not_for(key, kind.as_str(), &others);
                self.email(key, at, raw)
            }
            AlarmKind::Webhook => {
                let others = [
                    ("to", raw.to.as_ref().map(|x| &x.at)),
                    ("from", raw.from.as_ref().map(|x| &x.at)),
                    ("server", raw.server.as_ref().map(|x| &x.at)),
                    ("security", raw.security.as_ref().map(|x| &x.at)),
                    ("username", raw.username.as_ref().map(|x| &x.at)),
                    ("password_secret", raw.password_secret.as_ref().map(|x| &x.at)),
                ];
                self.not_for(key, kind.as_str(), &others);
                self.wanted(key, at, "url_secret", raw.url_secret.is_some());
                self.address_once(&format!("{key}.url_secret"), raw.url_secret.as_ref(), seen);
                raw.url_secret.as_ref().map(|url| AlarmPlace::Webhook {
                    url_secret: url.value.clone(),
                    token_secret: raw.token_secret.as_ref().map(|t| t.value.clone()),
                })
            }
        };
        Some(Alarm {
            to: to?,
            from_level: raw.from_level.as_ref().map_or(Level::Warn, |l| l.value),
            names: raw.names.as_ref().map_or(kind == AlarmKind::Email, |n| n.value),
            language: raw.language.as_ref().map_or(language, |l| l.value),
        })
    }

    fn email(&mut self, key: &str, at: &Bytes, raw: &raw::Alarm) -> Option<AlarmPlace> {
        self.wanted(key, at, "to", raw.to.is_some());
        self.wanted(key, at, "from", raw.from.is_some());
        self.wanted(key, at, "server", raw.server.is_some());
        // A user without a password, or the other way round, is a line that was forgotten.
        match (&raw.username, &raw.password_secret) {
            (Some(user), None) => self.wanted(key, &user.at, "password_secret", false),
            (None, Some(password)) => self.wanted(key, &password.at, "username", false),
            _ => {}
        }
        if let Some(to) = &raw.to {
            let to_key = format!("{key}.to");
            if to.value.is_empty() {
                self.problem(Code::EmptyList, &to.at, &to_key);
            }
            let mut seen = BTreeMap::new();
            for (i, one) in to.value.iter().enumerate() {
                let text = one.value.0.as_str();
                self.once(&mut seen, "@recipient", text, text, &one.at, &format!("{to_key}[{i}]"));
            }
        }
        let security = raw.security.as_ref().map_or(SmtpSecurity::Tls, |s| s.value);
        if let (SmtpSecurity::None, Some(security), Some(_), Some(server)) =
            (security, &raw.security, &raw.password_secret, &raw.server)
            && !server.value.is_near()
        {
            let problem = Problem::new(Code::PlainPassword, security.at.clone(), format!("{key}.security"));
            self.report(problem.other(&server.at).with("found", &server.value.host));
        }
        let server = &raw.server.as_ref()?.value;
        let usual = match security {
            SmtpSecurity::Tls => 465,
            SmtpSecurity::Starttls => 587,
            SmtpSecurity::None => 25,
        };
        Some(AlarmPlace::Email {
            to: raw.to.as_ref()?.value.iter().map(|m| m.value.0.clone()).collect(),
            from: raw.from.as_ref()?.value.0.clone(),
            server: server.host.clone(),
            port: server.port.unwrap_or(usual),
            security,
            login: raw
                .username
                .as_ref()
                .zip(raw.password_secret.as_ref())
                .map(|(user, password)| (user.value.0.clone(), password.value.clone())),
        })
    }

    fn door(
        &mut self,
        key: &str,
        at: &Bytes,
        listen: Option<&At<Listen>>,
        token: Option<&At<SecretName>>,
        ca: Option<&At<Certificates>>,
        tunnel: Option<String>,
    ) -> Option<Door> {
        self.uses(&format!("{key}.token_secret"), token);
        let written = ["token_secret", "client_ca"].iter().any(|name| self.reported(&format!("{key}.{name}")));
        if token.is_none() && ca.is_none() && !written {
            let at = listen.map_or(at, |l| &l.at);
            self.problem(Code::DoorOpen, at, key);
        }
        Some(Door {
            listen: listen?.value.0,
            token_secret: token.map(|t| t.value.clone()),
            client_ca: ca.map(|c| c.value.0.clone()),
            tunnel,
        })
    }

    /// What `[health]` names of secrets.toml.
    fn uses(&mut self, key: &str, secret: Option<&At<SecretName>>) {
        self.secrets.extend(secret.map(|s| (key.to_owned(), s.clone())));
    }

    fn address_once(&mut self, key: &str, secret: Option<&At<SecretName>>, seen: &mut Addresses) {
        if let Some(secret) = secret {
            self.once(seen, "@secret", secret.value.clone(), secret.value.as_str(), &secret.at, key);
        }
    }

    /// A key that must be there for this kind.
    fn wanted(&mut self, table: &str, at: &Bytes, name: &'static str, there: bool) {
        let key = format!("{table}.{name}");
        // One table that isn't in a list has no number where it is read.
        let single = format!("{}.{name}", table.split('[').next().unwrap_or_default());
        if !there && !self.reported(&key) && !self.reported(&single) && !self.reported_in(&key) {
            let problem = Problem::new(Code::MissingKey, at.clone(), &key);
            self.report(problem.with("name", name).with("table", format!("[{table}]")));
        }
    }

    /// Whether something was said of an element of that list.
    fn reported_in(&self, list: &str) -> bool {
        self.r.problems.iter().any(|p| p.key.strip_prefix(list).is_some_and(|rest| rest.starts_with('[')))
    }

    /// Keys that this kind does not know.
    fn not_for(&mut self, table: &str, kind: &str, keys: &[(&'static str, Option<&Bytes>)]) {
        for (name, at) in keys {
            if let Some(at) = at {
                let key = format!("{table}.{name}");
                let problem = Problem::new(Code::NotFor, (*at).clone(), key);
                self.report(problem.with("name", name).with("kind", kind));
            }
        }
    }

    /// A length between two others, which are written as in the file.
    fn within(&mut self, key: &str, value: Option<&At<Length>>, min: &str, max: &str) -> Option<Duration> {
        let value = value?;
        let limit = |text: &str| text.parse::<Length>().map(|l| l.0).ok();
        if limit(min).is_some_and(|min| value.value.0 < min) || limit(max).is_some_and(|max| value.value.0 > max) {
            let problem = Problem::new(Code::LengthRange, value.at.clone(), key);
            self.report(problem.with("min", min).with("max", max));
        }
        Some(value.value.0)
    }

    fn thresholds(
        &mut self,
        (raw_warn, warn): (Option<&raw::Warn>, &Warn),
        (raw_fail, fail): (Option<&raw::Fail>, &Fail),
    ) {
        for (table, newest, gaps) in [
            ("health.warn", raw_warn.and_then(|w| w.newest.as_ref()), raw_warn.and_then(|w| w.gaps.as_ref())),
            ("health.fail", raw_fail.and_then(|f| f.newest.as_ref()), raw_fail.and_then(|f| f.gaps.as_ref())),
        ] {
            // Footage reaches a disk seconds after it was seen; within a day no more than a day is missing.
            self.within(&format!("{table}.newest"), newest, "10 s", "1 d");
            self.within(&format!("{table}.gaps"), gaps, "1 s", "1 d");
        }
        macro_rules! placed {
            ($key:ident) => {
                (
                    raw_warn.and_then(|w| w.$key.as_ref()).map(|v| &v.at),
                    raw_fail.and_then(|f| f.$key.as_ref()).map(|v| &v.at),
                )
            };
        }
        // The more, the worse; and for times ahead the less.
        let secs = |d: Duration| (d.as_secs(), shown(d));
        let number = |n: u32| (u64::from(n), n.to_string());
        self.order("newest", placed!(newest), secs(warn.newest), secs(fail.newest), false);
        self.order("gaps", placed!(gaps), secs(warn.gaps), secs(fail.gaps), false);
        self.order("forecast", placed!(forecast), secs(warn.forecast), secs(fail.forecast), true);
        let temperatures = (number(warn.disk_temperature), number(fail.disk_temperature));
        self.order("disk_temperature", placed!(disk_temperature), temperatures.0, temperatures.1, false);
        self.order("clock", placed!(clock), secs(warn.clock), secs(fail.clock), false);
        self.order("certificate", placed!(certificate), secs(warn.certificate), secs(fail.certificate), true);
        self.order("backup", placed!(backup), secs(warn.backup), secs(fail.backup), false);
        self.order("system_disk", placed!(system_disk), number(warn.system_disk), number(fail.system_disk), false);
    }

    /// A failure is never reached before the warning. Said of what was written; where only one of the two was, the other is its default.
    fn order(
        &mut self,
        name: &str,
        (warn_at, fail_at): (Option<&Bytes>, Option<&Bytes>),
        (warn, warn_text): (u64, String),
        (fail, fail_text): (u64, String),
        ahead: bool,
    ) {
        if if ahead { fail <= warn } else { fail >= warn } {
            return;
        }
        let (at, table) = match (fail_at, warn_at) {
            (Some(at), _) => (at, "fail"),
            (None, Some(at)) => (at, "warn"),
            (None, None) => return,
        };
        let mut problem = Problem::new(Code::FailMilder, at.clone(), format!("health.{table}.{name}"));
        if let (Some(_), Some(other)) = (fail_at, warn_at) {
            problem = problem.other(other);
        }
        self.report(problem.with("name", name).with("warn", warn_text).with("fail", fail_text));
    }
}

/// The elements of a list that may be one table, by number.
fn each<T>(list: Option<&At<OneOrMore<T>>>) -> impl Iterator<Item = (usize, &At<T>)> {
    list.map(|l| l.value.0.as_slice()).unwrap_or_default().iter().enumerate()
}

/// A length as the file would write it.
fn shown(d: Duration) -> String {
    let s = d.as_secs();
    let (n, unit) = [(DAY, "d"), (3600, "h"), (MINUTE, "min")]
        .into_iter()
        .find(|(of, _)| s > 0 && s.is_multiple_of(*of))
        .map_or((s, "s"), |(of, unit)| (s / of, unit));
    format!("\"{n} {unit}\"")
}

fn whole<const MIN: u32, const MAX: u32>(value: Option<&At<Whole<MIN, MAX>>>, default: u32) -> u32 {
    value.map_or(default, |n| n.value.0)
}

/// Thresholds for warnings with their defaults.
fn warn(raw: Option<&raw::Warn>) -> Warn {
    let none = raw::Warn::default();
    let raw = raw.unwrap_or(&none);
    Warn {
        newest: length(raw.newest.as_ref(), 30),
        gaps: length(raw.gaps.as_ref(), 10 * MINUTE),
        forecast: length(raw.forecast.as_ref(), 7 * DAY),
        disk_temperature: whole(raw.disk_temperature.as_ref(), 55),
        temperature: whole(raw.temperature.as_ref(), 85),
        clock: length(raw.clock.as_ref(), 2),
        camera_clock: length(raw.camera_clock.as_ref(), MINUTE),
        certificate: length(raw.certificate.as_ref(), 21 * DAY),
        backup: length(raw.backup.as_ref(), 2 * DAY),
        verification: length(raw.verification.as_ref(), 40 * DAY),
        witness: length(raw.witness.as_ref(), 7 * DAY),
        latency: length(raw.latency.as_ref(), 1),
        system_disk: whole(raw.system_disk.as_ref(), 85),
        memory: whole(raw.memory.as_ref(), 90),
        load: whole(raw.load.as_ref(), 200),
    }
}

/// Thresholds for failures with their defaults.
fn fail(raw: Option<&raw::Fail>) -> Fail {
    let none = raw::Fail::default();
    let raw = raw.unwrap_or(&none);
    Fail {
        newest: length(raw.newest.as_ref(), 2 * MINUTE),
        gaps: length(raw.gaps.as_ref(), 60 * MINUTE),
        forecast: length(raw.forecast.as_ref(), DAY),
        disk_temperature: whole(raw.disk_temperature.as_ref(), 65),
        clock: length(raw.clock.as_ref(), MINUTE),
        certificate: length(raw.certificate.as_ref(), 2 * DAY),
        backup: length(raw.backup.as_ref(), 7 * DAY),
        system_disk: whole(raw.system_disk.as_ref(), 95),
    }
}
