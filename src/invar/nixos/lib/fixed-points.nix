# Fixed points and the composition of overlays.
{ lib }:

let
  self = {
    fix =
      function:
      let
        result = function result;
      in
      result;

    fix' =
      function:
      let
        result = function result // {
          __unfix__ = function;
        };
      in
      result;

    converge =
      function: value:
      let
        next = function value;
      in
      if next == value then value else self.converge function next;

    extends =
      overlay: base: final:
      let
        previous = base final;
      in
      previous // overlay final previous;

    composeExtensions =
      first: second: final: previous:
      let
        changes = first final previous;
      in
      changes // second final (previous // changes);

    composeManyExtensions = builtins.foldl' self.composeExtensions (_: _: { });

    makeExtensible = self.makeExtensibleWithCustomName "extend";

    makeExtensibleWithCustomName =
      extendName: base:
      self.fix' (
        final:
        base final
        // {
          ${extendName} = overlay: self.makeExtensibleWithCustomName extendName (self.extends overlay base);
        }
      );

    toExtension =
      value:
      if lib.isFunction value then
        final: previous:
        let
          partial = value previous;
        in
        if lib.isFunction partial then value final previous else partial
      else
        _: _: value;
  };
in
self
