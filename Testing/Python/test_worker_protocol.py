"""Messages survive the line; anything else is refused with one kind of error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.worker import protocol
from VoxelOptRegistrationLib.worker.arrays import ELEMENT_TYPES, ArrayDescriptor, ImageDescriptor
from VoxelOptRegistrationLib.worker.protocol import PROTOCOL, Message, ProtocolError, decode, encode

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
whole = st.integers(0, 2**53)
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | whole | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, plain_json, max_size=4)
descriptors = st.builds(
    ImageDescriptor,
    st.builds(
        ArrayDescriptor,
        st.sampled_from(["fixed", "preview-1", "warped"]),
        st.lists(st.integers(1, 600), min_size=3, max_size=4).map(tuple),
        st.sampled_from(sorted(ELEMENT_TYPES)),
    ),
    st.lists(numbers, min_size=16, max_size=16).map(tuple),
)
images = st.dictionaries(texts, descriptors, max_size=3)
matrices = st.none() | st.lists(numbers, min_size=16, max_size=16)
point_lists = st.none() | st.lists(st.lists(numbers, min_size=3, max_size=3), max_size=4)
messages = st.one_of(
    st.builds(protocol.Hello, texts, texts, whole, whole),
    st.builds(protocol.ProgressMessage, whole, texts, numbers, texts),
    st.builds(protocol.Preview, whole, images),
    st.builds(protocol.Result, whole, images, objects),
    st.builds(protocol.Failure, whole, texts, texts, texts, texts),
    st.builds(protocol.DeviceList, st.lists(objects, max_size=3), texts, texts),
    st.builds(protocol.Log, texts),
    st.builds(
        protocol.Register,
        whole,
        texts,
        images,
        objects,
        matrices,
        st.booleans(),
        texts,
        texts,
        point_lists,
        point_lists,
    ),
    st.builds(protocol.Cancel, whole),
    st.builds(protocol.Warm),
    st.builds(protocol.AskDevices),
    st.builds(protocol.Shutdown),
)


@given(messages)
def test_a_message_survives_the_line(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and line.isascii()
    assert decode(line) == message


@given(messages)
def test_a_message_is_plain_json_with_a_type(message: Message) -> None:
    body = json.loads(encode(message))
    assert body["type"] in {"hello", "progress", "preview", "result", "error", "log", "device_list"} | {
        "devices",
        "register",
        "cancel",
        "warm",
        "shutdown",
    }


def test_hello_carries_the_version_of_the_protocol() -> None:
    assert json.loads(encode(protocol.Hello("0.1.0", "3.12.10", 7)))["protocol"] == PROTOCOL == 4


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b"[" * 100_000)
@example(b"null")
@example(b'{"type":[]}')
def test_noise_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@given(messages, st.data())
@settings(max_examples=200)
def test_a_damaged_message_is_refused_or_another_valid_message(message: Message, data: st.DataObject) -> None:
    body = json.loads(encode(message))
    key = data.draw(st.sampled_from(sorted(body)))
    if data.draw(st.booleans()):
        del body[key]
    else:
        body[key] = data.draw(plain_json)
    try:
        again = decode(json.dumps(body).encode())
    except ProtocolError:
        return
    assert decode(encode(again)) == again


@pytest.mark.parametrize(
    "body",
    [
        {"type": "cancel"},
        {"type": "cancel", "job": True},
        {"type": "cancel", "job": 1.5},
        {"type": "cancel", "job": 1, "more": 2},
        {"type": "progress", "job": 1, "stage": "a", "fraction": "0.5", "text": ""},
        {"type": "progress", "job": 1, "stage": "a", "fraction": float("nan"), "text": ""},
        {"type": "register", "job": 1, "folder": "f", "images": [], "settings": {}},
        {"type": "register", "job": 1, "folder": "f", "images": {}, "matrix": [1.0]},
        {"type": "register", "job": 1, "folder": "f", "images": {}, "fixed_landmarks": [[1.0, 2.0]]},
        {"type": "register", "job": 1, "folder": "f", "images": {}, "moving_landmarks": [1.0, 2.0, 3.0]},
        {"type": "register", "job": 1, "folder": "f", "images": {}, "settings": "x"},
    ],
)
def test_wrong_fields_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("file", "../secret"),
        ("file", "/etc/passwd"),
        ("file", "a\\b"),
        ("file", ""),
        ("file", ".."),
        ("dtype", "object"),
        ("dtype", "float16"),
        ("shape", []),
        ("shape", [0, 1, 1]),
        ("shape", [-1, 2, 2]),
        ("shape", [1, 2, 3, 4, 5]),
        ("shape", "12"),
        ("shape", None),
    ],
)
def test_array_outside_the_folder_or_of_no_plain_type_is_refused(change: str, value: object) -> None:
    array = {"file": "fixed", "shape": [2, 3, 4], "dtype": "int16"}
    image = {"array": array, "index_to_world": [1.0] * 16}
    body = {"type": "preview", "job": 1, "images": {"displacement": image}}
    assert isinstance(decode(json.dumps(body).encode()), protocol.Preview)
    array[change] = value
    with pytest.raises(ProtocolError):
        decode(json.dumps(body).encode())
