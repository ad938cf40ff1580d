# The module system: evaluation and the properties of definitions. Invar evaluates modules natively; here are its names.
{ lib }:

let
  native = builtins.invarModules lib;

  inherit (lib) mkMerge mkIf mkOption mkOverride;

  self = {
    inherit (native)
      evalModules
      mkIf
      mkMerge
      mkOverride
      mkOptionDefault
      mkDefault
      mkImageMediaOverride
      mkForce
      mkVMOverride
      mkFixStrictness
      mkOrder
      mkBefore
      mkAfter
      mkAliasDefinitions
      mkAliasAndWrapDefinitions
      mkAliasAndWrapDefsWithPriority
      mkDefinition
      mkDerivedConfig
      mergeDefinitions
      defaultPriority
      defaultOrderPriority
      defaultOverridePriority
      setDefaultModuleLocation
      unknownModule
      filterOverrides
      filterOverrides'
      sortProperties
      dischargeProperties
      pushDownProperties
      evalOptionValue
      fixupOptionType
      mergeOptionDecls
      ;

    importApply =
      path: arguments: lib.setDefaultModuleLocation path (import path arguments);

    mkAssert =
      condition: message: content:
      mkIf (
        if condition then true else throw "\nFailed assertion: ${message}"
      ) content;

    doRename =
      {
        from,
        to,
        visible,
        warn,
        use,
        withPriority ? true,
        condition ? true,
      }:
      { config, options, ... }:
      let
        fromOption = lib.getAttrFromPath from options;
        toOf = lib.attrByPath to (
          abort "Renaming error: option `${lib.showOption to}' does not exist."
        );
        toType = (lib.attrByPath to { } options).type or (lib.types.submodule { });
      in
      {
        options = lib.setAttrByPath from (
          mkOption (
            {
              inherit visible;
              description = "Alias of {option}`${lib.showOption to}`.";
              apply = value: use (toOf config);
            }
            // lib.optionalAttrs (toType != null) { type = toType; }
          )
        );
        config = mkIf condition (mkMerge [
          (lib.optionalAttrs (options ? warnings) {
            warnings =
              lib.optional (warn && fromOption.isDefined)
                "The option `${lib.showOption from}' defined in ${lib.showFiles fromOption.files} has been renamed to `${lib.showOption to}'.";
          })
          (
            if withPriority then
              self.mkAliasAndWrapDefsWithPriority (lib.setAttrByPath to) fromOption
            else
              self.mkAliasAndWrapDefinitions (lib.setAttrByPath to) fromOption
          )
        ]);
      };

    mkRenamedOptionModule =
      from: to:
      self.doRename {
        inherit from to;
        visible = false;
        warn = true;
        use = lib.warn "Obsolete option `${lib.showOption from}' is used. It was renamed to `${lib.showOption to}'.";
      };
    mkRenamedOptionModuleWith =
      {
        from,
        to,
        sinceRelease,
      }:
      self.doRename {
        inherit from to;
        visible = false;
        warn = lib.oldestSupportedReleaseIsAtLeast sinceRelease;
        use = lib.warnIf (lib.oldestSupportedReleaseIsAtLeast sinceRelease) "Obsolete option `${lib.showOption from}' is used. It was renamed to `${lib.showOption to}'.";
      };
    mkAliasOptionModule =
      from: to:
      self.doRename {
        inherit from to;
        visible = true;
        warn = false;
        use = lib.id;
      };
    mkAliasOptionModuleMD = self.mkAliasOptionModule;
    mkAliasIfDef = option: mkIf (lib.isOption option && option.isDefined);

    mkRemovedOptionModule =
      path: replacement:
      { options, ... }:
      {
        options = lib.setAttrByPath path (mkOption {
          visible = false;
          apply =
            _: throw "The option `${lib.showOption path}' can no longer be used since it's been removed. ${replacement}";
        });
        config.assertions =
          let
            option = lib.getAttrFromPath path options;
          in
          [
            {
              assertion = !option.isDefined;
              message = ''
                The option definition `${lib.showOption path}' in ${lib.showFiles option.files} no longer has any effect; please remove it.
                ${replacement}'';
            }
          ];
      };

    mkMergedOptionModule =
      from: to: mergeFunction:
      { config, options, ... }:
      {
        options = builtins.foldl' lib.recursiveUpdate { } (
          map (
            path:
            lib.setAttrByPath path (mkOption {
              visible = false;
              # an alias must not be set by its own default
              default = "_mkMergedOptionModule";
            })
          ) from
        );
        config =
          let
            isSet = path: lib.getAttrFromPath path config != "_mkMergedOptionModule";
          in
          {
            warnings = lib.filter (message: message != "") (
              map (
                path:
                let
                  option = lib.getAttrFromPath path options;
                in
                lib.optionalString (isSet path)
                  "The option `${lib.showOption path}' defined in ${lib.showFiles option.files} has been changed to `${lib.showOption to}' that has a different type. Please read `${lib.showOption to}' documentation and update your configuration accordingly."
              ) from
            );
          }
          // lib.setAttrByPath to (mkMerge (lib.optional (lib.any isSet from) (mergeFunction config)));
      };
    mkChangedOptionModule =
      from: to: changeFunction:
      self.mkMergedOptionModule [ from ] to changeFunction;

  };
in
self
