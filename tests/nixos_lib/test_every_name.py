"""Every name of `lib` that does not come from the native module system is evaluated, by real Nix and by Invar alike.

`test_expressions.py` has expressions with their values; here are those for the rest of the names, compared only.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from invar.modules.native import evaluator_with_modules
from invar.nix import Evaluator, force, with_big_stack
from invar.nix.builtins.data import to_json

HERE = Path(__file__).parent
LIB = HERE.parents[1] / "src/invar/nixos/lib/default.nix"
PACKAGE = '{ type = "derivation"; name = "p-1"; outPath = "/p"; meta = { }; version = "1"; }'
MORE = f'{{ outputs = [ "out" ]; out = {PACKAGE}; all = [ ]; drvPath = "/d"; system = "s"; }}'
SPLICING = "{ splicePackages = all: all.selfHostTarget or { }; newScope = lib.callPackageWith; }"
SPLICES = "lib.genAttrs [ {} ] (name: {{ }})".format(
    " ".join(f'"self{pair}"' for pair in ("BuildBuild", "BuildHost", "BuildTarget", "HostHost", "TargetTarget"))
)

EXPRESSIONS = f"""
lib.addMetaAttrs {{ a = 1; }} {PACKAGE}
lib.dontDistribute {PACKAGE}
lib.setName "q" {PACKAGE}
lib.updateName (name: name + "-x") {PACKAGE}
lib.mapDerivationAttrset (p: p.name) {{ a = {PACKAGE}; b = 1; }}
lib.setPrio 3 {PACKAGE}
(lib.lowPrioSet {{ a = {PACKAGE}; }}).a.meta
(lib.hiPrioSet {{ a = {PACKAGE}; }}).a.meta
map (lib.cpeFullVersionWithVendor "v") [ "1.2" "1.2-rc1" ]
lib.getLicenseFromSpdxIdOr "MIT" null
lib.getLicenseFromSpdxIdOr "none" "other"
builtins.attrNames lib.licensesSpdx
builtins.mapAttrs (id: licence: licence.shortName) lib.licensesSpdx
lib.assertEachOneOf "colours" [ "red" ] [ "red" "blue" ]
lib.lists.map (pair: pair 12 10) [ lib.bitOr lib.bitXor lib.sub ]
lib.map (round: round 1.5) [ lib.ceil lib.floor ]
lib.cartesianProductOfSets {{ a = [ 1 2 ]; b = [ 3 ]; }}
lib.chooseDevOutputs [ ({PACKAGE} // {{ dev = "/d"; }}) ]
map (keep: lib.cleanSourceFilter keep "directory") [ "/a/.git" "/a/b" "/a/result" ]
lib.cleanSourceFilter "/a/x~" "regular"
lib.cmakeOptionType "BOOL" "A" "ON"
lib.mesonOption "a" "b"
lib.codeName
lib.concatAttrValues {{ a = [ 1 ]; b = [ 2 ]; }}
builtins.attrNames lib.derivations
builtins.attrNames lib.filesystem
builtins.attrNames lib.fixedPoints
builtins.attrNames lib.stringsWithDeps
builtins.attrNames lib.path
builtins.attrNames lib.sources
builtins.attrNames lib.kernel
builtins.attrNames lib.generators
builtins.attrNames lib.cli
builtins.attrNames lib.platforms
lib.platforms.linux
lib.platforms.unix
[ lib.platforms.gnu lib.platforms.x86_64 lib.platforms.x86 lib.platforms.aarch64 lib.platforms.darwin ]
[ lib.platforms.arm lib.platforms.windows lib.platforms.mesaPlatforms ]
builtins.attrNames lib.systems
lib.systems.doubles == lib.platforms
lib.systems.flakeExposed
lib.systems.equals (lib.systems.elaborate "x86_64-linux") (lib.systems.elaborate "x86_64-linux")
lib.systems.toLosslessStringMaybe (lib.systems.elaborate "aarch64-linux")
builtins.attrNames lib.systems.inspect
lib.dontRecurseIntoAttrs {{ a = 1; }}
(lib.extendDerivation true {{ extra = 1; }} ({PACKAGE} // {{ outputs = [ "out" ]; out = {PACKAGE}; }})).extra
lib.fold (a: b: a + b) 0 [ 1 2 3 ]
lib.genAttrs' [ "a" "b" ] (name: {{ name = name + "1"; value = name; }})
lib.genericClosure {{ startSet = [ {{ key = 1; }} ]; operator = i: if i.key < 3 then [ {{ key = 3; }} ] else [ ]; }}
lib.getFirstOutput [ "dev" "out" ] ({PACKAGE} // {{ outputs = [ "out" "dev" ]; dev = "/dev"; out = "/out"; }})
map (get: get {PACKAGE}) [ lib.getInclude lib.getMan lib.getStatic ]
builtins.attrNames (lib.haskellPathsInDir {HERE})
(lib.hydraJob ({PACKAGE} // {MORE})).name
[ lib.inNixShell lib.inPureEvalMode ]
lib.intersectAttrs {{ a = 1; }} {{ a = 2; b = 3; }}
[ (lib.isFloat 1.0) (lib.lessThan 1 2) (lib.isOptionType {{ _type = "option-type"; }}) (lib.isOptionType 1) ]
(lib.lazyDerivation {{ derivation = {PACKAGE} // {MORE}; }}).name
map toString (lib.listFilesRecursive {HERE}/../nix/corpus)
lib.literalCode "nix" "x"
lib.locateDominatingFile "pyproject.toml" {HERE} != null
lib.locateDominatingFile "no such file" {HERE}
(lib.makeExtensibleWithCustomName "more" (self: {{ a = 1; b = self.a; }})).more (self: super: {{ a = 2; }}) ? b
lib.makeIncludePath [ "/a" "/b" ]
lib.makeSearchPathOutput "dev" "lib" [ {PACKAGE} ]
(lib.makeScopeWithSplicing' {SPLICING} {{ otherSplices = {SPLICES}; f = self: {{ a = 1; }}; }}) ? callPackage
lib.mapAttrsToListRecursiveCond (path: value: true) (path: value: [ path value ]) {{ a.b = 1; c = 2; }}
builtins.isFunction (lib.mkAliasOptionModuleMD [ "a" ] [ "b" ])
builtins.isFunction (lib.mkRenamedOptionModuleWith {{ sinceRelease = 2311; from = [ "a" ]; to = [ "b" ]; }})
builtins.isFunction (lib.doRename {{ from = [ "a" ]; to = [ "b" ]; visible = true; warn = false; use = x: x; }})
builtins.isFunction lib.mkAliasIfDef
lib.oldestSupportedRelease
lib.oldestSupportedReleaseIsAtLeast 2311
lib.version == lib.release + lib.versionSuffix
lib.hasPrefix lib.release lib.version
lib.revisionWithDefault "none"
map (wanted: lib.optionalDrvAttr wanted 1) [ true false ]
lib.packEntry [ "a" ]
lib.packEntry [ ]
lib.textClosureList {{ a = lib.stringAfter [ "b" ] "A"; b = lib.noDepEntry "B"; }} [ "a" ]
lib.packagesFromDirectoryRecursive {{ callPackage = path: _: baseNameOf path; directory = {HERE}/../nix/corpus; }}
lib.pathIsDirectory {HERE}
lib.pathIsRegularFile {HERE}
map lib.pathType [ {HERE} {HERE}/test_every_name.py ]
map baseNameOf (lib.readPathsFromFile {HERE} {HERE}/../../.gitignore)
lib.filesystem.resolveDefaultNix {HERE} == {HERE}
lib.generators.withRecursion {{ depthLimit = 2; throwOnDepthLimit = false; }} {{ a.b.c.d = 1; }}
lib.kernel.freeform "x"
lib.kernel.unset
builtins.attrNames (lib.kernel.whenHelpers "6.1")
lib.path.hasStorePathPrefix {HERE}
lib.renderOptionValue {{ a = 1; b = [ "x" ]; }}
lib.scrubOptionValue {{ a = {PACKAGE}; _args = 1; b = [ {PACKAGE} ]; }}
lib.setType "t" {{ a = 1; }}
lib.showWarnings [ "one" ] 5
(lib.sourceByRegex {HERE}/../nix ["corpus" "corpus/.*"]) ? outPath
builtins.attrNames (builtins.readDir (lib.sourceByRegex {HERE}/../nix [ "corpus" "corpus/v.*" ]).origSrc) != [ ]
(lib.sourceFilesBySuffices {HERE} [ ".nix" ]) ? outPath
lib.sources.trace {{ a = 1; }}
lib.sources.canCleanSource {HERE}
lib.strings.fromJSON "[1]"
lib.strings.match "a(.)" "ab"
lib.strings.storeDir
lib.strings.unsafeDiscardStringContext "a"
lib.strings.parseDrvName "a-1"
lib.strings.splitStringBy (before: after: after == "-") false "a-b"
lib.strings.isCoercibleToString 1
lib.teams
lib.testAllTrue [ true ]
lib.throwTestFailures {{ failures = [ ]; }}
lib.toCommandLine (name: {{ option = "-" + name; sep = null; }}) {{ a = [ 1 2 ]; b = true; c = null; d = false; }}
lib.toCommandLineShell (name: {{ option = "--" + name; sep = "="; }}) {{ a = "x y"; b = true; }}
lib.toCommandLineShellGNU {{ }} {{ a = "x y"; long = [ 1 2 ]; b = true; }}
(lib.toDerivation "/nix/store/ldbhlwhh39wha58rm61bkiiwm6j7211j-git-2.33.1").name
lib.traceFnSeqN 2 "f" (x: x + 1) 1
lib.traceSeq [ 1 ] 2
lib.traceSeqN 1 {{ a.b = 1; }} 2
lib.traceValFn toString 1
lib.traceValSeqFn (x: x + 1) 1
lib.traceValSeqN 1 {{ a = 1; }}
lib.traceValSeqNFn (x: x) 1 {{ a = 1; }}
(lib.warnOnInstantiate "old" {PACKAGE}).name
lib.optionAttrSetToDocList {{ }}
lib.optionAttrSetToDocList' [ ] {{ }}
builtins.isAttrs lib.maintainers
"""

OF_NATIVE = "modules", "options", "optionTypes", "types", "mkAssert", "mkPackageOptionMD"
"""What the native module system makes or is needed for: `test_real_nix.py` has whole systems of these."""


def expressions() -> list[str]:
    """One a line."""
    return [line for line in EXPRESSIONS.splitlines() if line]


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    """Invar's, which has the module system."""
    return evaluator_with_modules(on_warn=lambda text: None, on_trace=lambda text: None)


@pytest.mark.skipif(shutil.which("nix-instantiate") is None, reason="real Nix is not installed")
def test_real_nix_agrees(evaluator: Evaluator) -> None:
    lines = expressions()
    source = f"let lib = import {LIB}; in [\n{chr(10).join(f'({line})' for line in lines)}\n]"
    command = ["nix-instantiate", "--eval", "--strict", "--json", "-E", source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mine = json.loads(with_big_stack(lambda: to_json(evaluator.eval_string(source), None)))
    theirs = json.loads(done.stdout)
    assert [pair for pair in zip(lines, mine, theirs, strict=True) if pair[1] != pair[2]] == []


def test_every_name_is_in_an_expression(evaluator: Evaluator) -> None:
    tested = set(re.findall(r"[A-Za-z_][\w'-]*", EXPRESSIONS + (HERE / "test_expressions.py").read_text()))

    def missing() -> list[str]:
        lib = evaluator.eval_file(LIB)
        native = set(force(evaluator.eval_string(f"builtins.invarModules (import {LIB})")))
        return sorted(set(lib) - native - tested - set(OF_NATIVE))

    assert with_big_stack(missing) == []
