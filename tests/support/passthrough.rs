//! A folder seen through FUSE, which can be told to fail as disks do. What the recorder meets is the kernel: its errors, its hangs, a mount
//! that goes away. Everything is asked of this process each time; nothing is kept by the kernel.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File, FileTimes, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::Duration,
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::fcntl::{FallocateFlags, fallocate};

/// What is wrong with it now: an error number for each kind of call, 0 for none.
#[derive(Debug, Default)]
pub struct Faults {
    /// Whatever changes something: writing, making, renaming, cutting, removing.
    pub write: AtomicI32,
    /// To make something durable.
    pub sync: AtomicI32,
    /// To read a file.
    pub read: AtomicI32,
    /// To list a folder.
    pub list: AtomicI32,
    /// Each reading of a file takes so long, in microseconds.
    pub slow: AtomicU64,
    /// Bytes that no file gives: as of a disk with a bad sector where they lie.
    pub bad: Mutex<Range<u64>>,
    hanging: Mutex<bool>,
    released: Condvar,
    /// Calls that have been answered with an error so far.
    pub refused: AtomicU64,
}

impl Faults {
    /// From now on no call whatsoever comes back, or all that hang go on.
    pub fn hang(&self, on: bool) {
        *self.hanging.lock().unwrap() = on;
        self.released.notify_all();
    }

    /// Nothing is wrong any more.
    pub fn heal(&self) {
        for fault in [&self.write, &self.sync, &self.read, &self.list] {
            fault.store(0, Ordering::SeqCst);
        }
        self.hang(false);
    }

    fn wait(&self) {
        let hanging = self.hanging.lock().unwrap();
        drop(self.released.wait_while(hanging, |h| *h).unwrap());
    }

    fn pass(&self, fault: &AtomicI32) -> Result<(), Errno> {
        self.wait();
        let errno = fault.load(Ordering::SeqCst);
        if errno == 0 {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(Errno::from_i32(errno))
    }
}

/// The mounted view; gone when dropped.
pub struct Passthrough {
    at: PathBuf,
    faults: Arc<Faults>,
    session: Option<BackgroundSession>,
}

impl Passthrough {
    /// Shows `behind` at `at`.
    pub fn mount(behind: &Path, at: &Path) -> Self {
        let faults = Arc::new(Faults::default());
        let mut this = Self { at: at.to_owned(), faults, session: None };
        this.mount_again(behind);
        this
    }

    /// Shows it there again, after it went away.
    pub fn mount_again(&mut self, behind: &Path) {
        let view = View { behind: behind.to_owned(), faults: self.faults.clone(), inner: Mutex::default() };
        self.session = Some(fuser::spawn_mount(view, &self.at, &Config::default()).unwrap());
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Takes the mount away though it is in use: what is open lives on.
    pub fn detach(&mut self) {
        umount(&self.at);
        // Ends by itself when nobody has anything open.
        self.session = None;
    }

    /// Cuts the connection: every call fails with ENOTCONN, though the mount is there still.
    pub fn sever(&mut self) {
        let device = fs::metadata(&self.at).unwrap().dev();
        let control = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(["-t", "fusectl", "none"]).arg(control.path()).status().unwrap();
        assert!(done.success(), "fusectl");
        // An anonymous device has the minor number that the connection has.
        let connection = control.path().join(nix::sys::stat::minor(device).to_string());
        let cut = fs::write(connection.join("abort"), "1");
        umount(control.path());
        cut.unwrap();
        assert_eq!(fs::metadata(&self.at).unwrap_err().raw_os_error(), Some(nix::libc::ENOTCONN));
    }
}

fn umount(at: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(at).status();
}

impl Drop for Passthrough {
    fn drop(&mut self) {
        self.faults.heal();
        umount(&self.at);
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Where the inodes are that the kernel has asked for, relative to the folder.
    paths: HashMap<u64, PathBuf>,
    open: HashMap<u64, Arc<File>>,
    next: u64,
}

struct View {
    behind: PathBuf,
    faults: Arc<Faults>,
    inner: Mutex<Inner>,
}

/// Nothing is kept by the kernel.
const TTL: Duration = Duration::ZERO;

fn attr(ino: INodeNo, m: &fs::Metadata) -> FileAttr {
    let time = m.modified().unwrap();
    FileAttr {
        ino,
        size: m.size(),
        blocks: m.blocks(),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: FileType::from_std(m.file_type()).unwrap(),
        perm: u16::try_from(m.mode() & 0o7777).unwrap(),
        nlink: u32::try_from(m.nlink()).unwrap(),
        uid: m.uid(),
        gid: m.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl View {
    /// Where an inode is, now.
    fn path(&self, ino: INodeNo) -> io::Result<PathBuf> {
        if ino == INodeNo::ROOT {
            return Ok(self.behind.clone());
        }
        let inner = self.inner.lock().unwrap();
        Ok(self.behind.join(inner.paths.get(&ino.0).ok_or(io::ErrorKind::NotFound)?))
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> io::Result<PathBuf> {
        Ok(self.path(parent)?.join(name))
    }

    /// Looks at a path and remembers where its inode is.
    fn look(&self, path: &Path) -> io::Result<FileAttr> {
        let m = fs::symlink_metadata(path)?;
        let relative = path.strip_prefix(&self.behind).unwrap().to_owned();
        // The root's own number is 1, and no other's.
        self.inner.lock().unwrap().paths.insert(m.ino() + 1, relative);
        Ok(attr(INodeNo(m.ino() + 1), &m))
    }

    fn file(&self, fh: FileHandle) -> io::Result<Arc<File>> {
        let inner = self.inner.lock().unwrap();
        inner.open.get(&fh.0).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn keep(&self, file: File) -> FileHandle {
        let mut inner = self.inner.lock().unwrap();
        inner.next += 1;
        let fh = inner.next;
        inner.open.insert(fh, Arc::new(file));
        FileHandle(fh)
    }

    fn change<T>(&self, act: impl FnOnce() -> io::Result<T>) -> Result<T, Errno> {
        self.faults.pass(&self.faults.write)?;
        Ok(act()?)
    }
}

fn entry(reply: ReplyEntry, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(e) => reply.error(e),
    }
}

fn empty(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(e),
    }
}

impl Filesystem for View {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.faults.wait();
        entry(reply, self.child(parent, name).and_then(|p| self.look(&p)).map_err(Errno::from));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        self.faults.wait();
        let there = || fs::symlink_metadata(self.path(ino)?);
        match fh.map_or_else(there, |fh| self.file(fh)?.metadata()) {
            Ok(m) => reply.attr(&TTL, &attr(ino, &m)),
            Err(e) => reply.error(e.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let outcome = self.change(|| {
            let file = match fh {
                Some(fh) => self.file(fh)?,
                None => Arc::new(OpenOptions::new().read(true).write(size.is_some()).open(self.path(ino)?)?),
            };
            if let Some(mode) = mode {
                file.set_permissions(fs::Permissions::from_mode(mode))?;
            }
            if let Some(size) = size {
                file.set_len(size)?;
            }
            if let Some(TimeOrNow::SpecificTime(time)) = mtime {
                file.set_times(FileTimes::new().set_modified(time))?;
            }
            file.metadata()
        });
        match outcome {
            Ok(m) => reply.attr(&TTL, &attr(ino, &m)),
            Err(e) => reply.error(e),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let make = || {
            let path = self.child(parent, name)?;
            fs::DirBuilder::new().mode(mode & !umask).create(&path)?;
            self.look(&path)
        };
        entry(reply, self.change(make));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.change(|| fs::remove_file(self.child(parent, name)?)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.change(|| fs::remove_dir(self.child(parent, name)?)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || {
            let to = self.child(newparent, newname)?;
            fs::rename(self.child(parent, name)?, &to)?;
            self.look(&to).map(drop)
        };
        empty(reply, self.change(rename));
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.faults.wait();
        let writes = flags.0 & nix::libc::O_ACCMODE != nix::libc::O_RDONLY;
        let open = || OpenOptions::new().read(true).write(writes).open(self.path(ino)?);
        match open() {
            Ok(file) => reply.opened(self.keep(file), FopenFlags::FOPEN_DIRECT_IO),
            Err(e) => reply.error(e.into()),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.change(|| {
            let path = self.child(parent, name)?;
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode & !umask).open(&path)?;
            Ok((self.keep(file), self.look(&path)?))
        });
        match made {
            Ok((fh, attr)) => reply.created(&TTL, &attr, Generation(0), fh, FopenFlags::FOPEN_DIRECT_IO),
            Err(e) => reply.error(e),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = || -> Result<Vec<u8>, Errno> {
            self.faults.pass(&self.faults.read)?;
            std::thread::sleep(Duration::from_micros(self.faults.slow.load(Ordering::SeqCst)));
            let file = self.file(fh)?;
            let bad = self.faults.bad.lock().unwrap().clone();
            if bad.contains(&offset) {
                return Err(Errno::EIO);
            }
            // What comes before is given first, as the kernel does.
            let until =
                if offset < bad.start { bad.start.min(offset + u64::from(size)) } else { offset + u64::from(size) };
            let mut bytes = vec![0; usize::try_from(until - offset).unwrap()];
            let mut len = 0;
            while len < bytes.len() {
                match file.read_at(&mut bytes[len..], offset + len as u64)? {
                    0 => break,
                    n => len += n,
                }
            }
            bytes.truncate(len);
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => reply.data(&bytes),
            Err(e) => reply.error(e),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.change(|| self.file(fh)?.write_all_at(data, offset)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(e) => reply.error(e),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let reserve = || {
            let [offset, length] = [offset, length].map(|n| i64::try_from(n).unwrap());
            Ok(fallocate(&*self.file(fh)?, FallocateFlags::from_bits_retain(mode), offset, length)?)
        };
        empty(reply, self.change(reserve));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.inner.lock().unwrap().open.remove(&fh.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        // The folder behind is in memory as far as this test goes: nobody cuts its power.
        empty(reply, self.faults.pass(&self.faults.sync));
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.faults.pass(&self.faults.sync));
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let list = || -> Result<Vec<_>, Errno> {
            self.faults.pass(&self.faults.list)?;
            let mut entries = fs::read_dir(self.path(ino)?)?.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            Ok(entries)
        };
        match list() {
            Ok(entries) => {
                for (i, e) in (1..).zip(&entries).skip(usize::try_from(offset).unwrap()) {
                    let kind = e.file_type().ok().and_then(FileType::from_std).unwrap_or(FileType::RegularFile);
                    if reply.add(INodeNo(i), i, kind, e.file_name()) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(e) => reply.error(e),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.faults.wait();
        let s = nix::sys::statvfs::statvfs(&self.behind).unwrap();
        let size = u32::try_from(s.fragment_size()).unwrap();
        reply.statfs(s.blocks(), s.blocks_free(), s.blocks_available(), s.files(), s.files_free(), size, 255, size);
    }
}
