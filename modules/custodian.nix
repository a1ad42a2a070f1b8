# custodian's services on a NixOS machine. Units, users, folders and catalogs are those of units/ and catalog/ beside this file (tree.nix).
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.custodian;
  inherit (lib) mkOption types;
  toml = pkgs.formats.toml { };

  tree = import ./tree.nix {
    inherit lib;
    paths = {
      "/usr/bin/custodian" = lib.getExe cfg.package;
      "/usr/bin/chronyc" = "${pkgs.chrony}/bin/chronyc";
      "/usr/sbin/nft" = "${pkgs.nftables}/bin/nft";
      "/usr/sbin/usbguard-daemon" = "${pkgs.usbguard-nox}/bin/usbguard-daemon";
      "/usr/lib/custodian" = "${./system/usr/lib/custodian}";
      # No transfers are defined there: what waits for them is left out when the machine starts.
      "/usr/lib/sysupdate.d" = "/etc/sysupdate.d";
      "/usr/lib/systemd/systemd-" = "${config.systemd.package}/lib/systemd/systemd-";
      "/usr/share/zoneinfo" = "${pkgs.tzdata}/share/zoneinfo";
      "/bin/false" = "${pkgs.coreutils}/bin/false";
    };
  };

  # On a machine that is not a recorder alone: the services. Its disks, packet filter and consoles are not custodian's.
  shared = [
    "custodian-apply.service"
    "custodian-backup.service"
    "custodian-backup.timer"
    "custodian-health-secrets.service"
    "custodian-health.service"
    "custodian-look.service"
    "custodian-look.timer"
    "custodian-record.service"
    "custodian-verify.service"
    "custodian-verify.timer"
    "custodian-web.service"
  ];
  chosen = lib.filterAttrs (n: _: cfg.wholeMachine || builtins.elem n shared);
  units = chosen tree.units;
  install = chosen tree.install;
  # Only services take a PATH; other kinds of units take their links and nothing else.
  services = lib.filterAttrs (n: _: lib.hasSuffix ".service" n && !(lib.hasInfix "/" n)) units;
  others = lib.filterAttrs (n: _: !(services ? ${n})) install;

  catalogs = pkgs.symlinkJoin {
    name = "custodian-catalogs";
    paths = [
      "${config.systemd.package}/lib/systemd/catalog"
      "${./catalog}"
    ];
  };

  # Names of the tables [recorder.<name>]. Nix cannot read a TOML that has a date in it, so it reads lines; the program reads the file as it is.
  recorders =
    if builtins.isPath cfg.siteFile then
      lib.concatMap (line: if line == null then [ ] else line) (
        map (builtins.match "\\[+recorder\\.([a-z0-9-]+).*") (
          lib.splitString "\n" (builtins.readFile cfg.siteFile)
        )
      )
    else
      builtins.attrNames cfg.settings.recorder;
  # A table of site.toml; these of its keys are known here, the others are the program's to check.
  table =
    options:
    types.submodule {
      freeformType = toml.type;
      inherit options;
    };
in
{
  options.services.custodian = {
    enable = lib.mkEnableOption "custodian, a video recorder for schools";

    package = mkOption {
      type = types.package;
      default = pkgs.custodian;
      defaultText = lib.literalExpression "pkgs.custodian";
      description = "The package with the program.";
    };

    siteFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./site.toml";
      description = ''
        The site's `site.toml`. It is applied at each start and after each change; one that is wrong or cannot keep its promise changes
        nothing, and the unit `custodian-site.service` says what is wrong. Without it the machine does what was applied to it
        last, by `custodian apply`.

        `site.toml` holds no passwords and may be read by everybody.
      '';
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = toml.type;
        options = {
          site = mkOption {
            type = types.nullOr (table {
              name = mkOption {
                type = types.str;
                example = "Trường mầm non Hoa Hướng Dương";
                description = "What the school is called.";
              };
              id = mkOption {
                type = types.strMatching "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
                example = "hoa-huong-duong";
                description = "Written on every disk: it never changes.";
              };
              timezone = mkOption {
                type = types.str;
                example = "Asia/Ho_Chi_Minh";
                description = "Time zone of the school, a name of the IANA's database.";
              };
              language = mkOption {
                type = types.enum [
                  "vi"
                  "zh"
                  "en"
                ];
                example = "vi";
                description = "Language of the pages and the console.";
              };
            });
            default = null;
            description = "The table `[site]`.";
          };
          retention = mkOption {
            type = types.nullOr (table {
              min_days = mkOption {
                type = types.ints.positive;
                example = 20;
                description = "The promise: nothing younger than that is deleted.";
              };
              max_days = mkOption {
                type = types.ints.positive;
                example = 30;
                description = "Older footage goes by itself.";
              };
            });
            default = null;
            description = "The table `[retention]`.";
          };
          recorder = mkOption {
            type = types.attrsOf (table {
              unlock = mkOption {
                type = types.enum [
                  "tpm"
                  "usb-key"
                  "passphrase"
                  "none"
                ];
                example = "tpm";
                description = "How its disks are opened when the machine starts.";
              };
            });
            default = { };
            description = "The tables `[recorder.<name>]`: one for each machine of the site.";
          };
        };
      };
      default = { };
      example = lib.literalExpression ''
        {
          site = {
            name = "Sunflower Kindergarten";
            id = "sunflower";
            timezone = "Asia/Ho_Chi_Minh";
            language = "en";
          };
          retention = { min_days = 20; max_days = 30; };
          recorder.a = {
            unlock = "tpm";
            volume = [ { name = "a1"; disk = "ata-WDC_WD120EFBX-68B0EN0_5QJ0A1CD"; size = "12 TB"; } ];
          };
        }
      '';
      description = ''
        `site.toml` as attributes, instead of {option}`services.custodian.siteFile`. All its words are in `docs/ref/site.md`; here those are
        typed that a machine or a promise hangs on. The file is checked by `custodian check` when the system is built.
      '';
    };

    secretsFile = mkOption {
      type = types.nullOr (types.strMatching "/[A-Za-z0-9/._+=@-]+");
      default = null;
      example = "/run/keys/custodian-secrets.toml";
      description = ''
        Full path of `secrets.toml` on the machine, with the cameras' passwords (mode 0600). It is a string and no path of Nix, so that it
        never comes into the store, which everybody can read.
      '';
    };

    recorder = mkOption {
      type = types.nullOr (types.strMatching "[a-z0-9]([a-z0-9-]*[a-z0-9])?");
      default = null;
      example = "a";
      description = "Which recorder of the site this machine is. Not needed where the site has one.";
    };

    path = mkOption {
      type = types.listOf types.package;
      default = [
        pkgs.chrony
        pkgs.cryptsetup
        pkgs.dosfstools
        pkgs.e2fsprogs
        pkgs.iproute2
        pkgs.mtools
        pkgs.nftables
        pkgs.smartmontools
        pkgs.usbguard-nox
        pkgs.util-linux
        pkgs.xfsprogs
      ];
      defaultText = lib.literalExpression "what custodian calls by name";
      description = "Programs that the services find by name.";
    };

    wholeMachine = mkOption {
      type = types.bool;
      default = false;
      internal = true;
      description = "Whether all units are installed, those too that open the machine's disk, filter its packets and take its consoles.";
    };

    tree = mkOption {
      type = types.attrs;
      default = tree;
      readOnly = true;
      internal = true;
      description = "What the folders beside this module say.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = recorders == [ ] || cfg.recorder == null || builtins.elem cfg.recorder recorders;
        message = "services.custodian.recorder: the site has no recorder ${toString cfg.recorder}, but ${toString (lib.unique recorders)}.";
      }
      {
        assertion = cfg.secretsFile == null || !(lib.hasPrefix builtins.storeDir cfg.secretsFile);
        message = "services.custodian.secretsFile is in the Nix store, where everybody can read it. Give it as a string, outside the store.";
      }
      {
        assertion = !(cfg.settings ? credentials);
        message = "services.custodian.settings: passwords belong into secretsFile, not into site.toml.";
      }
    ];

    services.custodian.siteFile = lib.mkIf (cfg.settings.site != null) (
      lib.mkDefault (
        pkgs.runCommand "site.toml" { nativeBuildInputs = [ cfg.package ]; } ''
          cp ${
            toml.generate "site.toml" (lib.filterAttrs (_: v: v != null && v != { }) cfg.settings)
          } site.toml
          custodian check --site site.toml
          cp site.toml $out
        ''
      )
    );

    environment.systemPackages = [ cfg.package ];

    # Each a package of its own: so the unit has its right name, which systemd sees through links.
    systemd.packages = lib.mapAttrsToList (
      name: text:
      pkgs.writeTextFile {
        name = "custodian-unit";
        destination = "/lib/systemd/system/${name}";
        inherit text;
      }
    ) units;
    # NixOS reads no [Install].
    systemd.units = others;

    systemd.services = lib.mkMerge [
      (lib.concatMapAttrs (name: _: {
        ${lib.removeSuffix ".service" name} = install.${name} or { } // {
          inherit (cfg) path;
        };
      }) services)
      {
        # Catalogs are read from systemd's own package and nowhere else.
        systemd-journal-catalog-update = {
          unitConfig.ConditionNeedsUpdate = [ "" ];
          serviceConfig.BindReadOnlyPaths = [ "${catalogs}:${config.systemd.package}/lib/systemd/catalog" ];
        };
      }
      (lib.mkIf (cfg.siteFile != null) {
        custodian-site = {
          description = "custodian: applies the site of this system's configuration";
          wantedBy = [ "multi-user.target" ];
          after = [
            "custodian-apply.service"
            "systemd-tmpfiles-setup.service"
          ];
          before = [ "custodian-record.service" ];
          inherit (cfg) path;
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            # Another site is another unit, which is started anew when the system is switched.
            ExecStart = lib.concatStringsSep " " (
              [
                (lib.getExe cfg.package)
                "apply"
                "--site ${cfg.siteFile}"
              ]
              ++ lib.optional (cfg.secretsFile != null) "--secrets ${cfg.secretsFile}"
              ++ lib.optional (cfg.recorder != null) "--recorder ${cfg.recorder}"
            );
          };
        };
      })
    ];

    systemd.tmpfiles.packages = lib.mapAttrsToList (
      name: text:
      pkgs.writeTextFile {
        name = "custodian-tmpfiles";
        destination = "/lib/tmpfiles.d/${name}";
        inherit text;
      }
    ) tree.tmpfiles;

    users = { inherit (tree) users groups; };
  };
}
