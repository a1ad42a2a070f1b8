# Mistakes, each with what is said to whoever makes it: tests/it/nix.rs evaluates every `config`, which must fail with the words of `says`.
let
  nixpkgs = import ./nixpkgs.nix;
  inherit (nixpkgs) lib;
  self = (import ../../flake.nix).outputs { inherit self nixpkgs; };
  with' =
    modules:
    let
      inherit
        (lib.nixosSystem {
          modules = [
            {
              nixpkgs.hostPlatform = "x86_64-linux";
              nixpkgs.overlays = [ self.overlays.default ];
            }
          ]
          ++ modules;
        })
        config
        ;
    in
    # All of it, and that it came to an end.
    builtins.seq config true;
  host =
    custodian:
    with' [
      self.nixosModules.custodian
      {
        services.custodian = {
          enable = true;
        }
        // custodian;
      }
    ];
  appliance =
    module:
    with' [
      self.nixosModules.appliance
      self.nixosModules.installer
      module
    ];
in
{
  # Not a mistake: what all the others differ from.
  right.config = host { siteFile = ../../image/site.example.toml; };
  rightAppliance.config = appliance { };

  misspelt = {
    config = host { sitefile = ../../image/site.example.toml; };
    says = "option services.custodian.sitefile does not exist";
  };
  misspeltBehindACondition = {
    config = appliance { services.custodian = lib.mkIf false { enabled = true; }; };
    says = "option services.custodian.enabled does not exist";
  };
  wrongType = {
    config = host { enable = "yes"; };
    says = "services.custodian.enable: a string is not bool";
  };
  daysInQuotes = {
    config = host {
      settings = lib.recursiveUpdate (import ./site.nix) { retention.min_days = "20"; };
    };
    says = "services.custodian.settings.retention.min_days: a string is not positive int";
  };
  language = {
    config = host { settings = lib.recursiveUpdate (import ./site.nix) { site.language = "fr"; }; };
    says = ''services.custodian.settings.site.language: a string is not one of ["vi","zh","en"]'';
  };
  halfASite = {
    config = host { settings.site = removeAttrs (import ./site.nix).site [ "id" ]; };
    says = "services.custodian.settings.site.id: is used, and nobody has said what it is";
  };
  secretsAsPath = {
    config = host { secretsFile = ./site.nix; };
    says = "services.custodian.secretsFile: a path is not";
  };
  secretsInTheStore = {
    config = host { secretsFile = "${builtins.storeDir}/0-secrets.toml"; };
    says = "services.custodian.secretsFile is in the Nix store";
  };
  passwords = {
    config = host {
      settings = import ./site.nix // {
        credentials.viewer.password = "x";
      };
    };
    says = "passwords belong into secretsFile";
  };
  strangeRecorder = {
    config = host {
      siteFile = ../../image/site.example.toml;
      recorder = "d";
    };
    says = "the site has no recorder d, but a b c";
  };
  strangeRecorderOfSettings = {
    config = host {
      settings = import ./site.nix;
      recorder = "d";
    };
    says = "the site has no recorder d, but a.";
  };
  readOnly = {
    config = host { tree = { }; };
    says = "services.custodian.tree: is read-only";
  };
  unknownOption = {
    config = appliance { networking.firewall.allowTCPPorts = [ 22 ]; };
    says = "option networking.firewall.allowTCPPorts does not exist";
  };
  unknownModule = {
    config = appliance (
      { modulesPath, ... }: { imports = [ "${modulesPath}/profiles/hardened.nix" ]; }
    );
    says = "module profiles/hardened.nix of NixOS is not in the reviewed list";
  };
  twice = {
    config = appliance { networking.hostName = "other"; };
    says = "networking.hostName: is said twice, differently";
  };
  noSuchPackage = {
    config = appliance ({ pkgs, ... }: { environment.systemPackages = [ pkgs.chrony-ng ]; });
    says = "attribute 'chrony-ng' missing";
  };
  failedAssertion = {
    config = appliance {
      assertions = [
        {
          assertion = false;
          message = "said by somebody else";
        }
      ];
    };
    says = "said by somebody else";
  };
}
