# A machine that is a recorder and nothing else: read-only, without log-in, without a package manager. Its policy stands in system/ beside this
# file, which the image from Debian packages takes too; here is only where NixOS wants each of these files.
{
  lib,
  config,
  modulesPath,
  pkgs,
  ...
}:
let
  inherit (config.services.custodian) tree;

  # By the beginning of its path, what a file is here; the first that fits. Settings of systemd and the kernel lie below /usr/lib in Debian and
  # below /etc in NixOS.
  places = [
    # Referred to by its path in the store.
    {
      from = "/usr/lib/custodian/";
      kind = "data";
    }
    {
      from = "/etc/chrony/chrony.conf";
      kind = "chrony";
    }
    {
      from = "/etc/systemd/system-generators/";
      kind = "generator";
    }
    {
      from = "/etc/systemd/system/";
      kind = "unit";
    }
    {
      from = "/usr/lib/systemd/system/";
      kind = "unit";
    }
    {
      from = "/usr/lib/tmpfiles.d/";
      kind = "tmpfiles";
    }
    {
      from = "/usr/lib/udev/rules.d/";
      kind = "udev";
    }
    {
      from = "/etc/";
      kind = "etc";
      to = "";
    }
  ]
  ++
    map
      (d: {
        from = "/usr/lib/${d}/";
        kind = "etc";
        to = "${d}/";
      })
      [
        "modprobe.d"
        "modules-load.d"
        "sysctl.d"
        "systemd/coredump.conf.d"
        "systemd/journald.conf.d"
        "systemd/logind.conf.d"
        "systemd/network"
        "systemd/networkd.conf.d"
        "systemd/resolved.conf.d"
        "systemd/sleep.conf.d"
        "systemd/system.conf.d"
      ];
  placed = lib.mapAttrsToList (
    name: file:
    let
      fitting = builtins.filter (p: lib.hasPrefix p.from name) places;
      place = builtins.head fitting;
    in
    if fitting == [ ] then
      throw "modules/system${name}: NixOS has no place for it; say one in modules/appliance.nix"
    else
      {
        kind = if file.mask then "masked ${place.kind}" else place.kind;
        name = place.to or "" + lib.removePrefix place.from name;
        inherit (file) text;
      }
  ) tree.system;
  ofKind = kind: builtins.filter (f: f.kind == kind) placed;
  packaged =
    kind: folder:
    map (
      f:
      pkgs.writeTextFile {
        name = "custodian-policy";
        # The service of chrony is called otherwise here.
        destination = "/lib/${folder}/${
          builtins.replaceStrings [ "chrony.service" ] [ "chronyd.service" ] f.name
        }";
        inherit (f) text;
      }
    ) (ofKind kind);

  masked = map (f: f.name) (ofKind "masked unit");
  # NixOS makes a link of this name itself, to a unit that can be named.
  ctrlAltDel = "ctrl-alt-del.target";
in
{
  imports = [
    "${modulesPath}/profiles/image-based-appliance.nix"
    "${modulesPath}/profiles/perlless.nix"
    ./custodian.nix
    ./storage.nix
  ];

  config = {
    services.custodian = {
      enable = true;
      wholeMachine = true;
    };

    system = {
      image = {
        id = "custodian";
        inherit ((lib.importTOML ../Cargo.toml).package) version;
      };
      stateVersion = "26.05";
      # /usr is the image's, and has no place for env.
      activationScripts.usrbinenv = lib.mkForce "";
      # Users come with the image, their numbers are fixed, and nobody can log in.
      etc.overlay.mutable = false;
    };
    networking.hostName = "custodian";

    services.userborn.static = true;
    users.allowNoPasswordLogin = true;
    security.sudo.enable = false;
    services.openssh.enable = false;
    environment.defaultPackages = [ ];
    environment.usrbinenv = null;

    # The consoles are custodian's, in an emergency too: emergency.service and rescue.service have drop-ins.
    systemd.enableEmergencyMode = true;
    systemd.suppressedSystemUnits = builtins.filter (n: n != ctrlAltDel) masked;
    systemd.ctrlAltDelUnit = lib.mkIf (builtins.elem ctrlAltDel masked) "custodian-nothing.target";
    systemd.targets.custodian-nothing.description = "custodian: what Ctrl-Alt-Del does";
    systemd.generators = lib.listToAttrs (
      map (f: lib.nameValuePair f.name "/dev/null") (ofKind "masked generator")
    );

    # The same names of network cards as in the image of Debian packages, in later versions too.
    boot.kernelParams = [
      "systemd.machine_id=firmware"
      "net.naming_scheme=v257"
    ];

    environment.etc = lib.listToAttrs (
      map (f: lib.nameValuePair f.name { inherit (f) text; }) (ofKind "etc")
    );
    systemd.packages = packaged "unit" "systemd/system";
    systemd.tmpfiles.packages = packaged "tmpfiles" "tmpfiles.d";
    services.udev.packages = packaged "udev" "udev/rules.d";

    # The packet filter is custodian-firewall.service.
    networking = {
      firewall.enable = false;
      useDHCP = false;
      useNetworkd = true;
    };
    services.resolved.enable = true;

    services.chrony = {
      enable = true;
      servers = [ ];
      # DAEMON_OPTS of the drop-in, which NixOS' unit does not read.
      extraFlags = [
        "-F"
        "1"
      ];
      # It and rtcsync exclude each other.
      enableRTCTrimming = false;
      extraConfig = lib.concatStringsSep "\n" (map (f: f.text) (ofKind "chrony"));
    };
    services.usbguard = {
      enable = true;
      package = pkgs.usbguard-nox;
    };
  };
}
