# What an instance compares itself with, for proof and `invar audit`: /etc/invar/audit.json (src/invar/machine/immutable.py).
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.invar;
  treeOptions = {
    options = {
      source = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = lib.literalExpression "./model";
        description = ''
          What is to be there: a file or directory beside the configuration. It is copied to its place, as root's and read-only, before
          services start and when another generation has another one; every proof compares it with the sealed original. What was altered
          is never written over: the audit names it, until the instance is replaced.

          null: it is whatever is there when the first boot has passed its checks, or else when the first proof after that finds it
          there. That is recorded in /var, and proof names everything that has changed since.
        '';
      };
      maxSize = mkOption {
        type = types.ints.positive;
        default = 64;
        description = "The most that is read for a proof, in MiB. What has more, or over 10,000 files, cannot be proven, and is found by audits.";
      };
    };
  };
  sources = lib.filterAttrs (_: tree: tree.source != null) cfg.immutable;
  record = path: tree: {
    inherit path;
    source = if tree.source == null then null else "${tree.source}";
    max_size = tree.maxSize;
  };
  records = lib.mapAttrsToList record cfg.immutable;
  inside = path: other: path != other && lib.hasPrefix "${path}/" other;
in
{
  options.invar = {
    immutable = mkOption {
      type = types.attrsOf (types.submodule treeOptions);
      default = { };
      example = lib.literalExpression ''{ "/var/lib/model".source = ./model; "/var/lib/licence" = { }; }'';
      description = ''
        Files and directories of /var that must not change, by path: proof compares them (paths, modes, owners, contents) and `invar
        audit` names what was modified.
      '';
    };
    audit.programs = mkOption {
      type = types.listOf (types.strMatching "/.+");
      default = [ ];
      example = [ "/var/lib/app/bin" ];
      description = ''
        Directories (or programs) outside of the sealed system that its units may run programs from. Audits name all others: a
        program in /tmp or /var, or one that was deleted, is nothing that the configuration declares.
      '';
    };
    audit.units = mkOption {
      type = types.listOf (types.strMatching "[^/]+\\.(service|scope|socket|mount|timer)");
      default = [ ];
      example = [ "docker-*.scope" ];
      description = ''
        Patterns of units that declared services make while the machine runs, as Docker does for its containers. What runs in them is not
        looked at. Audits name all other units that were not there when the image was built.
      '';
    };
  };

  config = lib.mkMerge [
    {
      assertions =
        lib.concatLists (
          lib.mapAttrsToList (path: _: [
            {
              assertion = lib.hasPrefix "/var/" path && !(lib.hasSuffix "/" path) && builtins.match ".*/[.]{0,2}(/.*)?" path == null;
              message = "invar.immutable.\"${path}\": a path below /var, without /../, // or a / at its end. All else but /home and /root, which are there too, is sealed.";
            }
            {
              assertion = path != "/var/lib/invar" && !(lib.hasPrefix "/var/lib/invar/" path);
              message = "invar.immutable.\"${path}\" is Invar's own state, which changes.";
            }
            {
              assertion = !lib.any (inside path) (lib.attrNames cfg.immutable);
              message = "invar.immutable.\"${path}\" holds another of its paths: declare the outer one alone.";
            }
          ]) cfg.immutable
        )
        ++ [
          {
            assertion = cfg.immutable == { } || cfg.machine.enable;
            message = "invar.immutable needs Invar on the instance: invar.machine.enable.";
          }
        ];
    }
    (lib.mkIf cfg.machine.enable {
      environment.etc."invar/audit.json".text = builtins.toJSON {
        inherit (cfg.audit) programs units;
        immutable = records;
      };
    })
    (lib.mkIf (cfg.machine.enable && sources != { }) {
      systemd.services.invar-immutable = {
        description = "Immutable state";
        wantedBy = [ "sysinit.target" ];
        after = [
          "local-fs.target"
          "systemd-tmpfiles-setup.service"
        ];
        before = [
          "sysinit.target"
          "shutdown.target"
        ];
        conflicts = [ "shutdown.target" ];
        restartTriggers = [ (builtins.toJSON records) ];
        unitConfig = {
          DefaultDependencies = false;
          RequiresMountsFor = "/var";
        };
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "/usr/bin/invar immutable";
        };
      };
    })
  ];
}
