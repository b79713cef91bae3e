"""A fixed piece of plain Python, so many times: a yardstick for the interpreter itself.

It is of the kind that a send is made of: generators, small objects, dictionaries, JSON. It imports
nothing of Qasid and must never change, as the stored ratios are to it.

    python -m benchmarks.reference COUNT
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager


class Letter:
    __slots__ = ("headers", "number", "text")

    def __init__(self, *, number: str, text: str, headers: dict[str, str]) -> None:
        self.number = number
        self.text = text
        self.headers = headers


@contextmanager
def opened(log: list[str]) -> Iterator[None]:
    log.append("opened")
    try:
        yield
    finally:
        log.clear()


def flow(number: int) -> Generator[Letter, str, int]:
    headers = {f"X-{place}": str(place) for place in range(5)}
    answer = yield Letter(number=str(number), text="Your code is 123456", headers=headers)
    return len(json.loads(answer)["to"])


def performed(number: int, log: list[str]) -> int:
    running = flow(number)
    with opened(log):
        letter = next(running)
        body = json.dumps({"to": letter.number, "text": letter.text, "headers": letter.headers})
        try:
            running.send(body)
        except StopIteration as stop:
            found: int = stop.value
    return found


def main() -> None:
    log: list[str] = []
    gc.freeze()  # as in `hotpath`
    for number in range(int(sys.argv[1])):
        performed(number, log)


if __name__ == "__main__":
    main()
