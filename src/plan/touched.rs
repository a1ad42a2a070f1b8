//! Which cameras of a machine a change of the site concerns. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    site::{Camera, Credentials, Secrets, Site, Transport},
    types::{CameraId, RecorderId, StreamKind, VolumeName},
};

/// What happens to the cameras of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Touched {
    /// New, or recorded from elsewhere or otherwise than before.
    pub changed: BTreeSet<CameraId>,
    /// Recorded as before.
    pub unaffected: BTreeSet<CameraId>,
    /// Not recorded any more.
    pub gone: BTreeSet<CameraId>,
}

/// What a recorder does for a camera.
#[derive(PartialEq, Eq)]
struct Work<'a> {
    streams: Vec<(StreamKind, &'a Url, bool)>,
    transport: Transport,
    credentials: Option<&'a Credentials>,
    volume: Option<&'a VolumeName>,
}

fn work<'a>(site: &'a Site, secrets: &'a Secrets, recorder: &'a RecorderId) -> BTreeMap<&'a CameraId, Work<'a>> {
    let recorded = |c: &&Camera| c.streams().any(|(_, _, record)| record);
    let one = |c: &'a Camera| {
        let work = Work {
            streams: c.streams().collect(),
            transport: c.transport,
            credentials: c.credentials.as_ref().and_then(|name| secrets.credentials(name)),
            volume: c.volume.as_ref(),
        };
        (&c.id, work)
    };
    site.cameras_of(recorder).filter(recorded).map(one).collect()
}

/// Compares what the recorder does before and after.
pub fn touched(before: Option<(&Site, &Secrets)>, after: (&Site, &Secrets), recorder: &RecorderId) -> Touched {
    let old = before.map(|(site, secrets)| work(site, secrets, recorder)).unwrap_or_default();
    let new = work(after.0, after.1, recorder);
    let ids = |keep: &dyn Fn(&CameraId) -> bool| new.keys().filter(|id| keep(id)).map(|id| (*id).clone()).collect();
    Touched {
        changed: ids(&|id| old.get(id) != new.get(id)),
        unaffected: ids(&|id| old.get(id) == new.get(id)),
        gone: old.keys().filter(|id| !new.contains_key(*id)).map(|id| (*id).clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{parse, secrets};

    fn site(cameras: &[(&str, &str)]) -> Site {
        let mut text = String::from(
            "[site]\nname = \"x\"\ntimezone = \"UTC\"\n[area.y]\nname = \"y\"\nkind = \"public\"\n[recorder.a]\n\
             [[recorder.a.volume]]\nname = \"a1\"\npath = \"/a1\"\n",
        );
        for (id, url) in cameras {
            let camera =
                format!("[camera.{id}]\nname = \"{id}\"\narea = \"y\"\nmain = \"{url}\"\ncredentials = \"c\"\n");
            text += &camera;
        }
        parse(&text, "site.toml").unwrap()
    }

    fn names(ids: &BTreeSet<CameraId>) -> Vec<&str> {
        ids.iter().map(CameraId::as_str).collect()
    }

    #[test]
    fn a_camera_is_touched_by_what_the_recorder_does_for_it() {
        let password = |p: &str| {
            secrets::parse(&format!("[credentials.c]\nusername = \"u\"\npassword = \"{p}\"\n"), "secrets.toml").unwrap()
        };
        let recorder = "a".parse().unwrap();
        let before = site(&[("one", "rtsp://h/1"), ("two", "rtsp://h/2"), ("three", "rtsp://h/3")]);
        let after = site(&[("one", "rtsp://h/1"), ("two", "rtsp://h/9"), ("four", "rtsp://h/4")]);
        let t = touched(Some((&before, &password("p"))), (&after, &password("p")), &recorder);
        assert_eq!(
            (names(&t.unaffected), names(&t.changed), names(&t.gone)),
            (vec!["one"], vec!["four", "two"], vec!["three"])
        );
        let t = touched(Some((&before, &password("p"))), (&before, &password("q")), &recorder);
        assert_eq!((t.changed.len(), t.unaffected.len()), (3, 0), "a new password is a change");
        assert_eq!(touched(None, (&before, &password("p")), &recorder).changed.len(), 3);
    }
}
