"""`lib`: expressions and what they are worth, by area; real Nix, where it is installed, must agree."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from invar.modules.native import evaluator_with_modules
from invar.nix.evaluator import Evaluator
from invar.nix.runtime import deep_force
from invar.nix.stack import with_big_stack

LIB = Path(__file__).resolve().parents[2] / "src/invar/nixos/lib/default.nix"

Cases = list[tuple[str, Any]]

TRIVIAL: Cases = [
    ("lib.id 1", 1),
    ("lib.const 1 2", 1),
    ("lib.pipe 2 [ (x: x + 1) (x: x * 10) ]", 30),
    ("lib.concat [ 1 ] [ 2 ]", [1, 2]),
    ('lib."or" false true', True),
    ("lib.and true false", False),
    ("lib.xor true true", False),
    ("lib.xor true false", True),
    ("lib.bitNot 0", -1),
    ("lib.bitAnd 12 10", 8),
    ("lib.boolToString true", "true"),
    ("lib.boolToYesNo false", "no"),
    ("lib.mergeAttrs { a = 1; } { a = 2; b = 3; }", {"a": 2, "b": 3}),
    ("lib.flip (a: b: a - b) 1 10", 9),
    ("lib.defaultTo 5 null", 5),
    ("lib.defaultTo 5 0", 0),
    ("lib.mapNullable (x: x + 1) null", None),
    ("lib.mapNullable (x: x + 1) 1", 2),
    ("lib.min 3 4", 3),
    ("lib.max 3 4", 4),
    ("lib.mod 11 4", 3),
    ("lib.compare 1 2", -1),
    ('lib.splitByAndCompare (lib.hasPrefix "foo") lib.compare lib.compare "foo1" "bar"', -1),
    ("lib.functionArgs ({ a, b ? 1 }: a)", {"a": False, "b": True}),
    ("lib.functionArgs (lib.setFunctionArgs (x: x) { q = true; })", {"q": True}),
    ("lib.isFunction (lib.setFunctionArgs (x: x) { })", True),
    ("lib.isFunction 1", False),
    ("(lib.toFunction 1) 2", 1),
    ("lib.functionArgs (lib.mirrorFunctionArgs ({ a }: a) (x: x))", {"a": False}),
    ("lib.toHexString 250", "FA"),
    ('lib.fromHexString "0xff"', 255),
    ("lib.toBaseDigits 2 6", [1, 1, 0]),
    ('lib.throwIf false "no" 3', 3),
    ('(builtins.tryEval (lib.throwIfNot false "no" 3)).success', False),
    ('lib.checkListOfEnum "colours" [ "red" "blue" ] [ "red" ] "ok"', "ok"),
    ("lib.isInOldestRelease 2311", True),
]

FIXED_POINTS: Cases = [
    ("(lib.fix (self: { a = 1; b = self.a + 1; })).b", 2),
    ("(lib.fix' (self: { a = 1; })) ? __unfix__", True),
    ("lib.converge (x: x / 2) 16", 0),
    (
        "lib.fix (lib.extends (new: old: { b = old.a + new.c; c = 5; }) (new: { a = 1; }))",
        {"a": 1, "b": 6, "c": 5},
    ),
    (
        "lib.fix (lib.extends (lib.composeExtensions (f: p: { a = p.a + 1; }) (f: p: { a = p.a * 10; })) "
        "(f: { a = 1; }))",
        {"a": 20},
    ),
    (
        "lib.fix (lib.extends (lib.composeManyExtensions [ (f: p: { a = p.a + 1; }) (f: p: { a = p.a * 10; }) "
        "(f: p: { b = f.a; }) ]) (f: { a = 1; }))",
        {"a": 20, "b": 20},
    ),
    ("((lib.makeExtensible (self: { a = 1; b = self.a; })).extend (f: p: { a = 7; })).b", 7),
    ("lib.toExtension { a = 2; } { } { a = 1; }", {"a": 2}),
    ("lib.toExtension (prev: { a = prev.a + 1; }) { } { a = 1; }", {"a": 2}),
]

LISTS: Cases = [
    ("lib.singleton 1", [1]),
    ("lib.forEach [ 1 2 ] (x: x * 2)", [2, 4]),
    ("lib.foldr (x: acc: [ x ] ++ acc) [ ] [ 1 2 3 ]", [1, 2, 3]),
    ('lib.foldl (acc: x: acc + x) "z" [ "a" "b" ]', "zab"),
    ("lib.foldl' (acc: x: acc + x) 0 [ 1 2 3 ]", 6),
    ('lib.imap0 (i: v: "${v}-${toString i}") [ "a" "b" ]', ["a-0", "b-1"]),
    ('lib.imap1 (i: v: "${v}-${toString i}") [ "a" "b" ]', ["a-1", "b-2"]),
    ("lib.ifilter0 (i: v: i == 0 || v > 2) [ 1 2 3 ]", [1, 3]),
    ("lib.flatten [ 1 [ 2 [ 3 ] 4 ] 5 ]", [1, 2, 3, 4, 5]),
    ("lib.remove 3 [ 1 3 4 3 ]", [1, 4]),
    ('lib.findSingle (x: x == 3) "none" "multiple" [ 1 3 3 ]', "multiple"),
    ('lib.findSingle (x: x == 3) "none" "multiple" [ 1 3 ]', 3),
    ('lib.findSingle (x: x == 3) "none" "multiple" [ 1 9 ]', "none"),
    ("lib.findFirst (x: x > 3) 7 [ 1 6 4 ]", 6),
    ("lib.findFirst (x: x > 9) 7 [ 1 6 4 ]", 7),
    ("lib.findFirstIndex (x: x > 3) null [ 0 6 4 ]", 1),
    ("lib.findFirstIndex (x: x > 30) null [ 0 6 4 ]", None),
    ("lib.any (x: x > 2) [ 1 3 ]", True),
    ("lib.count (x: x == 3) [ 3 2 3 4 ]", 2),
    ('lib.optional true "foo"', ["foo"]),
    ('lib.optionals false [ "foo" ]', []),
    ("lib.toList 1", [1]),
    ("lib.toList [ 1 2 ]", [1, 2]),
    ("lib.range 2 4", [2, 3, 4]),
    ("lib.range 4 2", []),
    ("lib.replicate 3 1", [1, 1, 1]),
    ("lib.partition (x: x > 2) [ 5 1 2 3 4 ]", {"right": [5, 3, 4], "wrong": [1, 2]}),
    ('lib.groupBy (x: if x > 2 then "big" else "small") [ 5 1 2 ]', {"big": [5], "small": [1, 2]}),
    ('lib.groupBy\' builtins.add 0 (x: if x > 2 then "big" else "small") [ 5 1 2 3 ]', {"big": 8, "small": 3}),
    ("lib.zipListsWith (a: b: a + b) [ 1 2 ] [ 3 4 5 ]", [4, 6]),
    ("lib.zipLists [ 1 ] [ 2 ]", [{"fst": 1, "snd": 2}]),
    ("lib.reverseList [ 1 2 3 ]", [3, 2, 1]),
    (
        'lib.listDfs true lib.hasPrefix [ "/home/user" "other" "/" "/home" ]',
        {"minimal": "/", "visited": ["/home/user"], "rest": ["/home", "other"]},
    ),
    (
        'lib.listDfs true lib.hasPrefix [ "/home/user" "other" "/" "/home" "/" ]',
        {"cycle": "/", "loops": ["/"], "visited": ["/", "/home/user"], "rest": ["/home", "other"]},
    ),
    (
        'lib.toposort lib.hasPrefix [ "/home/user" "other" "/" "/home" ]',
        {"result": ["/", "/home", "/home/user", "other"]},
    ),
    (
        'lib.toposort lib.hasPrefix [ "/home/user" "other" "/" "/home" "/" ]',
        {"cycle": ["/home/user", "/", "/"], "loops": ["/"]},
    ),
    ("lib.toposort (a: b: a < b) [ 3 2 1 ]", {"result": [1, 2, 3]}),
    ("lib.sort (a: b: a > b) [ 1 3 2 ]", [3, 2, 1]),
    ('lib.sortOn lib.stringLength [ "aa" "b" "cccc" ]', ["b", "aa", "cccc"]),
    ("lib.compareLists lib.compare [ 1 2 ] [ 1 3 ]", -1),
    ("lib.compareLists lib.compare [ ] [ ]", 0),
    ('lib.naturalSort [ "disk11" "disk8" "disk100" "disk9" ]', ["disk8", "disk9", "disk11", "disk100"]),
    ('lib.naturalSort [ "v0.2" "v0.15" "v0.0.9" ]', ["v0.0.9", "v0.2", "v0.15"]),
    ("lib.take 2 [ 1 2 3 ]", [1, 2]),
    ("lib.takeEnd 2 [ 1 2 3 ]", [2, 3]),
    ("lib.drop 2 [ 1 2 3 ]", [3]),
    ("lib.dropEnd 2 [ 1 2 3 ]", [1]),
    ("lib.sublist 1 3 [ 1 2 3 4 5 ]", [2, 3, 4]),
    ("lib.sublist 1 3 [ ]", []),
    ("lib.lists.hasPrefix [ 1 ] [ 1 2 ]", True),
    ("lib.lists.removePrefix [ 1 ] [ 1 2 ]", [2]),
    ("lib.lists.commonPrefix [ 1 2 3 ] [ 1 2 4 8 ]", [1, 2]),
    ("lib.last [ 1 2 3 ]", 3),
    ("lib.init [ 1 2 3 ]", [1, 2]),
    ("lib.crossLists (x: y: x * 10 + y) [ [ 1 2 ] [ 3 4 ] ]", [13, 14, 23, 24]),
    ("lib.unique [ 3 2 3 4 ]", [3, 2, 4]),
    ('lib.uniqueStrings [ "b" "a" "b" ]', ["a", "b"]),
    ("lib.allUnique [ 1 2 1 ]", False),
    ("lib.intersectLists [ 1 2 3 ] [ 6 3 2 ]", [3, 2]),
    ("lib.subtractLists [ 3 2 ] [ 1 2 3 4 5 3 ]", [1, 4, 5]),
    ("lib.mutuallyExclusive [ 1 ] [ 2 ]", True),
]

ATTRSETS: Cases = [
    ('lib.attrByPath [ "a" "b" ] 6 { a.b = 3; }', 3),
    ('lib.attrByPath [ "z" "z" ] 6 { a.b = 3; }', 6),
    ('lib.hasAttrByPath [ "a" "b" ] { a.b = 3; }', True),
    ('lib.hasAttrByPath [ "a" "b" "c" ] { a.b = 3; }', False),
    ('lib.attrsets.longestValidPathPrefix [ "a" "b" "c" ] { a.b = 3; }', ["a", "b"]),
    ('lib.setAttrByPath [ "a" "b" ] 3', {"a": {"b": 3}}),
    ('lib.getAttrFromPath [ "a" "b" ] { a.b = 3; }', 3),
    ('(builtins.tryEval (lib.getAttrFromPath [ "x" ] { })).success', False),
    ('lib.attrVals [ "b" "a" ] { a = 1; b = 2; }', [2, 1]),
    ('lib.getAttrs [ "a" ] { a = 1; b = 2; }', {"a": 1}),
    (
        'lib.concatMapAttrs (name: value: { ${name} = value; ${name + value} = value; }) { x = "a"; }',
        {"x": "a", "xa": "a"},
    ),
    ('lib.concatMapAttrsStringSep "," (n: v: "${n}=${v}") { a = "1"; b = "2"; }', "a=1,b=2"),
    ('lib.filterAttrs (n: v: n == "foo") { foo = 1; bar = 2; }', {"foo": 1}),
    ("lib.filterAttrsRecursive (n: v: v != null) { a = { b = null; c = 1; }; }", {"a": {"c": 1}}),
    (
        "lib.foldlAttrs (acc: n: v: { sum = acc.sum + v; names = acc.names ++ [ n ]; }) { sum = 0; names = [ ]; } "
        "{ foo = 1; bar = 10; }",
        {"sum": 11, "names": ["bar", "foo"]},
    ),
    ("lib.foldAttrs (item: acc: [ item ] ++ acc) [ ] [ { a = 2; } { a = 3; b = 1; } ]", {"a": [2, 3], "b": [1]}),
    ('lib.collect lib.isList { a = { b = [ "b" ]; }; c = [ 1 ]; }', [["b"], [1]]),
    (
        "lib.cartesianProduct { a = [ 1 2 ]; b = [ 10 20 ]; }",
        [{"a": 1, "b": 10}, {"a": 1, "b": 20}, {"a": 2, "b": 10}, {"a": 2, "b": 20}],
    ),
    ("lib.mapCartesianProduct ({ a, b }: a + b) { a = [ 1 2 ]; b = [ 10 ]; }", [11, 12]),
    ('lib.nameValuePair "a" 1', {"name": "a", "value": 1}),
    ('lib.mapAttrs\' (n: v: lib.nameValuePair ("foo_" + n) (v + 1)) { x = 1; }', {"foo_x": 2}),
    ('lib.mapAttrsToList (n: v: n + v) { x = "a"; y = "b"; }', ["xa", "yb"]),
    ("lib.attrsToList { a = 1; }", [{"name": "a", "value": 1}]),
    (
        'lib.mapAttrsRecursive (path: v: lib.concatStringsSep "-" (path ++ [ v ])) { n = { a = "A"; }; d = "D"; }',
        {"n": {"a": "n-a-A"}, "d": "d-D"},
    ),
    ("lib.mapAttrsRecursiveCond (as: !(as ? stop)) (path: v: 1) { a.stop = true; b.c = 2; }", {"a": 1, "b": {"c": 1}}),
    ('lib.mapAttrsToListRecursive (path: v: lib.concatStringsSep "." path) { a.b = 1; c = 2; }', ["a.b", "c"]),
    ('lib.genAttrs [ "foo" "bar" ] (name: "x_" + name)', {"foo": "x_foo", "bar": "x_bar"}),
    ('lib.isDerivation { type = "derivation"; }', True),
    ("lib.optionalAttrs false { a = 1; }", {}),
    ('lib.zipAttrsWithNames [ "a" ] (n: vs: vs) [ { a = 1; } { a = 2; b = 3; } ]', {"a": [1, 2]}),
    ("lib.zipAttrsWith (n: vs: vs) [ { a = 1; } { a = 2; b = 3; } ]", {"a": [1, 2], "b": [3]}),
    ("lib.zipAttrs [ { a = 1; } { a = 2; } ]", {"a": [1, 2]}),
    ("lib.mergeAttrsList [ { a = 1; } { a = 2; b = 3; } { c = 4; } ]", {"a": 2, "b": 3, "c": 4}),
    (
        "lib.recursiveUpdate { a = { x = 1; y = 2; }; b = 1; } { a = { x = 9; }; c = 3; }",
        {"a": {"x": 9, "y": 2}, "b": 1, "c": 3},
    ),
    (
        'lib.recursiveUpdateUntil (path: l: r: path == [ "foo" ]) { foo.bar = 1; x.y = 1; } { foo.qux = 2; x.z = 2; }',
        {"foo": {"qux": 2}, "x": {"y": 1, "z": 2}},
    ),
    ('lib.matchAttrs { cpu = { bits = 64; }; } { cpu = { bits = 64; name = "x"; }; os = 1; }', True),
    ("lib.matchAttrs { a = 1; } { a = 2; }", False),
    ("lib.overrideExisting { a = 1; b = 2; } { b = 3; c = 4; }", {"a": 1, "b": 3}),
    ('lib.showAttrPath [ "foo" "b.r" ]', 'foo."b.r"'),
    ('lib.getOutput "dev" { out = 1; dev = 2; }', 2),
    ("lib.getBin { out = 1; bin = 5; }", 5),
    ("(lib.recurseIntoAttrs { }).recurseForDerivations", True),
    ("lib.unionOfDisjoint { a = 1; } { b = 2; }", {"a": 1, "b": 2}),
    ("(builtins.tryEval (lib.unionOfDisjoint { a = 1; } { a = 2; }).a).success", False),
    (
        'lib.updateManyAttrsByPath [ { path = [ "a" "b" ]; update = old: { d = old.c; }; } { path = [ "a" "b" "c" ]; '
        'update = old: old + 1; } { path = [ "x" "y" ]; update = old: "xy"; } ] { a.b.c = 0; }',
        {"a": {"b": {"d": 1}}, "x": {"y": "xy"}},
    ),
]

STRINGS: Cases = [
    ('lib.concatStrings [ "a" "b" ]', "ab"),
    ('lib.concatMapStrings (x: "a" + x) [ "foo" "bar" ]', "afooabar"),
    ('lib.concatImapStrings (i: x: "${toString i}-${x}") [ "a" "b" ]', "1-a2-b"),
    ('lib.intersperse "/" [ "usr" "bin" ]', ["usr", "/", "bin"]),
    ('lib.concatStringsSep "/" [ "usr" "bin" ]', "usr/bin"),
    ('lib.concatMapStringsSep "-" lib.toUpper [ "foo" "bar" ]', "FOO-BAR"),
    ('lib.concatImapStringsSep "-" (i: x: toString (x / i)) [ 6 6 6 ]', "6-3-2"),
    ('lib.concatLines [ "foo" "bar" ]', "foo\nbar\n"),
    ('lib.strings.replicate 3 "v"', "vvv"),
    ('lib.trim "   hello, world!  \\n"', "hello, world!"),
    ('lib.trimWith { start = true; } "  a "', "a "),
    ('lib.makeSearchPath "bin" [ "/root" "/usr" ]', "/root/bin:/usr/bin"),
    ('lib.makeBinPath [ "/root" { outPath = "/x"; } ]', "/root/bin:/x/bin"),
    ('lib.makeLibraryPath [ "/usr" ]', "/usr/lib"),
    ('lib.normalizePath "/a//b///c/"', "/a/b/c/"),
    ('lib.optionalString true "x"', "x"),
    ('lib.optionalString false "x"', ""),
    ('lib.hasPrefix "foo" "foobar"', True),
    ('lib.hasPrefix "foo" "barfoo"', False),
    ('lib.hasSuffix "bar" "foobar"', True),
    ('lib.hasSuffix "foobarx" "bar"', False),
    ('lib.hasInfix "b.c" "ab.cd"', True),
    ('lib.hasInfix "b.c" "abxcd"', False),
    ('lib.removePrefix "foo." "foo.bar"', "bar"),
    ('lib.removeSuffix ".bar" "foo.bar"', "foo"),
    ('lib.removeSuffix ".baz" "foo.bar"', "foo.bar"),
    ('lib.stringToCharacters "abc"', ["a", "b", "c"]),
    ('lib.stringAsChars (c: if c == "a" then "i" else c) "nax"', "nix"),
    ('lib.charToInt "A"', 65),
    ('lib.escape [ "(" ")" ] "(foo)"', "\\(foo\\)"),
    ('lib.escapeC [ " " ] "no space"', "no\\x20space"),
    ('lib.escapeURL "foo/bar baz"', "foo%2Fbar%20baz"),
    ('lib.escapeShellArg "esc\'ape\\nme"', "'esc'\\''ape\nme'"),
    ('lib.escapeShellArg "plain-text_1.2"', "plain-text_1.2"),
    ('lib.escapeShellArg ""', "''"),
    ('lib.escapeShellArgs [ "one" "two three" ]', "one 'two three'"),
    ('lib.strings.isValidPosixName "foo_bar1"', True),
    ('lib.toShellVar "x" "a b"', "x='a b'"),
    ('lib.toShellVar "x" [ "a" "b c" ]', "declare -a x=(a 'b c')"),
    ('lib.toShellVars { a = "1"; b = { k = "v"; }; }', "a=1\ndeclare -A b=([k]=v)"),
    ('lib.escapeNixString "hello\\${}\\n"', '"hello\\${}\\n"'),
    ('lib.escapeRegex "[^a-z]*"', "\\[\\^a-z]\\*"),
    ('lib.escapeNixIdentifier "hello"', "hello"),
    ('lib.escapeNixIdentifier "0abc"', '"0abc"'),
    ('lib.escapeXML "\\"test\\" \'test\' < & >"', "&quot;test&quot; &apos;test&apos; &lt; &amp; &gt;"),
    ('lib.toLower "HOME"', "home"),
    ('lib.toUpper "home"', "HOME"),
    ('lib.toSentenceCase "hELLO wORLD"', "Hello world"),
    ('lib.toCamelCase "hello-world foo_bar"', "helloWorldFooBar"),
    ('lib.addContextFrom "a" "b"', "b"),
    ('lib.splitString "." "foo.bar.baz"', ["foo", "bar", "baz"]),
    ('lib.splitString "/" "/usr/local"', ["", "usr", "local"]),
    ('lib.splitString ":" ""', [""]),
    ('lib.replaceString "world" "Nix" "Hello, world!"', "Hello, Nix!"),
    ('lib.nameFromURL "https://example.org/foo-1.0.tar.gz" ".tar"', "foo-1.0"),
    ('lib.getName "youtube-dl-2016.01.01"', "youtube-dl"),
    ('lib.getName { pname = "x"; }', "x"),
    ('lib.getVersion "youtube-dl-2016.01.01"', "2016.01.01"),
    ('lib.cmakeBool "ENABLE_STATIC" false', "-DENABLE_STATIC:BOOL=FALSE"),
    ('lib.cmakeFeature "A" "b"', "-DA:STRING=b"),
    ('lib.mesonBool "hardened" true', "-Dhardened=true"),
    ('lib.mesonEnable "opengl" false', "-Dopengl=disabled"),
    ('lib.enableFeature true "shared"', "--enable-shared"),
    ('lib.enableFeatureAs true "shared" "foo"', "--enable-shared=foo"),
    ('lib.withFeature false "shared"', "--without-shared"),
    ('lib.withFeatureAs true "with" "x"', "--with-with=x"),
    ('lib.fixedWidthString 5 "0" "15"', "00015"),
    ("lib.fixedWidthNumber 5 15", "00015"),
    ('lib.isStorePath "/nix/store/d945ibfx9x185xf04b890y4f9g3cbb63-python-2.7.11"', True),
    ('lib.isStorePath "/nix/store/d945ibfx9x185xf04b890y4f9g3cbb63-python-2.7.11/bin/python"', False),
    ('lib.isStorePath ""', False),
    ('lib.toInt "1337"', 1337),
    ('lib.toInt "  -4  "', -4),
    ('(builtins.tryEval (lib.toInt "00024")).success', False),
    ('lib.toIntBase10 "00024"', 24),
    ('lib.toIntBase10 "0"', 0),
    ('lib.strings.sanitizeDerivationName "..hello.bar # foo"', "hello.bar-foo"),
    ('lib.strings.sanitizeDerivationName ""', "unknown"),
    ('lib.levenshtein "kitten" "sitting"', 3),
    ('lib.strings.levenshteinAtMost 1 "foo" "fou"', True),
    ('lib.strings.commonPrefixLength "foobar" "foobaz"', 5),
    ('lib.strings.commonSuffixLength "abcxx" "zxx"', 2),
    ('lib.isStringLike { outPath = "/x"; }', True),
    ("lib.isStringLike 1", False),
    ('lib.isConvertibleWithToString [ 1 "a" null ]', True),
    ('lib.escapeSystemdPath "/dev/disk/by-id/foo bar"', "dev-disk-by\\x2did-foo\\x20bar"),
    ('lib.escapeSystemdPath "/"', "-"),
    ('lib.escapeSystemdPath "/.hidden/x"', "\\x2ehidden-x"),
    ('lib.escapeSystemdExecArg "100% $HOME"', '"100%% $$HOME"'),
    ('lib.escapeSystemdExecArgs [ "a" "b c" 1 ]', '"a" "b c" "1"'),
    ("lib.strings.floatToString 3.14", "3.140000"),
]

VERSIONS: Cases = [
    ('lib.versionOlder "1.1" "1.2"', True),
    ('lib.versionOlder "1.1" "1.1"', False),
    ('lib.versionAtLeast "1.1" "1.0"', True),
    ('lib.versionAtLeast "1.0" "1.1"', False),
    ('lib.compareVersions "2.3pre1" "2.3"', -1),
    ('lib.splitVersion "1.2.3"', ["1", "2", "3"]),
    ('lib.versions.major "1.2.3"', "1"),
    ('lib.versions.minor "1.2.3"', "2"),
    ('lib.versions.patch "1.2.3"', "3"),
    ('lib.versions.majorMinor "1.2.3"', "1.2"),
    ('lib.versions.pad 3 "1.2"', "1.2.0"),
    ('lib.versions.pad 3 "1.3-rc1"', "1.3.0-rc1"),
]

TEXT_DEPENDENCIES: Cases = [
    (
        'lib.textClosureMap lib.id { a = lib.fullDepEntry "A" [ "b" ]; b = lib.noDepEntry "B"; } [ "a" "b" ]',
        "B\nA",
    ),
    ('(lib.stringAfter [ "x" ] "t").deps', ["x"]),
]

ASSERTS: Cases = [
    ('lib.assertMsg true "no"', True),
    ('(builtins.tryEval (lib.assertMsg false "no")).success', False),
    ('lib.assertOneOf "x" "a" [ "a" "b" ]', True),
    ('(builtins.tryEval (lib.assertOneOf "x" "c" [ "a" "b" ])).success', False),
    ('lib.checkAssertWarn [ { assertion = true; message = "m"; } ] [ ] 5', 5),
]

CUSTOMISATION: Cases = [
    ("(lib.makeOverridable ({ a, b ? 2 }: { sum = a + b; }) { a = 1; }).sum", 3),
    ("((lib.makeOverridable ({ a, b ? 2 }: { sum = a + b; }) { a = 1; }).override { b = 10; }).sum", 11),
    (
        "(((lib.makeOverridable ({ a, b ? 2 }: { sum = a + b; }) { a = 1; }).override { b = 10; }).override "
        "(old: { a = old.b; })).sum",
        20,
    ),
    ("(lib.callPackageWith { a = 1; b = 2; } ({ a, b }: { inherit a b; }) { b = 3; }).b", 3),
    ("(lib.callPackagesWith { a = 1; } ({ a }: { x = { v = a; }; }) { }).x.v", 1),
    (
        "(lib.makeScope lib.callPackageWith (self: { one = 1; two = self.callPackage ({ one }: { v = one; }) { }; }))"
        ".two.v",
        1,
    ),
    (
        "("
        "(lib.makeScope lib.callPackageWith (self: { one = 1; two = self.callPackage ({ one }: { v = one; }) { }; }))"
        ".overrideScope (final: prev: { one = 5; })).two.v",
        5,
    ),
]

META: Cases = [
    (
        'lib.getExe { type = "derivation"; name = "x-1"; outPath = "/nix/store/x"; meta.mainProgram = "foo"; }',
        "/nix/store/x/bin/foo",
    ),
    ('lib.getExe\' { type = "derivation"; outPath = "/nix/store/x"; } "bar"', "/nix/store/x/bin/bar"),
    ('(builtins.tryEval (lib.getExe\' { outPath = "/x"; } "a/b")).success', False),
    ('(lib.hiPrio { name = "x"; meta.a = 1; }).meta', {"a": 1, "priority": -10}),
    ('(lib.lowPrio { name = "x"; }).meta.priority', 10),
    ('(lib.appendToName "with-x" { name = "foo-1.0"; }).name', "foo-with-x-1.0"),
    ('lib.meta.platformMatch { system = "x86_64-linux"; } "x86_64-linux"', True),
    ('lib.meta.availableOn (lib.systems.elaborate "aarch64-linux") { meta.platforms = [ "x86_64-linux" ]; }', False),
    ("lib.licenses.mit.spdxId", "MIT"),
    ('(lib.getLicenseFromSpdxId "mit").shortName', "mit"),
]

GENERATORS: Cases = [
    ('lib.generators.toKeyValue { } { a = 1; b = "x"; c = true; }', "a=1\nb=x\nc=true\n"),
    ("lib.generators.toKeyValue { listsAsDuplicateKeys = true; } { a = [ 1 2 ]; }", "a=1\na=2\n"),
    ('lib.generators.mkKeyValueDefault { } ":" "f:oo" "bar"', "f\\:oo:bar"),
    ("lib.generators.mkValueStringDefault { } null", "null"),
    ('lib.generators.toINI { } { foo = { hi = "x"; n = 1; }; "b[ar]" = { }; }', "[b\\[ar\\]]\n\n[foo]\nhi=x\nn=1\n"),
    (
        "lib.generators.toINIWithGlobalSection { } { globalSection = { a = 1; }; sections = { s = { b = 2; }; }; }",
        "a=1\n\n[s]\nb=2\n",
    ),
    (
        'lib.generators.toGitINI { user.name = "me"; remote."o r".url = "x"; core.bare = true; }',
        '[core]\n\tbare = true\n\n[remote "o r"]\n\turl = "x"\n\n[user]\n\tname = "me"\n',
    ),
    ("lib.generators.toJSON { } { a = [ 1 null ]; }", '{"a":[1,null]}'),
    ("lib.generators.toYAML { } { a = 1; }", '{"a":1}'),
    (
        'lib.generators.toPretty { multiline = false; } { a = [ 1 "x" ]; f = x: x; n = null; }',
        '{ a = [ 1 "x" ]; f = <function>; n = null; }',
    ),
    ("lib.generators.toPretty { } { a = { }; b = [ true ]; }", "{\n  a = { };\n  b = [\n    true\n  ];\n}"),
    ('lib.generators.toPretty { } "a\\nb"', "''\n  a\n  b''"),
    ("lib.generators.toPretty { } ({ a, b ? 1 }: a)", "<function, args: {a, b?}>"),
    ('lib.generators.toLua { } { a = 1; b = [ "x" ]; }', '{\n  ["a"] = 1,\n  ["b"] = {\n    "x"\n  }\n}'),
    ('lib.generators.toLua { } (lib.generators.mkLuaInline "f()")', "(f())"),
    ("lib.generators.toLua { asBindings = true; } { a = true; }", "a = true\n"),
    ("lib.generators.toDhall { } { a = 1; b = [ true ]; }", "{ a = +1, b = [ True ] }"),
    ('lib.hasInfix "<key>a</key>" (lib.generators.toPlist { } { a = 1; })', True),
]

COMMAND_LINES: Cases = [
    (
        'lib.toGNUCommandLine { } { data = "{}"; X = "PUT"; retry = 3; verbose = true; quiet = false; '
        'url = [ "a" "b" ]; n = null; }',
        ["-X", "PUT", "--data", "{}", "--retry", "3", "--url", "a", "--url", "b", "--verbose"],
    ),
    ('lib.toGNUCommandLineShell { } { data = "a b"; }', "--data 'a b'"),
    ('lib.toCommandLineGNU { } { verbose = true; o = "x"; out = "y"; }', ["-ox", "--out=y", "--verbose"]),
]

PATHS: Cases = [
    ('toString (lib.path.append /foo "bar/baz")', "/foo/bar/baz"),
    ('(builtins.tryEval (lib.path.append /foo "../bar")).success', False),
    ("lib.path.hasPrefix /foo /foo/bar", True),
    ("lib.path.hasPrefix /foo /foobar", False),
    ("lib.path.removePrefix /foo /foo/bar/baz", "./bar/baz"),
    ("lib.path.removePrefix /foo /foo", "./."),
    ("(lib.path.splitRoot /foo/bar).subpath", "./foo/bar"),
    ('lib.path.subpath.isValid "./foo"', True),
    ('lib.path.subpath.isValid "/foo"', False),
    ('lib.path.subpath.join [ "foo" "./bar/baz" ]', "./foo/bar/baz"),
    ('lib.path.subpath.normalise "foo//bar/."', "./foo/bar"),
    ('lib.path.subpath.components "./foo//bar"', ["foo", "bar"]),
]

SYSTEMS_AND_NETWORK: Cases = [
    ('(lib.systems.elaborate "x86_64-linux").isx86_64', True),
    ('(lib.systems.elaborate { system = "aarch64-linux"; }).parsed.cpu.name', "aarch64"),
    ("lib.platforms.linux", ["aarch64-linux", "x86_64-linux"]),
    ('(lib.network.ipv6.fromString "2001:DB8::ffff/64").addressCidr', "2001:db8:0:0:0:0:0:ffff/64"),
    ('lib.network.ipv6.mkEUI64Suffix "66:75:63:6B:20:75"', "6475:63ff:fe6b:2075"),
    ("(lib.kernel.option lib.kernel.yes).optional", True),
]

DEBUG: Cases = [
    (
        "lib.runTests { testOk = { expr = 1; expected = 1; }; testBad = { expr = 1; expected = 2; }; }",
        [{"name": "testBad", "expected": 2, "result": 1}],
    ),
    ('lib.traceIf false "x" 1', 1),
]

ALL: dict[str, Cases] = {
    "trivial": TRIVIAL,
    "fixed-points": FIXED_POINTS,
    "lists": LISTS,
    "attrsets": ATTRSETS,
    "strings": STRINGS,
    "versions": VERSIONS,
    "strings-with-deps": TEXT_DEPENDENCIES,
    "asserts": ASSERTS,
    "customisation": CUSTOMISATION,
    "meta": META,
    "generators": GENERATORS,
    "cli": COMMAND_LINES,
    "path": PATHS,
    "systems": SYSTEMS_AND_NETWORK,
    "debug": DEBUG,
}

CASES = [(area, text, value) for area, cases in ALL.items() for text, value in cases]


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return evaluator_with_modules()


@pytest.mark.parametrize(
    ("text", "value"), [case[1:] for case in CASES], ids=[f"{case[0]}: {case[1]}" for case in CASES]
)
def test_expression(evaluator: Evaluator, text: str, value: Any) -> None:
    source = f"let lib = import {LIB}; in {text}"
    assert with_big_stack(lambda: deep_force(evaluator.eval_string(source, name="/test.nix"))) == value


@pytest.mark.skipif(shutil.which("nix-instantiate") is None, reason="real Nix is not installed")
@pytest.mark.parametrize("area", ALL)
def test_real_nix_agrees(area: str) -> None:
    source = f"let lib = import {LIB}; in [ {' '.join(f'({text})' for text, _ in ALL[area])} ]"
    done = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "-E", source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [value for _, value in ALL[area]]


def test_lib_has_the_names_that_configurations_use(evaluator: Evaluator) -> None:
    names = with_big_stack(
        lambda: deep_force(evaluator.eval_string(f"builtins.attrNames (import {LIB})", name="/test.nix"))
    )
    assert len(names) >= 450
    assert set(WANTED.split()) <= set(names)


def test_every_name_of_lib_has_a_value(evaluator: Evaluator) -> None:
    source = f"let lib = import {LIB}; in map (name: builtins.typeOf lib.${{name}}) (builtins.attrNames lib)"
    assert with_big_stack(lambda: deep_force(evaluator.eval_string(source, name="/test.nix")))


WANTED = """
add addContextFrom all any asserts attrByPath attrNames attrValues attrVals attrsToList bitAnd
boolToString cartesianProduct catAttrs cleanSource cleanSourceWith cli collect compare compareVersions composeExtensions
composeManyExtensions concat concatLines concatLists concatMap concatMapAttrs concatMapStrings concatMapStringsSep
concatStrings concatStringsSep const converge count crossLists deepSeq defaultTo drop elem elemAt escape escapeNixString
escapeRegex escapeShellArg escapeShellArgs escapeXML evalModules extends fileContents filter filterAttrs
filterAttrsRecursive findFirst findSingle fix flatten flip foldAttrs foldl foldl' foldlAttrs foldr forEach functionArgs
genAttrs generators genList getAttr getAttrFromPath getAttrs getBin getDev getExe getExe' getFiles getLib getName
getOutput getValues getVersion groupBy groupBy' hasAttr hasAttrByPath hasInfix hasPrefix hasSuffix head hiPrio id imap0
imap1 importApply importJSON importTOML info init intersectLists intersperse isAttrs isBool isDerivation isFunction
isInt isList isOption isPath isStorePath isString isType last length licenses lists listToAttrs literalExpression
literalMD lowPrio maintainers makeBinPath makeExtensible makeLibraryPath makeOverridable makeScope makeSearchPath
mapAttrs mapAttrs' mapAttrsRecursive mapAttrsRecursiveCond mapAttrsToList mapNullable matchAttrs max mdDoc mergeAttrs
meta min mkAfter mkAliasDefinitions mkAliasOptionModule mkBefore mkChangedOptionModule mkDefault mkDerivedConfig
mkEnableOption mkForce mkIf mkImageMediaOverride mkMerge mkMergedOptionModule mkOption mkOptionDefault mkOptionType
mkOrder mkOverride mkPackageOption mkRemovedOptionModule mkRenamedOptionModule mkVMOverride mod modules naturalSort
nameValuePair optional optionalAttrs optionalString optionals options or overrideDerivation partition path
pathExists pipe platforms range readFile recursiveUpdate recurseIntoAttrs remove removeAttrs removePrefix removeSuffix
replaceStrings reverseList seq setAttrByPath setFunctionArgs showOption singleton sort sortOn sources splitString
splitVersion stringAfter stringLength stringToCharacters strings sublist substring subtractLists systems tail take
throwIf throwIfNot toHexString toInt toList toLower toUpper toposort traceVal traceValSeq trim trivial types unique
updateManyAttrsByPath versionAtLeast versionOlder versions warn warnIf warnIfNot withFeature xor zipAttrs zipAttrsWith
zipLists zipListsWith
"""
