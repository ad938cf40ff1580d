# Values of Linux kernel configuration options.
{ lib }:

{
  yes = { tristate = "y"; optional = false; };
  no = { tristate = "n"; optional = false; };
  module = { tristate = "m"; optional = false; };
  unset = { tristate = null; optional = false; };
  freeform = value: { freeform = value; optional = false; };
  option = value: value // { optional = true; };
  whenHelpers = version: {
    whenAtLeast = limit: lib.mkIf (lib.versionAtLeast version limit);
    whenOlder = limit: lib.mkIf (lib.versionOlder version limit);
    whenBetween = low: high: lib.mkIf (lib.versionAtLeast version low && lib.versionOlder version high);
  };
}
