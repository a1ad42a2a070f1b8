//! A ready site: `site.toml` and `secrets.toml` for simulated cameras, with directories for disks.

use std::{
    fmt::Write as _,
    fs::{DirBuilder, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::cameras::Camera;
use crate::types::{Lang, RecorderId};

/// Time zone of the ready site; give it to the cameras' clocks too.
pub const TIME_ZONE: &str = "Asia/Ho_Chi_Minh";

/// Most cameras that there can be.
pub const MAX_CAMERAS: usize = 64;

/// A kind of place, in the order in which the simulated cameras show them.
struct Place {
    area: &'static str,
    area_name: &'static str,
    kind: &'static str,
    camera_name: &'static str,
}

const PLACES: [Place; 4] = [
    Place { area: "gate", area_name: "Cổng trường", kind: "public", camera_name: "Cổng chính" },
    Place { area: "playground", area_name: "Sân chơi", kind: "playground", camera_name: "Sân chơi" },
    Place { area: "corridor", area_name: "Hành lang", kind: "corridor", camera_name: "Hành lang nhà" },
    Place { area: "street", area_name: "Đường trước trường", kind: "public", camera_name: "Vỉa hè" },
];

/// The recorder of a ready site, and its volumes.
const RECORDER: &str = "a";
const VOLUMES: [&str; 2] = ["a1", "a2"];

/// The first `count` (at most [`MAX_CAMERAS`]) cameras of a Vietnamese kindergarten. The first one has sound.
pub fn cameras(count: usize) -> Vec<Camera> {
    (0..count.min(MAX_CAMERAS))
        .filter_map(|i| {
            let (place, number) = (&PLACES[i % PLACES.len()], i / PLACES.len() + 1);
            Some(Camera {
                id: format!("{}-{number}", place.area).parse().ok()?,
                name: format!("{} {number}", place.camera_name),
                audio: i == 0,
            })
        })
        .collect()
}

/// What [`write()`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadySite {
    /// The site.
    pub site: PathBuf,
    /// The cameras' user and password; mode 0600.
    pub secrets: PathBuf,
    /// The only recorder in it.
    pub recorder: RecorderId,
    /// The directories of its volumes, empty if they are new. They have no marker yet.
    pub volumes: Vec<PathBuf>,
}

/// Writes a ready site into a directory that exists: `site.toml`, `secrets.toml`, and a directory for each volume.
///
/// Files are replaced, directories may be there already. `addr` is where the cameras listen.
pub fn write(
    dir: &Path,
    cameras: &[Camera],
    addr: SocketAddr,
    (username, password): (&str, &str),
    language: Lang,
) -> io::Result<ReadySite> {
    let dir = std::path::absolute(dir)?;
    let volumes: Vec<PathBuf> = VOLUMES.iter().map(|v| dir.join(v)).collect();
    for volume in &volumes {
        match DirBuilder::new().mode(0o750).create(volume) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    let ready = ReadySite {
        site: dir.join("site.toml"),
        secrets: dir.join("secrets.toml"),
        recorder: RECORDER.parse().map_err(io::Error::other)?,
        volumes,
    };
    replace(&ready.site, 0o644, &site_toml(cameras, addr, &ready.volumes, language)?)?;
    replace(&ready.secrets, 0o600, &secrets_toml(username, password))?;
    Ok(ready)
}

/// Under another name first, so that a recorder that runs never reads half a file, and a password never stands in a file
/// that others may read.
fn replace(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let new = path.with_extension("toml.new");
    match std::fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&new, path)
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn site_toml(cameras: &[Camera], addr: SocketAddr, volumes: &[PathBuf], language: Lang) -> io::Result<String> {
    // Nothing is promised: nobody knows how much room there is where it is tried.
    let mut out = format!(
        "# A site of simulated cameras, made by `custodian demo`.\n\n[site]\nname = \"Trường mầm non Hoa Hướng Dương\"\n\
         timezone = \"{TIME_ZONE}\"\nlanguage = \"{language}\"\n\n[retention]\nmax_days = 2\n\n\
         [recorder.{RECORDER}]\n"
    );
    for (name, path) in VOLUMES.iter().zip(volumes) {
        let path = path.to_str().ok_or_else(|| io::Error::other(format!("{} is no UTF-8", path.display())))?;
        push(&mut out, format_args!("[[recorder.{RECORDER}.volume]]\nname = \"{name}\"\npath = {}\n\n", quoted(path)));
    }
    for Place { area, area_name, kind, .. } in &PLACES {
        push(&mut out, format_args!("[area.{area}]\nname = \"{area_name}\"\nkind = \"{kind}\"\n\n"));
    }
    for (i, camera) in cameras.iter().enumerate() {
        let Camera { id, name, .. } = camera;
        let area = PLACES[i % PLACES.len()].area;
        push(
            &mut out,
            format_args!(
                "[camera.{id}]\nname = {}\narea = \"{area}\"\nmain = \"rtsp://{addr}/{id}/main\"\n\
                 sub = \"rtsp://{addr}/{id}/sub\"\ncredentials = \"demo\"\nbitrate = \"3 Mbit/s\"\n\
                 sub_bitrate = \"500 kbit/s\"\n\n",
                quoted(name)
            ),
        );
    }
    Ok(out)
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

fn secrets_toml(username: &str, password: &str) -> String {
    format!("[credentials.demo]\nusername = {}\npassword = {}\n", quoted(username), quoted(password))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_ready_site_is_written_twice_and_its_password_is_nobodys_business() {
        let dir = tempfile::tempdir().unwrap();
        let addr: SocketAddr = "127.0.0.1:8554".parse().unwrap();
        for password in ["first", "se\"cond"] {
            let ready = write(dir.path(), &cameras(64), addr, ("viewer", password), Lang::Vi).unwrap();
            let site: toml::Table = std::fs::read_to_string(&ready.site).unwrap().parse().unwrap();
            assert_eq!(site["camera"].as_table().unwrap().len(), 64);
            let gate = &site["camera"]["gate-1"];
            assert_eq!(gate["main"].as_str(), Some("rtsp://127.0.0.1:8554/gate-1/main"));
            assert!(ready.volumes.iter().all(|v| v.is_dir()));
            let secrets: toml::Table = std::fs::read_to_string(&ready.secrets).unwrap().parse().unwrap();
            assert_eq!(secrets["credentials"]["demo"]["password"].as_str(), Some(password));
            assert_eq!(std::fs::metadata(&ready.secrets).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_ready_site_is_one_that_the_recorder_takes() {
        let dir = tempfile::tempdir().unwrap();
        let addr: SocketAddr = "127.0.0.1:8554".parse().unwrap();
        let ready = write(dir.path(), &cameras(64), addr, ("viewer", "demo"), Lang::En).unwrap();
        let text = std::fs::read_to_string(&ready.site).unwrap();
        let site = crate::site::parse(&text, "site.toml").unwrap();
        assert_eq!(site.cameras_of(&ready.recorder).count(), 64);
        assert!(site.cameras_of(&ready.recorder).all(|c| c.retention.min_days.is_none()), "no promise");
        let secrets = std::fs::read_to_string(&ready.secrets).unwrap();
        assert!(crate::site::secrets::parse(&secrets, "secrets.toml").is_ok());
    }

    #[test]
    fn every_camera_has_its_own_name() {
        let cameras = cameras(1000);
        assert_eq!(cameras.len(), MAX_CAMERAS);
        let mut names: Vec<_> = cameras.iter().map(|c| (&c.id, &c.name)).collect();
        names.sort();
        names.dedup_by(|a, b| a.0 == b.0 || a.1 == b.1);
        assert_eq!(names.len(), MAX_CAMERAS);
    }
}
