# The licenses that packages and modules name most, by their SPDX identifiers.
{ lib }:

lib.mapAttrs
  (
    shortName:
    {
      spdxId ? null,
      fullName,
      free ? true,
    }:
    {
      inherit shortName fullName free;
      deprecated = false;
      redistributable = free;
    }
    // lib.optionalAttrs (spdxId != null) {
      inherit spdxId;
      url = "https://spdx.org/licenses/${spdxId}.html";
    }
  )
  {
    afl21 = { spdxId = "AFL-2.1"; fullName = "Academic Free License v2.1"; };
    agpl3Only = { spdxId = "AGPL-3.0-only"; fullName = "GNU Affero General Public License v3.0 only"; };
    agpl3Plus = { spdxId = "AGPL-3.0-or-later"; fullName = "GNU Affero General Public License v3.0 or later"; };
    artistic2 = { spdxId = "Artistic-2.0"; fullName = "Artistic License 2.0"; };
    asl20 = { spdxId = "Apache-2.0"; fullName = "Apache License 2.0"; };
    boost = { spdxId = "BSL-1.0"; fullName = "Boost Software License 1.0"; };
    bsd0 = { spdxId = "0BSD"; fullName = "BSD Zero Clause License"; };
    bsd2 = { spdxId = "BSD-2-Clause"; fullName = ''BSD 2-clause "Simplified" License''; };
    bsd3 = { spdxId = "BSD-3-Clause"; fullName = ''BSD 3-clause "New" or "Revised" License''; };
    cc-by-40 = { spdxId = "CC-BY-4.0"; fullName = "Creative Commons Attribution 4.0"; };
    cc-by-sa-40 = { spdxId = "CC-BY-SA-4.0"; fullName = "Creative Commons Attribution Share Alike 4.0"; };
    cc0 = { spdxId = "CC0-1.0"; fullName = "Creative Commons Zero v1.0 Universal"; };
    epl20 = { spdxId = "EPL-2.0"; fullName = "Eclipse Public License 2.0"; };
    free = { fullName = "Unspecified free software license"; };
    gpl1Only = { spdxId = "GPL-1.0-only"; fullName = "GNU General Public License v1.0 only"; };
    gpl2Only = { spdxId = "GPL-2.0-only"; fullName = "GNU General Public License v2.0 only"; };
    gpl2Plus = { spdxId = "GPL-2.0-or-later"; fullName = "GNU General Public License v2.0 or later"; };
    gpl3Only = { spdxId = "GPL-3.0-only"; fullName = "GNU General Public License v3.0 only"; };
    gpl3Plus = { spdxId = "GPL-3.0-or-later"; fullName = "GNU General Public License v3.0 or later"; };
    isc = { spdxId = "ISC"; fullName = "Internet Systems Consortium License"; };
    lgpl21Only = { spdxId = "LGPL-2.1-only"; fullName = "GNU Lesser General Public License v2.1 only"; };
    lgpl21Plus = { spdxId = "LGPL-2.1-or-later"; fullName = "GNU Lesser General Public License v2.1 or later"; };
    lgpl3Only = { spdxId = "LGPL-3.0-only"; fullName = "GNU Lesser General Public License v3.0 only"; };
    lgpl3Plus = { spdxId = "LGPL-3.0-or-later"; fullName = "GNU Lesser General Public License v3.0 or later"; };
    mit = { spdxId = "MIT"; fullName = "MIT License"; };
    mpl20 = { spdxId = "MPL-2.0"; fullName = "Mozilla Public License 2.0"; };
    ofl = { spdxId = "OFL-1.1"; fullName = "SIL Open Font License 1.1"; };
    openssl = { spdxId = "OpenSSL"; fullName = "OpenSSL License"; };
    postgresql = { spdxId = "PostgreSQL"; fullName = "PostgreSQL License"; };
    psfl = { spdxId = "Python-2.0"; fullName = "Python Software Foundation License version 2"; };
    publicDomain = { fullName = "Public Domain"; };
    unfree = { fullName = "Unfree"; free = false; };
    unfreeRedistributable = { fullName = "Unfree redistributable"; free = false; };
    unlicense = { spdxId = "Unlicense"; fullName = "The Unlicense"; };
    vim = { spdxId = "Vim"; fullName = "Vim License"; };
    wtfpl = { spdxId = "WTFPL"; fullName = "Do What The F*ck You Want To Public License"; };
    x11 = { spdxId = "X11"; fullName = "X11 License"; };
    zlib = { spdxId = "Zlib"; fullName = "zlib License"; };
  }
