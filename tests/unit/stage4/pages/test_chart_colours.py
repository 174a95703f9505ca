"""The colours of the charts are told apart, by colour-blind people too, and seen on the ground."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import stage4.pages
from clustering_tasks.arrays import F64

CSS = (Path(stage4.pages.__file__).parent / "static" / "stage4.css").read_text()
MIN_DIFFERENCE = 25  # CIE76; 2.3 is just noticed
MIN_CONTRAST = 3  # WCAG 2.2, 1.4.11, for what is drawn
# Machado, Oliveira and Fernandes, 2009: what the eye lacks, severity 1, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def palette(scheme: str) -> tuple[str, list[str]]:
    """The ground and the colours of the series, light or dark."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    block = light if scheme == "light" else dark
    (ground,) = re.findall(r"--ground: (#\w{6})", block)
    return ground, re.findall(r"--s\d: (#\w{6})", block)


def linear(colour: str) -> F64:
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: F64) -> F64:
    scaled = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_series_are_told_apart(scheme: str, sight: str) -> None:
    _, colours = palette(scheme)
    assert len(colours) == 3
    seen = [lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in colours]
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(one - other) >= MIN_DIFFERENCE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_series_are_seen_on_the_ground(scheme: str) -> None:
    ground, colours = palette(scheme)
    for colour in colours:
        dim, bright = sorted(float(XYZ[1] @ linear(each)) for each in (ground, colour))
        assert (bright + 0.05) / (dim + 0.05) >= MIN_CONTRAST
