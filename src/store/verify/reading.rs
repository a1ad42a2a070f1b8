//! Reading a file whose disk may be failing: where it failed is remembered.

use std::{cell::Cell, io};

use crate::{store::format::ReadAt, sys::ColdFile};

impl ReadAt for ColdFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Self::read_at(self, buf, offset)
    }
}

/// After so many unreadable places a file is given up: a dying disk takes long over each.
const MAX_ERRORS: u32 = 32;

/// A file, and the byte that could not be read last.
pub(super) struct Noted<'a, F: ?Sized> {
    file: &'a F,
    failed: Cell<u64>,
    errors: Cell<u32>,
}

impl<'a, F: ReadAt + ?Sized> Noted<'a, F> {
    pub(super) fn new(file: &'a F) -> Self {
        Self { file, failed: Cell::new(0), errors: Cell::new(0) }
    }

    /// Where the last error was.
    pub(super) fn failed_at(&self) -> u64 {
        self.failed.get()
    }

    /// Whether the disk has refused too often.
    pub(super) fn given_up(&self) -> bool {
        self.errors.get() >= MAX_ERRORS
    }
}

impl<F: ReadAt + ?Sized> ReadAt for Noted<'_, F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.file.read_at(buf, offset) {
            Ok(0) if !buf.is_empty() => {
                self.failed.set(offset);
                Ok(0)
            }
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                self.failed.set(offset);
                self.errors.set(self.errors.get() + 1);
                Err(e)
            }
            other => other,
        }
    }
}
