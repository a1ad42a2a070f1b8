# What the stand-in for nixpkgs offers: lib, pkgs of each system, and nixosSystem. A package is a name and no more: none can be built.
let
  lib = import ./lib.nix;
  reviewed = import ./options.nix { inherit lib; };
  upstream = "/nixpkgs/nixos/modules";

  pkgsFor =
    system:
    let
      fake =
        name: extra:
        derivation {
          inherit name system;
          builder = "/bin/sh";
        }
        // extra;
      # A file whose text can be looked at.
      file =
        name: text: extra:
        fake name ({ text = "${text}"; } // extra);
      # Programs and packages that are named by custodian's files, each in nixpkgs: pkgs/by-name or pkgs/top-level/all-packages.nix.
      plain = lib.genAttrs [
        "cargo-deny"
        "cargo-nextest"
        "chrony"
        "clippy"
        "coreutils"
        "cryptsetup"
        "dosfstools"
        "e2fsprogs"
        "ffmpeg"
        "glib"
        "iproute2"
        "jq"
        "just"
        "mpv"
        "mtools"
        "nftables"
        "nixfmt"
        "rustfmt"
        "smartmontools"
        "systemd"
        "systemdUkify"
        "tzdata"
        "usbguard-nox"
        "util-linux"
        "xfsprogs"
      ] (name: fake name { });
    in
    plain
    // rec {
      stdenv.hostPlatform = {
        inherit system;
        efiArch = if system == "x86_64-linux" then "x64" else "aa64";
      };
      inherit lib;
      callPackage =
        file: arguments:
        let
          f = import file;
          given = builtins.intersectAttrs (builtins.functionArgs f) (pkgsFor system // arguments);
        in
        f given;
      rustPlatform.buildRustPackage =
        a:
        assert builtins.pathExists a.cargoLock.lockFile;
        # Each crate must be in a registry: one from elsewhere would need a hash here.
        assert builtins.all (
          p: !(p ? source) || lib.hasPrefix "registry+" p.source && p ? checksum
        ) (lib.importTOML a.cargoLock.lockFile).package;
        fake "${a.pname}-${a.version}" { inherit (a) meta env src; };
      mkShell = a: builtins.deepSeq (map (p: p.outPath) (a.packages ++ a.inputsFrom)) (fake "shell" { });
      writeText = name: text: file name text { };
      writeTextFile =
        {
          name,
          text,
          destination ? "",
        }:
        file name text { inherit destination; };
      writeTextDir = path: text: file (baseNameOf path) text { destination = "/${path}"; };
      runCommand =
        name: environment: script:
        builtins.deepSeq environment (fake name { script = "${script}"; });
      linkFarm =
        name: links: builtins.deepSeq (lib.mapAttrs (_: l: "${l}") links) (fake name { inherit links; });
      symlinkJoin = { name, paths }: builtins.deepSeq (map toString paths) (fake name { inherit paths; });
      formats.toml = _: {
        type = lib.types.anything;
        generate = name: value: file name (builtins.toJSON value) { inherit value; };
      };
      python3.withPackages =
        f:
        fake "python3" { inputs = map (p: p.outPath) (f (lib.genAttrs [ "pygobject3" ] (n: fake n { }))); };
      gst_all_1 = lib.genAttrs [
        "gst-plugins-bad"
        "gst-plugins-base"
        "gst-plugins-good"
        "gst-rtsp-server"
        "gstreamer"
      ] (n: fake n { });
      # Evaluates the machines of a VM test and says its script.
      testers.runNixOSTest =
        test:
        let
          machine =
            name: node:
            let
              inherit
                (nixosSystem {
                  modules = [
                    node
                    { nixpkgs.hostPlatform = system; }
                  ];
                })
                config
                ;
            in
            # They share the test's packages.
            if config.nixpkgs.overlays != [ ] then
              throw "${name}: a test's machine takes no overlays"
            else
              config;
          nodes = lib.mapAttrs machine test.nodes;
        in
        builtins.deepSeq (lib.mapAttrs (_: n: n.system.build.toplevel.outPath) nodes) (
          fake "vm-test-run-${test.name}" {
            inherit nodes;
            testScript = "${test.testScript { inherit nodes; }}";
          }
        );
    };

  nixosSystem =
    { modules }:
    let
      evaluated = lib.evalModules {
        inherit upstream;
        known = reviewed.modules;
        specialArgs = {
          inherit pkgs;
          modulesPath = upstream;
        };
        modules = modules ++ [
          reviewed.module
          ./defaults.nix
        ];
      };
      inherit (evaluated) config;
      base = pkgsFor config.nixpkgs.hostPlatform;
      pkgs = builtins.foldl' (p: overlay: p // overlay pkgs p) base config.nixpkgs.overlays;
      failed = builtins.filter (a: !a.assertion) config.assertions;
      said = builtins.concatStringsSep "\n" (map (a: a.message) failed);
      # All of it is looked at, but for packages, which have no end.
      seen = builtins.deepSeq (removeAttrs config [
        "nixpkgs"
        "system"
      ]) (builtins.deepSeq config.system.image config);
    in
    evaluated // { config = if failed == [ ] then seen else throw "Failed assertions:\n${said}"; };
in
{
  lib = lib // {
    inherit nixosSystem;
  };
  legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgsFor;
}
