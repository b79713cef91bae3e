"""The provider and its emulator against what the provider's document shows.

The samples of the document are data: JSON files in the package ``<provider's package>.examples``,
shipped in the wheel. Each file is a list of exchanges:

============== =====================================================================================
``name``       unique among all of the provider's examples
``hook``       the hook that it belongs to
``documented`` true; ``"partial"``: its pieces are, their combination is not; false: we think so
``source``     the document's title and date, in words
``request``    ``method``, ``path`` (below `base_url`, from its first slash on), ``headers``,
               ``query``, and at most one of ``body`` (JSON), ``form`` and ``multipart``
``response``   ``status`` (null: not told), ``headers``, and ``body`` (JSON; null: not told), or
               ``raw`` (the text as printed), ``normalised`` (what a server most likely sends) and
               ``must_survive``; null for a webhook, whose request the provider is sent
``outcome``    ``"ok"``, or the class of `qasid.errors` that it means
``given``      what is done before: a list of ``[back door, arguments]``; see below
``call``       the arguments to call the hook with; null: no hook makes such a request
``note``       for people
============== =====================================================================================

Before its request the emulator is new, and the virtual clock shows 2024-08-01 12:00 UTC. The back
doors of ``given`` are ``fund`` (amount, currency), ``stock`` (service, country, count), ``deliver``
(activation_id, text, sender), ``advance`` (seconds) and ``exchange`` (name, times): ask what that
other example asks. A text of ``given``, ``request`` or ``call`` may hold ``${name.member.0}``: a
value in the reply to an exchange that was asked so.

``call`` is ``{}``, or for `offers` service, country; for `acquire_number` services, country and
more of `NumberOrder`; for `fetch_sms` activation_id, or limit, offset; for `release` activation_id,
reason; for `send` messages (to, and text or template, values, …); for `cancel_scheduled` batch_id;
for `otp` to, code, length,
lifetime (seconds), channel; for `verify_otp` to, code; for `delivery_status` ids. An activation may
have number, service, country and extra as well.

Where the document's sample is no valid JSON, ``must_survive`` says which of the two the provider
reads: ``"normalised"``, ``"raw"`` or ``"both"``. The other one must be an error of the tree. A
``raw`` without ``normalised`` is an answer that is meant to be no JSON. An error whose status is
not told must be understood with status 200 and with 400; where that is too much, the example names
a likely status and is ``"partial"``.

`examples.schema.json`, beside `qasid_contract`'s modules, says the same as a JSON Schema.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from qasid import errors, values
from qasid.effects import Flow, Request, Response
from qasid_contract.case import Case
from qasid_contract.exchanges import Example, Replay, examples_of
from qasid_contract.rulebook import rule

_HOW: Final = (
    "there are no examples: put the document's samples into JSON files in the folder `examples` of "
    "the provider's package; the docstring of qasid_contract.rules.wire tells how"
)

#: A flow of more requests than this is no call of an API.
_MOST: Final = 100


@rule("WIRE-1")
def the_emulator_answers_as_documented(case: Case) -> None:
    """Every documented request gets the documented status, headers and shape from the emulator.

    Troubleshooting: the shape is the names of the members and the JSON types of their values;
    lists are told by their first item. Where the emulator knows better than the document, say so
    in the example, with `"documented": "partial"` and a note. No examples? See the docstring of
    `qasid_contract.rules.wire`.
    """
    examples = _by_name(case)
    assert examples, _HOW
    for example in examples.values():
        if example.response is not None:
            replay = Replay(Case(case.contract), examples)
            replay.prepare(example)
            _compare(example, replay.ask(example))


def _by_name(case: Case) -> dict[str, Example]:
    examples = examples_of(case.contract)
    found = {example.name: example for example in examples}
    assert len(found) == len(examples), "two examples have the same name"
    return found


def _compare(example: Example, reply: Response) -> None:
    said = example.response or {}
    if said["status"] is not None:
        assert reply.status == said["status"], example.name
    lacking = [name for name in said.get("headers", {}) if reply.header(name) is None]
    assert not lacking, f"{example.name}: no header {', '.join(lacking)}"
    if example.body is not None:
        assert _shape(json.loads(reply.body)) == _shape(example.body), example.name


def _shape(value: object) -> object:
    """The names of members and the JSON types of values; of lists, the first item's."""
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value[:1]]
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "text" if isinstance(value, str) else "number"


@rule("WIRE-2")
def the_provider_reads_what_is_documented(case: Case) -> None:
    """Every documented answer, given to the provider for that call, has the documented outcome.

    Troubleshooting: the answer is the document's and not the emulator's, so it may hold what the
    emulator never says. If the request is not made at all, compare method and path, and the
    example's `call`.
    """
    examples = _by_name(case)
    for example in examples.values():
        if example.call is not None and example.hook in case.implemented:
            for reply, expected in _replies(example):
                got = _outcome(Replay(Case(case.contract), examples), example, reply)
                assert issubclass(got, expected), f"{example.name}: {got.__name__}"


class ok:
    """Stands for no error."""


def _replies(example: Example) -> Iterator[tuple[Response, type]]:
    """Each form of the documented answer, and what it must come to."""
    expected = ok if example.outcome == "ok" else getattr(errors, example.outcome)
    said = example.response or {"status": 200}
    untold = (200,) if expected is ok else (200, 400)
    for status in untold if said["status"] is None else (said["status"],):
        for body, survives in _bodies(said):
            headers = {"Content-Type": "application/json", **said.get("headers", {})}
            reply = Response(status=status, headers=headers, body=body)
            yield reply, expected if survives else errors.QasidError


def _bodies(said: Mapping[str, Any]) -> list[tuple[bytes, bool]]:
    """The body as printed and as mended, and whether the provider must read it."""
    if "raw" not in said:
        body = said.get("body")
        return [(b"" if body is None else _json(body), True)]
    raw, survive = said["raw"].encode(), said.get("must_survive", "raw")
    mended = [_json(said["normalised"])] if "normalised" in said else []
    return [
        (raw, survive in {"raw", "both"}),
        *((body, survive in {"normalised", "both"}) for body in mended),
    ]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _outcome(replay: Replay, example: Example, reply: Response) -> type:
    """The class of the error that the provider makes of an answer, or `ok`."""
    replay.prepare(example)
    try:
        result = _called(replay, example, reply)
    except AssertionError:
        raise
    except Exception as error:  # a foreign one is what the rule is looking for
        return type(error)
    return next((type(item.error) for item in _receipts(result) if item.error), ok)


def _receipts(result: object) -> list[values.Receipt]:
    items = result if isinstance(result, Sequence) else ()
    return [item for item in items if isinstance(item, values.Receipt)]


def _called(replay: Replay, example: Example, reply: Response) -> Any:
    case = replay.case
    provider = case.provider(**case.settings())
    method = getattr(provider, example.hook)
    if example.hook == "parse_webhook":
        return method(request=replay.request(example).encode())
    named = inspect.signature(method).parameters
    given = replay.arguments(example)
    if "credential" in named:
        given["credential"] = _credential(case, example.hook)
    return _answered(method(**{name: given[name] for name in named}), replay, example, reply)


def _credential(case: Case, hook: str) -> values.Credential | None:
    fresh = hook == "authenticate" or "authenticate" not in case.implemented
    return None if fresh else case.account().authenticate()


def _answered(flow: Flow[Any], replay: Replay, example: Example, reply: Response) -> Any:
    """Run a flow with the documented answer to the documented request; the rest is emulated."""
    wanted, asked = replay.request(example), False
    given: Response | None = None
    for _ in range(_MOST):
        try:
            request = flow.send(given)
        except StopIteration as stop:
            assert asked, f"{example.name}: the hook never asks {wanted.method} {wanted.path}"
            return stop.value
        assert isinstance(request, Request), "a flow of a provider yields requests only"
        match = (request.method, request.path) == (wanted.method, wanted.path)
        asked = asked or match
        given = reply if match else replay.case.emulator.handle(request.encode())
        given = attrs.evolve(given, received_at=replay.case.clock.now())
    raise AssertionError(f"a flow of more than {_MOST} requests")
