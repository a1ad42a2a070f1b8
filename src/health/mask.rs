//! Taking names, addresses and secrets out of text that leaves the school.
//!
//! What is known by name (cameras, areas, people, secrets) is looked for as it stands; addresses are known by their shape. What is
//! structured is better told from an allowed list, as [`super::diagnose`] does; this is for text that somebody else wrote: the journal.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::{
    site::{AlarmPlace, BackupPlace, Secrets, Site, VolumePlace},
    types::CameraId,
};

/// What is taken out, and what stands there instead.
#[derive(Clone, Default)]
pub struct Mask {
    /// By first letter, longest first: folded text, what stands there instead, whether it must be a word of its own.
    words: HashMap<char, Vec<(Vec<char>, String, bool)>>,
}

/// One letter for one letter, so that places stay.
fn fold(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// A secret that is this long is taken out within words too.
const LONG: usize = 6;

impl Mask {
    /// For all that a site and its secrets name. Cameras without a number are told as such.
    pub fn new(site: Option<&Site>, secrets: Option<&Secrets>, numbers: &BTreeMap<CameraId, u32>) -> Self {
        let mut all = BTreeMap::new();
        let mut add = |text: &str, instead: String, bounded: bool| {
            let folded: Vec<char> = text.trim().chars().map(fold).collect();
            if !folded.is_empty() {
                all.entry(folded).or_insert((instead, bounded));
            }
        };
        for secret in secrets.into_iter().flat_map(Secrets::revealed) {
            add(secret, "<secret>".into(), secret.chars().count() < LONG);
            // Whoever cannot reach it says its host alone.
            let url = url::Url::parse(secret).ok();
            add(url.as_ref().and_then(url::Url::host_str).unwrap_or_default(), "<address>".into(), true);
        }
        let camera = |id: &CameraId| numbers.get(id).map_or_else(|| "<camera>".into(), |n| format!("<camera {n}>"));
        for id in numbers.keys() {
            add(id.as_str(), camera(id), true);
        }
        if let Some(site) = site {
            add(site.name(), "<site>".into(), false);
            add(site.id(), "<site>".into(), true);
            for c in site.cameras() {
                for id in c.previously.iter().chain([&c.id]) {
                    add(id.as_str(), camera(&c.id), true);
                }
                add(&c.name, camera(&c.id), true);
                for url in [Some(&c.main), c.sub.as_ref()].into_iter().flatten() {
                    add(url.host_str().unwrap_or_default(), "<address>".into(), true);
                }
                let register = [&c.register.number, &c.register.place, &c.register.serial, &c.register.mac];
                for text in register.into_iter().chain([&c.register.department, &c.register.sign]).flatten() {
                    add(text, "<register>".into(), true);
                }
                if let Some(credentials) = &c.credentials {
                    add(credentials.as_str(), "<credentials>".into(), true);
                }
            }
            for area in site.areas() {
                for text in [
                    Some(area.id.as_str()),
                    Some(&area.name),
                    area.department.as_deref(),
                    area.reason.as_deref(),
                    area.sign.as_deref(),
                ]
                .into_iter()
                .flatten()
                {
                    add(text, "<area>".into(), true);
                }
            }
            for (id, person) in site.people() {
                let more = [person.department.as_deref(), person.phone.as_deref(), person.email.as_deref()];
                for text in [Some(id.as_str()), Some(&person.name)].into_iter().chain(more).flatten() {
                    add(text, "<person>".into(), true);
                }
            }
            for recorder in site.recorders() {
                add(recorder.address.as_deref().unwrap_or_default(), "<address>".into(), true);
                for volume in &recorder.volumes {
                    if let VolumePlace::Disk(disk) = &volume.place {
                        add(disk, format!("<disk of {}>", volume.name), true);
                    }
                }
            }
            let health = site.health();
            for alarm in &health.alarms {
                if let AlarmPlace::Email { to, from, server, login, .. } = &alarm.to {
                    add(server, "<address>".into(), true);
                    let names = to.iter().chain([from]).chain(login.as_ref().map(|(user, _)| user));
                    names.for_each(|name| add(name, "<e-mail>".into(), true));
                }
            }
            add(health.proxy.as_ref().and_then(url::Url::host_str).unwrap_or_default(), "<address>".into(), true);
            if let Some(tunnel) = health.vendor.as_ref().and_then(|door| door.tunnel.as_deref()) {
                add(tunnel, "<tunnel>".into(), true);
            }
            for place in site.backup().into_iter().flat_map(|b| &b.to) {
                let name = match place {
                    BackupPlace::Disk(name) => name.as_str(),
                    BackupPlace::Directory(path) => path.to_str().unwrap_or_default(),
                    BackupPlace::S3(name) => name.as_str(),
                };
                add(name, "<place for backups>".into(), true);
            }
        }
        Self::of(all)
    }

    fn of(all: BTreeMap<Vec<char>, (String, bool)>) -> Self {
        let mut words: HashMap<char, Vec<(Vec<char>, String, bool)>> = HashMap::new();
        for (text, (instead, bounded)) in all {
            words.entry(text[0]).or_default().push((text, instead, bounded));
        }
        words.values_mut().for_each(|of| of.sort_by_key(|(text, ..)| std::cmp::Reverse(text.len())));
        Self { words }
    }

    /// With something else that is known by name: the machine's, a serial number.
    #[must_use]
    pub fn and(mut self, text: &str, instead: &str) -> Self {
        let folded: Vec<char> = text.trim().chars().map(fold).collect();
        if let Some(first) = folded.first() {
            let of = self.words.entry(*first).or_default();
            of.push((folded, instead.to_owned(), true));
            of.sort_by_key(|(text, ..)| std::cmp::Reverse(text.len()));
        }
        self
    }

    /// The text without them.
    pub fn apply(&self, text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let folded: Vec<char> = chars.iter().copied().map(fold).collect();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < chars.len() {
            let begins = at == 0 || !chars[at - 1].is_alphanumeric();
            let found = self.known(&folded, at, begins).or_else(|| if begins { address(&chars, at) } else { None });
            if let Some((len, instead)) = found {
                out.push_str(&instead);
                at += len;
            } else {
                out.push(chars[at]);
                at += 1;
            }
        }
        out
    }

    /// What is known by name and begins here, the longest.
    fn known(&self, folded: &[char], at: usize, begins: bool) -> Option<(usize, String)> {
        let of = self.words.get(&folded[at])?;
        let (text, instead, _) = of.iter().find(|(text, _, bounded)| {
            let is_word = begins && folded.get(at + text.len()).is_none_or(|c| !c.is_alphanumeric());
            folded[at..].starts_with(text) && (!bounded || is_word)
        })?;
        Some((text.len(), instead.clone()))
    }
}

/// What has the shape of an address and begins here: its length, and what stands there instead.
fn address(chars: &[char], at: usize) -> Option<(usize, String)> {
    let token = |wanted: fn(char) -> bool| chars[at..].iter().copied().take_while(|c| wanted(*c)).collect::<String>();
    let is_url = |c: char| {
        !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '`' | '<' | '>' | ')' | ']' | '}' | ',')
    };
    let scheme = token(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    if !scheme.is_empty() && chars[at + scheme.chars().count()..].starts_with(&[':', '/', '/']) {
        // A password may hold anything; an IPv6 host has brackets.
        let rest = chars[at..].iter().take_while(|c| is_url(**c) || matches!(c, ']')).count();
        return Some((rest, format!("{scheme}://<address>")));
    }
    let mail = token(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '@'));
    if mail.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains(|c: char| c.is_alphanumeric()))
    {
        return Some((mail.chars().count(), "<e-mail>".into()));
    }
    let mut digits = token(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '-'));
    // What begins with an IPv4 address is one, whatever comes after it: a port, a word, the other end of a range.
    let v4 = token(|c| c.is_ascii_digit() || c == '.');
    let v4 = v4.trim_end_matches('.');
    if let Ok(ip) = v4.parse::<Ipv4Addr>()
        && chars.get(at + v4.len()).is_none_or(|c| !c.is_alphanumeric())
    {
        return (!ip.is_loopback() && !ip.is_unspecified()).then(|| (v4.len(), "<address>".into()));
    }
    // What follows must not belong to it; a sentence may end with an address.
    while digits.ends_with(['.', ':', '-']) && !digits.ends_with("::") {
        digits.pop();
    }
    if chars.get(at + digits.len()).is_some_and(|c| c.is_alphanumeric()) {
        return None;
    }
    let is_mac = |by: char| {
        let parts: Vec<&str> = digits.split(by).collect();
        parts.len() == 6 && parts.iter().all(|p| p.len() == 2)
    };
    if is_mac(':') || is_mac('-') {
        return Some((digits.len(), "<mac>".into()));
    }
    let ip = digits.parse::<Ipv6Addr>().ok()?;
    (!ip.is_loopback() && !ip.is_unspecified()).then(|| (digits.len(), "<address>".into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SITE: &str = r#"
[site]
name = "Trường Tiểu học A"
id = "hoa-huong-duong"
timezone = "Asia/Ho_Chi_Minh"
[area.san]
name = "Sân trước"
kind = "public"
department = "Tổ bảo vệ"
[recorder.a]
address = "may-ghi.example"
[[recorder.a.volume]]
name = "a-1"
disk = "ata-WDC_WD120EFBX_SERIAL9"
size = "12 TB"
[camera.cong]
name = "Cổng chính"
area = "san"
recorder = "a"
main = "rtsp://cam-cong.example/1"
previously = ["gate"]
[camera.cong-2]
name = "Cổng phụ"
area = "san"
recorder = "a"
main = "rtsp://10.0.0.2/1"
[role.r]
name = "R"
may = ["live"]
[person.hanh]
name = "Nguyễn Thị Hạnh"
roles = ["r"]
phone = "0912 345 678"
email = "hanh@truong.vn"
[health]
proxy = "http://proxy.school.example:3128"
[[health.alarm]]
kind = "email"
to = ["x@school.example"]
from = "y@school.example"
server = "mx.school.example"
security = "starttls"
username = "post-user"
password_secret = "short"
[health.vendor]
listen = "10.99.7.2:9465"
token_secret = "short"
tunnel = "wg-quick@so.service"
"#;

    fn mask() -> Mask {
        let site = crate::site::parse(SITE, "site.toml").unwrap();
        let secrets = crate::site::secrets::parse(
            "[credentials.viewer]\nusername = \"viewer\"\npassword = \"geheim-123\"\n[secrets]\nkuma = \"https://kuma.example/x\"\nshort = \"ab\"\n",
            "secrets.toml",
        );
        let numbers = site.cameras().iter().zip(1..).map(|(c, n)| (c.id.clone(), n)).collect();
        Mask::new(Some(&site), Some(&secrets.unwrap()), &numbers).and("recorder-pc", "<host>")
    }

    #[test]
    fn names_addresses_and_secrets_go_and_the_rest_stays() {
        for (text, masked) in [
            ("camera cong: no picture for 12 s", "camera <camera 1>: no picture for 12 s"),
            ("camera cong-2 (Cổng phụ)", "camera <camera 2> (<camera 2>)"),
            ("camera gate is CỔNG CHÍNH now", "camera <camera 1> is <camera 1> now"),
            ("/v/a-1/footage/cong/main/x.mp4", "/v/a-1/footage/<camera 1>/main/x.mp4"),
            ("congress", "congress"),
            ("the log custodian/hoa-huong-duong/a/record", "the log custodian/<site>/a/record"),
            ("hello Nguyễn Thị Hạnh, hanh@truong.vn 0912 345 678!", "hello <person>, <person> <person>!"),
            ("mail to somebody.else@example.org.", "mail to <e-mail>"),
            ("at Sân trước, Tổ bảo vệ; Trường Tiểu học A", "at <area>, <register>; <site>"),
            ("rtsp://viewer:x]y@10.1.1.9:554/1 failed", "rtsp://<address> failed"),
            ("(see https://kuma.example/x)", "(see <secret>)"),
            ("password geheim-123x and ab, abc", "password <secret>x and <secret>, abc"),
            ("connect 192.168.1.20:554: refused", "connect <address>:554: refused"),
            ("from fe80::1ff:fe23:4567:890a.", "from <address>."),
            ("[2001:db8::1]:443 and ::1 and 127.0.0.1:80", "[<address>]:443 and ::1 and 127.0.0.1:80"),
            ("mac 00:1B:44:11:3A:B7", "mac <mac>"),
            ("at 12:34:56 by 1.2.3 version 0.1.0", "at 12:34:56 by 1.2.3 version 0.1.0"),
            ("ata-WDC_WD120EFBX_SERIAL9-part1", "<disk of a-1>-part1"),
            ("RECORDER-PC systemd[1]: started", "<host> systemd[1]: started"),
            ("push: kuma.example is not found", "push: <address> is not found"),
            ("mx.school.example as post-user; wg-quick@so.service", "<address> as <e-mail>; <tunnel>"),
            ("proxy.school.example: 10.0.0.5:refused", "<address>: <address>:refused"),
            ("10.0.0.1-10.0.0.9", "<address>-<address>"),
            ("cam-cong.example refused, may-ghi.example too", "<address> refused, <address> too"),
        ] {
            assert_eq!(mask().apply(text), masked, "{text}");
        }
    }

    proptest! {
        /// Whatever stands around it.
        #[test]
        fn no_name_is_left(before in "[ -~\n]{0,20}", after in "[ -~\n]{0,20}", which in 0_usize..9) {
            let name = ["cong", "Cổng chính", "Nguyễn Thị Hạnh", "0912 345 678", "192.168.7.8", "geheim-123", "Sân trước", "Trường Tiểu học A", "2001:db8::7"][which];
            // A word of its own: what is glued to it is another one.
            let (before, after) = (before.trim_end_matches(|c: char| c.is_alphanumeric() || ".:-".contains(c)), after.trim_start_matches(|c: char| c.is_alphanumeric() || ".:-".contains(c)));
            let masked = mask().apply(&format!("{before} {name} {after}"));
            let around = format!("{before}  {after}");
            prop_assume!(!around.contains(name));
            prop_assert!(!masked.contains(name), "{}", masked);
        }
    }
}
