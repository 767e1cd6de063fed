"""Photograph the pictures that the README shows, from pages of the demo and of a copy of it.

python -m docs.images results

`results` contains the demo with its circuits, and a comparison of a copy with it (`make images`).
"""

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).with_name("images")
WIDTH = 1500  # pixels
PAGE = {"width": 1250, "height": 1250}
WHOLE = None

# Picture, page, and the part of the page: a figure by its number, of one kind.
PICTURES = (
    ("model_page.png", "local--demo/index.html", WHOLE),
    ("distributions.png", "local--demo/reports/10_summary_stats.html", (".chart-figure", 0)),
    ("layers.png", "local--demo/reports/20_per_layer.html", (".map-figure", 0)),
    ("cluster_map.png", "local--demo/reports/30_embedding_output.html", (".token-figure", 0)),
    ("heads.png", "local--demo/reports/25_circuits.html", (".map-figure", 0)),
    ("changes.png", "compare/local--low_rank-vs-local--demo/index.html", WHOLE),
)
HEIGHTS = {"changes.png": 900}


def main(results: Path) -> None:
    """Write the pictures of a folder of results to docs/images."""
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=flags
        )
        page = browser.new_page(viewport=PAGE, device_scale_factor=1.5)
        for name, path, part in PICTURES:
            page.set_viewport_size({**PAGE, "height": HEIGHTS.get(name, PAGE["height"])})
            page.goto(Path(results, path).resolve().as_uri())
            # Figures are drawn once their data is unpacked.
            page.wait_for_timeout(1000)
            shown = page if part is WHOLE else page.locator(part[0]).nth(part[1])
            small(shown.screenshot(), name)
        browser.close()


def small(png: bytes, name: str) -> None:
    """Write a picture in few bytes: at most WIDTH pixels wide, 256 colors."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    picture.quantize(256, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
