# Assertions that say what is wrong.
{ lib }:

let
  self = {
    assertMsg = condition: message: if condition then true else throw message;
    assertOneOf =
      name: value: allowed:
      self.assertMsg (lib.elem value allowed)
        "${name} must be one of ${lib.generators.toPretty { } allowed}, but is: ${lib.generators.toPretty { } value}";
    assertEachOneOf =
      name: values: allowed:
      self.assertMsg (lib.all (value: lib.elem value allowed) values)
        "each element in ${name} must be one of ${lib.generators.toPretty { } allowed}, but is: ${lib.generators.toPretty { } values}";
    checkAssertWarn =
      assertions: warnings: value:
      let
        failed = map (assertion: assertion.message) (lib.filter (assertion: !assertion.assertion) assertions);
      in
      if failed != [ ] then
        throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}"
      else
        lib.showWarnings warnings value;
  };
in
self
