# Virtual machines that nixpkgs' test driver starts: `nix flake check` where there is nixpkgs, and KVM. What they are to show the boot tests of the
# Debian image show too (tests/boot/); here it is shown of the NixOS modules.
{ self, pkgs }:
let
  test =
    name: preamble:
    pkgs.testers.runNixOSTest {
      inherit name;
      nodes = import (./. + "/${name}.nix") { inherit self pkgs; };
      testScript =
        { nodes, ... }:
        preamble nodes + builtins.readFile ./common.py + builtins.readFile (./. + "/${name}.py");
    };
in
{
  record = test "record" (_: "");
  generations = test "generations" (_: "");
  appliance = test "appliance" (nodes: ''
    IMAGE = "${nodes.machine.system.build.finalImage}/${nodes.machine.image.repart.imageFile}"
    SITE_TEXT = open("${./site.toml}").read()
    QEMU_IMG = "${nodes.machine.virtualisation.qemu.package}/bin/qemu-img"
  '');
}
