"""How SMSAfzar says no: by status, then by code, then by the fields that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from qasid import errors
from qasid.effects import Response
from qasid_smsafzar.parcels import TEMPLATE
from qasid_smsafzar.tables import DENIALS, FIELDS, OF_RECIPIENT, OF_TEMPLATE

__all__ = ["by_field", "told", "words"]


def told(response: Response) -> tuple[str | None, list[str]]:
    """The code of an error and the known fields that it names. It need not have a body."""
    try:
        body = response.json()
    except errors.ProtocolError:
        return None, []
    code = body.get("errorCode") if isinstance(body, Mapping) else None
    return str(code) if type(code) is int else None, [*dict.fromkeys(_fields(body))]


def _fields(body: object) -> Iterator[str]:
    """Names of fields come as ``UserName``, ``count``, and who knows how else."""
    listed = body.get("validationErrors") if isinstance(body, Mapping) else None
    for item in listed if isinstance(listed, list) else []:
        name = item.get("field") if isinstance(item, Mapping) else None
        found = re.findall("[a-z]+", name.lower()) if isinstance(name, str) else []
        yield from (word for word in found if word in FIELDS)


def by_field(path: str, fields: set[str]) -> type[errors.ProviderError]:
    """What a 400 of no better known code means."""
    if path == TEMPLATE and fields & OF_TEMPLATE:
        return errors.TemplateRejected
    return errors.InvalidRecipient if fields & OF_RECIPIENT else errors.InvalidRequest


def words(status: int, code: str | None, fields: Sequence[str]) -> str:
    """What an error says: never the provider's own text, which may repeat ours."""
    said = f"SMSAfzar answered {status}" + (f" ({code})" if code else "")
    if status == 403 and code in DENIALS:
        return f"{said}: {DENIALS[code]}"
    if status >= 500 and code:
        return f"{said}; its support can look that number up"
    named = ", ".join(dict.fromkeys(FIELDS[field] for field in fields))
    return f"{said}: it does not take {named}" if named else said
