# What NixOS says itself, as far as custodian's files ask for it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  built =
    name:
    derivation {
      inherit name;
      system = config.nixpkgs.hostPlatform;
      builder = "/bin/sh";
    };
in
{
  systemd.package = lib.mkDefault pkgs.systemd;
  nixpkgs.overlays = [ ];
  assertions = [ ];
  system.build = {
    toplevel = built "nixos-system";
    finalImage = built "image";
  };
  virtualisation.qemu.package = built "qemu";
  image.repart.imageFile = "image.raw";
  image.repart.verityStore.partitionIds = lib.mapAttrs (_: lib.mkDefault) {
    esp = "00-esp";
    store-verity = "10-store-verity";
    store = "20-store";
  };
}
