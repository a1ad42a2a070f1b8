# A small stand-in for what custodian's Nix files use of nixpkgs' lib: a few functions, and a module system that is strict where nixpkgs' is.
# An option that nobody declares, a value of the wrong type, two values for one option: each is an error that says its path.
# Declarations stand in our modules and, for NixOS' own options, in nixos-options.txt. What it does not have is missed by name, so that nothing
# is used that was not thought of. `nix flake check` with nixpkgs' real lib is what counts where nixpkgs can be had.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    substring
    typeOf
    ;

  unique = foldl' (acc: x: if elem x acc then acc else acc ++ [ x ]) [ ];
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
  show = concatStringsSep ".";
  isDerivation = v: isAttrs v && v.type or "" == "derivation";
  isOption = v: isAttrs v && v._type or "" == "option";
  fail = path: text: throw "${show path}: ${text}";

  # A definition may be wrapped in mkIf, mkMerge, mkForce and the like, in any order. Conditions are kept, not looked at: they may depend on
  # what is just being worked out.
  unwrap =
    {
      conditions ? [ ],
      priority ? 100,
      order ? 1000,
    }:
    value:
    let
      kind = if isAttrs value then value._type or "" else "";
    in
    if kind == "if" then
      unwrap {
        conditions = conditions ++ [ value.condition ];
        inherit priority order;
      } value.content
    else if kind == "override" then
      unwrap {
        inherit conditions order;
        inherit (value) priority;
      } value.content
    else if kind == "order" then
      unwrap {
        inherit conditions priority;
        order = value.priority;
      } value.content
    else if kind == "merge" then
      concatMap (unwrap { inherit conditions priority order; }) value.contents
    else
      [
        {
          inherit
            conditions
            priority
            order
            value
            ;
        }
      ];
  rewrap = d: v: unwrap { inherit (d) conditions priority order; } v;

  # Those definitions that hold, of the strongest kind, in their order.
  strongest =
    definitions:
    let
      live = filter (d: all (c: c) d.conditions) definitions;
      best = foldl' (a: d: if d.priority < a then d.priority else a) 9999 live;
    in
    map (d: d.value) (builtins.sort (a: b: a.order < b.order) (filter (d: d.priority == best) live));

  one =
    path: values:
    if length (unique values) == 1 then head values else fail path "is said twice, differently";
  type = name: check: merge: { inherit name check merge; };
  scalar = name: check: type name check one;

  types = rec {
    anything = type "anything" (_: true) (
      path: values:
      if all (v: isAttrs v && !isDerivation v) values then
        mergeNames path (p: definitions: anything.merge p (strongest definitions)) values
      else if all isList values then
        concatLists values
      else
        one path values
    );
    attrs = type "attribute set" isAttrs (_: foldl' (a: b: a // b) { });
    bool = scalar "bool" isBool;
    int = scalar "int" isInt;
    str = scalar "str" isString;
    lines = type "lines" isString (_: concatStringsSep "\n");
    path = scalar "path" (v: isPath v || isDerivation v || isString v && substring 0 1 v == "/");
    package = scalar "package" isDerivation;
    port = scalar "port" (v: isInt v && v >= 0 && v <= 65535);
    ints = {
      positive = scalar "positive int" (v: isInt v && v > 0);
      unsigned = scalar "unsigned int" (v: isInt v && v >= 0);
    };
    strMatching = pattern: scalar "str matching ${pattern}" (v: isString v && match pattern v != null);
    enum = values: scalar "one of ${builtins.toJSON values}" (v: elem v values);
    nullOr =
      t:
      type "null or ${t.name}" (v: v == null || t.check v) (
        path: values: if all (v: v == null) values then null else t.merge path values
      )
      // {
        empty = null;
      };
    either =
      a: b:
      type "${a.name} or ${b.name}" (v: a.check v || b.check v) (
        path: values: if all a.check values then a.merge path values else b.merge path values
      );
    oneOf = ts: foldl' either (head ts) (builtins.tail ts);
    listOf =
      t:
      type "list of ${t.name}" isList (
        path: values:
        let
          items = filter (i: i != [ ]) (map (v: strongest (unwrap { } v)) (concatLists values));
          # An item may be an attribute set of options of its own.
          item = n: mergeAs (path ++ [ "[${toString n}]" ]) t (builtins.elemAt items n);
        in
        builtins.genList item (length items)
      )
      // {
        empty = [ ];
      };
    attrsOf =
      t:
      type "attributes of ${t.name}" isAttrs (path: mergeNames path (p: checked p t)) // { empty = { }; };
    submodule =
      declared:
      type "submodule" isAttrs (
        path: values:
        let
          name = builtins.elemAt path (length path - 1);
          module =
            if isFunction declared then
              declared {
                inherit name config;
                lib = self;
              }
            else
              declared;
          config = tree path module (map (unwrap { }) ([ (module.config or { }) ] ++ values));
        in
        config
      );
  };

  mergeNames =
    path: f: values:
    let
      of = n: concatMap (v: if v ? ${n} then unwrap { } v.${n} else [ ]) values;
      # A name all of whose definitions are switched off is not there.
      names = filter (n: any (d: all (c: c) d.conditions) (of n)) (unique (concatMap attrNames values));
    in
    genAttrs names (n: f (path ++ [ n ]) (of n));

  mergeAs =
    path: t: values:
    let
      wrong = filter (v: !(t.check v)) values;
    in
    if wrong != [ ] then fail path "a ${typeOf (head wrong)} is not ${t.name}" else t.merge path values;
  checked =
    path: t: definitions:
    mergeAs path t (strongest definitions);

  # The value of one option.
  valueOf =
    path: option: definitions:
    let
      said = strongest definitions;
      # Not looked at where somebody says something.
      live = if said == [ ] && option ? default then strongest (unwrap { } option.default) else said;
    in
    if option.readOnly or false && option ? default && definitions != [ ] then
      fail path "is read-only"
    else if live == [ ] && option.type ? empty then
      option.type.empty
    else if live == [ ] && option ? unset then
      option.unset
    else if live == [ ] then
      fail path "is used, and nobody has said what it is"
    else
      (option.apply or (v: v)) (mergeAs path option.type live);

  # A tree of options with what the definitions (a list of lists of unwrapped ones) say.
  tree =
    path: module: definitions:
    let
      options = module.options or { };
      free = module.freeformType or null;
      all = concatLists definitions;
      bad = filter (d: !(isAttrs d.value)) all;
      said = unique (concatMap (d: attrNames d.value) all);
      unknown = filter (n: !(options ? ${n})) said;
      below = n: concatMap (d: if d.value ? ${n} then rewrap d d.value.${n} else [ ]) all;
      known = genAttrs (attrNames options) (
        n:
        if isOption options.${n} then
          valueOf (path ++ [ n ]) options.${n} (below n)
        else
          tree (path ++ [ n ]) { options = options.${n}; } [ (below n) ]
      );
    in
    if bad != [ ] then
      fail path "options are below it, and it is given a ${typeOf (head bad).value}"
    else if free != null then
      genAttrs (filter (n: strongest (below n) != [ ]) unknown) (
        n: checked (path ++ [ n ]) free (below n)
      )
      // known
    # Only the names are looked at, not whether a condition holds: a mistake that is switched off is one too.
    else if unknown == [ ] then
      known
    else
      throw "option ${show (path ++ [ (head unknown) ])} does not exist";

  # Two trees of declarations as one.
  joined =
    path: a: b:
    if isOption a || isOption b then
      fail path "is declared twice"
    else
      a // mapAttrs (n: v: if a ? ${n} then joined (path ++ [ n ]) a.${n} v else v) b;

  evalModules =
    {
      modules,
      specialArgs ? { },
      # Folder of nixpkgs' modules, which are not there, and which of them may be imported: what they declare is in the list.
      upstream ? "/nixpkgs",
      known ? [ ],
    }:
    let
      load =
        m:
        let
          name = if isString m then match "${upstream}/(.*)" m else null;
          body = if isPath m || isString m then import m else m;
          module =
            if isFunction body then
              body (
                specialArgs
                // {
                  inherit config options;
                  lib = self;
                }
              )
            else
              body;
          sections = module ? options || module ? config;
        in
        if name != null then
          if elem (head name) known then
            [ ]
          else
            throw "module ${head name} of NixOS is not in the reviewed list"
        else
          concatMap load (module.imports or [ ])
          ++ [
            {
              options = module.options or { };
              config =
                if sections then
                  module.config or { }
                else
                  removeAttrs module [
                    "imports"
                    "_file"
                  ];
            }
          ];
      loaded = concatMap load modules;
      options = foldl' (joined [ ]) { } (map (m: m.options) loaded);
      config = tree [ ] { inherit options; } (map (m: unwrap { } m.config) loaded);
    in
    {
      inherit config options;
    };

  self = {
    inherit
      all
      any
      attrNames
      attrValues
      concatMap
      concatStringsSep
      elem
      evalModules
      filter
      genAttrs
      head
      isDerivation
      length
      listToAttrs
      mapAttrs
      nameValuePair
      types
      unique
      ;
    mkOption = o: o // { _type = "option"; };
    mkEnableOption =
      what:
      self.mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = "Whether to enable ${what}.";
      };
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkOverride = priority: content: {
      _type = "override";
      inherit priority content;
    };
    mkDefault = self.mkOverride 1000;
    mkForce = self.mkOverride 50;
    mkVMOverride = self.mkOverride 10;
    getLib = p: p.lib or p;
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };

    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if set ? ${head path} then
        self.attrByPath (builtins.tail path) default set.${head path}
      else
        default;
    concatLines = lines: concatStringsSep "" (map (l: l + "\n") lines);
    concatMapAttrs = f: set: foldl' (a: b: a // b) { } (attrValues (mapAttrs f set));
    filterAttrs = keep: set: genAttrs (filter (n: keep n set.${n}) (attrNames set)) (n: set.${n});
    fileset = {
      unions =
        paths:
        map (
          p:
          assert builtins.pathExists p;
          p
        ) paths;
      toSource = { root, fileset }: builtins.deepSeq fileset root;
    };
    getExe = p: "${p}/bin/${p.meta.mainProgram}";
    hasInfix = part: text: length (filter isString (builtins.split (self.escapeRegex part) text)) > 1;
    escapeRegex =
      let
        special = [
          "\\"
          "["
          "{"
          "("
          ")"
          "^"
          "$"
          "."
          "*"
          "+"
          "?"
          "|"
        ];
      in
      builtins.replaceStrings special (map (c: "\\" + c) special);
    hasPrefix = start: text: substring 0 (builtins.stringLength start) text == start;
    hasSuffix =
      end: text:
      let
        n = builtins.stringLength text - builtins.stringLength end;
      in
      n >= 0 && substring n (-1) text == end;
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    licenses.asl20 = {
      spdxId = "Apache-2.0";
    };
    mapAttrsToList = f: set: attrValues (mapAttrs f set);
    optional = condition: x: if condition then [ x ] else [ ];
    optionals = condition: xs: if condition then xs else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    platforms.linux = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    recursiveUpdate =
      a: b:
      if isAttrs a && isAttrs b && !isDerivation b then
        a // mapAttrs (n: v: if a ? ${n} then self.recursiveUpdate a.${n} v else v) b
      else
        b;
    removePrefix =
      start: text:
      if self.hasPrefix start text then substring (builtins.stringLength start) (-1) text else text;
    removeSuffix =
      end: text:
      if self.hasSuffix end text then
        substring 0 (builtins.stringLength text - builtins.stringLength end) text
      else
        text;
    splitString = separator: text: filter isString (builtins.split (self.escapeRegex separator) text);
    toUpper =
      let
        letters = text: builtins.genList (n: substring n 1 text) 26;
      in
      builtins.replaceStrings (letters "abcdefghijklmnopqrstuvwxyz") (letters "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    toInt =
      text:
      assert match "[0-9]+" text != null;
      builtins.fromJSON text;
  };
in
self
