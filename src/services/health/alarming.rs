//! Alarms as a way out of health: they hear of each look, and health hears how their receivers were reached.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast::error::TryRecvError;
use tokio_util::task::AbortOnDropHandle;

use super::{Ear, Sight};
use crate::{
    health::alarm::Alarms,
    sys::{RealClock, RealFiles},
    types::wire::health::{Report, Turn},
};

/// Whoever is being told something when the site changes is told it to its end, if that takes no longer.
const LEAVE: Duration = Duration::from_secs(10);

/// Tells alarms what is seen. Ends with the service. Where site or secrets change it goes on with the new ones, and with what the outbox has.
pub async fn alarms(mut sight: Sight) {
    let mut turns = sight.turns.subscribe();
    loop {
        let site = sight.site.borrow_and_update().clone();
        let secrets = sight.secrets.borrow_and_update().clone();
        let alarms = site.map(|(site, _)| {
            let (health, zone, folder) = (site.health(), site.timezone().clone(), sight.paths.health());
            Arc::new(Alarms::new(health, &secrets, zone, &folder, Arc::new(RealFiles), Arc::new(RealClock)))
        });
        let telling = alarms.clone().map(|alarms| AbortOnDropHandle::new(tokio::spawn(alarms.run())));
        loop {
            let report = sight.latest.borrow_and_update().clone();
            let mut turned = Vec::new();
            loop {
                match turns.try_recv() {
                    Ok(turn) => turned.push(turn),
                    // What was missed stands in the report.
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(_) => break,
                }
            }
            hear(alarms.as_ref(), report, turned, &sight.ear).await;
            tokio::select! {
                seen = sight.latest.changed() => if seen.is_err() { return },
                changed = sight.site.changed() => if changed.is_err() { return } else { break },
                changed = sight.secrets.changed() => if changed.is_err() { return } else { break },
            }
        }
        if let Some((alarms, telling)) = alarms.zip(telling) {
            alarms.leave();
            let _ = tokio::time::timeout(LEAVE, telling).await;
        }
    }
}

async fn hear(alarms: Option<&Arc<Alarms>>, report: Option<Arc<Report>>, turns: Vec<Turn>, ear: &Ear) {
    let states = alarms.map(|alarms| alarms.endpoints()).unwrap_or_default();
    ear.tell(|heard| {
        heard.endpoints.retain(|name, _| !name.starts_with("alarm-"));
        heard.endpoints.extend(states);
    });
    let Some((alarms, report)) = alarms.cloned().zip(report) else { return };
    // It waits for the disk.
    if let Err(e) = tokio::task::spawn_blocking(move || alarms.put(&turns, &report)).await {
        log::error!("alarms did not hear of a look: {e}");
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::{broadcast, watch},
    };

    use super::*;
    use crate::{
        services::paths::Paths,
        site,
        types::{
            WallNs,
            wire::health::{Finding, Level, Machine, Probe},
        },
    };

    const SITE: &str = "[site]\nname = \"A\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\n\
        path = \"/srv/v1\"\n[area.gate]\nname = \"Gate\"\nkind = \"public\"\n[camera.gate]\nname = \"G\"\narea = \"gate\"\n\
        main = \"rtsp://10.0.0.1/1\"\n";
    const HOOK: &str = "[[health.alarm]]\nkind = \"webhook\"\nurl_secret = \"hook\"\n";

    fn report(at: i64, findings: Vec<Finding>) -> Arc<Report> {
        Arc::new(Report {
            format: 1,
            at: WallNs(at),
            recorder: Some("a".parse().unwrap()),
            version: "0.1.0".into(),
            recording: None,
            level: Level::Ok,
            findings,
            cameras: Vec::new(),
            volumes: Vec::new(),
            machine: Machine::default(),
            generation: None,
            checkpoints: Vec::new(),
            silences: Vec::new(),
            cost_us: 0,
        })
    }

    /// The event of the next POST.
    async fn asked(listener: &TcpListener) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
            if let Some(serde_json::Value::Object(body)) = body {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                return body["event"].as_str().unwrap().to_owned();
            }
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_look_goes_out_and_another_site_goes_on_with_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        std::fs::create_dir(paths.health()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let secrets = format!("[secrets]\nhook = \"http://{address}/\"\n");
        let secrets = Arc::new(site::secrets::parse(&secrets, "secrets.toml").unwrap());
        let with = |more: &str| {
            let site = site::parse(&format!("{SITE}{more}"), "site.toml").unwrap();
            Some((Arc::new(site), "a".parse().unwrap()))
        };
        let (latest, latest_of) = watch::channel(None);
        let (site, site_of) = watch::channel(with(HOOK));
        let (_secrets, secrets_of) = watch::channel(secrets);
        let (turns, _) = broadcast::channel(4);
        let ear = Ear::default();
        let (sight_turns, sight_ear) = (turns.clone(), ear.clone());
        let sight =
            Sight { latest: latest_of, turns: sight_turns, site: site_of, secrets: secrets_of, ear: sight_ear, paths };
        let running = tokio::spawn(alarms(sight));
        let hot = Finding::new(Probe::Temperature, None, Level::Fail, "hot", WallNs(1));
        while turns.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        let turn = |from, finding: Finding| Turn { at: finding.since, from, finding };
        latest.send_replace(Some(report(1, vec![hot.clone()])));
        turns.send(turn(Level::Ok, hot.clone())).unwrap();
        assert_eq!(asked(&listener).await, "raised");
        // Another site with the same receiver: it is not told again.
        site.send_replace(with(&format!("{HOOK}language = \"zh\"\n")));
        let cool = Finding::new(Probe::Temperature, None, Level::Ok, "cool", WallNs(2));
        latest.send_replace(Some(report(2, vec![cool.clone()])));
        turns.send(turn(Level::Fail, cool)).unwrap();
        assert_eq!(asked(&listener).await, "ended");
        let mut at = 3;
        let mut looks = async |reached: bool| {
            let is = || ear.heard().endpoints.get("alarm-1-webhook").is_some_and(|e| e.taken.is_some());
            tokio::time::timeout(Duration::from_secs(20), async {
                while is() != reached {
                    latest.send_replace(Some(report(at, Vec::new())));
                    at += 1;
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
        };
        looks(true).await;
        site.send_replace(with(""));
        looks(false).await;
        // The service ends.
        drop(latest);
        running.await.unwrap();
    }
}
