"""Pictures that cost an encoder what photographs and renders cost it, but are quickly made.

Measured by bytes of AVIF strips (speed 8, 4:4:4), made up against real:

    80 crops at 112 px of squares of 30, 80, 150, 224 px, quality 50     0.96, 1.00, 1.02, 1.01
    7 renders of 224 px, a channel of each layer, quality 40 and 50      1.03, 1.05

Real are one ImageNet photograph of every class, and renders of Caffe's GoogLeNet after 128 steps
(after 512 in three of the layers).
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from atlas.optvis.colour import ARTICLE, normalized

COLOURS = normalized(ARTICLE).numpy().astype(np.float64)

SHORT_SIDES = (256, 288)
RATIOS = (1.0, 4 / 3, 4 / 3, 4 / 3, 1.5)
"""Long by short side: what most photographs of ImageNet have."""
LYING = 0.74
"""Share of photographs that are wider than high, as in ImageNet."""
JPEG_QUALITY = 92

LEAVES, OCTAVES = 270, 3.0
"""Shapes of a photograph: from `LEAVES` · 2^(−`OCTAVES`/2) in a quiet one to the inverse in a
busy one."""
SMALLEST, LARGEST = 2.0, 0.6
"""Radius of the smallest shape in pixels, of the largest as a share of the short side."""
SPREAD, TEXTURE, BLUR = 0.6, 0.06, 0.4
"""Spread of colours; mean texture of a shape, as a share of `GRAIN`; mean blur in pixels."""
GRAIN, SHADE = 110.0, 0.18

SLOPE = 1.2
"""A render's amplitudes fall as f^−1.2."""
GAINS = (1.1, 3.2)
"""Contrast of renders in the first layer and in the last, before the sigmoid."""


def photograph(rng: np.random.Generator) -> bytes:
    """A JPEG of dead leaves: opaque shapes that hide each other, their radii r spread as r^−3.

    Such pictures have the 1/f spectrum and the edges of natural ones (Lee, Mumford, Huang,
    "Occlusion models for natural images", IJCV 2001). Their colours are correlated as those of
    photographs are; every shape has a texture and all are shaded.
    """
    short = int(rng.integers(SHORT_SIDES[0], SHORT_SIDES[1] + 1))
    long = round(short * RATIOS[rng.integers(len(RATIOS))])
    width, height = (long, short) if rng.random() < LYING else (short, long)
    leaves = int(LEAVES * 2 ** (OCTAVES * (rng.random() - 0.5)))
    largest = LARGEST * short
    radius = (SMALLEST**-2 + rng.random(leaves) * (largest**-2 - SMALLEST**-2)) ** -0.5
    stretch = rng.uniform(0.5, 2, leaves) ** 0.5
    place = rng.random((leaves, 2)) * (width, height)
    colours = _colours(rng, leaves + 1)
    rough = np.clip(255 * rng.gamma(1, TEXTURE, leaves + 1), 0, 255).astype(int).tolist()

    # Drawn at twice the size: edges between shapes are then as soft as a lens makes them.
    picture = Image.new("RGB", (2 * width, 2 * height), colours[-1])
    textures = Image.new("L", picture.size, rough[-1])
    draw, draw_texture = ImageDraw.Draw(picture), ImageDraw.Draw(textures)
    for i in range(leaves):
        extent = 2 * radius[i] * np.array([stretch[i], 1 / stretch[i]])
        centre = 2 * place[i]
        if i % 3:
            box = [*(centre - extent).tolist(), *(centre + extent).tolist()]
            draw.ellipse(box, fill=colours[i])
            draw_texture.ellipse(box, fill=rough[i])
        else:
            angles = rng.random() * 2 * np.pi + np.array([0, 2.1, 3.6]) + rng.random(3) * 0.9
            corners = centre + extent * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            points = [(float(x), float(y)) for x, y in corners]
            draw.polygon(points, fill=colours[i])
            draw_texture.polygon(points, fill=rough[i])
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BOX), dtype=np.float64)
    amount = np.asarray(textures.resize((width, height), Image.Resampling.BOX)) / 255
    shade = 1 + SHADE * _noise(rng, height, width, 1.6)
    grain = GRAIN * amount * _noise(rng, height, width, 0.6)
    pixels = pixels * shade[..., None] + grain[..., None]
    photo = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    blurred = photo.filter(ImageFilter.GaussianBlur(min(rng.gamma(1, BLUR), 2.5)))
    buffer = io.BytesIO()
    blurred.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def render(
    rng: np.random.Generator, size: int, depth: float, window: int | None = None
) -> NDArray[np.uint8]:
    """A picture (size, size, 3) like a finished render: coloured noise of a falling spectrum.

    Args:
        depth: of its layer, 0 for the first to 1 for the last.
        window: side of the square in the middle that has all the contrast, in pixels, as of a
            render of one neuron; by default the whole picture.
    """
    planes = np.stack([_noise(rng, size, size, SLOPE) for _ in range(3)], axis=-1)
    gain = GAINS[0] + (GAINS[1] - GAINS[0]) * depth
    logits = gain * planes @ COLOURS.T
    if window is not None:
        away = np.abs(np.arange(size) + 0.5 - size / 2)
        fade = 1 / (1 + np.exp((away - window / 2) / 4))
        logits *= np.maximum(fade[:, None] * fade, 0.05)[..., None]
    pixels: NDArray[np.uint8] = (255 / (1 + np.exp(-logits))).round().astype(np.uint8)
    return pixels


def _colours(rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    rgb = 0.45 + SPREAD * rng.standard_normal((count, 3)) @ COLOURS.T
    return [(r, g, b) for r, g, b in np.clip(255 * rgb, 0, 255).astype(int).tolist()]


def _noise(rng: np.random.Generator, height: int, width: int, slope: float) -> NDArray[np.float64]:
    """Gaussian noise (height, width) of amplitudes f^−slope, mean 0 and standard deviation 1."""
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    f[0, 0] = 1
    draws = rng.standard_normal((2, *f.shape))
    coefficients = (draws[0] + 1j * draws[1]) / f**slope
    coefficients[0, 0] = 0
    noise: NDArray[np.float64] = np.fft.irfft2(coefficients, (height, width))
    return noise / noise.std()
