# The system as plain data: `config.system.build.invar`, the fields of `System` in src/invar/system/record.py.
{
  config,
  lib,
  modulesPath,
  options,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;

  # Texts are what programs read: numbers of owners are for accounts without a name.
  etcRecord = entry: {
    inherit (entry) target text;
    source = if entry.source == null then null else "${entry.source}";
    mode = if entry.text != null && entry.mode == "symlink" then "0444" else entry.mode;
    user = ownerOf entry.user entry.uid;
    group = ownerOf entry.group entry.gid;
  };
  ownerOf =
    name: number:
    if name != null then
      name
    else if number == 0 then
      "root"
    else
      toString number;

  userRecord = user: {
    inherit (user)
      name
      uid
      group
      description
      home
      ;
    extra_groups = lib.unique user.extraGroups;
    create_home = user.createHome;
    shell = if user.shell == null then "/usr/sbin/nologin" else utils.toShellPath user.shell;
    normal = user.isNormalUser;
    hashed_password = if user.hashedPassword != null then user.hashedPassword else user.initialHashedPassword;
  };
  groupRecord = group: {
    inherit (group) name gid;
    members = lib.unique group.members;
  };

  requests = lib.concatMap (
    definition:
    lib.concatMap (package: map (name: { inherit name; origin = definition.file; }) (package.debian or [ ])) definition.value
  ) options.environment.systemPackages.definitionsWithLocations;
  byName = lib.groupBy (request: request.name) requests;
  # Of several modules that want a package, one of the user's own is named.
  foremost =
    same: lib.findFirst (request: !(lib.hasPrefix "${modulesPath}/" request.origin)) (lib.head same) same;
in
{
  options = {
    system.build = mkOption {
      type = types.submodule { freeformType = types.lazyAttrsOf types.unspecified; };
      default = { };
      internal = true;
      description = "What is made of a configuration.";
    };
    system.name = mkOption {
      type = types.str;
      default = if config.networking.hostName == "" then "unnamed" else config.networking.hostName;
      defaultText = lib.literalExpression "config.networking.hostName";
      description = "The name of the system, in its image and its generations.";
    };
    invar.pathExcludes = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/usr/share/man/*" ];
      description = "Files of packages that are left out of the image, as dpkg's path-exclude has them.";
    };
  };

  config.system.build.invar = {
    inherit (config.system) name;
    host_name = config.networking.hostName;
    inherit (config.nixpkgs) architecture;
    packages = lib.mapAttrsToList (_: foremost) byName;
    kernel_package = lib.head config.boot.kernelPackages.kernel.debian;
    kernel_params = lib.unique config.boot.kernelParams;
    initrd_modules = lib.unique (config.boot.initrd.availableKernelModules ++ config.boot.initrd.kernelModules);
    etc = map etcRecord (
      lib.sort (a: b: a.target < b.target) (lib.filter (entry: entry.enable) (lib.attrValues config.environment.etc))
    );
    users = map userRecord (lib.filter (user: user.enable) (lib.attrValues config.users.users));
    groups = map groupRecord (lib.attrValues config.users.groups);
    inherit (config.system.build) checks;
    disk = {
      size_mib = if config.virtualisation.diskSize == "auto" then null else config.virtualisation.diskSize;
      base_name = config.image.baseName;
    };
    state_version = config.system.stateVersion;
    path_excludes = config.invar.pathExcludes;
    machine = config.invar.machine.enable;
  };
}
