# Addresses: IPv6 normal form, MAC addresses, CIDR.
{ lib }:

let
  inherit (builtins) elemAt filter genList length match;

  groupPattern = "[0-9a-fA-F]{1,4}";

  parseGroups = text: filter (part: part != "") (lib.splitString ":" text);

  # eight groups as lower-case hexadecimal without leading zeros
  expand =
    address:
    let
      halves = lib.splitString "::" address;
      left = parseGroups (lib.head halves);
      right = if length halves == 2 then parseGroups (elemAt halves 1) else [ ];
      missing = 8 - length left - length right;
      groups = left ++ genList (_: "0") missing ++ right;
      valid =
        length halves <= 2
        && (if length halves == 2 then missing >= 1 else length left == 8)
        && lib.all (group: match groupPattern group != null) (left ++ right);
      strip = group: lib.toLower (lib.head (match "0*([0-9a-fA-F]+)" group));
    in
    lib.throwIfNot valid "lib.network.ipv6: `${address}' is not a valid IPv6 address" (map strip groups);

  self = {
    ipv6 = {
      fromString =
        text:
        let
          parts = lib.splitString "/" text;
          prefixLength = if length parts == 2 then lib.toInt (elemAt parts 1) else 128;
          address = lib.concatStringsSep ":" (expand (lib.head parts));
        in
        lib.throwIfNot (length parts <= 2 && prefixLength >= 0 && prefixLength <= 128)
          "lib.network.ipv6: `${text}' is not a valid IPv6 address with prefix length"
          {
            inherit address prefixLength;
            addressCidr = "${address}/${toString prefixLength}";
          };
      mkEUI64Suffix =
        mac:
        let
          octets = lib.splitString ":" mac;
          number = index: lib.fromHexString (elemAt octets index);
          hex = value: lib.toLower (lib.toHexString value);
          pair = high: low: hex (high * 256 + low);
        in
        lib.throwIfNot (length octets == 6) "lib.network.ipv6.mkEUI64Suffix: `${mac}' is not a MAC address" (
          lib.concatStringsSep ":" [
            (pair (lib.bitXor (number 0) 2) (number 1))
            (pair (number 2) 255)
            (pair 254 (number 3))
            (pair (number 4) (number 5))
          ]
        );
    };
  };
in
self
