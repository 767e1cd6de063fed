# What happens around a run. A workflow that imports this one may call these functions from its own
# handlers (docs/module.md).
import subprocess
import sys

from snakemake.exceptions import WorkflowError

from blockresearch.device import unused_gpu
from blockresearch.project import use_interpreter
from blockresearch.run import integrity, lifeline, session, warm
from blockresearch.run.config import shared_folders

STARTED = {}

# Folders of models, comparisons and training runs.
FOLDERS = [*ANALYZED, *shared_folders(config)]


def begin():
    """Before the first job."""
    try:
        STARTED["at"] = session.started_at(config["results"], config["store"])
    except ValueError as error:
        raise WorkflowError(str(error))
    if note := use_interpreter(sys.executable):
        print(note, file=sys.stderr)
    if config["device"] == "auto" and (note := unused_gpu()):
        print(note, file=sys.stderr)
    lifeline.take_jobs_along()
    warm.start()


def end():
    """After the last job."""
    session.cancel_timers()
    integrity.record(config["results"], FOLDERS, STARTED["at"])
    folders = dict.fromkeys([*FOLDERS, *MODELS])
    lost = session.lost_jobs(config["results"], folders, STARTED["at"])
    if lost:
        end_after_failure()
        raise WorkflowError(
            f"{len(lost)} jobs failed and were not tried again (the first log is {lost[0]}): start "
            "the same command again."
        )


def end_after_failure():
    """Show the models that are done all the same, beside those that are not."""
    session.cancel_timers()
    if config["store"] is not None:
        store_finished()
    unknown = [model for model in MODELS if not RUN.known(model, "manifest.json")]
    try:
        shell(
            "mkdir -p {results:q}/logs; {program} --results {results:q} --language {language:q}"
            " {store} --also {unknown:q} --html {results:q}/index.html"
            " --json {results:q}/index.json 2> {results:q}/logs/portal.log",
            results=config["results"],
            language=config["language"],
            store=flags({"store": config["store"]}),
            unknown=unknown,
            program=command("portal"),
        )
        integrity.record(config["results"], FOLDERS, STARTED["at"])
    except (OSError, subprocess.CalledProcessError):
        print("The page of all models could not be made.", file=sys.stderr)


def store_finished():
    """Add the models that are done all the same to the store."""
    finished = session.finished(config["results"], ANALYZED, STARTED["at"])
    if not finished:
        return
    try:
        shell(
            "mkdir -p {results:q}/logs; {program} --results {results:q} {store}"
            " --out {results:q}/store.json {finished:q} 2> {results:q}/logs/store.log",
            results=config["results"],
            store=flags({"store": config["store"]}),
            finished=finished,
            program=command("store"),
        )
    except (OSError, subprocess.CalledProcessError):
        print(
            f"The store could not be updated: {config['results']}/logs/store.log says why.",
            file=sys.stderr,
        )
