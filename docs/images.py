"""Copy the pictures that the README shows out of the results of the demo model.

python -m docs.images results/local--demo

The page of the model is photographed by Chromium; where there is none, the old picture stays.
"""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).with_name("images")
WIDTH = 1500  # pixels
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE = (1250, 1250)


def main(model: Path) -> None:
    """Write the pictures from the model's folder to docs/images."""
    statistics = model / "reports" / "10_summary_stats.ipynb"
    layers = model / "reports" / "20_per_layer.ipynb"
    small(first_picture(statistics, "Distribution of the weights"), "distributions.png")
    small(first_picture(layers, "Maps of layers and block types"), "layers.png")
    small((model / "figures" / "cluster_map.png").read_bytes(), "cluster_map.png")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser:
        small(photograph(browser, model / "index.html"), "model_page.png")


def first_picture(notebook: Path, heading: str) -> bytes:
    """The first picture below a heading of an executed notebook, as PNG."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    below = next(n for n, cell in enumerate(cells) if heading in "".join(cell["source"]))
    outputs = [output for cell in cells[below:] for output in cell.get("outputs", [])]
    found = (output.get("data", {}).get("image/png") for output in outputs)
    return base64.b64decode(next(filter(None, found)))


def photograph(browser: str, page: Path) -> bytes:
    """What a browser shows of a page first, as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "page.png")
        flags = ["--headless=new", "--hide-scrollbars", "--force-device-scale-factor=1.5"]
        flags += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        flags += [f"--window-size={PAGE[0]},{PAGE[1]}", f"--screenshot={shot}"]
        command = [browser, *flags, page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return shot.read_bytes()


def small(png: bytes, name: str) -> None:
    """Write a picture in few bytes: at most WIDTH pixels wide, 256 colors."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    picture.quantize(256, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
