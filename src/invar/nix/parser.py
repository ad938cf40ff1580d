"""Tokens to a syntax tree: one method a production, in the order of the grammar, loosest binding first."""

from __future__ import annotations

from collections.abc import Callable

from invar.nix.ast import (
    Assert,
    AttrSet,
    Binary,
    Call,
    CurrentPosition,
    Formal,
    Function,
    HasAttr,
    If,
    ListLiteral,
    Name,
    Negate,
    Node,
    Not,
    Select,
    String,
    Var,
    With,
)
from invar.nix.attrsets import Members
from invar.nix.features import PIPE_OPERATORS
from invar.nix.lexer import Source, Token
from invar.nix.parse_literals import LiteralParser

# binding power, associativity; unary `!` sits between `//` and `+`
OPERATORS: dict[str, tuple[int, str]] = {
    "|>": (1, "left"),
    "<|": (1, "right"),
    "->": (2, "right"),
    "||": (3, "left"),
    "&&": (4, "left"),
    "==": (5, "none"),
    "!=": (5, "none"),
    "<": (6, "none"),
    "<=": (6, "none"),
    ">": (6, "none"),
    ">=": (6, "none"),
    "//": (7, "right"),
    "+": (9, "left"),
    "-": (9, "left"),
    "*": (10, "left"),
    "/": (10, "left"),
    "++": (11, "right"),
}
NOT_POWER = 8
HAS_ATTR_POWER = 12
NEGATE_POWER = 13

SIMPLE_STARTS = frozenset(
    {"id", "int", "float", "path", "hpath", "path-start", "spath", "uri", "string-start", "indented-start"}
    | {"(", "[", "{", "rec", "let"}
)


def parse(source: Source, *, features: frozenset[str] = frozenset()) -> Node:
    """The expression that `source` is; `features` are experimental ones switched on. Raises NixSyntaxError."""
    return Parser(source, features).file()


class Parser(LiteralParser):
    """Recursive descent over the token list."""

    def file(self) -> Node:
        """A whole source."""
        node = self.expression()
        if self.token.kind != "end":
            raise self.unexpected()
        return node

    def expression(self) -> Node:
        """`x: ...`, `{ ... }: ...`, `assert`, `with`, `let ... in`, `if`, or an operation."""
        kind = self.token.kind
        if kind == "id":
            following = self.tokens[self.index + 1].kind
            if following == ":" or following == "@":
                return self.function()
        elif kind == "{" and self.starts_formals():
            return self.function()
        elif kind in _KEYWORD_EXPRESSIONS and (kind != "let" or self.tokens[self.index + 1].kind != "{"):
            return _KEYWORD_EXPRESSIONS[kind](self)
        return self.operation(0)

    def function(self) -> Node:
        """`name: body`, `{ formals }: body`, with `name @` before or `@ name` behind the formals."""
        at = self.token.at
        argument: str | None = None
        formals: list[Formal] | None = None
        ellipsis = False
        if self.token.kind == "id":
            argument = self.take("id").value
            if self.token.kind == "@":
                self.advance()
                formals, ellipsis = self.formals()
        else:
            formals, ellipsis = self.formals()
            if self.token.kind == "@":
                self.advance()
                argument_at = self.token.at
                argument = self.take("id").value
                if any(formal.name == argument for formal in formals):
                    raise self.fail(f"duplicate formal function argument '{argument}'", argument_at)
        if formals is not None and argument is not None and any(formal.name == argument for formal in formals):
            raise self.fail(f"duplicate formal function argument '{argument}'", at)
        self.take(":")
        return Function(at, argument, formals, ellipsis, self.expression())

    def formals(self) -> tuple[list[Formal], bool]:
        """`{ a, b ? default, ... }`."""
        self.take("{")
        formals: list[Formal] = []
        seen: set[str] = set()
        while self.token.kind != "}":
            if self.token.kind == "...":
                self.advance()
                self.take("}", "'}'")
                return formals, True
            token = self.take("id", "ID or '...'")
            if token.value in seen:
                raise self.fail(f"duplicate formal function argument '{token.value}'", token.at)
            seen.add(token.value)
            default: Node | None = None
            if self.token.kind == "?":
                self.advance()
                default = self.expression()
            formals.append(Formal(token.at, token.value, default))
            if self.token.kind != ",":
                break
            self.advance()
        self.take("}", "',' or '}'")
        return formals, False

    def starts_formals(self) -> bool:
        """Whether the `{` here opens the formals of a function, not a set."""
        kinds = [token.kind for token in self.tokens[self.index + 1 : self.index + 3]]
        if kinds[0] == "...":
            return True
        if kinds[0] == "}":
            return kinds[1] in (":", "@")
        if kinds[0] != "id":
            return False
        if kinds[1] == "}":
            return True
        return kinds[1] in (",", "?")

    def assertion(self) -> Node:
        """`assert condition; body`."""
        at = self.advance().at
        condition = self.expression()
        self.take(";")
        return Assert(at, condition, self.expression())

    def with_scope(self) -> Node:
        """`with subject; body`."""
        at = self.advance().at
        subject = self.expression()
        self.take(";")
        return With(at, subject, self.expression())

    def let_in(self) -> Node:
        """`let bindings in body`."""
        at = self.advance().at
        members = Members(self, at)
        while self.token.kind != "in":
            members.parse_one()
        self.take("in")
        return members.let(self.expression())

    def conditional(self) -> Node:
        """`if condition then yes else no`."""
        at = self.advance().at
        condition = self.expression()
        self.take("then")
        yes = self.expression()
        self.take("else")
        return If(at, condition, yes, self.expression())

    def operation(self, power: int) -> Node:
        """Operators that bind at least as tightly as `power`, by precedence climbing."""
        token = self.token
        if token.kind == "!":
            self.advance()
            left: Node = Not(token.at, self.operation(NOT_POWER))
        elif token.kind == "-":
            self.advance()
            left = Negate(token.at, self.operation(NEGATE_POWER))
        else:
            left = self.application()
        while True:
            token = self.token
            if token.kind == "?":
                if power > HAS_ATTR_POWER:
                    return left
                self.advance()
                left = HasAttr(token.at, left, self.attribute_path())
                continue
            found = OPERATORS.get(token.kind)
            if found is None or found[0] < power:
                return left
            left = self.binary(left, token, *found)

    def binary(self, left: Node, token: Token, power: int, side: str) -> Node:
        """The right-hand side of one operator."""
        if power == 1 and PIPE_OPERATORS not in self.features:
            raise self.disabled("the pipe operators '|>' and '<|' are", PIPE_OPERATORS, token.at)
        self.advance()
        right = self.operation(power if side == "right" else power + 1)
        if side == "none":
            following = OPERATORS.get(self.token.kind)
            if following is not None and following[0] == power:
                raise self.unexpected()
        if token.kind == "|>":
            return Call(token.at, right, [left])
        if token.kind == "<|":
            return Call(token.at, left, [right])
        return Binary(token.at, token.kind, left, right)

    def application(self) -> Node:
        """`function argument argument`."""
        at = self.token.at
        function = self.selection()
        if self.token.kind not in SIMPLE_STARTS:
            return function
        arguments: list[Node] = []
        while self.token.kind in SIMPLE_STARTS:
            arguments.append(self.selection())
        return Call(at, function, arguments)

    def selection(self) -> Node:
        """`simple.path or default`; also the old `function or`, where `or` is a variable."""
        at = self.token.at
        subject = self.simple()
        if self.token.kind == ".":
            self.advance()
            path = self.attribute_path()
            default: Node | None = None
            if self.token.kind == "or":
                self.advance()
                default = self.selection()
            return Select(at, subject, path, default)
        if self.token.kind == "or":
            token = self.advance()
            return Call(at, subject, [Var(token.at, "or")])
        return subject

    def attribute_path(self) -> list[Name]:
        """`a.b.${c}."d"`."""
        path = [self.attribute_name()]
        while self.token.kind == ".":
            self.advance()
            path.append(self.attribute_name())
        return path

    def attribute_name(self) -> Name:
        """A static name, or an expression for a dynamic one."""
        token = self.token
        if token.kind == "id" or token.kind == "or":
            self.advance()
            return token.value
        if token.kind == "string-start":
            string = self.string()
            if not string.parts:
                return ""
            if len(string.parts) == 1 and isinstance(string.parts[0], str):
                return string.parts[0]
            return string
        if token.kind == "${":
            self.advance()
            name = self.expression()
            self.take("}")
            if isinstance(name, String) and all(isinstance(part, str) for part in name.parts):
                return "".join(map(str, name.parts))
            return name
        raise self.unexpected("ID or '${' or '\"'")

    def simple(self) -> Node:
        """What needs no parentheses around it."""
        token = self.token
        method = _SIMPLE.get(token.kind)
        if method is None:
            raise self.unexpected()
        return method(self)

    def variable(self) -> Node:
        """A name."""
        token = self.advance()
        if token.value == "__curPos":
            return CurrentPosition(token.at)
        return Var(token.at, token.value)

    def parenthesis(self) -> Node:
        """`( expression )`."""
        self.advance()
        node = self.expression()
        self.take(")")
        return node

    def list_literal(self) -> Node:
        """`[ a b ]`."""
        at = self.advance().at
        items: list[Node] = []
        while self.token.kind != "]":
            if self.token.kind not in SIMPLE_STARTS:
                raise self.unexpected("']'" if self.token.kind == "end" else None)
            items.append(self.selection())
        self.advance()
        return ListLiteral(at, items)

    def attribute_set(self) -> Node:
        """`{ ... }`, `rec { ... }`, or the old `let { ... }`, which is its `body`."""
        first = self.token
        if first.kind != "{":
            self.advance()
        self.take("{")
        members = Members(self, first.at)
        while self.token.kind != "}":
            members.parse_one()
        self.advance()
        node: AttrSet = members.attribute_set(recursive=first.kind != "{")
        if first.kind == "let":
            return Select(first.at, node, ["body"], None)
        return node


_KEYWORD_EXPRESSIONS: dict[str, Callable[[Parser], Node]] = {
    "assert": Parser.assertion,
    "with": Parser.with_scope,
    "let": Parser.let_in,
    "if": Parser.conditional,
}
_SIMPLE: dict[str, Callable[[Parser], Node]] = {
    "id": Parser.variable,
    "int": Parser.integer,
    "float": Parser.floating,
    "string-start": Parser.string,
    "indented-start": Parser.indented_string,
    "path": Parser.path,
    "hpath": Parser.path,
    "path-start": Parser.interpolated_path,
    "spath": Parser.search_path,
    "uri": Parser.uri,
    "(": Parser.parenthesis,
    "[": Parser.list_literal,
    "{": Parser.attribute_set,
    "rec": Parser.attribute_set,
    "let": Parser.attribute_set,
}
