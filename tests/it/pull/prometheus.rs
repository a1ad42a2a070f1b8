//! Prometheus itself scrapes, as docs/ref/health.md says that it is told to.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{Authority, Running, TOKEN};
use crate::support::{free_address, wait_for};

const PAGE: &str = include_str!("../../../docs/ref/health.md");

/// The documentation's YAML that begins with a word.
fn documented(first: &str) -> &'static str {
    PAGE.split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .find(|y| y.starts_with(first))
        .unwrap()
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The documentation's scrape configuration for another door.
fn scrape(job: &str, door: &Running, token: &Path) -> String {
    let yaml = documented("scrape_configs:\n").trim_start_matches("scrape_configs:\n");
    let made = yaml
        .replace("job_name: custodian", &format!("job_name: {job}"))
        .replace("/etc/prometheus/custodian.token", token.to_str().unwrap())
        .replace("/etc/prometheus/custodian.crt", door.file("pull.crt").to_str().unwrap())
        .replace("10.7.0.2:9443", &door.listen.to_string());
    assert!(!made.contains("/etc/prometheus") && made.contains(&door.listen.to_string()));
    made
}

#[test]
fn prometheus_scrapes_with_a_token_and_with_a_certificate() {
    let school = Authority::new();
    let by_token = Running::start(true, None);
    let [by_certificate, other] = [(); 2].map(|()| Running::start(false, Some(&school)));
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    let files = format!(
        "cert_file: {}\n      key_file: {}\n      #",
        school.path("client.crt").display(),
        school.path("client.key").display()
    );
    let certificate = scrape("certificate", &by_certificate, &token).replace('#', &files);
    let certificate: String =
        certificate.lines().filter(|l| !l.contains("authorization")).flat_map(|l| [l, "\n"]).collect();
    let wrong = scrape("wrong", &other, &token);
    let jobs = [scrape("token", &by_token, &token), certificate, wrong].concat();
    let config = dir.path().join("prometheus.yml");
    fs::write(&config, format!("global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n{jobs}"))
        .unwrap();
    let listen = free_address();
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let _prometheus = Ends(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={listen}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("tests/run installs prometheus"),
    );
    let ask = |query: &str| {
        let url = format!("http://{listen}/api/v1/query");
        let query = format!("query={query}");
        let mut command = Command::new("curl");
        let out = command.args(["-s", "--noproxy", "*", "-G", "--data-urlencode", &query, &url]).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&out.stdout).ok()
    };
    // The job and the value of each sample.
    let samples = |query: &str| {
        let answer = ask(query)?;
        let all = answer["data"]["result"].as_array()?;
        let pair =
            |r: &serde_json::Value| Some((r["metric"]["job"].as_str()?.to_owned(), r["value"][1].as_str()?.to_owned()));
        let mut all: Vec<_> = all.iter().filter_map(pair).collect();
        all.sort();
        Some(all)
    };
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let wanted = pairs(&[("certificate", "1"), ("token", "1"), ("wrong", "0")]);
    let mut last = None;
    wait_for("Prometheus to have scraped both", Duration::from_mins(1), || {
        last = samples("up");
        (last.as_ref() == Some(&wanted)).then_some(())
    });
    let both = pairs(&[("certificate", "1"), ("token", "1")]);
    assert_eq!(samples("custodian_camera_required{camera=\"3\"}"), Some(both.clone()));
    assert_eq!(samples("custodian_build_info{version=\"1\"}"), Some(both.clone()));
    // The rule of the documentation has its labels right: it would find a camera whose newest second is older than -1 s.
    let rule = documented("groups:\n").split("expr: ").last().unwrap().trim().replace("> 60", "> bool -60");
    assert_eq!(samples(&rule), Some(both));
}

#[test]
fn the_rules_of_the_documentation_are_rules() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.yml");
    fs::write(&path, documented("groups:\n")).unwrap();
    let out =
        Command::new("promtool").args(["check", "rules"]).arg(&path).output().expect("tests/run installs prometheus");
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("3 rules found"), "{out:?}");
}
