"""Profiles and colours."""

from math import log10

import numpy as np
import pytest
from deeplense_lenses.light import WAVELENGTHS, Sersic, colours, magnitude_flux
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad


@given(radius=st.floats(0.1, 2.0), index=st.floats(0.5, 5.0), e=st.floats(0.0, 0.4))
def test_the_flux_is_the_integral_of_the_brightness(radius, index, e):
    profile = Sersic(radius=radius, index=index, ellipticity=(e, 0.0), brightness=2.0)

    def ring(t):  # r = radius t^n: smooth at the centre for every n
        return 2 * np.pi * radius**2 * index * t ** (2 * index - 1) * 2.0 * np.exp(-profile.b * (t - 1))

    assert profile.flux == pytest.approx(quad(ring, 0, np.inf)[0], rel=1e-6)
    assert profile.of_flux(3.0).flux == pytest.approx(3.0)


def test_the_centre_is_brightest():
    profile = Sersic(radius=0.25, index=1.0, ellipticity=(0.0, 0.0), brightness=20.0)
    assert profile.central_brightness == pytest.approx(20 * np.exp(1.6721))


def test_a_zero_point_is_one_count_per_second():
    assert magnitude_flux(24.0, 24.0) == 1.0
    assert magnitude_flux(19.0, 24.0) == pytest.approx(100.0)


def test_colours():
    assert colours(3.0, ["grey"]) == [1.0]
    assert colours(0.0, ["g", "r", "i"]) == [1.0, 1.0, 1.0]
    g, r, i = colours(2.0, ["g", "r", "i"])
    assert r == 1.0
    assert 2.5 * log10(r / g) == pytest.approx(5 * log10(620 / 480))  # g - r in magnitudes
    assert g < r < i
    assert list(WAVELENGTHS) == ["grey", "u", "g", "r", "i", "z", "y"]
