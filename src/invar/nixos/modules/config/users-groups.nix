# Users and groups. The numbers and the files of /etc are made from these when the image is.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.users;
  ids = config.ids;

  # An account's name: what shadow's useradd takes on Debian.
  accountName = types.passwdEntry (types.strMatching "[a-z_][a-z0-9_-]{0,30}[$a-z0-9_-]?");

  userOptions =
    { name, config, ... }:
    {
      options = {
        name = mkOption {
          type = accountName;
          default = name;
          description = "The name of the user; the attribute's name if it is not set.";
        };
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the user is there.";
        };
        description = mkOption {
          type = types.passwdEntry types.str;
          default = "";
          example = "Alice Q. User";
          description = "The user's full name, or what it is for.";
        };
        uid = mkOption {
          type = types.nullOr types.int;
          default = null;
          description = "The user's number; null derives it from the name, so that it stays when other users come and go.";
        };
        isSystemUser = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the user is one that a service runs as.";
        };
        isNormalUser = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the user is a person: gets the group `users`, a home directory and a shell.";
        };
        group = mkOption {
          type = types.str;
          default = "";
          description = "The user's primary group.";
        };
        extraGroups = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "More groups that the user is in.";
        };
        home = mkOption {
          type = types.passwdEntry types.path;
          default = "/var/empty";
          description = "The user's home directory.";
        };
        homeMode = mkOption {
          type = types.strMatching "[0-7]{1,5}";
          default = "700";
          description = "The permissions of the home directory, in octal.";
        };
        createHome = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the home directory is made at boot where it is missing.";
        };
        shell = mkOption {
          type = types.nullOr (types.either types.shellPackage (types.passwdEntry types.path));
          default = "/usr/sbin/nologin";
          example = lib.literalExpression "pkgs.zsh";
          description = "The user's login shell.";
        };
        ignoreShellProgramCheck = mkOption {
          type = types.bool;
          default = false;
          description = "Accepted for NixOS's sake: a shell that is named is installed.";
        };
        useDefaultShell = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the shell is `users.defaultUserShell`.";
        };
        hashedPassword = mkOption {
          type = types.nullOr (types.passwdEntry types.str);
          default = null;
          description = ''
            The hash of the user's password, as `mkpasswd` makes it. null: no password lets the user in. It is in the image, where
            everyone who can read the image can read it: prefer keys.
          '';
        };
        initialHashedPassword = mkOption {
          type = types.nullOr (types.passwdEntry types.str);
          default = null;
          description = "The same as `hashedPassword`: accounts of an immutable system have one state only.";
        };
        password = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "A password in plain text: refused, as it would be in the image for everyone to read.";
        };
        initialPassword = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "A password in plain text: refused, as it would be in the image for everyone to read.";
        };
        hashedPasswordFile = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "A file on the machine that holds the hash: refused, as accounts are made with the image.";
        };
        packages = mkOption {
          type = types.listOf types.package;
          default = [ ];
          description = "Packages for this user. On Debian all users see all packages.";
        };
        expires = mkOption {
          type = types.nullOr (types.strMatching "[[:digit:]]{4}-[[:digit:]]{2}-[[:digit:]]{2}");
          default = null;
          description = "The day on which the account expires: refused.";
        };
        linger = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the user's own services run without a login.";
        };
        autoSubUidGidRange = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the user gets subordinate ids: refused.";
        };
        openssh.authorizedKeys = {
          keys = mkOption {
            type = types.listOf types.singleLineStr;
            default = [ ];
            example = [ "ssh-ed25519 AAAAC3NzaCetcetera/etceteraJZMfk3QPfQ alice@host" ];
            description = "Public keys that let the user in over ssh.";
          };
          keyFiles = mkOption {
            type = types.listOf types.path;
            default = [ ];
            description = "Files beside the configuration that hold such keys.";
          };
        };
      };
      config = lib.mkMerge [
        (lib.mkIf config.isNormalUser {
          group = lib.mkDefault "users";
          createHome = lib.mkDefault true;
          home = lib.mkDefault "/home/${config.name}";
          useDefaultShell = lib.mkDefault true;
        })
        (lib.mkIf config.useDefaultShell { shell = lib.mkDefault cfg.defaultUserShell; })
      ];
    };

  groupOptions =
    { name, ... }:
    {
      options = {
        name = mkOption {
          type = accountName;
          default = name;
          description = "The name of the group; the attribute's name if it is not set.";
        };
        gid = mkOption {
          type = types.nullOr types.int;
          default = null;
          description = "The group's number; null derives it from the name.";
        };
        members = mkOption {
          type = types.listOf (types.passwdEntry types.str);
          default = [ ];
          description = "Users in the group, beside those that name it in `extraGroups`.";
        };
      };
    };

  users = lib.filter (user: user.enable) (lib.attrValues cfg.users);
  people = lib.filter (user: user.isNormalUser) users;

  sharedNumbers =
    numberOf: accounts:
    lib.filterAttrs (_: same: lib.length same > 1) (
      lib.groupBy (account: toString (numberOf account)) (lib.filter (account: numberOf account != null) accounts)
    );
  tellShared =
    what: numberOf: accounts:
    lib.mapAttrsToList (number: same: {
      assertion = false;
      message = "${what} ${lib.concatMapStringsSep ", " (account: account.name) same} all have the number ${number}.";
    }) (sharedNumbers numberOf accounts);

  refuse = user: option: value: why: {
    assertion = value == null || value == false;
    message = "users.users.${user.name}.${option} is not possible on an immutable system: ${why}";
  };

  # Homes that are reached through links (/home, /root, /srv) are made where they are.
  realHome =
    home:
    if lib.any (prefix: home == prefix || lib.hasPrefix "${prefix}/" home) [
      "/home"
      "/root"
      "/srv"
    ] then
      "/var${home}"
    else
      home;
in
{
  options.users = {
    mutableUsers = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether users can be changed on the machine. /etc is read-only, so that they can't: true is accepted with a warning, for
        the sake of configurations that say it.
      '';
    };
    enforceIdUniqueness = mkOption {
      type = types.bool;
      default = true;
      description = "Whether two accounts with one number are an error.";
    };
    allowNoPasswordLogin = mkOption {
      type = types.bool;
      default = false;
      description = "Whether a system that nobody can log in to is accepted without a warning.";
    };
    defaultUserShell = mkOption {
      type = types.either types.path types.shellPackage;
      default = "/bin/bash";
      example = lib.literalExpression "pkgs.zsh";
      description = "The shell of normal users.";
    };
    motd = mkOption {
      type = types.nullOr types.lines;
      default = null;
      example = "Today is Sweetmorn, the 4th day of The Aftermath in the YOLD 3178.";
      description = "What a login shows.";
    };
    users = mkOption {
      type = types.attrsOf (types.submodule userOptions);
      default = { };
      example = lib.literalExpression ''{ alice = { isNormalUser = true; extraGroups = [ "wheel" ]; }; }'';
      description = "Users beside those that Debian packages bring.";
    };
    groups = mkOption {
      type = types.attrsOf (types.submodule groupOptions);
      default = { };
      example = lib.literalExpression "{ students.gid = 1001; hackers = { }; }";
      description = "Groups beside those that Debian packages bring.";
    };
  };

  config = {
    users.users = {
      root = {
        uid = ids.uids.root;
        description = "System administrator";
        home = "/root";
        group = "root";
        shell = lib.mkDefault cfg.defaultUserShell;
      };
    };
    users.groups = {
      root.gid = ids.gids.root;
      users.gid = ids.gids.users;
      wheel = { };
    };

    environment.systemPackages =
      lib.concatMap (user: user.packages) users
      ++ lib.filter lib.isDerivation (map (user: user.shell) users);

    environment.etc =
      lib.listToAttrs (
        map (
          user:
          lib.nameValuePair "ssh/authorized_keys.d/${user.name}" {
            text =
              lib.concatStrings (map (key: "${key}\n") user.openssh.authorizedKeys.keys)
              + lib.concatStrings (map (file: builtins.readFile file + "\n") user.openssh.authorizedKeys.keyFiles);
            mode = "0444";
          }
        ) (lib.filter (user: user.openssh.authorizedKeys.keys ++ user.openssh.authorizedKeys.keyFiles != [ ]) users)
      )
      // lib.optionalAttrs (cfg.motd != null) { motd.text = cfg.motd; };

    systemd.tmpfiles.rules = [
      "d /var/home 0755 root root -"
      "d /var/root 0700 root root -"
      "d /var/srv 0755 root root -"
      "d /var/empty 0555 root root -"
    ]
    ++ map (user: "d ${realHome user.home} ${user.homeMode} ${user.name} ${user.group} -") (
      lib.filter (user: user.createHome && user.home != "/var/empty") users
    )
    ++ map (user: "f /var/lib/systemd/linger/${user.name} 0644 root root -") (lib.filter (user: user.linger) users);

    warnings =
      lib.optional (
        cfg.mutableUsers
      ) "users.mutableUsers: accounts of an immutable system cannot be changed on the machine; the option has no effect."
      ++ lib.optional
        (
          !cfg.allowNoPasswordLogin
          && !config.virtualisation.amazonImage.enable
          && lib.all (
            user:
            user.hashedPassword == null
            && user.initialHashedPassword == null
            && user.openssh.authorizedKeys.keys ++ user.openssh.authorizedKeys.keyFiles == [ ]
          ) (lib.filter (user: user.name == "root" || lib.elem "wheel" user.extraGroups) users)
        )
        "Neither root nor a user of the group wheel has a key or a password: nobody can administer this system. Set users.allowNoPasswordLogin if that is meant.";

    assertions =
      lib.concatMap (user: [
        {
          assertion = user.name == "root" || user.isSystemUser != user.isNormalUser;
          message = "Exactly one of users.users.${user.name}.isSystemUser and users.users.${user.name}.isNormalUser must be set.";
        }
        {
          assertion = user.group != "";
          message = "users.users.${user.name}.group is not set: name a group, users.groups.${user.name} = { }; for example.";
        }
        (refuse user "password" user.password "a password in plain text would be readable by everyone who has the image. Use hashedPassword or, better, openssh.authorizedKeys.keys.")
        (refuse user "initialPassword" user.initialPassword "a password in plain text would be readable by everyone who has the image. Use hashedPassword or, better, openssh.authorizedKeys.keys.")
        (refuse user "hashedPasswordFile" user.hashedPasswordFile "accounts are made with the image, where the machine's files are not there. Use hashedPassword.")
        (refuse user "expires" user.expires "the image is the same on every day.")
        (refuse user "autoSubUidGidRange" user.autoSubUidGidRange "subordinate ids are not made yet.")
      ]) users
      ++ lib.optionals cfg.enforceIdUniqueness (
        tellShared "The users" (user: user.uid) users
        ++ tellShared "The groups" (group: group.gid) (lib.attrValues cfg.groups)
      );
  };
}
