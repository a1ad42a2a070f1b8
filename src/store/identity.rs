//! Which stream is which camera's. Pure, but for [`put`].
//!
//! The index knows it, and so does every volume: by a file of its own, and by the heads of its footage. So a recorder that has
//! lost its index goes on with the same recordings, whichever of its volumes it finds first. Where two streams claim one
//! camera (volumes came one after the other, and a stream had to be begun before the older one was seen), the one that has been recorded
//! longest is the camera's; the other one keeps its footage under a name of its own.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, IoSlice},
    path::Path,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    sys::Disk,
    types::{CameraId, GapBefore, StreamId, StreamKey, StreamKind, VolumeName, WallNs},
};

/// The file in a volume's root that names all streams of its recorder.
pub const FILE: &str = "custodian-streams.json";

/// Version of the file that this version writes.
const FORMAT: u16 = 1;

/// What the index or a volume says of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Whose it was.
    pub key: StreamKey,
    /// When it was so. The index is right at any time: [`WallNs::MAX`].
    pub named: WallNs,
    /// Since when it has been recorded, as far as is known.
    pub since: Option<WallNs>,
    /// Whether this recorder recorded it: footage of others says nothing of this one's cameras.
    pub own: bool,
    /// Corrected end of its newest footage, and the volume that has it.
    pub newest: Option<(WallNs, VolumeName)>,
    /// The gap that it was in already.
    pub open_gap: Option<GapBefore>,
}

#[derive(Debug, Clone)]
struct Claim {
    camera: CameraId,
    kind: StreamKind,
    named: WallNs,
    /// None: nothing has been recorded yet.
    since: Option<WallNs>,
    own: bool,
}

impl Claim {
    /// Less is better. A stream without footage has no claim against one that has some.
    fn rank(&self, id: StreamId) -> (bool, bool, Option<WallNs>, StreamId) {
        (self.since.is_none(), !self.own, self.since, id)
    }
}

/// All streams that are known, and to which cameras they belong.
#[derive(Debug, Default)]
pub(super) struct Identities {
    claims: BTreeMap<StreamId, Claim>,
    names: HashMap<(CameraId, StreamKind), StreamId>,
    /// Present names of cameras, with their former ones.
    renamed: Vec<(CameraId, CameraId)>,
}

impl Identities {
    /// `renamed`: former names of cameras with their present ones.
    pub(super) fn new(renamed: Vec<(CameraId, CameraId)>) -> Self {
        Self { renamed, ..Self::default() }
    }

    /// Takes what was found into account, in whichever order it comes. True if a camera's stream, or its name, is another one now.
    pub(super) fn learn(&mut self, traces: &[Trace]) -> bool {
        for t in traces {
            let claim = self.claims.entry(t.key.id).or_insert_with(|| Claim {
                camera: t.key.camera.clone(),
                kind: t.key.kind,
                named: t.named,
                since: t.since,
                own: t.own,
            });
            if claim.named < t.named {
                claim.named = t.named;
                claim.camera.clone_from(&t.key.camera);
            }
            claim.since = claim.since.into_iter().chain(t.since).min();
            claim.own |= t.own;
        }
        self.settle()
    }

    /// Gives each camera its stream. True if that has changed something.
    fn settle(&mut self) -> bool {
        let mut names = Self::by_name(&self.claims);
        for (former, present) in &self.renamed {
            for kind in [StreamKind::Main, StreamKind::Sub] {
                let unrecorded = |id: &StreamId| self.claims.get(id).is_none_or(|c| c.since.is_none());
                let Some(id) = names.get(&(former.clone(), kind)).copied() else { continue };
                if names.get(&(present.clone(), kind)).is_none_or(unrecorded)
                    && let Some(claim) = self.claims.get_mut(&id)
                {
                    claim.camera.clone_from(present);
                    claim.named = WallNs::MAX;
                    names = Self::by_name(&self.claims);
                }
            }
        }
        // Whoever has nothing and lost its name never was.
        self.claims.retain(|id, c| c.since.is_some() || names.get(&(c.camera.clone(), c.kind)) == Some(id));
        let changed = names != self.names;
        self.names = names;
        changed
    }

    fn by_name(claims: &BTreeMap<StreamId, Claim>) -> HashMap<(CameraId, StreamKind), StreamId> {
        let mut names: HashMap<(CameraId, StreamKind), StreamId> = HashMap::new();
        for (id, claim) in claims {
            let holder = names.entry((claim.camera.clone(), claim.kind)).or_insert(*id);
            if claims.get(holder).is_some_and(|h| claim.rank(*id) < h.rank(*holder)) {
                *holder = *id;
            }
        }
        names
    }

    /// The stream of a camera, if it has one.
    pub(super) fn get(&self, camera: &CameraId, kind: StreamKind) -> Option<StreamId> {
        self.names.get(&(camera.clone(), kind)).copied()
    }

    /// A new stream for a camera that has none.
    pub(super) fn make(&mut self, camera: &CameraId, kind: StreamKind) -> StreamId {
        let id = StreamId::from(Uuid::new_v4());
        let claim = Claim { camera: camera.clone(), kind, named: WallNs::MAX, since: None, own: true };
        self.claims.insert(id, claim);
        self.names.insert((camera.clone(), kind), id);
        id
    }

    /// Footage of a stream begins. True if it is its first.
    pub(super) fn recorded(&mut self, id: StreamId, start: WallNs) -> bool {
        self.claims.get_mut(&id).filter(|c| c.since.is_none()).map(|c| c.since = Some(start)).is_some()
    }

    /// The camera that a stream belongs to now.
    pub(super) fn camera(&self, id: StreamId) -> Option<&CameraId> {
        self.claims.get(&id).filter(|c| self.names.get(&(c.camera.clone(), c.kind)) == Some(&id)).map(|c| &c.camera)
    }

    /// All streams under their present names.
    pub(super) fn keys(&self) -> Vec<StreamKey> {
        let key = |(id, claim): (&StreamId, &Claim)| {
            let has = self.names.get(&(claim.camera.clone(), claim.kind)) == Some(id);
            let camera = if has { claim.camera.clone() } else { name_beside(&claim.camera, *id) };
            StreamKey { id: *id, camera, kind: claim.kind }
        };
        let mut keys: Vec<StreamKey> = self.claims.iter().map(key).collect();
        keys.sort_by(|a, b| (&a.camera, a.kind).cmp(&(&b.camera, b.kind)));
        keys
    }

    /// The file for the volumes: all streams that have footage.
    pub(super) fn file(&self, now: WallNs) -> Vec<u8> {
        let entry = |(id, c): (&StreamId, &Claim)| {
            let since = c.since.filter(|_| c.own)?;
            Some(Entry { camera: c.camera.clone(), stream: c.kind, id: Uuid::from_bytes(*id.as_bytes()), since })
        };
        let streams = self.claims.iter().filter_map(entry).collect();
        let file = File { format: FORMAT, min_reader: FORMAT, written: now, streams };
        let mut text = serde_json::to_vec_pretty(&file).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

/// All streams that the volumes have, under the names that they have now.
pub fn settle(traces: &[Trace]) -> Vec<StreamKey> {
    let mut identities = Identities::default();
    identities.learn(traces);
    identities.keys()
}

/// A name for a stream whose camera's name belongs to another one.
pub(super) fn name_beside(camera: &CameraId, id: StreamId) -> CameraId {
    let stem = camera.as_str().get(..54).unwrap_or(camera.as_str());
    format!("{stem}-{}", &id.to_string()[..8]).parse().unwrap_or_else(|_| camera.clone())
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u16,
    min_reader: u16,
    written: WallNs,
    streams: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    camera: CameraId,
    stream: StreamKind,
    id: Uuid,
    since: WallNs,
}

/// What the file on a volume says. Only a recorder writes it there, and on its own volumes alone.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Trace>, String> {
    let file: File = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    if file.min_reader > FORMAT {
        return Err(format!("it wants a reader of version {}, this one has {FORMAT}", file.min_reader));
    }
    let trace = |e: Entry| Trace {
        key: StreamKey { id: e.id.into(), camera: e.camera, kind: e.stream },
        named: file.written,
        since: Some(e.since),
        own: true,
        newest: None,
        open_gap: None,
    };
    Ok(file.streams.into_iter().map(trace).collect())
}

/// Puts the file on a volume, whole or not at all, unless what is there says the same.
pub(super) fn put(disk: &dyn Disk, root: &Path, text: &[u8]) -> io::Result<()> {
    let path = root.join(FILE);
    if fs::read(&path).is_ok_and(|there| same(&there, text)) {
        return Ok(());
    }
    let fresh = path.with_extension("new");
    match disk.remove(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.create(&fresh)?;
    file.write_at(&[IoSlice::new(text)], 0)?;
    file.sync()?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(root)
}

/// Whether two such files say the same, whenever they were written.
fn same(a: &[u8], b: &[u8]) -> bool {
    let streams = |text| serde_json::from_slice::<File>(text).map(|f| f.streams);
    streams(a).is_ok_and(|a| streams(b).is_ok_and(|b| a == b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u8) -> StreamId {
        StreamId::from_bytes([n; 16])
    }

    fn trace(n: u8, camera: &str, named: i64, since: i64) -> Trace {
        Trace {
            key: StreamKey { id: id(n), camera: camera.parse().unwrap(), kind: StreamKind::Main },
            named: WallNs(named),
            since: Some(WallNs(since)),
            own: true,
            newest: None,
            open_gap: None,
        }
    }

    fn of(identities: &Identities, camera: &str) -> Option<StreamId> {
        identities.get(&camera.parse().unwrap(), StreamKind::Main)
    }

    fn names(identities: &Identities) -> Vec<(String, StreamId)> {
        identities.keys().into_iter().map(|k| (k.camera.to_string(), k.id)).collect()
    }

    #[test]
    fn a_stream_without_footage_gives_way_to_one_that_comes_late() {
        let mut all = Identities::default();
        let gate = "gate".parse().unwrap();
        let young = all.make(&gate, StreamKind::Main);
        assert_eq!(of(&all, "gate"), Some(young));
        assert!(all.learn(&[trace(1, "gate", 5, 2)]));
        assert_eq!(of(&all, "gate"), Some(id(1)));
        assert_eq!(names(&all), [("gate".to_owned(), id(1))], "of the young one nothing is left");
    }

    #[test]
    fn the_one_recorded_longest_is_the_cameras_and_the_other_keeps_its_footage() {
        let mut all = Identities::default();
        let gate = "gate".parse().unwrap();
        let young = all.make(&gate, StreamKind::Main);
        assert!(all.recorded(young, WallNs(100)) && !all.recorded(young, WallNs(200)));
        assert!(all.learn(&[trace(1, "gate", 5, 2)]));
        assert_eq!(of(&all, "gate"), Some(id(1)));
        let beside = format!("gate-{}", &young.to_string()[..8]);
        assert_eq!(names(&all), [("gate".to_owned(), id(1)), (beside, young)]);
        assert_eq!(all.camera(young), None);
        // Another recorder's footage of that camera, however old, changes nothing.
        let other = Trace { own: false, ..trace(9, "gate", 50, 1) };
        assert!(!all.learn(&[other]));
        // The volumes say the same to whoever comes next.
        let mut next = Identities::default();
        next.learn(&parse(&all.file(WallNs(300))).unwrap());
        assert_eq!(names(&next).len(), 2);
        assert_eq!(of(&next, "gate"), Some(id(1)));
    }

    #[test]
    fn the_newest_word_names_a_stream() {
        // A volume that was away while the gate was renamed and another camera got its name.
        let stale = [trace(1, "gate", 10, 2)];
        let fresh = [trace(1, "yard", 20, 2), trace(3, "gate", 20, 15)];
        for order in [[&stale[..], &fresh[..]], [&fresh[..], &stale[..]]] {
            let mut all = Identities::default();
            order.iter().for_each(|traces| _ = all.learn(traces));
            assert_eq!((of(&all, "yard"), of(&all, "gate")), (Some(id(1)), Some(id(3))));
        }
    }

    #[test]
    fn a_renamed_camera_takes_its_stream_along() {
        let renamed = vec![("gate".parse().unwrap(), "yard".parse().unwrap())];
        let mut all = Identities::new(renamed);
        let yard = all.make(&"yard".parse().unwrap(), StreamKind::Main);
        all.learn(&[trace(1, "gate", 10, 2)]);
        assert_eq!((of(&all, "yard"), of(&all, "gate")), (Some(id(1)), None), "{yard}");
        // Once it has the name, a new camera may have the former one.
        let gate = all.make(&"gate".parse().unwrap(), StreamKind::Main);
        all.recorded(gate, WallNs(100));
        all.learn(&[]);
        assert_eq!((of(&all, "yard"), of(&all, "gate")), (Some(id(1)), Some(gate)));
    }

    #[test]
    fn a_file_that_is_no_such_file_says_nothing() {
        assert!(parse(b"").is_err() && parse(b"{}").is_err());
        let newer = br#"{"format":9,"min_reader":9,"written":1,"streams":[]}"#;
        assert!(parse(newer).unwrap_err().contains("version 9"));
        let all = Identities::default();
        assert!(same(&all.file(WallNs(1)), &all.file(WallNs(2))) && !same(b"", &all.file(WallNs(1))));
    }

    #[test]
    fn a_name_beside_is_a_name() {
        let long: CameraId = "x".repeat(63).parse().unwrap();
        assert_eq!(name_beside(&long, id(7)).as_str().len(), 63);
        assert_eq!(name_beside(&"a".parse().unwrap(), id(0xab)).as_str(), "a-abababab");
    }

    proptest! {
        /// Volumes may come in any order, and be seen again.
        #[test]
        fn the_order_of_volumes_does_not_matter(
            traces in prop::collection::vec((0..5u8, 0..3u8, any::<i8>(), any::<bool>()), 0..12),
            seed in any::<u64>(),
        ) {
            let traces: Vec<Trace> = traces.iter().enumerate().map(|(i, (n, camera, since, own))| {
                // A stream begins once; each word on it has its own time.
                Trace { own: *own, ..trace(*n, ["a", "b", "c"][usize::from(*camera)], i64::try_from(i).unwrap(), i64::from(*since)) }
            }).collect();
            let mut shuffled = traces.clone();
            let mut dice = seed | 1;
            for i in (1..shuffled.len()).rev() {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(i, usize::try_from(dice >> 33).unwrap() % (i + 1));
            }
            let (mut one, mut other) = (Identities::default(), Identities::default());
            one.learn(&traces);
            for t in shuffled.iter().chain(&traces) {
                other.learn(std::slice::from_ref(t));
            }
            prop_assert_eq!(names(&one), names(&other));
            // Each name belongs to one stream, and no stream is lost.
            let keys = one.keys();
            let mut seen: Vec<_> = keys.iter().map(|k| &k.camera).collect();
            seen.dedup();
            prop_assert_eq!(seen.len(), keys.len());
            let ids: std::collections::BTreeSet<_> = traces.iter().map(|t| t.key.id).collect();
            prop_assert_eq!(ids.len(), keys.len());
        }
    }
}
