# The library `lib`: nixpkgs' names and meaning, one file an area, every file loaded when a name of it is first used.
let
  fixedPoints = import ./fixed-points.nix { lib = { isFunction = builtins.isFunction; }; };

  inherit (fixedPoints) makeExtensible;
in
makeExtensible (
  self:
  let
    load = file: import file { lib = self; };
  in
  {
    trivial = load ./trivial.nix;
    fixedPoints = load ./fixed-points.nix;
    lists = load ./lists.nix;
    attrsets = load ./attrsets.nix;
    strings = load ./strings.nix;
    versions = load ./versions.nix;
    stringsWithDeps = load ./strings-with-deps.nix;
    asserts = load ./asserts.nix;
    customisation = load ./customisation.nix;
    meta = load ./meta.nix;
    debug = load ./debug.nix;
    cli = load ./cli.nix;
    sources = load ./sources.nix;
    filesystem = load ./filesystem.nix;
    derivations = load ./derivations.nix;
    generators = load ./generators.nix;
    path = load ./path.nix;
    network = load ./network.nix;
    kernel = load ./kernel.nix;
    options = load ./options.nix;
    modules = load ./modules.nix;
    optionTypes = load ./types.nix;
    licenses = load ./licenses.nix;
    systems = load ./systems.nix;
    platforms = self.systems.doubles;
    maintainers = { };
    teams = { };

    inherit (self.trivial)
      add and bitAnd bitNot bitOr bitXor boolToString boolToYesNo ceil checkListOfEnum codeName compare concat
      const deepSeq defaultTo flip floor fromHexString functionArgs genericClosure id importJSON importTOML
      inNixShell inPureEvalMode info isBool isFloat isFunction isInOldestRelease isInt lessThan mapNullable
      max mergeAttrs min mirrorFunctionArgs mod oldestSupportedRelease oldestSupportedReleaseIsAtLeast "or"
      pathExists pipe readFile release revisionWithDefault seq setFunctionArgs showWarnings splitByAndCompare
      sub throwIf throwIfNot toBaseDigits toFunction toHexString version versionSuffix warn warnIf warnIfNot
      xor
      ;
    inherit (self.fixedPoints)
      composeExtensions composeManyExtensions converge extends fix fix' makeExtensible
      makeExtensibleWithCustomName toExtension
      ;
    inherit (self.lists)
      all allUnique any compareLists concatAttrValues concatLists concatMap count crossLists drop dropEnd elem elemAt
      filter findFirst findFirstIndex findSingle flatten fold foldl foldl' foldr forEach genList groupBy
      groupBy' head ifilter0 imap0 imap1 init intersectLists isList last length listDfs map mutuallyExclusive
      naturalSort optional optionals partition range remove replicate reverseList singleton sort sortOn
      sublist subtractLists tail take takeEnd toList toposort unique uniqueStrings zipLists zipListsWith
      ;
    inherit (self.attrsets)
      attrByPath attrNames attrVals attrValues attrsToList cartesianProduct cartesianProductOfSets catAttrs
      chooseDevOutputs collect concatMapAttrs concatMapAttrsStringSep dontRecurseIntoAttrs filterAttrs
      filterAttrsRecursive foldAttrs foldlAttrs genAttrs genAttrs' getAttr getAttrFromPath getAttrs getBin
      getDev getFirstOutput getInclude getLib getMan getOutput getStatic hasAttr hasAttrByPath intersectAttrs
      isAttrs isDerivation listToAttrs longestValidPathPrefix mapAttrs mapAttrs' mapAttrsRecursive
      mapAttrsRecursiveCond mapAttrsToList mapAttrsToListRecursive mapAttrsToListRecursiveCond
      mapCartesianProduct matchAttrs mergeAttrsList nameValuePair optionalAttrs overrideExisting
      recurseIntoAttrs recursiveUpdate recursiveUpdateUntil removeAttrs setAttrByPath showAttrPath
      toDerivation unionOfDisjoint updateManyAttrsByPath zipAttrs zipAttrsWith zipAttrsWithNames
      ;
    inherit (self.strings)
      addContextFrom charToInt cmakeBool cmakeFeature cmakeOptionType compareVersions concatImapStrings
      concatImapStringsSep concatLines concatMapStrings concatMapStringsSep concatStrings concatStringsSep
      enableFeature enableFeatureAs escape escapeC escapeNixIdentifier escapeNixString escapeRegex
      escapeShellArg escapeShellArgs escapeSystemdExecArg escapeSystemdExecArgs escapeSystemdPath escapeURL
      escapeXML fileContents fixedWidthNumber fixedWidthString getName getVersion hasInfix hasPrefix hasSuffix
      intersperse isConvertibleWithToString isPath isStorePath isString isStringLike levenshtein makeBinPath
      makeIncludePath makeLibraryPath makeSearchPath makeSearchPathOutput mesonBool mesonEnable mesonOption
      nameFromURL normalizePath optionalString readPathsFromFile removePrefix removeSuffix replaceString
      replaceStrings sanitizeDerivationName splitString stringAsChars stringLength stringToCharacters
      substring toCamelCase toInt toIntBase10 toLower toSentenceCase toShellVar toShellVars toUpper trim
      trimWith typeOf withFeature withFeatureAs
      ;
    inherit (self.generators) mkLuaInline;
    inherit (self.versions)
      major majorMinor minor pad patch splitVersion versionAtLeast versionOlder
      ;
    inherit (self.stringsWithDeps)
      fullDepEntry noDepEntry packEntry stringAfter textClosureList textClosureMap
      ;
    inherit (self.asserts)
      assertEachOneOf assertMsg assertOneOf checkAssertWarn
      ;
    inherit (self.customisation)
      callPackageWith callPackagesWith extendDerivation hydraJob makeOverridable makeScope
      makeScopeWithSplicing' overrideDerivation
      ;
    inherit (self.meta)
      addMetaAttrs appendToName availableOn cpeFullVersionWithVendor dontDistribute getExe getExe'
      getLicenseFromSpdxId getLicenseFromSpdxIdOr hiPrio hiPrioSet licensesSpdx lowPrio lowPrioSet
      mapDerivationAttrset platformMatch setName setPrio updateName
      ;
    inherit (self.debug)
      runTests testAllTrue throwTestFailures traceFnSeqN traceIf traceSeq traceSeqN traceVal traceValFn
      traceValSeq traceValSeqFn traceValSeqN traceValSeqNFn
      ;
    inherit (self.cli)
      toCommandLine toCommandLineGNU toCommandLineShell toCommandLineShellGNU toGNUCommandLine
      toGNUCommandLineShell
      ;
    inherit (self.sources)
      cleanSource cleanSourceFilter cleanSourceWith sourceByRegex sourceFilesBySuffices
      ;
    inherit (self.filesystem)
      haskellPathsInDir listFilesRecursive locateDominatingFile packagesFromDirectoryRecursive pathIsDirectory
      pathIsRegularFile pathType
      ;
    inherit (self.derivations)
      lazyDerivation optionalDrvAttr warnOnInstantiate
      ;
    inherit (self.options)
      getFiles getValues isOption literalCode literalExpression literalMD mdDoc mergeDefaultOption
      mergeEqualOption mergeOneOption mergeUniqueOption mkEnableOption mkOption mkPackageOption
      mkPackageOptionMD mkSinkUndeclaredOptions optionAttrSetToDocList optionAttrSetToDocList'
      renderOptionValue scrubOptionValue showDefs showFiles showOption showOptionWithDefLocs
      ;
    inherit (self.modules)
      defaultOrderPriority defaultOverridePriority defaultPriority dischargeProperties doRename evalModules
      evalOptionValue filterOverrides filterOverrides' fixupOptionType importApply mergeDefinitions
      mergeOptionDecls mkAfter mkAliasAndWrapDefinitions mkAliasAndWrapDefsWithPriority mkAliasDefinitions
      mkAliasIfDef mkAliasOptionModule mkAliasOptionModuleMD mkAssert mkBefore mkChangedOptionModule mkDefault
      mkDefinition mkDerivedConfig mkFixStrictness mkForce mkIf mkImageMediaOverride mkMerge
      mkMergedOptionModule mkOptionDefault mkOrder mkOverride mkRemovedOptionModule mkRenamedOptionModule
      mkRenamedOptionModuleWith mkVMOverride pushDownProperties setDefaultModuleLocation sortProperties
      ;
    inherit (self.optionTypes)
      types isType setType isOptionType defaultFunctor defaultTypeMerge mkOptionType optionDescriptionPhrase
      ;
  }
)
