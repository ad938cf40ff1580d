# Pieces of text that name the pieces they must come after (activation scripts).
{ lib }:

let
  self = {
    textClosureList =
      predefined: arguments:
      let
        visit =
          state: item:
          if builtins.isString item then
            if state.done ? ${item} then
              state
            else
              let
                entry = predefined.${item};
                before = builtins.foldl' visit (state // { done = state.done // { ${item} = true; }; }) entry.deps;
              in
              before // { result = before.result ++ [ entry.text ]; }
          else
            let
              before = builtins.foldl' visit state item.deps;
            in
            before // { result = before.result ++ [ item.text ]; };
      in
      (builtins.foldl' visit {
        done = { };
        result = [ ];
      } arguments).result;
    textClosureMap =
      function: predefined: names:
      builtins.concatStringsSep "\n" (map function (self.textClosureList predefined names));
    noDepEntry = text: {
      inherit text;
      deps = [ ];
    };
    fullDepEntry = text: deps: { inherit text deps; };
    packEntry = deps: {
      inherit deps;
      text = "";
    };
    stringAfter = deps: text: { inherit text deps; };
  };
in
self
