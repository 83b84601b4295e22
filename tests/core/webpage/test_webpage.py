"""What all pages share: pictures, and the policy that limits what a page may load."""

from __future__ import annotations

import base64
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from vtune.webpage import html_document
from vtune.webpage.picture import encode_png, png_data_url

ReadPng = Callable[[bytes], tuple[np.ndarray, np.ndarray]]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_picture_comes_back_as_it_was(read_png: ReadPng, rows: int, columns: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 256, (rows, columns), dtype=np.uint8)
    palette = draw.integers(0, 256, (256, 3), dtype=np.uint8)
    again, colours = read_png(encode_png(pixels, palette))
    assert np.array_equal(again, pixels)
    assert np.array_equal(colours, palette)


def test_an_address_holds_the_whole_file() -> None:
    file = encode_png(np.zeros((2, 3), np.uint8), np.zeros((1, 3), np.uint8))
    kind, _, data = png_data_url(file).partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == file


def test_a_page_may_show_what_it_holds_and_ask_nobody() -> None:
    policy = html_document("t", "", "", "").partition('Content-Security-Policy" content="')[2].partition('"')[0]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "http" not in policy
