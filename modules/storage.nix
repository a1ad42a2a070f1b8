# Where things lie. The root is a folder in memory; programs come from a store that dm-verity vouches for; whatever is to last is on the state
# partition at /var, which custodian-state.service opens and var.mount mounts (units/): neither is in fileSystems, where NixOS would mount it
# before there is anything to open it with.
{ config, modulesPath, ... }:
let
  inherit (config.system.image) id version;
in
{
  imports = [ "${modulesPath}/image/repart.nix" ];

  config = {
    fileSystems = {
      "/" = {
        device = "none";
        fsType = "tmpfs";
        options = [
          "mode=0755"
          "size=64M"
          "nodev"
          "nosuid"
        ];
      };
      "/nix/store" = {
        device = "/usr/nix/store";
        fsType = "none";
        options = [ "bind" ];
      };
    };

    boot.loader.grub.enable = false;
    boot.initrd.systemd.dmVerity.enable = true;
    boot.kernelParams = [
      # By label, so that a stick that was left in is never taken for the machine's own disk; the root hash, which the image brings, is what
      # vouches for what is read there.
      "systemd.verity_usr_data=/dev/disk/by-partlabel/${id}_${version}"
      "systemd.verity_usr_hash=/dev/disk/by-partlabel/${id}_${version}_verity"
      "systemd.gpt_auto=no"
    ];
    boot.supportedFilesystems = [
      "erofs"
      "ext4"
      "vfat"
      "xfs"
    ];
    boot.initrd.availableKernelModules = [
      "ahci"
      "mmc_block"
      "nvme"
      "sd_mod"
      "uas"
      "usb_storage"
      "virtio_blk"
      "virtio_pci"
      "virtio_scsi"
      "xhci_pci"
    ];
    boot.kernelModules = [
      "dm_crypt"
      "dm_integrity"
    ];

    # The person's own files, and keys that the machine holds.
    environment.etc = {
      custodian = {
        source = "/var/lib/custodian/etc";
        mode = "direct-symlink";
      };
      credstore = {
        source = "/var/lib/custodian/credstore";
        mode = "direct-symlink";
      };
    };
  };
}
