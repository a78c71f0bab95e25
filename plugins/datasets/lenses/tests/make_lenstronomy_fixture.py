"""Make ``lenstronomy.npz``: noiseless images of lenstronomy, which the tests compare ours with.

    python plugins/datasets/lenses/tests/make_lenstronomy_fixture.py

lenstronomy is no dependency: install ``lenstronomy<1.14`` somewhere (later ones bring proprietary dependencies, and
changed their Euclid). One lens of SIE, shear and 25 point masses; two sources; without a PSF and with two. The
instrument numbers are checked too: the background's rms and the amplitude of a source of magnitude 20.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.SimulationAPI.ObservationConfig.Euclid import Euclid
from lenstronomy.SimulationAPI.ObservationConfig.HST import HST
from lenstronomy.SimulationAPI.sim_api import SimAPI
from lenstronomy.Util.util import make_grid_with_coordtransform

FILE = Path(__file__).with_name("lenstronomy.npz")
SIZE, PIXEL_SCALE = 40, 0.15
MAIN = (1.28, 0.1, 0.05)  # Einstein radius, e1, e2
SHEAR = (0.05, -0.02)
SOURCES = ((0.12, -0.2, 0.25, 1.0, -0.1, 0.1, 20.0), (-0.1, 0.15, 0.3, 2.3, 0.15, -0.05, 7.0))  # x y R_e n e1 e2 amp
PSFS = ((0.0, 0.0), (0.2, 3.0), (0.4, 5.0))  # FWHM in arcsec, truncation in sigma


def points() -> np.ndarray:
    rng = np.random.default_rng(20)
    radius, angle = rng.uniform(0.25, 2.0, 25), rng.uniform(0.0, 2.0 * np.pi, 25)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(0.005, 0.12, 25)], axis=1)


def image(masses: np.ndarray, source: tuple[float, ...], psf: tuple[float, float]) -> np.ndarray:
    _, _, ra, dec, _, _, to_angle, _ = make_grid_with_coordtransform(SIZE, PIXEL_SCALE, 1, inverse=False)
    zeros = np.zeros((SIZE, SIZE))
    data = ImageData(zeros, ra_at_xy_0=ra, dec_at_xy_0=dec, transform_pix2angle=to_angle)
    kernel = PSF("GAUSSIAN", fwhm=psf[0], pixel_size=PIXEL_SCALE, truncation=psf[1]) if psf[0] else PSF("NONE")
    lens = LensModel(["SIE", "SHEAR", *["POINT_MASS"] * len(masses)])
    model = ImageModel(data, kernel, lens, LightModel(["SERSIC_ELLIPSE"]))
    theta, e1, e2 = MAIN
    kwargs_lens = [
        {"theta_E": theta, "e1": e1, "e2": e2, "center_x": 0.0, "center_y": 0.0},
        {"gamma1": SHEAR[0], "gamma2": SHEAR[1]},
        *({"theta_E": radius, "center_x": x, "center_y": y} for x, y, radius in masses),
    ]
    names = ("center_x", "center_y", "R_sersic", "n_sersic", "e1", "e2", "amp")
    return model.image(kwargs_lens, [dict(zip(names, source, strict=True))])


def instrument(band: dict[str, float]) -> tuple[float, float]:
    """Rms of the background per second, and the amplitude of the published source of magnitude 20."""
    api = SimAPI(64, band, {"source_light_model_list": ["SERSIC_ELLIPSE"]})
    source = {"magnitude": 20, "R_sersic": 0.25, "n_sersic": 1, "e1": -0.1, "e2": 0.1, "center_x": 0, "center_y": 0}
    _, amplitudes, _ = api.magnitude2amplitude(kwargs_source_mag=[source])
    return api.background_noise, amplitudes[0]["amp"]


def main() -> None:
    masses = points()
    np.savez_compressed(
        FILE,
        pixel_scale=PIXEL_SCALE,
        main=MAIN,
        shear=SHEAR,
        points=masses,
        sources=SOURCES,
        psfs=PSFS,
        images=[[image(masses, source, psf) for psf in PSFS] for source in SOURCES],  # (sources, PSFs, H, W)
        instruments=[  # model-2, model-3
            instrument(Euclid(band="VIS", psf_type="GAUSSIAN", coadd_years=6).kwargs_single_band()),
            instrument(HST(band="WFC3_F160W", psf_type="GAUSSIAN").kwargs_single_band()),
        ],
    )


if __name__ == "__main__":
    main()
