//! The steps, one after the other.

use std::{
    fs::{self, File},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::Path,
};

use anyhow::Context as _;

use super::{Course, Done, Installer, Looked, Tell, Told, keys, make_plan, papers::stamp};
use crate::{
    apply::{self, Cameras, Env, Look, Manager, ManagerError, Outcome, Request},
    disks::{LaidDisk, OpenState, RecoveryKey, Secret, Unlocking},
    factors::{FILE as FACTORS, Factors, SealedCode},
    install::{self, Begun, Footage, How, Order, SheetCode, Step, receipt::Copied},
    inventory::{self, Content},
    plan::{KEY_FILE, Recover, Touched},
    services::{
        applying, disks,
        disks::Machine,
        in_force,
        paths::Paths,
        planning::Wanted,
        recovering::{Keys, Recovery},
    },
    site::Recorder,
    sys::{Files as _, RealFiles},
};

/// Who has put the first generation in force.
const BY: &str = "installer";

impl Installer<'_> {
    /// Carries an order out; nobody else may be at it. `recover`: the recovery keys of volumes that are kept, see [`Self::wanted_keys`].
    ///
    /// # Errors
    /// What the first step that fails says. It can be given again.
    pub(super) fn carry_out(
        &self,
        wanted: &Wanted,
        order: &Order,
        recover: &[(Recover, RecoveryKey)],
        tell: &mut dyn Tell,
    ) -> anyhow::Result<Done> {
        // Hours may have gone by since a person was shown the disks, and `sdX` may be another one by now.
        let looked = self.look()?;
        let recorder = wanted.site.recorder(&order.recorder).context("the site has no such recorder")?;
        let judged = self.judge(&looked, order, wanted, recorder)?;
        let boot = self.boot()?;
        // A key file is made here, so this comes after all that may refuse.
        self.whole_key(recorder, order, &judged)?;
        let unlocking = disks::unlocking(
            recorder.unlock,
            Some(&self.stick.data.join(KEY_FILE)),
            order.passphrase.as_ref().map(Secret::bytes),
        )?;
        let mut course = Course { tell, order, steps: install::steps(order), done: Vec::new() };
        let ready = course.step(&Step::Table, |_| self.lay(judged))?;
        let mut copied = Copied { uki: Some(boot.hash), ..Copied::default() };
        for (step, from, to, hash) in [
            (Step::System, &self.stick.root, ready.disk.root(), &mut copied.root),
            (Step::Verity, &self.stick.verity, ready.disk.verity(), &mut copied.verity),
        ] {
            let got = course.step(&step, |tell| Ok(install::copy(from, &to, &mut |n, all| tell.copied(n, all))?))?;
            *hash = Some(got);
        }
        let state = course.step(&Step::State, |_| self.state(&ready, &unlocking))?;
        let device = state.file_system.display().to_string();
        let within = self.machine.mounted_as(&["-t", "ext4", "-o", "nodev,nosuid,noexec", &device], |at| {
            let work = Within { installer: self, wanted, recorder, unlocking: &unlocking, disk: &ready.disk, at };
            let done = work.all(&mut course, &state, recover, &looked, copied);
            nix::unistd::syncfs(File::open(at)?)?;
            done
        });
        self.close(&unlocking);
        let wipe = within?;
        let before =
            course.step(&Step::Start, |_| self.start(&ready.disk, &boot).map(|changed| (!changed, changed)))?;
        if wipe {
            course.step(&Step::Wipe, |_| super::wipe(&self.stick.data).map(|changed| ((), changed)))?;
        }
        Ok(Done { before })
    }
}

/// What is done while the new state is mounted.
struct Within<'a> {
    installer: &'a Installer<'a>,
    wanted: &'a Wanted,
    recorder: &'a Recorder,
    unlocking: &'a Unlocking,
    disk: &'a LaidDisk,
    /// Where: it will be `/var`.
    at: &'a Path,
}

impl Within<'_> {
    fn all(
        &self,
        course: &mut Course<'_, '_>,
        state: &OpenState,
        recover: &[(Recover, RecoveryKey)],
        looked: &Looked,
        copied: Copied,
    ) -> anyhow::Result<bool> {
        let order = course.order;
        let dir = Installer::state_dir(self.at);
        let mut begun = course.step(&Step::Files, |_| self.files(&dir, order, state))?;
        for footage in &order.footage {
            let step = Step::Footage { volume: footage.volume.clone() };
            course.step(&step, |_| Ok(((), self.footage(&dir, footage, &mut begun)?)))?;
        }
        self.recover(&dir, order, recover, &mut begun)?;
        course.step(&Step::Factors, |_| Ok(((), self.factors(&dir, order, &mut begun)?)))?;
        course.step(&Step::Generation, |_| Ok(((), self.generation(&dir)?)))?;
        // Where nobody is asked it may be started again and again from the stick: the code that was noted once stays the right one.
        let on_stick = |name: &String| self.installer.stick.data.join(name).exists();
        if begun.told && !order.asked && begun.sheet.as_ref().is_some_and(on_stick) {
            for step in [Step::Sheet, Step::Receipt] {
                course.step(&step, |_| Ok(((), false)))?;
            }
            return Ok(order.wipe_secrets);
        }
        let (code, sheet) = course.step(&Step::Sheet, |_| Ok((self.sheet(&dir, order, &mut begun)?, true)))?;
        let done = course.done.clone();
        let keys = keys::pairs(&Paths::standard_at(&dir));
        let write = || self.installer.receipt(looked, self.wanted, self.recorder, order, copied, &begun, &keys, done);
        let receipt = course.step(&Step::Receipt, |_| Ok((write()?, true)))?;
        let wipe = course.tell.told(&Told { code: &code, sheet: &sheet, receipt: &receipt, keys: &keys })?;
        begun.told = true;
        begun.write(&RealFiles, &dir)?;
        Ok(wipe)
    }

    /// Writes the recovery sheet, and on the next ones over those that this very installation has written, never over another one's. The disk
    /// does not start until it is known what opens it.
    fn sheet(&self, dir: &Path, order: &Order, begun: &mut Begun) -> anyhow::Result<(SheetCode, String)> {
        let installer = self.installer;
        self.untold(dir, begun)?;
        let name = match &begun.sheet {
            Some(name) => name.clone(),
            None => installer.free_name(&format!("recovery-{}-{}", order.recorder, stamp(begun.at)), "html"),
        };
        begun.sheet = Some(name.clone());
        begun.write(&RealFiles, dir)?;
        let code = installer.sheet(&name, self.wanted, order, begun)?;
        Ok((code, name))
    }

    /// The code that was written down last will not open all that there is: until another one is, the disk does not start.
    fn untold(&self, dir: &Path, begun: &mut Begun) -> anyhow::Result<()> {
        if !begun.told {
            return Ok(());
        }
        begun.told = false;
        begun.write(&RealFiles, dir)?;
        self.installer.stop(self.disk)
    }

    fn machine(&self, dir: &Path) -> Machine<'_> {
        let of = &self.installer.machine;
        Machine {
            commands: of.commands,
            roots: of.roots.clone(),
            run: of.run.clone(),
            spool: Some(Paths::new(dir).ledger_spool()),
        }
    }

    /// Folders, the site, and what must not be lost.
    fn files(&self, dir: &Path, order: &Order, state: &OpenState) -> anyhow::Result<(Begun, bool)> {
        let accounts = self.installer.accounts;
        make_dir(&self.at.join("lib"), 0o755)?;
        for folder in install::folders() {
            let path = self.at.join(&folder.path);
            make_dir(&path, folder.mode)?;
            let (user, group) = (accounts.user(&folder.user)?, accounts.group(&folder.group)?);
            if user.is_some() {
                chown(&path, user, group).with_context(|| path.display().to_string())?;
                // Giving a folder away takes its set-group-id bit.
                fs::set_permissions(&path, fs::Permissions::from_mode(folder.mode))?;
            }
        }
        let (begun, made) = if let Some(begun) = Begun::read(&RealFiles, dir)? {
            (begun, false)
        } else {
            let key = state.recovery.as_ref().map(RecoveryKey::reveal);
            let begun = Begun::new(order.recorder.clone(), self.installer.clock.wall(), key);
            begun.write(&RealFiles, dir).context("keys cannot be written down")?;
            (begun, true)
        };
        let etc = dir.join("etc");
        let write = |name: &str, text: &str, mode, group| {
            let path = etc.join(name);
            if RealFiles.read(&path)?.as_deref() == Some(text.as_bytes()) {
                return Ok(false);
            }
            RealFiles.write(&path, text.as_bytes(), mode, group).with_context(|| path.display().to_string())?;
            anyhow::Ok(true)
        };
        let mut changed = write("site.toml", &self.wanted.text, 0o640, accounts.group("custodian")?)?;
        if let Some(secrets) = &self.wanted.secrets {
            changed |= write("secrets.toml", secrets, 0o600, None)?;
        }
        let clock = self.installer.clock;
        changed |= keys::make(&Paths::standard_at(dir), accounts, clock, &self.wanted.site, &order.recorder)?;
        Ok((begun, changed || made))
    }

    /// Sees to it that a disk is the volume that the site says.
    fn footage(&self, dir: &Path, footage: &Footage, begun: &mut Begun) -> anyhow::Result<bool> {
        let machine = self.machine(dir);
        let found = install::wanted(&self.wanted.site, self.recorder, &footage.volume);
        let (wanted, by_id) = found.context("the site has no such volume")?;
        let clock = self.installer.clock;
        let token = match &footage.how {
            How::Keep => {
                let ours = |content: &Content| matches!(content, Content::Ours(v) if v.site == wanted.site && v.volume == wanted.volume);
                let sheet = machine.sheet(&by_id, Some(&wanted))?;
                anyhow::ensure!(ours(&sheet.disk.content), "disk {by_id} is no longer volume {}", footage.volume);
                return Ok(false);
            }
            How::Prepare(token) => token.clone(),
            How::Again(token) => {
                machine.erase(&by_id, token, clock)?;
                machine.sheet(&by_id, Some(&wanted))?.init?
            }
        };
        // It gets another recovery key, which is on no sheet yet.
        self.untold(dir, begun)?;
        begun.preparing.insert(footage.volume.clone(), by_id.clone());
        begun.write(&RealFiles, dir).context("it cannot be written down")?;
        // The key is safe before the disk counts as a volume.
        let mut keep = |key: &RecoveryKey| {
            begun.volumes.insert(footage.volume.clone(), key.reveal());
            begun.write(&RealFiles, dir).context("the recovery key cannot be written down")
        };
        machine.init_keeping(&by_id, &wanted, &token, self.unlocking.clone(), clock, &mut keep)?;
        Ok(true)
    }

    /// Sees to it that volumes that are kept open by themselves. Each wants its recovery key, and has it on the sheet.
    fn recover(
        &self,
        dir: &Path,
        order: &Order,
        keys: &[(Recover, RecoveryKey)],
        begun: &mut Begun,
    ) -> anyhow::Result<()> {
        let machine = self.machine(dir);
        let survey = inventory::survey(machine.commands, &machine.roots);
        let kept = |r: &Recover| order.footage.iter().any(|f| f.volume == r.volume && f.how == How::Keep);
        let mut known = Vec::new();
        for (_, volume) in machine.locked_volumes(&survey, &self.wanted.site, self.recorder) {
            if !kept(&volume) {
                continue;
            }
            let given = keys.iter().find(|(of, _)| *of == volume).map(|(_, key)| key.clone());
            let key = given.or_else(|| begun.volumes.get(&volume.volume)?.parse().ok());
            let key = key.with_context(|| format!("the recovery key of volume {} is wanted", volume.volume))?;
            begun.volumes.insert(volume.volume.clone(), key.reveal());
            known.push((volume, key));
        }
        if known.is_empty() {
            return Ok(());
        }
        begun.write(&RealFiles, dir)?;
        let recovery = Recovery {
            site: &self.wanted.site,
            recorder: self.recorder,
            clock: self.installer.clock,
            unlocking: Some(self.unlocking),
            let_go: &|_| Ok(()),
        };
        let volumes: Vec<Recover> = known.iter().map(|(volume, _)| volume.clone()).collect();
        machine.recover(&recovery, &volumes, &mut Known(known)).map(|_| ())
    }

    /// PIN and sealed code; again only if the code was lost with the attempt that made it.
    fn factors(&self, dir: &Path, order: &Order, begun: &mut Begun) -> anyhow::Result<bool> {
        let code = match &begun.sealed {
            Some(code) => code.parse::<SealedCode>()?,
            None => SealedCode::make()?,
        };
        let there = begun.sealed.is_some() && dir.join(FACTORS).exists();
        begun.sealed = Some(code.reveal());
        begun.write(&RealFiles, dir)?;
        // The PIN may be another one than last time.
        Factors::new(&RealFiles, self.installer.clock, dir, "").create(&order.pin, &code)?;
        Ok(!there)
    }

    /// The first generation, so that the first start is like any other.
    fn generation(&self, dir: &Path) -> anyhow::Result<bool> {
        let (files, wanted) = (&RealFiles, self.wanted);
        let units = crate::plan::units(&wanted.site, &self.recorder.id);
        if let Some(number) = apply::current(files, dir)? {
            let now = apply::load(files, dir, number)?;
            let same = now.site == wanted.text && now.secrets == wanted.secrets && now.units == units;
            if same && now.plan.recorder == self.recorder.id && apply::in_work_since(files, dir)?.is_none() {
                self.tell(dir)?;
                return Ok(false);
            }
            // Nothing has run by it yet.
            for file in ["current", "pending.json", "confirmed", "in-force.json"] {
                files.remove(&dir.join(file))?;
            }
            files.remove_dir(&dir.join("generations"))?;
        }
        let inventory = inventory::probe(self.installer.machine.commands, &self.installer.machine.roots);
        let plan = make_plan(wanted, self.recorder, &inventory)?;
        let accounts = self.installer.accounts;
        let scratch = scratch(&self.installer.machine.run)?;
        let env = Env {
            state: dir.to_owned(),
            // What is no unit lies beside them.
            unit_dir: scratch.join(UNITS),
            boot: "installer".to_owned(),
            site_group: accounts.group("custodian")?,
            secrets_group: accounts.group("custodian-record")?,
            files,
            manager: &Nobody,
            clock: self.installer.clock,
            cameras: &Nobody,
            judge: &applying::judge,
        };
        let request = Request {
            plan,
            site: wanted.text.clone(),
            secrets: wanted.secrets.clone(),
            units,
            touched: Touched::default(),
            inventory: None,
            by: BY.to_owned(),
            word: None,
            trial: None,
        };
        let applied = apply::apply(&env, request);
        fs::remove_dir_all(&scratch)?;
        applied?;
        self.tell(dir)?;
        Ok(true)
    }

    /// Leaves word of it for the ledger.
    fn tell(&self, dir: &Path) -> anyhow::Result<()> {
        let change = in_force::Change { by: BY.to_owned(), at: self.installer.clock.wall() };
        in_force::tell(&RealFiles, dir, &Paths::new(dir).ledger_spool(), change)
    }
}

fn make_dir(path: &Path, mode: u32) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e).with_context(|| path.display().to_string()),
        _ => Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?),
    }
}

const UNITS: &str = "units";

/// A folder for units and settings that nobody reads: at each start they are written anew.
fn scratch(run: &Path) -> anyhow::Result<std::path::PathBuf> {
    let dir = run.join(format!("custodian-units-{}", uuid::Uuid::new_v4().as_simple()));
    for dir in [&dir, &dir.join(UNITS)] {
        fs::create_dir(dir).with_context(|| dir.display().to_string())?;
    }
    Ok(dir)
}

/// Keys that were asked for before.
struct Known(Vec<(Recover, RecoveryKey)>);

impl Keys for Known {
    fn next(&mut self, volume: &Recover) -> anyhow::Result<Option<RecoveryKey>> {
        let at = self.0.iter().position(|(of, _)| of == volume);
        Ok(at.map(|at| self.0.swap_remove(at).1))
    }
}

/// No service runs yet, and no camera is recorded.
struct Nobody;

impl Cameras for Nobody {
    fn look(&self) -> Result<Vec<Look>, String> {
        Ok(Vec::new())
    }
}

impl Manager for Nobody {
    fn reload_manager(&self) -> Result<Outcome, ManagerError> {
        Ok(Outcome::NotNeeded)
    }
    fn start(&self, _: &str, _: bool) -> Result<Outcome, ManagerError> {
        Ok(Outcome::NotNeeded)
    }
    fn stop(&self, _: &str) -> Result<Outcome, ManagerError> {
        Ok(Outcome::NotNeeded)
    }
    fn restart(&self, _: &str) -> Result<Outcome, ManagerError> {
        Ok(Outcome::NotNeeded)
    }
    fn reload(&self, _: &str) -> Result<Outcome, ManagerError> {
        Ok(Outcome::NotNeeded)
    }
    fn arm(&self, _: u64, _: std::time::Duration) -> Result<(), ManagerError> {
        Ok(())
    }
    fn disarm(&self, _: u64) -> Result<(), ManagerError> {
        Ok(())
    }
}
