# Looking at values while evaluating, and unit tests.
{ lib }:

let
  inherit (builtins)
    attrNames
    deepSeq
    isAttrs
    isList
    trace
    ;

  self = {
    traceIf = condition: message: value: if condition then trace message value else value;
    traceVal = value: trace value value;
    traceValFn = function: value: trace (function value) value;
    traceSeq = shown: value: trace (deepSeq shown shown) value;
    traceSeqN =
      depth: shown: value:
      let
        cut =
          left: item:
          if isList item then
            if left == 0 then "[…]" else map (cut (left - 1)) item
          else if isAttrs item then
            if left == 0 then "{…}" else builtins.mapAttrs (_: cut (left - 1)) item
          else
            item;
      in
      trace (lib.generators.toPretty { allowPrettyValues = true; } (cut depth shown)) value;
    traceValSeq = value: self.traceSeq value value;
    traceValSeqFn = function: value: self.traceValSeq (function value);
    traceValSeqN = depth: value: self.traceSeqN depth value value;
    traceValSeqNFn = function: depth: value: self.traceSeqN depth (function value) value;
    traceFnSeqN =
      depth: name: function: value:
      let
        result = function value;
      in
      self.traceSeqN (depth + 1) {
        fn = name;
        from = value;
        to = result;
      } result;

    runTests =
      tests:
      builtins.concatMap (
        name:
        let
          test = tests.${name};
          selected = if tests ? tests then builtins.elem name tests.tests else lib.hasPrefix "test" name;
        in
        lib.optional (selected && name != "tests" && test.expr != test.expected) {
          inherit name;
          inherit (test) expected;
          result = test.expr;
        }
      ) (attrNames tests);
    throwTestFailures =
      {
        failures,
        description ? "tests",
        ...
      }:
      if failures == [ ] then
        null
      else
        throw "${toString (builtins.length failures)} ${description} failed:\n${
          lib.concatMapStringsSep "\n" (
            failure:
            "- ${failure.name}: expected ${lib.generators.toPretty { } failure.expected}, got ${
              lib.generators.toPretty { } failure.result
            }"
          ) failures
        }";
    testAllTrue = expressions: {
      expr = expressions;
      expected = map (_: true) expressions;
    };
  };
in
self
