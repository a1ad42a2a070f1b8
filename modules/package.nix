{
  lib,
  rustPlatform,
  systemd,
}:
let
  inherit (lib.importTOML ../Cargo.toml) package;
in
rustPlatform.buildRustPackage {
  pname = package.name;
  inherit (package) version;

  # What goes into the program, and no more: a changed page builds nothing anew.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      # What the program has of them in it.
      ../modules/system/usr/lib/custodian/usb.rules
      ../modules/units/tmpfiles.d/custodian.conf
      # Cargo.toml names its examples.
      ../tests/bench
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  # Debian keeps it elsewhere: src/plan/units.rs.
  env.CUSTODIAN_SYSTEMD_CRYPTSETUP = "${systemd}/bin/systemd-cryptsetup";

  # They want cameras, browsers, disks and a machine of their own: tests/run.
  doCheck = false;

  meta = {
    inherit (package) description;
    license = lib.licenses.asl20;
    mainProgram = package.name;
    platforms = lib.platforms.linux;
  };
}
