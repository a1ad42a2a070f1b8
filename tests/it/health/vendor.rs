//! The vendor: shut out unless the school allows it, and then let in to health and to nothing else.

use std::{collections::BTreeSet, path::Path};

use super::*;
use crate::support::{free_address, own::OwnCameras};

/// Who is at the school: none of it is anybody's business outside.
const PEOPLE: &str = r#"
[role.head]
name = "Ban giám hiệu"
may = ["live"]
[person.hanh]
name = "Nguyễn Thị Hạnh"
roles = ["head"]
phone = "0912 345 678"
email = "hanh@truong.example"
"#;
const TOKEN: &str = "vendor-correct-horse";

/// Every path that any router of this program answers, with the placeholders filled in as they would be here.
fn routes(camera: &str) -> BTreeSet<String> {
    fn walk(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(text.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 25 && found.contains("/v1/segments/{stream}/{run}/{file}"), "{found:?}");
    found
        .into_iter()
        .map(|route| {
            let route = route.replace("{camera}", camera).replace("{kind}", "main").replace("{*path}", "v1/cameras");
            let route = route.replace("{id}", camera).replace("/hls/gate/{file}", "/hls/gate/index.m3u8");
            route.replace("{file}", "main.mp4").replace("{name}", "api.js").replace(['{', '}'], "")
        })
        .collect()
}

/// Status and body of what curl gets with the vendor's token.
fn curl(port: u16, path: &str, args: &[&str]) -> (String, Vec<u8>) {
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let url = format!("https://127.0.0.1:{port}{path}");
    let out = Command::new("curl")
        .args(["-sk", "-m", "30", "-w", "\n%{http_code}", "-H", &bearer])
        .args(args)
        .arg(url)
        .output()
        .unwrap();
    let at = out.stdout.iter().rposition(|b| *b == b'\n').unwrap();
    (String::from_utf8_lossy(&out.stdout[at + 1..]).into_owned(), out.stdout[..at].to_vec())
}

fn vendor(site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.arg("vendor").args(args).args(["--lang", "en", "--state"]).arg(site.path("state"));
    command.stdin(Stdio::null()).output().unwrap()
}

/// What must not be in anything that the vendor gets.
fn leaks(body: &[u8], needles: &[String]) -> Vec<String> {
    let holds = |needle: &[u8]| body.windows(needle.len()).any(|w| w == needle);
    let video: [&[u8]; 6] = [b"ftyp", b"moof", b"mdat", b"\xff\xd8\xff", b"\x89PNG", b"#EXTM3U"];
    let found = video.iter().filter(|v| holds(v)).map(|v| String::from_utf8_lossy(v).into_owned());
    found.chain(needles.iter().filter(|n| holds(n.as_bytes())).cloned()).collect()
}

#[test]
fn the_vendor_gets_health_when_the_school_allows_it_and_never_anything_else() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    let port = free_address().port();
    let door = format!("\n[health.vendor]\nlisten = \"127.0.0.1:{port}\"\ntoken_secret = \"vendor\"\n");
    site.add_to_last(&format!("{HEALTH}{door}{PEOPLE}"));
    let secrets = site.path("secrets.toml");
    let text = fs::read_to_string(&secrets).unwrap();
    fs::write(&secrets, format!("{text}[secrets]\nvendor = \"{TOKEN}\"\n")).unwrap();
    let (user, password) = cameras.user();
    let camera = cameras.names[0].clone();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);

    // A journal in which somebody was careless.
    let programs = well(&site);
    let careless = format!(
        "2026-11-26T01:00:00+0000 custodian[1]: camera {camera} at rtsp://{user}:{password}@10.9.8.7:554/1 refuses; Nguyễn Thị Hạnh was told"
    );
    fs::write(programs.join("journalctl"), format!("#!/bin/sh\necho '{careless}'\n")).unwrap();
    fs::set_permissions(programs.join("journalctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let health = Health::start(&site);
    health.wait_until_well();

    // Shut: nobody even listens.
    assert_eq!(curl(port, "/healthz", &[]).0, "000");
    let said = String::from_utf8(vendor(&site, &[]).stdout).unwrap();
    assert!(said.contains("cannot reach"), "{said}");
    let out = vendor(&site, &["allow", "--for", "1h", "--reason", "a disk is slow", "--by", "Lan"]);
    assert!(out.status.success(), "{out:?}");
    wait_for("the door", SOON, || (curl(port, "/healthz", &[]).0 == "200").then_some(()));

    let site_name = "Trường thử nghiệm".to_owned();
    let words = ["Nguyễn Thị Hạnh", "0912 345 678", "hanh@truong.example", "10.9.8.7", "Sân trường", TOKEN];
    let mut needles: Vec<String> = words.map(ToOwned::to_owned).to_vec();
    let id = custodian::site::load(&site.path("site.toml")).unwrap().id().to_owned();
    needles.extend([site_name, id.clone(), user.to_owned(), password.to_owned()]);
    needles
        .extend(cameras.urls().iter().map(|url| url.split("//").nth(1).unwrap().split('/').next().unwrap().to_owned()));
    needles.extend(cameras.names.iter().cloned());
    // With what is only for the school the test would fail: it looks for the right things.
    let own = health.wait_for("a checkpoint", |report| !report.checkpoints.is_empty());
    let found = leaks(&serde_json::to_vec(&own).unwrap(), &needles);
    assert!(found.contains(&id) && found.contains(&camera), "{found:?}");

    let mut allowed = BTreeSet::from(["/healthz", "/metrics"].map(str::to_owned));
    allowed.extend(custodian::services::vendor::routes::ROUTES.map(str::to_owned));
    let (mut uses, mut asked) = (0, allowed.clone());
    asked.extend(routes(&camera));
    for path in &asked {
        for args in [&[][..], &["-X", "POST", "-d", "{}"], &["-H", "Range: bytes=0-1000"], &["--path-as-is"]] {
            let (status, body) = curl(port, path, args);
            assert_eq!(leaks(&body, &needles), Vec::<String>::new(), "{path} {args:?}");
            let may = allowed.contains(path) && !args.contains(&"POST");
            assert_eq!(status == "200", may, "{path} {args:?}: {status} {}", String::from_utf8_lossy(&body));
            uses += 1;
        }
    }
    for path in ["/v1/../media.sock", "//v1/cameras", "/v1/report/../../v1/status", "/healthz/..%2f..%2fetc/passwd"] {
        let (status, body) = curl(port, path, &["--path-as-is"]);
        assert!(status != "200" && leaks(&body, &needles).is_empty(), "{path}: {status}");
        uses += 1;
    }
    let (_, journal) = curl(port, "/v1/journal", &[]);
    let journal = String::from_utf8(journal).unwrap();
    assert!(journal.contains("<camera 1>") && journal.contains("rtsp://<address>"), "{journal}");
    let (_, report) = curl(port, "/v1/report", &[]);
    let report: Report = serde_json::from_slice(&report).unwrap();
    assert_eq!(report.cameras.len(), 2);
    uses += 2;

    // Its end is the school's to say, at once.
    assert!(vendor(&site, &["end"]).status.success());
    assert_eq!(curl(port, "/healthz", &[]).0, "000");
    recorder.wait_until_recording(&cameras.names);
    let told = wait_for("the ledger", SOON, || {
        let all = entries(&site, "remote");
        let count = |change: &str| {
            let is = |what: &&What| serde_json::to_value(what).unwrap()["change"] == change;
            all.iter().filter(is).count()
        };
        (count("ended") == 1).then(|| (count("allowed"), count("used")))
    });
    assert_eq!(told.0, 1);
    assert!(told.1 >= uses, "{} of {uses} uses are in the ledger", told.1);
}

/// Sockets are asked as somebody who is in none of our groups.
#[test]
fn no_socket_answers_a_stranger() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    site.add_to_last(HEALTH);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let health = Health::start(&site);
    health.wait_for("a report", |_| true);
    // Only the sockets' own modes are to keep anybody out.
    let mut dir = site.path("state/run/health");
    while dir != Path::new("/") && dir != std::env::temp_dir() {
        let mode = fs::metadata(&dir).unwrap().permissions().mode();
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode | 0o055)).unwrap();
        dir.pop();
    }
    fs::set_permissions(site.path("state/run/status"), fs::Permissions::from_mode(0o755)).unwrap();
    let sockets =
        ["media.sock", "control.sock", "status/status.sock", "health/health.sock", "health/health-control.sock"];
    for socket in sockets {
        let path = site.path("state/run").join(socket);
        let ask = |stranger: bool| {
            let curl = ["curl", "-s", "-o", "/dev/null", "--unix-socket", path.to_str().unwrap(), "http://x/v1/report"];
            let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
            let line: Vec<&str> = if stranger { [&as_nobody[..], &curl].concat() } else { curl.to_vec() };
            Command::new(line[0]).args(&line[1..]).status().unwrap().code()
        };
        assert_eq!(ask(false), Some(0), "{socket} answers root");
        assert_eq!(ask(true), Some(7), "{socket}: curl is not let in");
    }
}
