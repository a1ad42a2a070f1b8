{ self, pkgs }: import ./nodes.nix { inherit self pkgs; }
