//! Words to the service manager (sd_notify(3)). Without one, nothing happens.

/// Whether there is a service manager to speak to.
pub fn is_heard() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The service is up.
pub fn ready() {
    send(&[sd_notify::NotifyState::Ready]);
}

/// The service is going down.
pub fn stopping() {
    send(&[sd_notify::NotifyState::Stopping]);
}

/// One line on what the service does.
pub fn status(text: &str) {
    send(&[sd_notify::NotifyState::Status(text)]);
}

/// How often the service manager wants to hear that the service is alive, where it does.
pub fn watchdog() -> Option<std::time::Duration> {
    sd_notify::watchdog_enabled()
}

/// The service is alive.
pub fn alive() {
    send(&[sd_notify::NotifyState::Watchdog]);
}

fn send(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::debug!("the service manager could not be told: {e}");
    }
}
