# Stands in for nixpkgs where none can be had:
#   nix flake check --no-build --offline --no-write-lock-file --override-input nixpkgs path:./tests/nix .
# Whatever it does not have, is missed by name.
{
  outputs = _: import ./nixpkgs.nix;
}
