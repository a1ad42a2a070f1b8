# The image itself, as a stick, with two empty disks beside it.
{ self, pkgs }:
{
  machine =
    { lib, ... }:
    let
      # What the module says must hold in a test's machine too, which has file systems of its own otherwise.
      kept = self.nixosConfigurations.appliance.config.fileSystems;
    in
    {
      imports = [
        self.nixosModules.appliance
        self.nixosModules.installer
      ];
      services.custodian.package = self.packages.${pkgs.stdenv.hostPlatform.system}.custodian;
      # What the script asks with.
      environment.systemPackages = [
        pkgs.mtools
        pkgs.nftables
      ];
      virtualisation = {
        directBoot.enable = false;
        mountHostNixStore = false;
        useEFIBoot = true;
        memorySize = 2048;
        fileSystems = lib.mkVMOverride (lib.mapAttrs (_: f: { inherit (f) device fsType options; }) kept);
        emptyDiskImages = [
          {
            size = 8192;
            driveConfig.deviceExtraOpts.serial = "system";
          }
          {
            size = 4096;
            driveConfig.deviceExtraOpts.serial = "footage";
          }
        ];
      };
    };
}
