# The options of services.nginx.virtualHosts.NAME.locations.PATH.
{ lib, nginx }:
let
  inherit (lib) mkOption types;
  optionalString =
    example: description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit example description;
    };
in
{
  options = {
    basicAuth = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        user = "password";
      };
      description = "Users and passwords, in plain text and so readable in the image: refused. Use `basicAuthFile`.";
    };
    basicAuthFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A file on the machine with users and hashed passwords.";
    };
    proxyPass = optionalString "http://www.example.org/" "Where requests are passed on to.";
    proxyWebsockets = mkOption {
      type = types.bool;
      default = false;
      description = "Whether WebSocket connections are passed on.";
    };
    uwsgiPass = optionalString "unix:/run/example/example.sock" "The uwsgi server that answers.";
    index = optionalString "index.php index.html" "Files that stand for a directory.";
    tryFiles = optionalString "$uri =404" "Files that are tried in turn.";
    root = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/your/root/directory";
      description = "The directory that files are served from.";
    };
    alias = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/your/alias/directory";
      description = "The directory that stands for the location.";
    };
    return = mkOption {
      type = types.nullOr (
        types.oneOf [
          types.str
          types.int
        ]
      );
      default = null;
      example = "301 http://example.com$request_uri";
      description = "A status, with a text or a place to go to.";
    };
    fastcgiParams = mkOption {
      type = types.attrsOf (types.either types.str types.path);
      default = { };
      description = "FastCGI parameters.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of the location.";
    };
    priority = mkOption {
      type = types.int;
      default = 1000;
      description = "Place among the locations; the smallest comes first.";
    };
    recommendedProxySettings = mkOption {
      type = types.bool;
      default = nginx.recommendedProxySettings;
      defaultText = lib.literalExpression "config.services.nginx.recommendedProxySettings";
      description = "Whether the recommended proxy settings are used.";
    };
    recommendedUwsgiSettings = mkOption {
      type = types.bool;
      default = nginx.recommendedUwsgiSettings;
      defaultText = lib.literalExpression "config.services.nginx.recommendedUwsgiSettings";
      description = "Whether the recommended uwsgi settings are used.";
    };
  };
}
