{
  description = "custodian: a declarative video recorder for schools that keeps its promises";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAllSystems = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      packagesFor = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system};

      # A system with custodian's package in its pkgs.
      machine =
        system: modules:
        lib.nixosSystem {
          modules = [
            {
              nixpkgs.hostPlatform = system;
              nixpkgs.overlays = [ self.overlays.default ];
            }
          ]
          ++ modules;
        };
      appliance =
        system:
        machine system [
          self.nixosModules.appliance
          self.nixosModules.installer
        ];
    in
    {
      packages = forAllSystems (pkgs: rec {
        custodian = pkgs.callPackage ./modules/package.nix { };
        default = custodian;
        # For a stick: dd if=result/custodian-installer_*.raw of=/dev/sdX
        installer = (appliance pkgs.stdenv.hostPlatform.system).config.system.build.finalImage;
      });

      overlays.default = final: _: {
        custodian = final.callPackage ./modules/package.nix { };
      };

      # By file: a module that comes in twice is then one.
      nixosModules =
        lib.mapAttrs (_: file: { imports = [ file ]; }) {
          custodian = ./modules/custodian.nix;
          appliance = ./modules/appliance.nix;
          storage = ./modules/storage.nix;
          installer = ./modules/installer.nix;
        }
        // {
          default = self.nixosModules.custodian;
        };

      nixosConfigurations.appliance = appliance "x86_64-linux";

      devShells = forAllSystems (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ (packagesFor pkgs).custodian ];
          packages = [
            pkgs.cargo-deny
            pkgs.cargo-nextest
            pkgs.clippy
            pkgs.ffmpeg
            pkgs.just
            pkgs.mpv
            pkgs.rustfmt
          ];
        };
      });

      checks = forAllSystems (
        pkgs:
        {
          inherit (packagesFor pkgs) custodian;
        }
        // import ./tests/vm { inherit self pkgs; }
      );

      formatter = forAllSystems (pkgs: pkgs.nixfmt);
    };
}
