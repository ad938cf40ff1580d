# The options of services.nginx.virtualHosts.NAME.
{ lib, nginx }:
let
  inherit (lib) mkOption types;
  flag =
    description:
    mkOption {
      type = types.bool;
      default = false;
      inherit description;
    };
  optionalPath =
    description:
    mkOption {
      type = types.nullOr types.path;
      default = null;
      inherit description;
    };
  listenOptions = {
    options = {
      addr = mkOption {
        type = types.str;
        description = "Address, or `unix:` and the path of a socket.";
      };
      port = mkOption {
        type = types.nullOr types.port;
        default = null;
        description = "Port; null is 80, or 443 with `ssl`.";
      };
      ssl = flag "Whether connections are encrypted.";
      proxyProtocol = flag "Whether connections begin with the PROXY protocol.";
      extraParameters = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "backlog=1024"
          "deferred"
        ];
        description = "More parameters.";
      };
    };
  };
in
{
  options = {
    serverName = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The host's name; the attribute's name if it is not set.";
    };
    serverAliases = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "www.example.org"
        "example.org"
      ];
      description = "More names of the host.";
    };
    listen = mkOption {
      type = types.listOf (types.submodule listenOptions);
      default = [ ];
      description = "Where to listen, if not on the usual ports.";
    };
    listenAddresses = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "127.0.0.1"
        "[::1]"
      ];
      description = "Addresses to listen on, if not on all.";
    };
    addSSL = flag "Whether the host is there over HTTPS as well.";
    onlySSL = flag "Whether the host is there over HTTPS only.";
    forceSSL = flag "Whether HTTP leads to HTTPS.";
    rejectSSL = flag "Whether HTTPS connections to the host are refused.";
    kTLS = flag "Whether the kernel encrypts.";
    sslCertificate = mkOption {
      type = types.path;
      example = "/var/lib/certificates/host.cert";
      description = "The certificate, on the machine.";
    };
    sslCertificateKey = mkOption {
      type = types.path;
      example = "/var/lib/certificates/host.key";
      description = "The certificate's key, on the machine. It must not be beside the configuration.";
    };
    sslTrustedCertificate = optionalPath "Certificates that answers about revocation are checked with.";
    http2 = mkOption {
      type = types.bool;
      default = true;
      description = "Whether HTTP/2 is spoken over HTTPS.";
    };
    root = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/data/webserver/docs";
      description = "The directory that files are served from.";
    };
    default = flag "Whether this host answers for names that no host has.";
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of the server.";
    };
    globalRedirect = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "newserver.example.org";
      description = "The host that all requests are sent on to.";
    };
    redirectCode = mkOption {
      type = types.ints.between 300 399;
      default = 301;
      example = 308;
      description = "The status of such redirections, and of `forceSSL`.";
    };
    basicAuth = mkOption {
      type = types.attrsOf types.str;
      default = { };
      description = "Users and passwords, in plain text and so readable in the image: refused. Use `basicAuthFile`.";
    };
    basicAuthFile = optionalPath "A file on the machine with users and hashed passwords.";
    locations = mkOption {
      type = types.attrsOf (types.submodule (import ./location-options.nix { inherit lib nginx; }));
      default = { };
      example = {
        "/".proxyPass = "http://localhost:3000";
      };
      description = "Locations, by path.";
    };
  };
}
