# NixOS' own options, as far as custodian's modules set them: declared from the reviewed list nixos-options.txt. Works with nixpkgs' real lib and
# with the stand-in alike.
{ lib }:
let
  inherit (builtins)
    elemAt
    filter
    isString
    match
    split
    ;
  inherit (lib) types;
  words = text: filter (w: isString w && w != "") (split " +" text);
  lines = filter (l: isString l && l != "" && match "#.*" l == null) (
    split "\n" (builtins.readFile ./nixos-options.txt)
  );

  # "option  type  file"
  entry =
    line:
    let
      parts = match "([^ ]+) +([^ ].*[^ ]) +([^ ]+)" line;
    in
    if parts == null then
      throw "nixos-options.txt: not understood: ${line}"
    else
      {
        path = filter (p: isString p && p != "") (split "[.]" (elemAt parts 0));
        type = typeOf (words (elemAt parts 1));
      };

  atoms = {
    inherit (types)
      anything
      attrs
      bool
      int
      lines
      package
      path
      str
      ;
  };
  typeOf =
    said:
    let
      first = builtins.head said;
      rest = builtins.tail said;
      choices = filter (c: isString c && c != "") (split "[|]" first);
    in
    if first == "listOf" || first == "attrsOf" || first == "nullOr" then
      types.${first} (typeOf rest)
    else if builtins.length choices > 1 then
      types.enum choices
    else if rest == [ ] then
      atoms.${first} or (throw "nixos-options.txt: no type ${first}")
    else
      throw "nixos-options.txt: not understood: ${builtins.concatStringsSep " " said}";

  imports = filter (e: e != null) (map (l: match "module  +([^ ]+)" l) lines);
  options = map entry (filter (l: match "module  .*" l == null) lines);

  # <name> stands for any name, and [] for each item of a list: what follows are options of a submodule.
  declare =
    entries:
    let
      heads = lib.unique (map (e: builtins.head e.path) entries);
      under =
        n: map (e: e // { path = builtins.tail e.path; }) (filter (e: builtins.head e.path == n) entries);
      node =
        n:
        let
          inside = under n;
          next = builtins.head (builtins.head inside).path;
          submodule = map (e: e // { path = builtins.tail e.path; }) inside;
        in
        if builtins.length inside == 1 && (builtins.head inside).path == [ ] then
          # What nobody sets is null in the stand-in, whatever its type; to nixpkgs' lib it is not there.
          lib.mkOption { inherit (builtins.head inside) type; } // { unset = null; }
        else if builtins.any (e: e.path == [ ]) inside then
          throw "nixos-options.txt: ${n} is an option and has options below it"
        else if next == "<name>" then
          lib.mkOption {
            type = types.attrsOf (types.submodule { options = declare submodule; });
            default = { };
          }
        else if next == "[]" then
          lib.mkOption {
            type = types.listOf (types.submodule { options = declare submodule; });
            default = [ ];
          }
        else
          declare inside;
    in
    lib.genAttrs heads node;
in
{
  modules = map builtins.head imports;
  module = {
    options = declare options;
  };
}
