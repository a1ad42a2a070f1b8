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

/// Where nobody is asked, nobody may be there to pull the stick.
const SOON: Duration = Duration::from_mins(2);

impl Session<'_> {
    pub(super) fn failed(&mut self, e: &anyhow::Error, begun: bool) -> Ended {
        // These come before anything is written.
        let refused = match (e.downcast_ref(), e.downcast_ref::<Unfit>()) {
            (Some(Refusal::Installed(disk)), _) => Some(t(self.lang, "install.installed", &[("disk", disk)])),
            (Some(Refusal::Locked(disk)), _) => Some(t(self.lang, "install.locked", &[("disk", disk)])),
            (Some(Refusal::NotBegun { volume, by_id }), _) => {
                Some(t(self.lang, "install.not_begun", &[("volume", volume.as_str()), ("disk", by_id)]))
            }
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

    pub(super) fn finished(&mut self, done: &Done, order: &Order, unlock: Unlock) -> Ended {
        self.say("finished", &[]);
        self.say("receipt_is", &[("file", &done.receipt_file)]);
        if unlock == Unlock::UsbKey {
            self.say("key_is", &[]);
        }
        // Who has chosen the code knows it.
        if order.sheet_code.is_some() {
            return Ended::Done { then: order.then, wait: Duration::ZERO };
        }
        self.say("sheet_is", &[("file", &done.sheet), ("code", &done.code.reveal())]);
        self.say(if order.then == Then::Reboot { "pull" } else { "pull_off" }, &[]);
        if order.asked {
            return Ended::Done { then: order.then, wait: Duration::MAX };
        }
        self.say("pull_soon", &[]);
        Ended::Done { then: order.then, wait: SOON }
    }
}
