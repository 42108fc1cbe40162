"""What was received behind a response is seen, wherever it is held."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from chartmogul_async.transport.unsolicited import has_unsolicited_data
from tests.fake_connections import Fake, Layer


def bio(pending: int) -> Layer:
    return Layer(pending=pending)


def ssl_object(pending: int) -> Layer:
    return Layer(pending=lambda: pending)


def connection_with(trailing: bytes) -> Layer:
    return Layer(_h11_state=Layer(trailing_data=(trailing, False)))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (connection_with(b""), False),
        (connection_with(b"HTTP/1.1 200 OK"), True),
        (Layer(_connection=connection_with(b"")), False),
        (Layer(_connection=Layer(_connection=connection_with(b"more"))), True),
        (Layer(_connection=None), False),
        (Layer(), False),
    ],
)
def test_data_left_in_the_parser_is_unsolicited(connection: Layer, expected: bool) -> None:
    transport: Any = Layer(_pool=Layer(connections=[connection]))
    assert has_unsolicited_data(transport, httpx.Response(200)) is expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (None, False),
        (Layer(), False),
        (Layer(_protocol=Layer(read_queue=[b"more"])), True),
        (Layer(_protocol=Layer(read_queue=[])), False),
        (Layer(_read_bio=bio(1), _ssl_object=ssl_object(0)), True),
        (Layer(_incoming=bio(1), _ssl_object=ssl_object(0)), True),
        (Layer(_read_bio=bio(0), _ssl_object=ssl_object(1)), True),
        (Layer(_read_bio=bio(0), _ssl_object=ssl_object(0)), False),
        (Layer(_stream=Layer(transport_stream=Layer(_protocol=Layer(read_queue=[b"more"])))), True),
        (Layer(_stream=Layer(transport_stream=Layer(_protocol=Layer(read_queue=[])))), False),
    ],
)
def test_data_left_in_any_layer_of_a_stream_is_unsolicited(stream: Layer | None, expected: bool) -> None:
    response = httpx.Response(200, extensions={"network_stream": stream})
    assert has_unsolicited_data(Fake(), response) is expected
