# What custodian brings to a system, read from the folders beside this file: units, users, folders to be made, and the settings of the
# machine in system/. The image from Debian packages takes the same files. No value of theirs is said a second time in a Nix file, and what NixOS
# has no place for is an error, never left out.
{
  lib,
  # Where a path of Debian's is here: "/usr/bin/custodian" = "/nix/store/…/bin/custodian".
  paths,
  # Where the folders are, and the numbers of users.
  root ? ./.,
  lock ? ../image/users.lock,
}:
let
  inherit (builtins)
    attrNames
    elemAt
    filter
    head
    isString
    match
    readDir
    readFile
    split
    ;
  linesOf = text: filter isString (split "\n" text);
  isComment = line: match "[ \t]*([#;].*)?" line != null;
  saying = text: filter (l: !isComment l) (linesOf text);
  words = text: filter (w: isString w && w != "") (split "[ \t]+" text);
  read = folder: if builtins.pathExists folder then readDir folder else { };
  named = kind: folder: filter (n: (read folder).${n} == kind) (attrNames (read folder));

  # Every file and link below a folder, by its name from there.
  below =
    folder:
    lib.concatMapAttrs (
      name: kind:
      if kind == "directory" then
        lib.concatMapAttrs (n: f: { "${name}/${n}" = f; }) (below (folder + "/${name}"))
      else
        {
          ${name} = {
            inherit kind;
            path = folder + "/${name}";
          };
        }
    ) (read folder);

  # A file's text with the paths of this system. One that is left is a mistake that would only show when the machine runs.
  here =
    what: text:
    let
      said = builtins.replaceStrings (attrNames paths) (map (p: paths.${p}) (attrNames paths)) text;
      left = filter (l: match "(.*[ =:@+!\"-])?/(usr|bin|sbin|lib)/.*" l != null) (saying said);
    in
    if left == [ ] then said else throw "modules/${what}: NixOS has no such path: ${head left}";

  folder = root + "/units";
  kinds = "service|socket|mount|automount|target|path|timer|slice";
  units = filter (n: match ".*[.](${kinds})" n != null) (named "regular" folder);
  presets = filter (lib.hasSuffix ".preset") (named "regular" folder);
  dropIns = filter (n: match ".*[.](${kinds})[.]d" n != null) (named "directory" folder);
  known =
    units
    ++ presets
    ++ dropIns
    ++ [
      "sysusers.d"
      "tmpfiles.d"
    ];
  strangers = filter (n: !(builtins.elem n known)) (attrNames (read folder));
  unitNames = if strangers == [ ] then units else throw "modules/units: ${head strangers} is no unit";

  # What `systemctl preset` would do, of which NixOS knows nothing: the first line of a preset that speaks of a unit holds, and a unit that none
  # speaks of is enabled. A name may end in a star.
  verdicts = lib.concatMap (n: map words (saying (readFile (folder + "/${n}")))) presets;
  speaksOf =
    unit: verdict:
    let
      name = elemAt verdict 1;
    in
    name == unit || lib.hasSuffix "*" name && lib.hasPrefix (lib.removeSuffix "*" name) unit;
  isEnabled =
    unit:
    let
      said = filter (speaksOf unit) verdicts;
    in
    said == [ ] || head (head said) == "enable";

  # [Install], as the attributes that NixOS makes links from.
  installed =
    unit:
    let
      step =
        state: line:
        if lib.hasPrefix "[" line then
          state // { inside = line == "[Install]"; }
        else if state.inside then
          state // { lines = state.lines ++ [ line ]; }
        else
          state;
      start = {
        inside = false;
        lines = [ ];
      };
      inherit (builtins.foldl' step start (saying (readFile (folder + "/${unit}")))) lines;
      attributes = {
        WantedBy = "wantedBy";
        RequiredBy = "requiredBy";
        UpheldBy = "upheldBy";
        Alias = "aliases";
      };
      add =
        result: line:
        let
          parts = match "([A-Za-z]+)=(.*)" line;
          name =
            if parts == null then
              null
            else
              attributes.${head parts} or (throw "modules/units/${unit}: NixOS has nothing for ${line}");
        in
        result // { ${name} = result.${name} or [ ] ++ words (elemAt parts 1); };
    in
    if isEnabled unit then builtins.foldl' add { } lines else { };

  # sysusers.d(5), as far as it is used here: "u NAME NUMBER "WHO" HOME", "g NAME NUMBER -", "m USER GROUP".
  entry =
    line:
    let
      parts = match "([gum]) ([^ ]+) ([^ ]+)( \"([^\"]*)\"( ([^ ]+))?| -)*" line;
    in
    if parts == null then
      throw "modules/units/sysusers.d: not understood: ${line}"
    else
      {
        kind = head parts;
        name = elemAt parts 1;
        number = elemAt parts 2;
        who = elemAt parts 4;
        home = elemAt parts 6;
      };
  entries = lib.concatMap (n: map entry (saying (readFile (folder + "/sysusers.d/${n}")))) (
    named "regular" (folder + "/sysusers.d")
  );
  # A number that is picked anew for each image would give one user's files to another: what sysusers.d leaves open image/users.lock says, for both
  # images alike.
  locked = lib.listToAttrs (
    map (l: lib.nameValuePair "${elemAt l 0} ${elemAt l 1}" (elemAt l 2)) (
      map words (saying (readFile lock))
    )
  );
  number =
    e:
    let
      said = if e.number == "-" then locked."${e.kind} ${e.name}" or "-" else e.number;
    in
    if match "[0-9]+" said == null then
      throw "image/users.lock: ${e.name} has no number"
    else
      lib.toInt said;
  ofKind = kind: filter (e: e.kind == kind) entries;
  # A user brings a group of its own name and number.
  groups = ofKind "g" ++ ofKind "u";
in
{
  inherit paths;

  # Text of each unit; a drop-in has the name of its folder before its own.
  units =
    lib.genAttrs unitNames (n: here "units/${n}" (readFile (folder + "/${n}")))
    // lib.concatMapAttrs (
      d: _:
      lib.concatMapAttrs (n: f: { "${d}/${n}" = here "units/${d}/${n}" (readFile f.path); }) (
        below (folder + "/${d}")
      )
    ) (lib.genAttrs dropIns (_: null));
  install = lib.filterAttrs (_: i: i != { }) (lib.genAttrs unitNames installed);

  users = lib.listToAttrs (
    map (
      e:
      lib.nameValuePair e.name {
        uid = number e;
        group = e.name;
        description = if e.who == null then "" else e.who;
        home = if e.home == null || e.home == "-" then "/var/empty" else e.home;
        isSystemUser = true;
      }
    ) (ofKind "u")
  );
  groups = lib.listToAttrs (
    map (
      g:
      lib.nameValuePair g.name {
        gid = number g;
        members = map (e: e.name) (filter (e: e.number == g.name) (ofKind "m"));
      }
    ) groups
  );

  tmpfiles = lib.genAttrs (named "regular" (folder + "/tmpfiles.d")) (
    n: here "units/tmpfiles.d/${n}" (readFile (folder + "/tmpfiles.d/${n}"))
  );

  # Each file of system/ by its path from /. A link stands for a mask: all of them lead to /dev/null.
  system = lib.concatMapAttrs (
    n: f:
    if n == "README.md" then
      { }
    else
      {
        "/${n}" = {
          mask = f.kind == "symlink";
          text = if f.kind == "symlink" then "" else here "system/${n}" (readFile f.path);
        };
      }
  ) (below (root + "/system"));
}
