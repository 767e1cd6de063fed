"""Plan a checkpoint of DeepSeek-V3's shape: 163 shards, 92,000 tensors, headers only.

    python -m tests.benchmarks.planning

prints processor time and peak memory of manifest, plan and coverage. The shards are sparse files.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

from blockresearch.checkpoint import plan
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import write_manifest
from blockresearch.files import write_json
from blockresearch.measurement import merge
from tests.benchmarks.shapes import MODELS, write

MODEL = MODELS["DeepSeek-V3"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{write(MODEL, folder):,} tensors", file=sys.stderr)
        started = time.process_time()
        manifest = describe_folder(folder, "now", hashed=False)
        described = time.process_time()
        planned = plan.make_plan(manifest)
        made = time.process_time()
        write_manifest(manifest, folder / "manifest")
        write_json(plan.plan_json(planned), folder / "plan")
        written = time.process_time()
        measured = {weight.name: 1 for part in planned for weight in part.weights}
        ledger = merge.coverage(manifest, measured)
        done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"manifest {described - started:.1f} s, plan {made - described:.1f} s,", end=" ")
    print(f"coverage {done - written:.1f} s, writing {written - made:.1f} s; peak {peak:.0f} MB;")
    print(f"{len(planned)} parts;", end=" ")
    print(ledger["status"].value_counts().to_dict(), manifest.totals, manifest.index)
    print(f"with companions elsewhere: {sum(bool(part.companions) for part in planned)}")


if __name__ == "__main__":
    main()
