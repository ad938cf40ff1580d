# Functions on attribute sets.
{ lib }:

let
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    concatLists
    concatMap
    concatStringsSep
    elemAt
    filter
    foldl'
    getAttr
    hasAttr
    head
    intersectAttrs
    isAttrs
    length
    listToAttrs
    map
    mapAttrs
    removeAttrs
    tail
    zipAttrsWith
    ;

  self = {
    inherit
      attrNames
      attrValues
      catAttrs
      getAttr
      hasAttr
      intersectAttrs
      isAttrs
      listToAttrs
      mapAttrs
      removeAttrs
      zipAttrsWith
      ;

    nameValuePair = name: value: { inherit name value; };

    attrByPath =
      path: default: set:
      let
        count = length path;
        descend =
          depth: value:
          if depth == count then
            value
          else if value ? ${elemAt path depth} then
            descend (depth + 1) value.${elemAt path depth}
          else
            default;
      in
      descend 0 set;
    hasAttrByPath =
      path: set:
      let
        count = length path;
        descend =
          depth: value: depth == count || (value ? ${elemAt path depth} && descend (depth + 1) value.${elemAt path depth});
      in
      descend 0 set;
    longestValidPathPrefix =
      path: set:
      let
        count = length path;
        descend =
          depth: value:
          if depth == count then
            path
          else if value ? ${elemAt path depth} then
            descend (depth + 1) value.${elemAt path depth}
          else
            lib.lists.take depth path;
      in
      descend 0 set;
    setAttrByPath =
      path: value:
      let
        count = length path;
        from = depth: if depth == count then value else { ${elemAt path depth} = from (depth + 1); };
      in
      from 0;
    getAttrFromPath =
      path: set: self.attrByPath path (throw "cannot find attribute '${concatStringsSep "." path}'") set;
    attrVals = names: set: map (name: set.${name}) names;
    getAttrs = names: set: self.genAttrs names (name: set.${name});

    concatMapAttrs = function: set: foldl' (all: part: all // part) { } (attrValues (mapAttrs function set));
    concatMapAttrsStringSep =
      separator: function: set:
      concatStringsSep separator (attrValues (mapAttrs function set));
    filterAttrs = predicate: set: removeAttrs set (filter (name: !(predicate name set.${name})) (attrNames set));
    filterAttrsRecursive =
      predicate: set:
      listToAttrs (
        concatMap (
          name:
          let
            value = set.${name};
          in
          if predicate name value then
            [ (self.nameValuePair name (if isAttrs value then self.filterAttrsRecursive predicate value else value)) ]
          else
            [ ]
        ) (attrNames set)
      );
    foldlAttrs = function: initial: set: foldl' (state: name: function state name set.${name}) initial (attrNames set);
    foldAttrs =
      operator: neutral: sets:
      mapAttrs (_: lib.lists.foldr operator neutral) (zipAttrsWith (_: values: values) sets);
    collect =
      predicate: set:
      if predicate set then
        [ set ]
      else if isAttrs set then
        concatMap (self.collect predicate) (attrValues set)
      else
        [ ];
    cartesianProduct =
      sets:
      foldl' (products: name: concatMap (product: map (value: product // { ${name} = value; }) sets.${name}) products) [
        { }
      ] (attrNames sets);
    cartesianProductOfSets = self.cartesianProduct;
    mapCartesianProduct = function: sets: map function (self.cartesianProduct sets);

    mapAttrs' = function: set: listToAttrs (map (name: function name set.${name}) (attrNames set));
    mapAttrsToList = function: set: attrValues (mapAttrs function set);
    attrsToList = self.mapAttrsToList self.nameValuePair;
    mapAttrsRecursive = self.mapAttrsRecursiveCond (_: true);
    mapAttrsRecursiveCond =
      recurseInto: function: set:
      let
        walk =
          path:
          mapAttrs (
            name: value:
            if isAttrs value && recurseInto value then walk (path ++ [ name ]) value else function (path ++ [ name ]) value
          );
      in
      walk [ ] set;
    mapAttrsToListRecursive = self.mapAttrsToListRecursiveCond (_: _: true);
    mapAttrsToListRecursiveCond =
      recurseInto: function: set:
      let
        walk =
          path: value:
          if isAttrs value && (path == [ ] || recurseInto path value) then
            concatMap (name: walk (path ++ [ name ]) value.${name}) (attrNames value)
          else
            [ (function path value) ];
      in
      walk [ ] set;
    genAttrs = names: function: self.genAttrs' names (name: self.nameValuePair name (function name));
    genAttrs' = values: function: listToAttrs (map function values);

    isDerivation = value: value.type or null == "derivation";
    toDerivation =
      path:
      let
        stored = builtins.storePath path;
      in
      {
        type = "derivation";
        name = builtins.unsafeDiscardStringContext (builtins.substring 33 (-1) (baseNameOf stored));
        outPath = stored;
        outputs = [ "out" ];
        out = self.toDerivation path;
        outputName = "out";
      };
    optionalAttrs = condition: set: if condition then set else { };

    zipAttrsWithNames =
      names: function: sets:
      self.genAttrs names (name: function name (catAttrs name sets));
    zipAttrs = zipAttrsWith (_: values: values);
    mergeAttrsList =
      sets:
      let
        merge =
          start: count:
          if count == 0 then
            { }
          else if count == 1 then
            elemAt sets start
          else
            let
              half = count / 2;
            in
            merge start half // merge (start + half) (count - half);
      in
      merge 0 (length sets);

    updateManyAttrsByPath =
      let
        # `value` is wrapped in a list so that its absence can be told
        apply =
          depth: value: updates:
          let
            split = builtins.partition (update: length update.path == depth) updates;
            nested =
              if split.wrong == [ ] then
                value
              else
                let
                  set = if value == [ ] then { } else head value;
                  changed = mapAttrs (
                    name: apply (depth + 1) (if value != [ ] && isAttrs set && set ? ${name} then [ set.${name} ] else [ ])
                  ) (builtins.groupBy (update: elemAt update.path depth) split.wrong);
                in
                if value == [ ] || isAttrs set then
                  [ (set // mapAttrs (_: head) changed) ]
                else
                  let
                    path = concatStringsSep "." (lib.lists.take depth (head split.wrong).path);
                  in
                  throw "updateManyAttrsByPath: Path '${path}' needs to be updated further than the value that is there, which is no attribute set";
            final = foldl' (
              current: update:
              [
                (update.update (
                  if current == [ ] then
                    throw "updateManyAttrsByPath: Path '${concatStringsSep "." update.path}' does not exist in the given value"
                  else
                    head current
                ))
              ]
            ) nested split.right;
          in
          final;
      in
      updates: value: head (apply 0 [ value ] updates);

    recursiveUpdateUntil =
      stop: left: right:
      let
        walk =
          path:
          zipAttrsWith (
            name: values:
            let
              here = path ++ [ name ];
            in
            if length values == 1 || stop here (elemAt values 1) (head values) then head values else walk here values
          );
      in
      walk [ ] [
        right
        left
      ];
    recursiveUpdate = self.recursiveUpdateUntil (_: left: right: !(isAttrs left && isAttrs right));
    matchAttrs =
      pattern: value:
      isAttrs value
      && builtins.all (
        name:
        let
          expected = pattern.${name};
        in
        value ? ${name}
        && (if isAttrs expected then self.matchAttrs expected value.${name} else expected == value.${name})
      ) (attrNames pattern);
    overrideExisting = old: new: mapAttrs (name: value: new.${name} or value) old;
    showAttrPath =
      path: if path == [ ] then "<root attribute path>" else lib.concatMapStringsSep "." lib.strings.escapeNixIdentifier path;

    getOutput =
      output: package:
      if !(package ? outputSpecified) || !package.outputSpecified then package.${output} or package.out or package else package;
    getFirstOutput =
      candidates: package:
      let
        outputs = filter (name: hasAttr name package) candidates;
      in
      if package.outputSpecified or false || outputs == [ ] then package else package.${head outputs};
    getBin = self.getOutput "bin";
    getLib = self.getOutput "lib";
    getStatic = self.getFirstOutput [
      "static"
      "lib"
      "out"
    ];
    getDev = self.getOutput "dev";
    getInclude = self.getFirstOutput [
      "include"
      "dev"
      "out"
    ];
    getMan = self.getOutput "man";
    chooseDevOutputs = map self.getDev;

    recurseIntoAttrs = set: set // { recurseForDerivations = true; };
    dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
    unionOfDisjoint =
      left: right:
      let
        both = intersectAttrs left right;
        collisions = concatStringsSep " " (attrNames both);
      in
      left // right // mapAttrs (name: _: throw "unionOfDisjoint: collision on ${name}; complete list: ${collisions}") both;
  };
in
self
