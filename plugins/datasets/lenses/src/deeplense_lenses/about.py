"""The card's words: what the images are, quirks included."""

from __future__ import annotations

from .instrument import INSTRUMENTS
from .light import GREY
from .options import LensesOptions
from .recipes import RECIPES

MODELS = {"model-1": "I", "model-2": "II", "model-3": "III"}
BOUND = ", which no noiseless pixel exceeds"
UNBOUND = {"source_size", "source_index", "source_brightness"}

PHYSICS = """\
A singular isothermal ellipsoid with external shear before a Sersic source, whose substructure is a vortex of axion
dark matter (point masses on a line), cold dark matter subhaloes (point masses), or none. Pixels are sampled at their
centres, then convolved with a Gaussian PSF.
"""
PUBLISHED = """\
Galaxy-galaxy lenses as simulated by DeepLenseSim (Model {model}), traced anew. One grey band: the published model has
a brightness but no filter. Kept as published: the Einstein radius of 1.2815 arcsec comes from luminosity distances
(angular-diameter distances would give 1.6645); subhalo masses follow dN/dm ~ m^-0.9 where m^-1.9 is described; there
are exactly 25 subhaloes, since the Poisson(25) number drawn is not used; they are uniform in radius, not in area;
ellipticity and shear never vary; vortices of 100 points are centred.
"""
VARIED = """\
Galaxy-galaxy lenses whose Einstein radius, ellipticity, shear, source and substructure all vary independently of the
class. 20 to 60 subhaloes of dN/dm ~ m^-1.9 from 1e8 to 1e10 solar masses, uniform in the area within 2 arcsec; or 1
to 3 vortices of together such a mass at such places, 50 points each.
"""
SCALED = """\
The mass of all substructure is {scale} times that.
"""
HST = """\
The published code cannot make Model III (its HST has no settings); the instrument assumed is WFC3/F160W.
"""
GAUSSIAN = """\
Flux in units of the brightness at the centre of the recipe's source (times a pixel's area){bound}. White Gaussian
noise: its rms is that of the brightest noiseless pixel of the lensed source over {snr}.
"""
TWICE = """\
Counts, with the published noise: shot noise twice, and the negative half of the background cut off.
"""
MISSING = """\
Counts per second, with the published noise, which is missing: each image is twice the noiseless model.
"""
INTENDED = """\
{unit}, with the noise that was intended: background and shot noise, once each.
"""
LIGHT = """\
The lens shines: a Sersic profile as flattened as its mass.
"""
COLOURS = """\
Colours: f_nu of source and lens light are powers of the wavelength; all bands have one PSF and one noise.
"""
PAIRS = """\
Pairs: two images of one lens, each of another source and with other noise of the same rms (LenSiam).
"""
SHIFTED = """\
The split "shifted" has sources of {size} times the radius, at the same flux, and a peak over noise of {snr}.
"""


def about(options: LensesOptions) -> str:
    """What the images of these options are."""
    recipe = RECIPES[options.recipe]
    parts = [
        PUBLISHED.format(model=MODELS[options.recipe]) if recipe.published else VARIED,
        SCALED.format(scale=_words(options.substructure_scale)) if options.substructure_scale != 1 else "",
        PHYSICS,
        HST if options.recipe == "model-3" else "",
        f"Instrument: {INSTRUMENTS[options.recipe].origin}.\n",
        f"Freed: {', '.join(options.vary)}.\n" if recipe.published and options.vary else "",
        LIGHT if options.lens_light else "",
        COLOURS if options.bands != (GREY,) else "",
        _noise(options),
        PAIRS if options.partners > 1 else "",
        SHIFTED.format(size=_words(options.shifted_source_size), snr=_words(options.shifted_peak_snr))
        if options.shifted
        else "",
    ]
    return "".join(parts).rstrip()


def _noise(options: LensesOptions) -> str:
    if options.noise == "gaussian":
        return GAUSSIAN.format(snr=_words(options.peak_snr), bound="" if options.free & UNBOUND else BOUND)
    counts = options.recipe == "model-1"
    if options.noise == "as-published":
        return TWICE if counts else MISSING
    return INTENDED.format(unit="Counts" if counts else "Counts per second")


def _words(dial: float | tuple[float, float]) -> str:
    return f"{dial[0]:g} to {dial[1]:g}" if isinstance(dial, tuple) else f"{dial:g}"
