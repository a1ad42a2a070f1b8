//! What is said at the end.

use std::time::Duration;

use super::{Ended, Session};
use crate::{
    disks::Unfit,
    install::{Order, Then, text},
    lang::t,
    services::installing::{Done, Refusal},
    site::Unlock,
};

impl Session<'_> {
    pub(super) fn failed(&mut self, e: &anyhow::Error, begun: bool) -> Ended {
        // These come before anything is written.
        let refused = match (e.downcast_ref(), e.downcast_ref::<Unfit>()) {
            (Some(Refusal::Installed(disk)), _) => Some(t(self.lang, "install.installed", &[("disk", disk)])),
            (Some(Refusal::Locked(disk)), _) => Some(t(self.lang, "install.locked", &[("disk", disk)])),
            (Some(Refusal::NotBegun { volume, by_id }), _) => {
                Some(t(self.lang, "install.not_begun", &[("volume", volume.as_str()), ("disk", by_id)]))
            }
            (Some(Refusal::Second { name, model, serial }), _) => {
                let disk = [("name", name.as_str()), ("model", model), ("serial", serial)];
                Some(t(self.lang, "install.second", &disk))
            }
            (Some(Refusal::TwoSticks(disk)), _) => Some(t(self.lang, "install.two_sticks", &[("disk", disk)])),
            (Some(Refusal::ShortKey), _) => Some(t(self.lang, "install.short_key", &[])),
            (Some(Refusal::Busy), _) => Some(t(self.lang, "install.busy", &[])),
            (_, Some(why)) => Some(text::unfit(self.lang, why)),
            _ => None,
        };
        if let Some(why) = &refused {
            self.desk.say(why);
        } else {
            self.say("failed", &[("why", &format!("{e:#}"))]);
        }
        if refused.is_some() || !begun {
            self.say("refused", &[]);
            return Ended::Refused;
        }
        let key = if self.hands.stick_is_in() { "again" } else { "pulled" };
        self.say(key, &[]);
        Ended::Failed
    }

    pub(super) fn finished(&mut self, done: Done, order: &Order, unlock: Unlock) -> Ended {
        self.say("finished", &[]);
        if unlock == Unlock::UsbKey {
            self.say("key_is", &[]);
        }
        // Where nobody is asked nobody pulls the stick, and it has its use for the first start only: from the second on it would install again and again.
        let stays = done.before && order.then == Then::Reboot;
        if !order.asked && !stays {
            return Ended::Done { then: order.then, wait: Duration::ZERO };
        }
        self.say(if order.then == Then::Reboot { "pull" } else { "pull_off" }, &[]);
        Ended::Done { then: order.then, wait: Duration::MAX }
    }
}
