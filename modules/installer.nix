# The stick: the same store and the same kernel as on the machine, and a partition that any computer can write site.toml to. `image.repart` of
# nixpkgs makes it; what starts the installer is one line that an addon adds to the kernel's command line.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.image.repart.verityStore) partitionIds;
  arch = pkgs.stdenv.hostPlatform.efiArch;
  loader = "/EFI/BOOT/BOOT${lib.toUpper arch}.EFI";

  addon =
    pkgs.runCommand "custodian-installer-addon" { nativeBuildInputs = [ pkgs.systemdUkify ]; }
      ''
        ukify build \
          --efi-arch=${arch} \
          --stub=${pkgs.systemd}/lib/systemd/boot/efi/addon${arch}.efi.stub \
          --cmdline="custodian.install systemd.verity_usr_data=/dev/disk/by-partlabel/custodian-stick systemd.verity_usr_hash=/dev/disk/by-partlabel/custodian-stick-verity" \
          --output=$out
      '';
  # The store's partition is /usr: what custodian looks for there stands where Debian has it.
  systemd = "${pkgs.systemd}/lib/systemd";
  usr = pkgs.linkFarm "custodian-usr" {
    "lib/custodian" = ./system/usr/lib/custodian;
    "lib/systemd/boot" = "${systemd}/boot";
    "lib/systemd/systemd-bless-boot" = "${systemd}/systemd-bless-boot";
    "lib/systemd/systemd-pull" = "${systemd}/systemd-pull";
    "lib/systemd/systemd-sysupdate" = "${systemd}/systemd-sysupdate";
  };
  # What a person finds on the stick.
  image = ../image;
  files =
    map (n: "stick/${n}") (builtins.attrNames (builtins.readDir (image + "/stick")))
    ++ builtins.filter (lib.hasSuffix ".example.toml") (builtins.attrNames (builtins.readDir image));
in
{
  config.image.repart = {
    name = "custodian-installer";
    # It must fit into a slot of 1 GiB.
    mkfsOptions.erofs = [ "-zlz4hc,12" ];
    # Sticks that boot have sectors of this size.
    sectorSize = 512;
    verityStore = {
      enable = true;
      ukiPath = loader;
    };
    partitions = {
      ${partitionIds.esp} = {
        contents."/loader/addons/custodian-installer.addon.efi".source = addon;
        repartConfig = {
          Type = "esp";
          Format = "vfat";
          Label = "custodian-stick-esp";
          SizeMinBytes = "256M";
        };
      };
      ${partitionIds.store-verity}.repartConfig = {
        Label = "custodian-stick-verity";
        Minimize = "best";
      };
      ${partitionIds.store} = {
        contents."/lib".source = "${usr}/lib";
        repartConfig = {
          Label = "custodian-stick";
          Minimize = "best";
        };
      };
      "30-custodian" = {
        contents = lib.listToAttrs (
          map (n: lib.nameValuePair "/${lib.removePrefix "stick/" n}" { source = image + "/${n}"; }) files
        );
        repartConfig = {
          # "Microsoft basic data", so that Windows shows it.
          Type = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7";
          Format = "vfat";
          Label = "CUSTODIAN";
          SizeMinBytes = "64M";
        };
      };
    };
  };
}
