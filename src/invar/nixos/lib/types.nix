# The types of options, and telling Nix values apart by their `_type`.
{ lib }:

let
  native = builtins.invarModules lib;
in
{
  types = native.types;
  isType = type: value: value._type or "" == type;
  setType =
    typeName: value:
    value // { _type = typeName; };
  isOptionType = value: value._type or "" == "option-type";
  inherit (native)
    defaultFunctor
    defaultTypeMerge
    mkOptionType
    optionDescriptionPhrase
    ;
}
