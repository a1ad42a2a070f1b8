//! What the installer says, in words for a school.

use super::{FootageState, Misfit, NoFootage, Step};
use crate::{
    disks::{Refusal, Unfit},
    lang::t,
    types::Lang,
};

/// What a step does.
pub fn step(lang: Lang, step: &Step) -> String {
    let key = format!("install.step_{}", step.key());
    match step {
        Step::Footage { volume } => t(lang, &key, &[("volume", volume.as_str())]),
        _ => t(lang, &key, &[]),
    }
}

/// Why a verb is refused, in the words of `custodian disk`.
pub fn refusal(lang: Lang, refusal: &Refusal) -> String {
    let say = |key: &str, values: &[(&str, &str)]| t(lang, &format!("disk.{key}"), values);
    match refusal {
        Refusal::NoDisk { by_id } => say("no_disk", &[("disk", by_id)]),
        Refusal::NotInSite => say("not_in_site", &[]),
        Refusal::System => t(lang, "install.is_stick", &[]),
        Refusal::Mounted { at } => say("mounted", &[("at", at)]),
        Refusal::Held { by } => say("held", &[("by", by)]),
        Refusal::ReadOnly => say("read_only", &[]),
        Refusal::Removable => t(lang, "install.removable", &[]),
        Refusal::TooSmall { size, stated } => {
            say("too_small", &[("size", &size.to_string()), ("stated", &stated.to_string())])
        }
        Refusal::Unknown { why } => say("unknown", &[("why", why)]),
        Refusal::Ours { site, volume, .. } => {
            t(lang, "install.footage_on_it", &[("volume", volume.as_str()), ("site", site)])
        }
        Refusal::Foreign { found } => t(lang, "install.foreign", &[("found", found)]),
        Refusal::Empty => say("empty", &[]),
        Refusal::NotOurs => say("not_ours", &[]),
        Refusal::LongName { site, volume } => say("long_name", &[("volume", volume.as_str()), ("site", site)]),
        Refusal::Token(_) => t(lang, "install.wrong_code", &[]),
    }
}

/// Why a disk is not to be the system's.
pub fn unfit(lang: Lang, unfit: &Unfit) -> String {
    match unfit {
        Unfit::Refused(why) => refusal(lang, why),
        Unfit::Removable => t(lang, "install.removable", &[]),
        Unfit::TooSmall { size } => {
            let needed = crate::disks::SMALLEST.to_string();
            t(lang, "install.too_small", &[("size", &size.to_string()), ("needed", &needed)])
        }
        Unfit::Footage { site, volume } => {
            t(lang, "install.footage_on_it", &[("volume", volume.as_str()), ("site", site)])
        }
        Unfit::Volume { found } => t(lang, "install.volume_on_it", &[("found", found)]),
        Unfit::Backups => t(lang, "install.for_backups", &[]),
        Unfit::Named { volume } => t(lang, "install.named", &[("volume", volume.as_str())]),
    }
}

/// Why a disk cannot be what the site says.
pub fn no_footage(lang: Lang, why: &NoFootage) -> String {
    match why {
        NoFootage::Other { site, volume } => {
            t(lang, "install.footage_on_it", &[("volume", volume.as_str()), ("site", site)])
        }
        NoFootage::Refused(why) => refusal(lang, why),
    }
}

/// What will be done with a disk for footage.
pub fn footage(lang: Lang, state: &FootageState) -> String {
    match state {
        FootageState::New(_) => t(lang, "install.will_prepare", &[]),
        FootageState::Unfinished { .. } => t(lang, "install.will_finish", &[]),
        FootageState::Ours => t(lang, "install.will_keep", &[]),
        FootageState::Refused(why) => t(lang, "install.cannot_use", &[("why", &no_footage(lang, why))]),
    }
}

/// What of install.toml does not fit this machine.
pub fn misfit(lang: Lang, misfit: &Misfit) -> String {
    match misfit {
        Misfit::Serial { serial, count } => {
            t(lang, "install.misfit_serial", &[("serial", serial), ("count", &count.to_string())])
        }
        Misfit::System { serial, why } => {
            t(lang, "install.misfit_system", &[("serial", serial), ("why", &unfit(lang, why))])
        }
        Misfit::NotNamed { serial } => t(lang, "install.misfit_not_named", &[("serial", serial)]),
        Misfit::Token { volume, by_id } => {
            t(lang, "install.misfit_token", &[("volume", volume.as_str()), ("disk", by_id)])
        }
        Misfit::NoPassphrase => t(lang, "install.misfit_passphrase", &[]),
    }
}
