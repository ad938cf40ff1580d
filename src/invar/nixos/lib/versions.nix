# Comparing and taking apart version strings.
{ lib }:

let
  inherit (builtins) compareVersions elemAt splitVersion;

  self = {
    versionOlder = limit: version: compareVersions version limit == 1;
    versionAtLeast = version: limit: compareVersions version limit != -1;
    splitVersion = splitVersion;
    major = version: elemAt (splitVersion version) 0;
    minor = version: elemAt (splitVersion version) 1;
    patch = version: elemAt (splitVersion version) 2;
    majorMinor = version: builtins.concatStringsSep "." (lib.take 2 (splitVersion version));
    pad =
      count: version:
      let
        numbers = lib.head (lib.splitString "-" version);
        suffix = lib.removePrefix numbers version;
        parts = splitVersion numbers;
      in
      builtins.concatStringsSep "." (lib.take count (parts ++ lib.genList (_: "0") count)) + suffix;
  };
in
self
