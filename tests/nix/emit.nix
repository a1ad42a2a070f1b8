# What the modules come to, as JSON, for tests/it/nix.rs:
#   nix-instantiate --eval --strict --json tests/nix/emit.nix
let
  nixpkgs = import ./nixpkgs.nix;
  inherit (nixpkgs) lib;
  self = (import ../../flake.nix).outputs { inherit self nixpkgs; };

  # The file of each package that comes with one.
  files = packages: lib.listToAttrs (map (p: lib.nameValuePair p.destination "${p.text}") packages);
  set = lib.filterAttrs (_: v: v != null && v != [ ] && v != { });
  seen = config: {
    units = files config.systemd.packages;
    services = lib.mapAttrs (
      _: s:
      set (removeAttrs s [ "path" ])
      // lib.optionalAttrs (s.path != null) { path = map (p: p.name) s.path; }
    ) config.systemd.services;
    links = lib.mapAttrs (_: set) config.systemd.units;
    tmpfiles = files config.systemd.tmpfiles.packages;
    inherit (config.users) users groups;
    etc = lib.mapAttrs (
      _: f: if f.text != null then f.text else "${toString f.source}"
    ) config.environment.etc;
    chrony = config.services.chrony.extraConfig;
    chronyd = config.services.chrony.extraFlags;
    suppressed = config.systemd.suppressedSystemUnits;
    generators = builtins.attrNames config.systemd.generators;
    kernel = config.boot.kernelParams;
    filesystems = config.fileSystems;
    partitions = lib.mapAttrs (_: p: p.repartConfig) config.image.repart.partitions;
    contents = lib.mapAttrs (_: p: builtins.attrNames p.contents) config.image.repart.partitions;
  };
  host =
    custodian:
    (lib.nixosSystem {
      modules = [
        self.nixosModules.custodian
        {
          nixpkgs.hostPlatform = "x86_64-linux";
          nixpkgs.overlays = [ self.overlays.default ];
          services.custodian = custodian;
        }
      ];
    }).config;
  appliance = self.nixosConfigurations.appliance.config;
in
{
  appliance = seen appliance;
  inherit (appliance.services.custodian.tree) paths;
  host = seen (host {
    enable = true;
    siteFile = ../../image/site.example.toml;
    secretsFile = "/run/keys/secrets.toml";
    recorder = "b";
  });
  settings =
    (host {
      enable = true;
      settings = import ./site.nix;
      recorder = "a";
    }).services.custodian.settings;
  nothing = seen (host { });
  scripts = lib.mapAttrs (_: t: t.testScript) (removeAttrs self.checks.x86_64-linux [ "custodian" ]);
  package = {
    inherit (self.packages.x86_64-linux.custodian) name env;
  };
  # `nix flake check` of old versions does not look at these.
  formatter = self.formatter.x86_64-linux.name;
  modules =
    lib.mapAttrs (_: m: builtins.isFunction (import (lib.head m.imports))) (
      removeAttrs self.nixosModules [ "default" ]
    )
    // {
      default = self.nixosModules.default == self.nixosModules.custodian;
    };
}
