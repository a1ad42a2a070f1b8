//! Backups as a school meets them: a folder, a disk that fails, a store; by hand with age and sha256sum; restored on a bare machine.

mod bare;
mod folder;
mod hand;
mod killed;
mod mounts;
mod s3;
mod server;
