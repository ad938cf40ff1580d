# How an instance treats what EC2 tells it: /etc/invar/instance.json (src/invar/machine/instance.py), and its secrets.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.invar;
  endpointOption =
    service:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://vpce-0123.${service}.eu-central-1.vpce.amazonaws.com/";
      description = "Where ${service} is asked; null is AWS's own address in the instance's region.";
    };
  secretOptions =
    { name, ... }:
    {
      options = {
        ssm = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "/production/database-password";
          description = "The name of a parameter of SSM's Parameter Store.";
        };
        secretsmanager = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "production/database";
          description = "The name or ARN of a secret of Secrets Manager.";
        };
        services = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "backend" ];
          description = "Services that get the secret as a credential: in the file `$CREDENTIALS_DIRECTORY/NAME`.";
        };
        path = mkOption {
          type = types.str;
          default = "/run/invar/secrets/${name}";
          readOnly = true;
          description = "Where the secret lies once it is fetched: in memory, readable by root alone.";
        };
      };
    };
  consumers = lib.foldl' (
    found: name:
    lib.foldl' (
      sofar: service: sofar // { ${service} = sofar.${service} or [ ] ++ [ name ]; }
    ) found cfg.secrets.${name}.services
  ) { } (lib.attrNames cfg.secrets);
in
{
  options.invar = {
    userData.trustedKeys = mkOption {
      type = types.listOf (types.strMatching "ed25519:[A-Za-z0-9+/]{43}=");
      default = [ ];
      example = [ "ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=" ];
      description = ''
        Keys that user data must be signed with (`invar key generate`, `invar user-data sign`). Where there are any, an instance
        refuses everything else and stays as its image is; an empty list takes unsigned user data too.
      '';
    };
    secrets = mkOption {
      type = types.attrsOf (types.submodule secretOptions);
      default = { };
      example = lib.literalExpression ''{ database = { ssm = "/production/database"; services = [ "backend" ]; }; }'';
      description = ''
        Values that the instance fetches at boot with its role. They are never in an image, a log or a file that others can read. The
        services named wait for them; nothing else does.
      '';
    };
    secretsEndpoint = {
      ssm = endpointOption "ssm";
      secretsmanager = endpointOption "secretsmanager";
    };
  };

  config = lib.mkMerge [
    {
      assertions =
        lib.mapAttrsToList (name: secret: {
          assertion = (secret.ssm == null) != (secret.secretsmanager == null);
          message = "invar.secrets.${name}: set exactly one of ssm and secretsmanager.";
        }) cfg.secrets
        ++ lib.mapAttrsToList (name: _: {
          assertion = builtins.match "[A-Za-z0-9_-][A-Za-z0-9_.-]*" name != null;
          message = "invar.secrets.${name}: the name is also a file's: letters, digits and _.- only.";
        }) cfg.secrets
        ++ [
          {
            assertion = cfg.secrets == { } || cfg.machine.enable;
            message = "invar.secrets needs Invar on the instance: invar.machine.enable.";
          }
          {
            assertion = cfg.userData.trustedKeys == [ ] || cfg.machine.enable || !config.virtualisation.amazonImage.enable;
            message = "invar.userData.trustedKeys needs Invar on the instance: invar.machine.enable.";
          }
        ];
    }
    (lib.mkIf cfg.machine.enable {
      environment.etc."invar/instance.json".text = builtins.toJSON {
        takes_host_name = config.networking.hostName == "";
        trusted_keys = cfg.userData.trustedKeys;
        secrets = lib.mapAttrs (_: secret: { inherit (secret) ssm secretsmanager; }) cfg.secrets;
        ssm_endpoint = cfg.secretsEndpoint.ssm;
        secretsmanager_endpoint = cfg.secretsEndpoint.secretsmanager;
      };
    })
    (lib.mkIf (cfg.machine.enable && cfg.secrets != { }) {
      environment.systemPackages = [ pkgs.cacert ];
      systemd.services = {
        invar-secrets = {
          description = "Secrets of the instance's role";
          after = [
            "systemd-networkd.service"
            "systemd-resolved.service"
          ];
          wantedBy = [ "multi-user.target" ];
          restartTriggers = [ (builtins.toJSON cfg.secrets) ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "/usr/bin/invar secrets";
            UMask = "0077";
            TimeoutStartSec = 600;
          };
        };
      }
      // lib.mapAttrs (_: names: {
        requires = [ "invar-secrets.service" ];
        after = [ "invar-secrets.service" ];
        serviceConfig.LoadCredential = map (name: "${name}:${cfg.secrets.${name}.path}") names;
      }) consumers;
    })
  ];
}
