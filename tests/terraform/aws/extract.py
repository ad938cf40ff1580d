"""Reads resources' schemas of the AWS provider out of the npm package `@cdktf/provider-aws`, as Terraform's own JSON.

    python tests/terraform/aws/extract.py                 fetches the package by `npm pack`, rewrites schema.json
    python tests/terraform/aws/extract.py PACKAGE_DIR     reads an unpacked one

The package was generated out of the provider's schema: types, nesting and what is required are all in it, in the code
that writes HCL and in the declarations beside it. Whether an optional attribute is computed as well is not: those in
ALSO_COMPUTED are taken to be. The result has the form of `terraform providers schema -json`, so that a real provider
can be compared with it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "@cdktf/provider-aws@21.22.1"
PROVIDER = "6.25.0"
RESOURCES = (
    "autoscaling_group",
    "cloudwatch_metric_alarm",
    "default_security_group",
    "eip",
    "iam_instance_profile",
    "iam_role",
    "iam_role_policy",
    "iam_role_policy_attachment",
    "instance",
    "internet_gateway",
    "launch_template",
    "lb",
    "lb_listener",
    "lb_target_group",
    "nat_gateway",
    "route",
    "route_table",
    "route_table_association",
    "security_group",
    "subnet",
    "vpc",
    "vpc_endpoint",
    "vpc_security_group_egress_rule",
    "vpc_security_group_ingress_rule",
)
ALSO_COMPUTED = {"": ("id", "region"), "instance": ("private_ip", "availability_zone", "subnet_id")}
"""Of every resource, and of one: optional attributes that are read without having been given (hashicorp/aws,
`internal/service/ec2/ec2_instance.go`; `region` since version 6)."""

RESULT = Path(__file__).parent / "schema.json"

HCL_ATTRIBUTES = re.compile(
    r"^ +(\w+): \{\n +value: ([^\n]*),\n +isBlock: (true|false),\n"
    r' +type: "(\w+)",\n +storageClassType: "(\w+)",\n',
    re.M,
)
DECLARED = re.compile(r"#(\w+) [\w.]+#\w+\}\n(?: +\*[^\n]*\n)* +\*/\n +readonly \w+(\??): ")
COMPUTED = re.compile(
    r"// (\w+) - computed: true, optional: (?:true|false), required: false\n([^}]*get \w+\(\) \{\n[^}]*\})"
)
SCALARS = {"string": "string", "number": "number", "boolean": "bool"}
READ_AS = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "StringMap": ["map", "string"],
}


def main(arguments: list[str]) -> None:
    """Write the schema file."""
    if arguments:
        document = extract(Path(arguments[0]))
    else:
        with tempfile.TemporaryDirectory() as name:
            document = extract(fetched(Path(name)))
    RESULT.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def fetched(directory: Path) -> Path:
    """The package, unpacked."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    [archive] = directory.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory / "package"


def extract(package: Path) -> dict[str, Any]:
    """The document that `terraform providers schema -json` gives, with these resources only, and where it is from."""
    resources = {f"aws_{name}": _schema(package / "lib" / name.replace("_", "-")) for name in RESOURCES}
    provider = {"provider": _schema(package / "lib" / "provider"), "resource_schemas": resources}
    return {
        "format_version": "1.0",
        "source": f"npm {PACKAGE}, of hashicorp/aws {PROVIDER}, MPL-2.0",
        "version": PROVIDER,
        "provider_schemas": {"hashicorp/aws": provider},
    }


def _schema(directory: Path) -> dict[str, Any]:
    code, types = (directory / "index.js").read_text(), (directory / "index.d.ts").read_text()
    kind = re.search(r"^class (\w+) extends cdktf\.Terraform(?:Resource|Provider)", code, re.M)
    assert kind is not None, directory
    body = code[kind.start() :]
    written = body[body.index("synthesizeHclAttributes() {") :]
    block = _block(code, types, f"{kind[1]}Config", written)
    if directory.name == "provider":
        del block["block_types"]["endpoints"], block["attributes"]["alias"]  # 400 services; Terraform's own word
        return {"version": 0, "block": block}
    for name, getter in COMPUTED.findall(body):
        read = next((made for way, made in READ_AS.items() if way in getter), None)
        if read is not None and name not in block["attributes"]:
            block["attributes"][name] = {"type": _as_set(read, getter), "computed": True}
    block["attributes"]["id"] = {"type": "string", "optional": True}
    for name in (*ALSO_COMPUTED[""], *ALSO_COMPUTED.get(directory.name, ())):
        if name in block["attributes"]:
            block["attributes"][name]["computed"] = True
    return {"version": 0, "block": block}


def _block(code: str, types: str, interface: str, written: str) -> dict[str, Any]:
    """What a struct of the package is in HCL. `written` is the code that writes it."""
    declared = re.search(rf"^export interface {interface} .*?^\}}", types, re.M | re.S)
    assert declared is not None, interface
    required = {name for name, optional in DECLARED.findall(declared[0]) if not optional}
    block: dict[str, Any] = {"attributes": {}, "block_types": {}}
    for name, value, is_block, kind, storage in HCL_ATTRIBUTES.findall(written):
        if is_block == "false":
            flag = "required" if name in required else "optional"
            block["attributes"][name] = {"type": _type(kind, storage), flag: True}
            continue
        function = re.search(r"\b(\w+)ToHclTerraform", value)
        assert function is not None, value
        start = code.index(f"function {function[1]}ToHclTerraform(")
        inner = function[1][0].upper() + function[1][1:]
        nested: dict[str, Any] = {
            "nesting_mode": "single" if kind == "struct" else kind,
            "block": _block(code, types, inner, code[start : code.index("\n}\n", start)]),
        }
        if name in required:
            nested["min_items"] = 1
        if kind != "struct" and "listMapper" not in value:
            nested["max_items"] = 1
        block["block_types"][name] = nested
    return block


def _type(kind: str, storage: str) -> Any:
    if kind == "simple":
        return SCALARS[storage]
    return [kind, SCALARS[re.sub(r"(List|Map)$", "", storage)]]


def _as_set(read: Any, getter: str) -> Any:
    return ["set", read[1]] if isinstance(read, list) and "tolist" in getter else read


if __name__ == "__main__":
    main(sys.argv[1:])
