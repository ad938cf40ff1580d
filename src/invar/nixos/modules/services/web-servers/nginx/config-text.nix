# The text of nginx.conf, from evaluated options. https://nginx.org/en/docs/dirindex.html lists the directives.
{ lib, config }:
let
  inherit (lib) optionalString concatStrings concatMapStrings;
  cfg = config.services.nginx;
  indent =
    depth: text:
    let
      prefix = concatStrings (lib.genList (_: "  ") depth);
    in
    concatMapStrings (line: if line == "" then "" else "${prefix}${line}\n") (lib.splitString "\n" text);
  directive = name: value: optionalString (value != null && value != "") "${name} ${toString value};\n";
  onOff = value: if value then "on" else "off";

  proxyHeaders = ''
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-Server $hostname;
  '';

  optimisation = ''
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 65;
  '';
  gzip = ''
    gzip on;
    gzip_static on;
    gzip_vary on;
    gzip_comp_level 5;
    gzip_min_length 256;
    gzip_proxied expired no-cache no-store private auth;
    gzip_types application/atom+xml application/javascript application/json application/wasm application/xml image/svg+xml text/css text/javascript text/plain text/xml;
  '';
  tls = ''
    ssl_session_timeout 1d;
    ssl_session_cache shared:SSL:10m;
    ssl_session_tickets off;
    ssl_prefer_server_ciphers off;
  '';
  proxying = ''
    proxy_redirect off;
    proxy_connect_timeout ${cfg.proxyTimeout};
    proxy_send_timeout ${cfg.proxyTimeout};
    proxy_read_timeout ${cfg.proxyTimeout};
    proxy_http_version 1.1;
    # A connection to the upstream is not closed because the client's was.
    proxy_set_header "Connection" "";
  '';

  upstreamText =
    name: upstream:
    "upstream ${name} {\n"
    + indent 1 (
      concatStrings (
        lib.mapAttrsToList (
          address: server:
          "server ${address}"
          + concatStrings (
            lib.mapAttrsToList (
              key: value:
              if lib.isBool value then optionalString value " ${key}" else optionalString (value != null) " ${key}=${toString value}"
            ) server
          )
          + ";\n"
        ) upstream.servers
      )
      + upstream.extraConfig
    )
    + "}\n";

  locationText =
    path: location:
    "location ${path} {\n"
    + indent 1 (
      directive "proxy_pass" location.proxyPass
      + optionalString location.proxyWebsockets ''
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
      ''
      + optionalString (location.uwsgiPass != null) "include /etc/nginx/uwsgi_params;\n"
      + directive "uwsgi_pass" location.uwsgiPass
      + concatStrings (lib.mapAttrsToList (name: value: "fastcgi_param ${name} \"${value}\";\n") location.fastcgiParams)
      + directive "index" location.index
      + directive "try_files" location.tryFiles
      + directive "root" location.root
      + directive "alias" location.alias
      + authText location
      + directive "return" location.return
      + location.extraConfig
      + optionalString (location.proxyPass != null && location.recommendedProxySettings) proxyHeaders
    )
    + "}\n";

  authText =
    place: optionalString (place.basicAuthFile != null) "auth_basic secured;\nauth_basic_user_file ${place.basicAuthFile};\n";

  listensOf =
    host:
    let
      addresses = if host.listenAddresses != [ ] then host.listenAddresses else cfg.defaultListenAddresses;
      hasSSL = host.onlySSL || host.addSSL || host.forceSSL;
      usual =
        ssl: port:
        map (addr: {
          inherit addr port ssl;
          proxyProtocol = false;
          extraParameters = [ ];
        }) addresses;
    in
    if host.listen != [ ] then
      host.listen
    else
      lib.optionals (hasSSL || host.rejectSSL) (usual true cfg.defaultSSLListenPort)
      ++ lib.optionals (!host.onlySSL) (usual false cfg.defaultHTTPListenPort);
  listenText =
    host: listen:
    let
      port =
        if lib.hasPrefix "unix:" listen.addr then
          ""
        else
          ":${toString (if listen.port != null then listen.port else if listen.ssl then 443 else 80)}";
    in
    "listen ${listen.addr}${port}"
    + optionalString listen.ssl " ssl"
    + optionalString host.default " default_server"
    + optionalString listen.proxyProtocol " proxy_protocol"
    + concatMapStrings (parameter: " ${parameter}") listen.extraParameters
    + ";\n";

  hostText =
    name: host:
    let
      serverName = if host.serverName != null then host.serverName else name;
      names = "server_name ${lib.concatStringsSep " " ([ serverName ] ++ host.serverAliases)};\n";
      hasSSL = host.onlySSL || host.addSSL || host.forceSSL;
      listens = listensOf host;
      locations = lib.sort (a: b: a.location.priority < b.location.priority) (
        lib.mapAttrsToList (path: location: { inherit path location; }) host.locations
      );
      redirect = "location / {\n  return ${toString host.redirectCode} https://$host$request_uri;\n}\n";
    in
    optionalString host.forceSSL (
      "server {\n"
      + indent 1 (concatMapStrings (listenText host) (lib.filter (listen: !listen.ssl) listens) + names + redirect)
      + "}\n"
    )
    + "server {\n"
    + indent 1 (
      concatMapStrings (listenText host) (if host.forceSSL then lib.filter (listen: listen.ssl) listens else listens)
      + names
      + optionalString (hasSSL && host.http2) "http2 on;\n"
      + optionalString (host.root != null) "root ${host.root};\n"
      + optionalString (host.globalRedirect != null) "location / {\n  return ${toString host.redirectCode} http${optionalString hasSSL "s"}://${host.globalRedirect}$request_uri;\n}\n"
      + optionalString hasSSL ''
        ssl_certificate ${host.sslCertificate};
        ssl_certificate_key ${host.sslCertificateKey};
      ''
      + optionalString (hasSSL && host.sslTrustedCertificate != null) "ssl_trusted_certificate ${host.sslTrustedCertificate};\n"
      + optionalString (hasSSL && host.kTLS) "ssl_conf_command Options KTLS;\n"
      + optionalString host.rejectSSL "ssl_reject_handshake on;\n"
      + authText host
      + concatMapStrings ({ path, location }: locationText path location) locations
      + host.extraConfig
    )
    + "}\n";

  statusText = ''
    server {
      listen 127.0.0.1:${toString cfg.defaultHTTPListenPort};
      server_name localhost;
      location /nginx_status {
        stub_status on;
        access_log off;
        allow 127.0.0.1;
        deny all;
      }
    }
  '';
  temporary = name: "${name}_temp_path /var/cache/nginx/${name};\n";

  httpText =
    ''
      include /etc/nginx/mime.types;
      default_type application/octet-stream;
    ''
    + temporary "client_body"
    + temporary "proxy"
    + temporary "fastcgi"
    + temporary "uwsgi"
    + temporary "scgi"
    + lib.optionalString (cfg.resolver.addresses != [ ]) (
      "resolver ${lib.concatStringsSep " " cfg.resolver.addresses}"
      + optionalString (cfg.resolver.valid != "") " valid=${cfg.resolver.valid}"
      + optionalString (!cfg.resolver.ipv6) " ipv6=off"
      + ";\n"
    )
    + concatStrings (lib.mapAttrsToList upstreamText cfg.upstreams)
    + optionalString cfg.recommendedOptimisation optimisation
    + "ssl_protocols ${cfg.sslProtocols};\n"
    + directive "ssl_ciphers" cfg.sslCiphers
    + directive "ssl_dhparam" cfg.sslDhparam
    + optionalString cfg.recommendedTlsSettings tls
    + optionalString cfg.recommendedGzipSettings gzip
    + optionalString cfg.recommendedProxySettings (proxying + proxyHeaders)
    + optionalString (cfg.mapHashBucketSize != null) "map_hash_bucket_size ${toString cfg.mapHashBucketSize};\n"
    + optionalString (cfg.mapHashMaxSize != null) "map_hash_max_size ${toString cfg.mapHashMaxSize};\n"
    + optionalString (
      cfg.serverNamesHashBucketSize != null
    ) "server_names_hash_bucket_size ${toString cfg.serverNamesHashBucketSize};\n"
    + optionalString (cfg.serverNamesHashMaxSize != null) "server_names_hash_max_size ${toString cfg.serverNamesHashMaxSize};\n"
    + ''
      # $connection_upgrade is for proxying WebSockets.
      map $http_upgrade $connection_upgrade {
        default upgrade;
        "" close;
      }
      client_max_body_size ${cfg.clientMaxBodySize};
      server_tokens ${onOff cfg.serverTokens};
    ''
    + cfg.commonHttpConfig
    + concatStrings (lib.mapAttrsToList hostText cfg.virtualHosts)
    + optionalString cfg.statusPage statusText
    + cfg.appendHttpConfig;
in
''
  pid /run/nginx/nginx.pid;
  error_log ${cfg.logError};
  daemon off;
''
+ cfg.prependConfig
+ optionalString (cfg.config != "") cfg.config
+ "events {\n${indent 1 cfg.eventsConfig}}\n"
+ optionalString (cfg.httpConfig == "" && cfg.config == "") "http {\n${indent 1 httpText}}\n"
+ optionalString (cfg.httpConfig != "") "http {\n${indent 1 cfg.httpConfig}}\n"
+ optionalString (cfg.streamConfig != "") "stream {\n${indent 1 cfg.streamConfig}}\n"
+ cfg.appendConfig
