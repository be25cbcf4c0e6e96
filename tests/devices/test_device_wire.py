"""Messages between the processes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.devices._wire import receive, send

VALUES = st.none() | st.integers() | st.text() | st.lists(st.floats(-1e9, 1e9), max_size=4)
HEADERS = st.dictionaries(st.text(), VALUES, max_size=4)


@given(st.lists(st.tuples(HEADERS, st.lists(st.binary(max_size=100), max_size=3)), max_size=4))
def test_messages_arrive_as_they_were_sent(messages):
    stream = io.BytesIO()
    for header, parts in messages:
        send(stream, header, *parts)
    stream.seek(0)
    for header, parts in messages:
        assert receive(stream) == (header, parts)
    with pytest.raises(EOFError):
        receive(stream)


@given(st.integers(min_value=0))
def test_a_message_cut_off_is_an_end_of_file(length):
    stream = io.BytesIO()
    send(stream, {"a": 1}, b"twelve bytes")
    data = stream.getvalue()
    with pytest.raises(EOFError):
        receive(io.BytesIO(data[: length % len(data)]))
