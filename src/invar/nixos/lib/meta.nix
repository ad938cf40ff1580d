# Metadata of packages: priorities, platforms, main programs.
{ lib }:

let
  self = {
    addMetaAttrs =
      attributes: package:
      if package ? overrideAttrs then
        package.overrideAttrs (previous: {
          meta = previous.meta or { } // attributes;
        })
        // {
          meta = package.meta or { } // attributes;
        }
      else
        package // { meta = package.meta or { } // attributes; };
    dontDistribute = self.addMetaAttrs { hydraPlatforms = [ ]; };
    setName = name: package: package // { inherit name; };
    updateName = change: package: package // { name = change package.name; };
    appendToName = suffix: self.updateName (
      name:
      let
        parsed = builtins.parseDrvName name;
      in
      "${parsed.name}-${suffix}${lib.optionalString (parsed.version != "") "-${parsed.version}"}"
    );
    mapDerivationAttrset =
      function: set: lib.mapAttrs (_: package: if lib.isDerivation package then function package else package) set;

    defaultPriority = 5;
    setPrio = priority: self.addMetaAttrs { inherit priority; };
    lowPrio = self.setPrio 10;
    hiPrio = self.setPrio (-10);
    lowPrioSet = self.mapDerivationAttrset self.lowPrio;
    hiPrioSet = self.mapDerivationAttrset self.hiPrio;

    platformMatch =
      platform: element:
      if builtins.isString element then
        platform ? system && element == platform.system
      else
        lib.matchAttrs (if element ? parsed then element else { parsed = element; }) platform;
    availableOn =
      platform: package:
      (!(package ? meta.platforms) || lib.any (self.platformMatch platform) package.meta.platforms)
      && lib.all (element: !(self.platformMatch platform element)) (package.meta.badPlatforms or [ ]);

    licensesSpdx = lib.listToAttrs (
      map (license: lib.nameValuePair license.spdxId license) (
        lib.filter (license: license ? spdxId) (lib.attrValues lib.licenses)
      )
    );
    getLicenseFromSpdxId =
      id: self.getLicenseFromSpdxIdOr id (lib.warn "getLicenseFromSpdxId: No license matches the given SPDX ID: ${id}" {
        shortName = id;
      });
    getLicenseFromSpdxIdOr =
      id: default:
      let
        byLowerId = lib.mapAttrs' (spdxId: lib.nameValuePair (lib.toLower spdxId)) self.licensesSpdx;
      in
      byLowerId.${lib.toLower id} or default;

    getExe =
      package:
      self.getExe' package (
        package.meta.mainProgram
          or (lib.warn "getExe: Package \"${package.name or package.pname or "unnamed"}\" does not have the meta.mainProgram attribute. We'll assume that the main program has the same name for now." (
            lib.getName package
          ))
      );
    getExe' =
      package: program:
      if !(builtins.isString program) then
        throw "lib.meta.getExe': The second argument is a ${builtins.typeOf program}, but should be a string"
      else if lib.hasInfix "/" program then
        throw "lib.meta.getExe': The second argument \"${program}\" is a nested path with a \"/\" character, but it should just be the name of the executable instead."
      else
        "${lib.getBin package}/bin/${program}";

    cpeFullVersionWithVendor = vendor: version: {
      inherit vendor version;
      update = "*";
    };
  };
in
self
