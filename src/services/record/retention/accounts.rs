//! What there is and what comes, per volume and camera: what the forecast is reckoned from, and who may be a guest where.

use std::collections::{BTreeMap, BTreeSet};

use super::Retention;
use crate::{
    plan,
    retention::{
        DAY_NS, Levels, Rules,
        forecast::{Account, Choice, Forecast, by_substream, forecast},
        holds::Spans,
    },
    services::{planning, record::Shared},
    site::{Camera, Site, VolumePlace, WhenShort},
    store::index::{IndexError, Reader, Stock},
    types::{CameraId, Span, StreamId, StreamKind, VolumeName, WallNs},
};

/// What began longer ago than this has stopped growing.
const RECENT: i64 = DAY_NS / 24;

/// What was reckoned.
#[derive(Debug, Clone)]
pub(super) struct Accounts {
    pub(super) at: WallNs,
    pub(super) rules: Rules,
    /// Bytes a day of each camera that is to be recorded, one copy, as it is recorded now.
    pub(super) rates: BTreeMap<CameraId, u64>,
    pub(super) held: BTreeMap<CameraId, u64>,
    pub(super) volumes: BTreeMap<VolumeName, OnVolume>,
    /// Where each stream's footage on a volume begins. What came to others since is too young to go.
    pub(super) begins: BTreeMap<(StreamId, VolumeName), WallNs>,
    /// Cameras that are to be recorded by their sub stream.
    pub(super) by_sub: BTreeSet<CameraId>,
}

/// What was reckoned of one volume. Bytes.
#[derive(Debug, Clone)]
pub(super) struct OnVolume {
    pub(super) levels: Levels,
    pub(super) footage: u64,
    /// What of the footage began within [`RECENT`].
    pub(super) recent: u64,
    pub(super) guests: u64,
    pub(super) usable: u64,
    pub(super) per_day: u64,
    /// The most that promises to residents, and holds, come to take.
    pub(super) owed: u64,
    pub(super) forecast: Forecast,
}

impl Accounts {
    /// What footage takes on a volume with a quota now: it has grown since things were reckoned. What was removed since is not seen.
    pub(super) fn footage(
        &self,
        shared: &Shared,
        site: &Site,
        volume: &VolumeName,
        index: &Reader,
    ) -> Result<u64, IndexError> {
        let Some(known) = self.volumes.get(volume) else { return Ok(0) };
        if quota(site, shared, volume).is_none() {
            return Ok(known.footage);
        }
        let recent = index.footage(volume, self.at.offset(-RECENT))?;
        Ok(known.footage.saturating_sub(known.recent).saturating_add(recent))
    }
}

/// The size of a volume that is a folder, if the site gives it one: footage takes no more.
pub(super) fn quota(site: &Site, shared: &Shared, volume: &VolumeName) -> Option<u64> {
    let volumes = site.volumes_of(&shared.recorder);
    let found = volumes.iter().find(|v| v.name == *volume && matches!(v.place, VolumePlace::Path(_)))?;
    found.size.map(|size| size.0)
}

/// Size and free room of a volume, as far as footage may use it.
pub(super) fn room(
    shared: &Shared,
    site: &Site,
    volume: &VolumeName,
    free: u64,
    size: u64,
    footage: u64,
) -> (u64, u64) {
    match quota(site, shared, volume) {
        Some(quota) => (quota.min(size), free.min(quota.saturating_sub(footage))),
        None => (size, free),
    }
}

/// Reckons.
pub(super) fn reckon(shared: &Shared, retention: &Retention, index: &Reader) -> Result<Accounts, IndexError> {
    reckon_if(shared, retention, index, &shared.holds.held().spans)
}

/// What a volume has, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::services::record) struct Foreseen {
    /// What footage may take in all. Bytes.
    pub usable: u64,
    /// When the promise breaks; none: not within [`HORIZON`](crate::retention::forecast::HORIZON).
    pub breaks: Option<WallNs>,
}

/// What becomes of the volumes if that is held.
pub(in crate::services::record) fn foresee(
    shared: &Shared,
    index: &Reader,
    held: &Spans,
) -> Result<BTreeMap<VolumeName, Foreseen>, IndexError> {
    let accounts = reckon_if(shared, &shared.retention, index, held)?;
    let foreseen = |v: OnVolume| Foreseen { usable: v.usable, breaks: v.forecast.breaks.map(|b| b.at) };
    Ok(accounts.volumes.into_iter().map(|(name, v)| (name, foreseen(v))).collect())
}

/// Reckons as if that were held.
fn reckon_if(shared: &Shared, retention: &Retention, index: &Reader, held: &Spans) -> Result<Accounts, IndexError> {
    let (site, now) = (shared.site(), retention.trust.now());
    // What was promised of a camera last is noted: it may leave site.toml.
    let rules = Rules::new(&site, retention.notes.noted().terms);
    retention.notes.change(|noted| noted.terms.clone_from(rules.named()));
    let cameras: BTreeMap<CameraId, &Camera> =
        site.cameras_of(&shared.recorder).filter(|c| c.enabled).map(|c| (c.id.clone(), c)).collect();
    let measured = planning::measured(shared.paths.state(), &site, shared.clock.wall());
    let by_sub = retention.state().by_sub.clone();
    let streams = |c: &Camera| if by_sub.contains(&c.id) { vec![StreamKind::Sub] } else { c.record.clone() };
    let rates: BTreeMap<CameraId, u64> =
        cameras.iter().map(|(id, c)| (id.clone(), plan::daily(c, &streams(c), &measured))).collect();
    let reckoning = Reckoning { shared, index, held, now, rules: &rules, rates: &rates };
    let stock = index.stock(now)?;
    let mut accounts = Accounts {
        at: now,
        rules: rules.clone(),
        rates: rates.clone(),
        held: BTreeMap::new(),
        volumes: BTreeMap::new(),
        begins: stock.iter().map(|s| ((s.stream.id, s.volume.clone()), s.first)).collect(),
        by_sub: BTreeSet::new(),
    };
    for status in shared.store.volumes() {
        let here: Vec<&Stock> = stock.iter().filter(|s| s.volume == status.name).collect();
        let recent = index.footage(&status.name, now.offset(-RECENT))?;
        let footage: u64 = here.iter().flat_map(|s| s.by_age.values()).sum();
        let (size, free) = room(shared, &site, &status.name, status.free.0, status.size.0, footage);
        let all = reckoning.accounts(&status.name, &here)?;
        let residents: Vec<Account> = all.iter().filter(|a| a.resident).cloned().collect();
        let per_day = residents.iter().map(|a| a.per_day).sum();
        let levels = Levels::of(size, per_day);
        let usable = free.saturating_add(footage).saturating_sub(levels.wanted);
        if site.when_short() == WhenShort::Substream {
            let choice = |a: &Account| {
                let camera = cameras.get(&a.camera).filter(|_| a.per_day > 0);
                let per_day = camera.map_or(0, |c| plan::daily(c, &c.record, &measured));
                let sub = camera.filter(|c| c.sub.is_some()).map(|c| plan::daily(c, &[StreamKind::Sub], &measured));
                Choice { account: Account { per_day, ..a.clone() }, sub }
            };
            let choices: Vec<Choice> = all.iter().map(choice).collect();
            accounts.by_sub.extend(by_substream(now, usable, &choices, &by_sub));
        }
        for a in &all {
            *accounts.held.entry(a.camera.clone()).or_insert(0) += a.held;
        }
        let on_guests = all.iter().filter(|a| !a.resident).map(|a| a.by_age.iter().sum::<u64>() + a.held);
        let volume = OnVolume {
            levels,
            footage,
            recent,
            guests: on_guests.sum(),
            usable,
            per_day,
            owed: forecast(now, site.promise(), usable, &residents).peak.0,
            forecast: forecast(now, site.promise(), usable, &all),
        };
        accounts.volumes.insert(status.name, volume);
    }
    Ok(accounts)
}

struct Reckoning<'a> {
    shared: &'a Shared,
    index: &'a Reader,
    held: &'a Spans,
    now: WallNs,
    rules: &'a Rules,
    rates: &'a BTreeMap<CameraId, u64>,
}

impl Reckoning<'_> {
    /// The cameras that belong on a volume, are on it now, or have footage there.
    fn accounts(&self, volume: &VolumeName, here: &[&Stock]) -> Result<Vec<Account>, IndexError> {
        let mut all: BTreeMap<CameraId, Account> = BTreeMap::new();
        for (camera, rate) in self.rates.iter().filter(|(camera, _)| self.is_resident(camera, volume)) {
            all.insert(camera.clone(), Account { per_day: *rate, ..self.account(camera, true) });
        }
        for key in self.shared.store.streams() {
            if self.shared.store.volume_of(key.id).as_ref() == Some(volume) {
                let rate = self.rates.get(&key.camera).copied().unwrap_or(0);
                let guest = || Account { per_day: rate, ..self.account(&key.camera, false) };
                all.entry(key.camera.clone()).or_insert_with(guest);
            }
        }
        for stock in here {
            let camera = &stock.stream.camera;
            let account = all.entry(camera.clone()).or_insert_with(|| self.account(camera, false));
            let mut by_age = stock.by_age.clone();
            let held = self.held(stock, &mut by_age)?;
            account.held = account.held.saturating_add(held);
            for (age, bytes) in by_age {
                let age = age as usize;
                account.by_age.resize(account.by_age.len().max(age + 1), 0);
                account.by_age[age] += bytes;
            }
        }
        Ok(all.into_values().collect())
    }

    fn is_resident(&self, camera: &CameraId, volume: &VolumeName) -> bool {
        let homes = self.shared.store.homes(camera);
        homes.is_empty() || homes.contains(volume)
    }

    fn account(&self, camera: &CameraId, resident: bool) -> Account {
        let ahead = Span { start: self.now, end: WallNs::MAX };
        Account {
            camera: camera.clone(),
            terms: self.rules.of(camera),
            resident,
            per_day: 0,
            by_age: Vec::new(),
            held: 0,
            held_ahead: self.held.of(camera).iter().filter_map(|s| s.intersect(ahead)).collect(),
        }
    }

    /// What of a stock is held, taken out of its ages.
    fn held(&self, stock: &Stock, by_age: &mut BTreeMap<u32, u64>) -> Result<u64, IndexError> {
        let (mut seen, mut all) = (BTreeSet::new(), 0_u64);
        for span in self.held.of(&stock.stream.camera) {
            for row in self.index.segments(stock.stream.id, *span)? {
                if row.volume != stock.volume || !seen.insert(row.id) {
                    continue;
                }
                let age = u32::try_from(self.now.since(row.span.end).max(0) / DAY_NS).unwrap_or(u32::MAX);
                if let Some(bytes) = by_age.get_mut(&age) {
                    *bytes = bytes.saturating_sub(row.bytes);
                }
                all = all.saturating_add(row.bytes);
            }
        }
        Ok(all)
    }
}
