"""A flake whose images real Nix builds offline, out of /bin/sh alone, and a Nix store to build them in."""

from __future__ import annotations

from pathlib import Path

EXPRESSION = """
  image = imageOf toplevel;
  imageOf = toplevel: name: text: derivation {
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    inherit toplevel;
    args = [ "-c" ''
      mkdir -p $out/nix-support
      echo making the disk of $toplevel
      printf '%s' "$toplevel ${text}" > $out/disk.raw
      truncate -s 3M $out/disk.raw
      printf tail >> $out/disk.raw
      truncate -s 4M $out/disk.raw
      cd $out/nix-support
      file="$out/disk.raw"
      boot=legacy-bios
      echo "{\\"system\\": \\"x86_64-linux\\", \\"boot_mode\\": \\"$boot\\", \\"file\\": \\"$file\\"}" > image-info.json
    '' ];
  };
  program = name: derivation {
    inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo it > $out" ];
  };
  library = program "zlib-1.3.1";
  toplevel = derivation {
    name = "nixos-system-web-25.11"; system = "x86_64-linux"; builder = "/bin/sh";
    inherit library;
    args = [ "-c" "echo $library > $out" ];
  };
  later = derivation {
    name = "nixos-system-web-25.11"; system = "x86_64-linux"; builder = "/bin/sh";
    library = program "zlib-1.3.2";
    jq = program "jq-1.8";
    args = [ "-c" "echo $library $jq > $out" ];
  };
"""
FLAKE = f"""{{
  outputs = {{ self }}: let {EXPRESSION} in {{
    packages.x86_64-linux.amazonImage = image "nixos-amazon-image" "one";
    nixosConfigurations.web = {{ options = {{ }}; config.system.build = {{
      inherit toplevel; images.amazon = image "nixos-image-amazon" "two";
    }}; }};
    packages.x86_64-linux.later = imageOf later "nixos-amazon-image" "changed";
    nixosConfigurations.bare = {{ options = {{ }}; config.system.build = {{ inherit toplevel; }}; }};
    packages.x86_64-linux.broken = derivation {{
      name = "broken"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo it is the disk; exit 3" ];
    }};
    packages.x86_64-linux.empty = derivation {{
      name = "empty"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "/bin/mkdir $out" ];
    }};
    invar.engine = "nix";
  }};
}}
"""


def nix_environment(directory: Path) -> dict[str, str]:
    """Variables for a store, a state and a configuration of Nix's own below a directory, without network."""
    state = directory / "nix"
    return {
        "NIX_CONFIG": "build-users-group =\nsandbox = false\nsubstitute = false\n",
        "NIX_STORE_DIR": str(state / "store"),
        "NIX_STATE_DIR": str(state / "var"),
        "NIX_LOG_DIR": str(state / "log"),
        "NIX_CONF_DIR": str(state / "etc"),
        "HOME": str(directory),
    }
