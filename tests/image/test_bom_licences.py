"""Debian's copyright files to SPDX expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing

from invar.image.bom import licences
from invar.image.bom.licences import UNKNOWN, Licence, declared_licence, expression

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
SPDX = get_spdx_licensing()


def known_to_spdx(text: str) -> bool:
    """Whether an expression is sound and all its ids but references are in SPDX's list."""
    found = SPDX.validate(text, strict=True)
    return all(str(one).startswith("LicenseRef-") for one in found.invalid_symbols)


@pytest.mark.parametrize(
    ("synopsis", "expected"),
    [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("Zope-2.1", "ZPL-2.1"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("GPL-2+ and BSD-2-clause", "GPL-2.0-or-later AND BSD-2-Clause"),
        ("GPL-2 or MIT and ISC", "GPL-2.0-only OR MIT AND ISC"),
        ("GPL-1+ or Artistic, and Expat", "(GPL-1.0-or-later OR Artistic-1.0-Perl) AND MIT"),
        ("GPL-3+ with Bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"),
        ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
        ("public-domain", "LicenseRef-src-public-domain"),
        ("GPL-2+ with OpenSSL exception", "LicenseRef-src-GPL-2-plus-with-OpenSSL-exception"),
        ("GPL-9", "LicenseRef-src-GPL-9"),
    ],
)
def test_synopses(synopsis: str, expected: str) -> None:
    references: dict[str, str] = {}
    assert expression(synopsis, "src", references) == expected
    assert known_to_spdx(expected)
    assert set(references) == {word for word in expected.split() if word.startswith("LicenseRef")}


def test_a_package_is_under_all_licences_of_its_files() -> None:
    text = (
        f"{FORMAT}License: MIT\n\nFiles: *\nCopyright: A\nLicense: GPL-2+ or Artistic\n text\n .\n more\n\n"
        "Files: b\nLicense: weird\n\nFiles: c\nLicense: GPL-2+ or Artistic\n\nLicense: GPL-2+\n the text\n"
    )
    assert declared_licence(text, "src") == Licence(
        "(GPL-2.0-or-later OR Artistic-1.0-Perl) AND LicenseRef-src-weird", {"LicenseRef-src-weird": "weird"}
    )


@pytest.mark.parametrize("text", ["", "This package was debianized by ...\n\nLicense:\n\n GPL\n", FORMAT])
def test_what_is_not_machine_readable_is_unknown(text: str) -> None:
    assert declared_licence(text, "src") is UNKNOWN


def test_every_id_of_the_tables_is_in_the_list_of_spdx() -> None:
    exceptions = [f"GPL-2.0-only WITH {name}" for name in licences._EXCEPTIONS.values()]
    assert [name for name in [*licences._KNOWN.values(), *exceptions] if not known_to_spdx(name)] == []


@given(st.text(max_size=60))
def test_any_synopsis_gives_a_sound_expression(synopsis: str) -> None:
    references: dict[str, str] = {}
    found = expression(synopsis, "src", references)
    assert known_to_spdx(found)
    assert set(references) == {str(one) for one in SPDX.validate(found).invalid_symbols}
