"""services.nginx: the text of nginx.conf and the unit."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from invar.core.errors import InvarError

SITE = """services.nginx = {
  enable = true;
  virtualHosts."example.org" = {
    default = true;
    serverAliases = [ "www.example.org" ];
    root = "/srv/www";
    locations."/api/" = { proxyPass = "http://127.0.0.1:3000"; proxyWebsockets = true; };
    locations."/first" = { return = "204"; priority = 100; };
  };
};"""


def test_a_host_has_its_names_listens_and_locations(evaluate):
    text = evaluate(SITE).text("nginx/nginx.conf")
    for line in (
        "listen 0.0.0.0:80 default_server;",
        "listen [::0]:80 default_server;",
        "server_name example.org www.example.org;",
        "root /srv/www;",
        "location /api/ {",
        "proxy_pass http://127.0.0.1:3000;",
        "proxy_set_header Upgrade $http_upgrade;",
    ):
        assert line in text
    assert text.index("location /first") < text.index("location /api/"), "the smaller priority comes first"


def test_braces_balance_and_nothing_is_written_outside_var_cache(evaluate):
    text = evaluate(SITE).text("nginx/nginx.conf")
    assert text.count("{") == text.count("}")
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        assert f"{name}_temp_path /var/cache/nginx/{name};" in text


def test_the_unit_runs_as_its_user_out_of_the_store(evaluate):
    made = evaluate(SITE)
    unit = made.unit("nginx.service")
    assert "/bin/nginx -e stderr -c /etc/nginx/nginx.conf" in unit
    for line in (
        "User=nginx",
        "RuntimeDirectory=nginx",
        "CacheDirectory=nginx",
        "LogsDirectory=nginx",
        "Restart=always",
    ):
        assert line in unit.splitlines()
    assert made.link("systemd/system/multi-user.target.wants/nginx.service") == "/etc/systemd/system/nginx.service"
    assert "nginx" in {user["name"] for user in made.system["users"]}
    assert "network-online.target" not in unit, "the boot must not wait for the network"


def test_a_changed_configuration_changes_the_unit(evaluate):
    trigger = "X-Restart-Triggers="
    before = evaluate(SITE).unit("nginx.service")
    after = evaluate(SITE.replace("3000", "4000")).unit("nginx.service")
    assert trigger in before and before != after


def test_force_ssl_redirects_and_uses_the_certificate(evaluate):
    text = evaluate(
        """services.nginx = {
          enable = true; recommendedTlsSettings = true; recommendedGzipSettings = true; recommendedProxySettings = true;
          virtualHosts.secure = { forceSSL = true; sslCertificate = "/var/lib/c.pem"; };
          virtualHosts.secure = { sslCertificateKey = "/var/lib/k.pem"; };
        };"""
    ).text("nginx/nginx.conf")
    assert "return 301 https://$host$request_uri;" in text
    assert "listen 0.0.0.0:443 ssl;" in text and "http2 on;" in text
    assert "ssl_certificate_key /var/lib/k.pem;" in text
    assert (
        "ssl_session_tickets off;" in text and "gzip on;" in text and "proxy_set_header X-Real-IP $remote_addr;" in text
    )


def test_upstreams_listen_and_extra_text(evaluate):
    text = evaluate(
        """services.nginx = {
          enable = true;
          upstreams.app.servers = { "127.0.0.1:8000" = { }; "127.0.0.1:8001" = { backup = true; weight = 5; }; };
          appendHttpConfig = "# last";
          virtualHosts.a.listen = [ { addr = "127.0.0.1"; port = 8080; } { addr = "unix:/run/a.sock"; } ];
        };"""
    ).text("nginx/nginx.conf")
    assert "server 127.0.0.1:8001 backup weight=5;" in text
    assert "listen 127.0.0.1:8080;" in text and "listen unix:/run/a.sock;" in text
    assert "# last" in text


def test_ssl_switches_exclude_one_another(evaluate):
    with pytest.raises(InvarError) as failure:
        evaluate("services.nginx = { enable = true; virtualHosts.a = { onlySSL = true; forceSSL = true; }; };")
    assert "exclude one another" in str(failure.value)


def test_plain_text_passwords_are_refused(evaluate):
    with pytest.raises(InvarError, match="") as failure:
        evaluate('services.nginx = { enable = true; virtualHosts.a.basicAuth.me = "secret"; };')
    assert "basicAuthFile" in str(failure.value)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed here")
def test_nginx_itself_accepts_the_text(evaluate, tmp_path):
    text = (
        evaluate(SITE)
        .text("nginx/nginx.conf")
        .replace("/var/cache/nginx", str(tmp_path))
        .replace("/run/nginx", str(tmp_path))
    )
    (tmp_path / "mime.types").write_text("types { text/html html; }")
    text = text.replace("/etc/nginx/mime.types", str(tmp_path / "mime.types"))
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run(
        ["nginx", "-t", "-e", "stderr", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True
    )
    assert "syntax is ok" in done.stderr, done.stderr
