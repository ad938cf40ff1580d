"""Options of an instance: parameters, trusted keys, secrets, proof over HTTP."""

from __future__ import annotations

import json

import pytest

from invar.core.errors import InvarError
from invar.nix import NixError
from invar.system.proof import DEFAULT_PORT

AMAZON = 'imports = [ "${modulesPath}/virtualisation/amazon-image.nix" ];\n'
KEY = "ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="


def test_parameters_override_the_configurations_defaults(evaluate):
    made = evaluate(
        """imports = [ { invar.parameters = builtins.fromJSON ''{"role": "db", "limits": {"files": 9}}''; } ];
        invar.parameters.role = lib.mkDefault "web";
        invar.parameters.workers = lib.mkDefault 4;
        invar.parameters.limits.files = lib.mkDefault 1;
        environment.etc.role.text = config.invar.parameters.role;"""
    )
    assert made.text("role") == "db"
    assert made.get("invar.parameters") == {"role": "db", "workers": 4, "limits": {"files": 9}}


def test_trusted_keys_reach_the_instance(evaluate):
    made = evaluate(AMAZON + f'invar.userData.trustedKeys = [ "{KEY}" ];')
    assert json.loads(made.text("invar/instance.json"))["trusted_keys"] == [KEY]


def test_a_service_waits_for_its_secret_and_gets_it_as_a_credential(evaluate):
    made = evaluate(
        AMAZON
        + """invar.secrets.db = { ssm = "/web/db"; services = [ "backend" ]; };
        invar.secrets.api = { secretsmanager = "web/api"; };
        systemd.services.backend.script = "cat $CREDENTIALS_DIRECTORY/db";"""
    )
    unit = made.unit("backend.service")
    assert "LoadCredential=db:/run/invar/secrets/db" in unit
    assert "Requires=invar-secrets.service" in unit and "After=invar-secrets.service" in unit
    assert "ca-certificates" in made.packages
    assert json.loads(made.text("invar/instance.json"))["secrets"] == {
        "api": {"ssm": None, "secretsmanager": "web/api"},
        "db": {"ssm": "/web/db", "secretsmanager": None},
    }


def test_proof_over_http_listens_and_may_do_nothing(evaluate):
    made = evaluate(AMAZON + "invar.proof.http.enable = true;")
    assert f"ListenStream={DEFAULT_PORT}" in made.unit("invar-proof-http.socket")
    unit = made.unit("invar-proof-http@.service")
    for line in ("DynamicUser=true", "CapabilityBoundingSet=", "PrivateNetwork=true", "ProtectSystem=strict"):
        assert line in unit.splitlines()
    assert DEFAULT_PORT in made.get("networking.firewall.allowedTCPPorts")
    assert not [name for name in evaluate(AMAZON).etc if "invar-proof-http" in name or "invar-proof.socket" in name]


def test_proof_comes_again_and_again_on_the_console(evaluate):
    made = evaluate(AMAZON)
    assert "OnUnitActiveSec=3600" in made.unit("invar-proof-console.timer")
    assert "ExecStart=/usr/bin/invar proof --announce" in made.unit("invar-proof-console.service")
    never = evaluate(AMAZON + "invar.proof.console.interval = null;")
    assert "systemd/system/invar-proof-console.timer" not in never.etc
    assert not [name for name in evaluate("").etc if "invar-proof" in name]


def test_immutable_state_is_told_to_the_instance_and_put_in_its_place_before_services(evaluate):
    made = evaluate(
        AMAZON
        + """invar.immutable."/var/lib/model" = { source = pkgs.writeTextDir "weights" "1 2 3"; maxSize = 5; };
        invar.immutable."/var/lib/licence" = { };
        invar.audit.programs = [ "/var/lib/app" ];
        invar.audit.units = [ "docker-*.scope" ];"""
    )
    told = json.loads(made.text("invar/audit.json"))
    assert (told["programs"], told["units"]) == (["/var/lib/app"], ["docker-*.scope"])
    licence, model = told["immutable"]
    assert licence == {"path": "/var/lib/licence", "source": None, "max_size": 64}
    assert (model["path"], model["max_size"]) == ("/var/lib/model", 5)
    assert model["source"].startswith("/nix/store/")
    unit = made.unit("invar-immutable.service")
    assert "Before=sysinit.target" in unit and "X-Restart-Triggers=" in unit
    without = evaluate(AMAZON + 'invar.immutable."/var/lib/licence" = { };')
    assert "systemd/system/invar-immutable.service" not in without.etc


def test_options_of_var_are_set_once_it_is_there(evaluate):
    made = evaluate('fileSystems."/var" = { device = "x"; options = [ "noexec" "nosuid" ]; };')
    unit = made.unit("var-options.service")
    assert "ExecStart=/usr/bin/mount -o remount,noexec,nosuid /var" in unit and "Before=local-fs.target" in unit
    assert "fstab" not in made.etc
    assert "systemd/system/var-options.service" not in evaluate("").etc


def test_the_hardened_profile_locks_the_kernel_down(evaluate):
    made = evaluate('imports = [ "${modulesPath}/profiles/hardened.nix" ];')
    assert "lockdown=integrity" in made.system["kernel_params"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (AMAZON + 'invar.userData.trustedKeys = [ "ssh-ed25519 AAAA" ];', "trustedKeys"),
        (AMAZON + "invar.secrets.db = { };", "exactly one of ssm and secretsmanager"),
        ('invar.immutable."/var/lib/x" = { };', "invar.immutable needs Invar on the instance"),
        (AMAZON + 'invar.immutable."/etc/x" = { };', "a path below /var"),
        (AMAZON + 'invar.audit.units = [ "docker" ];', "string matching the pattern"),
        (AMAZON + 'invar.immutable."/var/lib/../x" = { };', "a path below /var"),
        (AMAZON + 'invar.immutable."/var/lib/x/" = { };', "a path below /var"),
        (AMAZON + 'invar.immutable."/var/lib/invar/generations" = { };', "Invar's own state"),
        (AMAZON + 'invar.immutable."/var/lib/x" = { }; invar.immutable."/var/lib/x/y" = { };', "holds another"),
        (AMAZON + 'invar.immutable."/var/lib/x".maxSize = 0;', "maxSize"),
        (AMAZON + 'invar.secrets."a/b".ssm = "/x";', "letters, digits"),
        ('invar.secrets.db.ssm = "/x";', "needs Invar on the instance"),
        (AMAZON + "virtualisation.amazon-init.enable = false; invar.proof.http.enable = true;", "machine.enable"),
        (AMAZON + f'virtualisation.amazon-init.enable = false; invar.userData.trustedKeys = [ "{KEY}" ];', "machine"),
    ],
)
def test_contradictions_are_told(evaluate, body, why):
    with pytest.raises((InvarError, NixError)) as refused:
        evaluate(body)
    assert why in str(refused.value)
