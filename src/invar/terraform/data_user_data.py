"""`data "invar_user_data"`: user data that EC2 and an instance would take, known before a launch."""

from __future__ import annotations

import base64
import binascii
import hashlib

from invar.core.errors import InvarError
from invar.system.user_data import check_size
from invar.terraform.diagnostics import Diagnostic, Refused, of_error
from invar.terraform.resource import Change, Context, Values
from invar.terraform.schema import NUMBER, STRING, STRINGS, Attribute, Schema
from invar.terraform.work import Job, run

WAYS = ("content", "content_base64")

SCHEMA = Schema(
    "Checks user data: its size, its form, its signature, and what it evaluates to beside an image's configuration.",
    (
        Attribute("content", STRING, 'User data as text: `file("role.nix")`.', optional=True),
        Attribute("content_base64", STRING, "Or as bytes, signed or compressed ones: `filebase64`.", optional=True),
        Attribute("image", STRING, "The image's configuration, to evaluate user data beside it.", optional=True),
        Attribute("trusted_keys", STRINGS, "Public keys; the user data must be signed with one.", optional=True),
        Attribute("id", STRING, "SHA-256 of the bytes.", computed=True),
        Attribute("base64", STRING, "The bytes, for `user_data_base64`.", computed=True),
        Attribute("kind", STRING, "`configuration`, `parameters`, `generation`, `script` or `nothing`.", computed=True),
        Attribute("bytes", NUMBER, "How many of EC2's 16,384.", computed=True),
        Attribute("signed_by", STRING, "The id of the key that signed it, null without a signature.", computed=True),
        Attribute("spec_digest", STRING, "What it evaluates to; null without `image`, or a form.", computed=True),
    ),
)


class UserData:
    """Size and base64 are checked at `validate`, the rest at plan."""

    schema = SCHEMA

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        """One of the ways must be given, and EC2 must take it."""
        given = [way for way in WAYS if config[way] is not None]
        if len(given) != 1:
            what = "User data is given twice" if given else "No user data"
            return (Diagnostic(what, "Give content or content_base64.", (given[0],) if given else ()),)
        [way] = given
        if not isinstance(config[way], str):
            return ()
        try:
            _bytes(config)
        except InvarError as error:
            return (of_error(error, (way,)),)
        return ()

    def read(self, context: Context, config: Values) -> Change:
        """Check. Raises Refused."""
        way = next(each for each in WAYS if config[each] is not None)
        try:
            data = _bytes(config)
        except InvarError as error:
            raise Refused(of_error(error, (way,))) from error
        encoded = base64.b64encode(data).decode()
        arguments = {"encoded": encoded, "image": config["image"], "trusted_keys": config["trusted_keys"] or []}
        checked = run(context, Job("check_user_data", arguments, "user data", (way,))).result
        return Change({**config, **checked, "id": hashlib.sha256(data).hexdigest(), "base64": encoded})


def _bytes(config: Values) -> bytes:
    """What the instance would get. Raises InvarError."""
    if config["content"] is not None:
        data = str(config["content"]).encode()
    else:
        try:
            data = base64.b64decode(config["content_base64"], validate=True)
        except binascii.Error as error:
            raise InvarError("this is no base64", why=str(error), hint="use filebase64(...)") from error
    check_size(data)
    return data
