"""Mirrors come from the first place that names any."""

from __future__ import annotations

from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.debian.mirrors import Mirrors, find_mirrors, security_beside

BOOKWORM = """\
# a comment
Types: deb deb-src
# another
URIs: https://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: https://disabled.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://security.example/debian-security
Suites: bookworm-security
Components: main
"""
UBUNTU = """\
Types: deb
URIs: http://archive.ubuntu.example/ubuntu/
Suites: noble noble-updates
Components: main universe
"""


def apt(tmp_path: Path, **files: str) -> Path:
    root = tmp_path / "apt"
    (root / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        target = root / f"{stem}.{suffix}" if stem == "sources" else root / "sources.list.d" / f"{stem}.{suffix}"
        target.write_text(text)
    return root


def test_option_goes_before_environment_lock_and_apt(tmp_path: Path) -> None:
    apt_root = apt(tmp_path, debian_sources=BOOKWORM)
    environment = {"INVAR_MIRROR": "https://environment.example/debian"}
    locked = ["https://locked.example/debian"]
    found = find_mirrors(
        option=["https://option.example/debian/"], environment=environment, locked=locked, apt=apt_root
    )
    assert found.main == ("https://option.example/debian",)
    assert found.security == ("https://option.example/debian-security",)
    assert find_mirrors(environment=environment, locked=locked, apt=apt_root).main == (
        "https://environment.example/debian",
    )
    assert find_mirrors(environment={}, locked=locked, apt=apt_root).main == ("https://locked.example/debian",)
    assert find_mirrors(environment={}, apt=apt_root).main == ("https://mirror.example/debian",)


def test_several_mirrors_keep_their_order(tmp_path: Path) -> None:
    environment = {
        "INVAR_MIRROR": "https://a.example/debian",
        "INVAR_MIRRORS": "https://b.example/debian https://b.example/debian-security\nhttps://c.example/{date}/debian",
        "INVAR_SECURITY_MIRROR": "https://s.example/security",
    }
    found = find_mirrors(environment=environment, apt=tmp_path)
    assert found.main == ("https://a.example/debian", "https://b.example/debian", "https://c.example/{date}/debian")
    assert found.security == ("https://s.example/security", "https://b.example/debian-security")


def test_deb822_sources_leave_out_what_is_disabled(tmp_path: Path) -> None:
    found = find_mirrors(environment={}, apt=apt(tmp_path, debian_sources=BOOKWORM))
    assert found.main == ("https://mirror.example/debian",)
    assert found.security == ("https://security.example/debian-security",)


def test_one_line_sources(tmp_path: Path) -> None:
    text = """
    # deb http://commented.example/debian bookworm main
    deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://one.example/debian bookworm main # x
    deb-src http://source.example/debian bookworm main
    deb http://one.example/debian-security bookworm-security main
    deb http://other.example/postgresql bookworm-pgdg main
    deb http://tool.example/repo stable main
    """
    found = find_mirrors(environment={}, apt=apt(tmp_path, sources_list=text))
    assert found.main == ("http://one.example/debian",)
    assert found.security == ("http://one.example/debian-security",)


def test_mirror_lists_of_cloud_images(tmp_path: Path) -> None:
    for name in ("debian", "debian-security"):
        (tmp_path / f"{name}.list").write_text(f"# list\nhttps://cdn.example/{name}\tpriority:1\n")
    text = f"""\
Types: deb
URIs: mirror+file://{tmp_path}/debian.list
Suites: trixie trixie-updates
Components: main

Types: deb
URIs: mirror+file://{tmp_path}/debian-security.list
Suites: trixie-security
Components: main
"""
    found = find_mirrors(environment={}, apt=apt(tmp_path, debian_sources=text))
    assert found.main == ("https://cdn.example/debian",)
    assert found.security == ("https://cdn.example/debian-security",)


def test_ubuntu_has_no_debian(tmp_path: Path) -> None:
    with pytest.raises(InvarError) as caught:
        find_mirrors(environment={}, apt=apt(tmp_path, ubuntu_sources=UBUNTU))
    assert "no Debian mirror" in caught.value.what
    assert "archive.ubuntu.example" in (caught.value.why or "")
    assert "INVAR_MIRROR" in (caught.value.hint or "")


def test_host_without_apt_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InvarError, match="no Debian mirror"):
        find_mirrors(environment={}, apt=tmp_path / "nothing")


@pytest.mark.parametrize("address", ["mirror.example/debian", "ftp://mirror.example/debian"])
def test_unusable_address_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(InvarError, match="not a mirror's address"):
        find_mirrors(option=[address], environment={}, apt=tmp_path)


def test_snapshots_get_the_locks_date_and_serve_only_locks() -> None:
    mirrors = Mirrors(
        ("https://a.example/debian", "https://s.example/archive/debian/{date}"),
        ("https://a.example/debian-security", "https://s.example/archive/debian-security/{date}"),
        "test",
    )
    assert mirrors.serving("trixie-updates", "2026-11-21T02:10:46Z") == (
        "https://a.example/debian",
        "https://s.example/archive/debian/20261121T021046Z",
    )
    assert mirrors.serving("trixie-security", None) == ("https://a.example/debian-security",)


@pytest.mark.parametrize(
    ("main", "security"),
    [
        ("https://m.example/debian", "https://m.example/debian-security"),
        ("https://m.example/archive/debian/{date}", "https://m.example/archive/debian-security/{date}"),
        ("https://debian.example/mirror", "https://debian.example/mirror-security"),
    ],
)
def test_security_is_sought_beside_the_main_archive(main: str, security: str) -> None:
    assert security_beside(main) == security


def test_proxies_come_with_the_mirrors(tmp_path: Path) -> None:
    environment = {
        "INVAR_MIRROR": "http://a.example/debian",
        "HTTP_PROXY": "http://proxy.example:3128",
        "no_proxy": "b",
    }
    found = find_mirrors(environment=environment, apt=tmp_path)
    assert found.proxies == {"http": "http://proxy.example:3128", "no": "b"}
