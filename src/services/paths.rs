//! Where a recorder keeps its own things.

use std::{
    io,
    path::{Path, PathBuf},
};

pub use crate::plan::{BACKUP_DISKS, VOLUMES, backup_mount_point, mount_point};
use crate::types::VolumeName;

/// Where state is kept unless `--state` says otherwise.
pub const STATE: &str = "/var/lib/custodian";

/// Where the sockets are that go with [`STATE`].
pub const RUN: &str = "/run/custodian";

/// Where health answers, with [`STATE`].
pub const HEALTH_RUN: &str = "/run/custodian-health";

/// Where it is said how the recorder is, with [`STATE`].
pub const STATUS_RUN: &str = "/run/custodian-status";

/// The state folder and what is in it.
#[derive(Debug, Clone)]
pub struct Paths {
    state: PathBuf,
    /// Whether each service has a folder of its own in it, as in the standard one.
    apart: bool,
}

impl Paths {
    /// For a state folder.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        let state = state.into();
        Self { apart: state == Path::new(STATE), state }
    }

    /// For what will be the standard state folder, and is mounted elsewhere for now. What is in it is where it will be; what is in memory is
    /// none of it.
    pub fn standard_at(state: impl Into<PathBuf>) -> Self {
        Self { state: state.into(), apart: true }
    }

    /// The state folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// What the recorder writes besides footage: a folder of its own in the standard state folder, which is root's because it
    /// says what is in force at the next boot; else the state folder itself.
    pub fn record(&self) -> PathBuf {
        if self.apart { self.state.join("record") } else { self.state.clone() }
    }

    /// The index.
    pub fn index(&self) -> PathBuf {
        self.record().join("index.db")
    }

    /// What deletion depends on beside footage and holds.
    pub fn retention(&self) -> PathBuf {
        self.record().join("retention.json")
    }

    /// The lock that only one recorder can have.
    pub fn lock(&self) -> PathBuf {
        self.record().join("record.lock")
    }

    /// The ledger: its log, and the key that it is signed with.
    pub fn ledger(&self) -> PathBuf {
        self.record().join("ledger")
    }

    /// Where other commands leave entries for the ledger.
    pub fn ledger_spool(&self) -> PathBuf {
        self.state.join("ledger-spool")
    }

    /// What backups write down here: records, and what lies at which place.
    pub fn backups(&self) -> PathBuf {
        self.state.join("backups")
    }

    /// What lies at which place for backups.
    pub fn catalogue(&self) -> PathBuf {
        self.backups().join("catalogue.db")
    }

    /// The lock that only one backup can have.
    pub fn backup_lock(&self) -> PathBuf {
        self.backups().join("backup.lock")
    }

    /// Exports that were handed out, if there are any.
    pub fn exports(&self) -> PathBuf {
        self.state.join("exports")
    }

    /// Where the sockets are: `/run/custodian` for the standard state folder, else beside the state. The same for all services.
    /// Whoever comes here can ask for pictures.
    pub fn run(&self) -> PathBuf {
        if self.state == Path::new(STATE) { PathBuf::from(RUN) } else { self.state.join("run") }
    }

    /// Pages ask here.
    pub fn media_socket(&self) -> PathBuf {
        self.run().join("media.sock")
    }

    /// A folder of its own for what says how the recorder is, so that whoever may know that comes no nearer to pictures.
    pub fn status_run(&self) -> PathBuf {
        if self.state == Path::new(STATE) { PathBuf::from(STATUS_RUN) } else { self.run().join("status") }
    }

    /// Health asks here.
    pub fn status_socket(&self) -> PathBuf {
        self.status_run().join("status.sock")
    }

    /// Here the recorder leaves evidence of its commits: [`crate::types::wire::health::Committed`] in a file for each volume.
    pub fn commits(&self) -> PathBuf {
        self.status_run().join("commit")
    }

    /// Health answers here: `/run/custodian-health` for the standard state folder, else beside the state.
    pub fn health_run(&self) -> PathBuf {
        if self.state == Path::new(STATE) { PathBuf::from(HEALTH_RUN) } else { self.run().join("health") }
    }

    /// Whoever may know how the recorder is asks here.
    pub fn health_socket(&self) -> PathBuf {
        self.health_run().join("health.sock")
    }

    /// Root tells health here: silences, and the vendor's permission.
    pub fn health_control_socket(&self) -> PathBuf {
        self.health_run().join("health-control.sock")
    }

    /// Apply, and `record --reload`, speak here.
    pub fn control_socket(&self) -> PathBuf {
        self.run().join("control.sock")
    }

    /// What is known of updates of the system, and the version that is offered.
    pub fn updates(&self) -> PathBuf {
        self.state.join("updates")
    }

    /// What the verifier notes: its user has a folder of its own in the standard state folder, and one below any other.
    pub fn verify(&self) -> PathBuf {
        self.state.join("verify")
    }

    /// What health keeps: its user has a folder of its own in the standard state folder, and one below any other.
    pub fn health(&self) -> PathBuf {
        self.state.join("health")
    }

    /// Certificates of the doors where health is asked.
    pub fn doors(&self) -> PathBuf {
        self.health().join("tls")
    }

    /// Where root leaves what only it can see.
    pub fn look(&self) -> PathBuf {
        let standard = self.state == Path::new(STATE);
        let dir = if standard { PathBuf::from("/run/custodian-look") } else { self.run().join("look") };
        dir.join("look.json")
    }

    /// Makes the state folder, the recorder's own and the run folders, one level each.
    pub fn make(&self) -> io::Result<()> {
        for dir in [self.state.clone(), self.record(), self.run(), self.status_run()] {
            match std::fs::create_dir(&dir) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(io::Error::new(e.kind(), format!("cannot make {}: {e}", dir.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Under this key the index notes where a volume was last, so that footage is found while the recorder is down.
pub fn root_note(volume: &VolumeName) -> String {
    format!("root.{volume}")
}
