"""An engine of papermill that runs the cells of a notebook in this process.

A kernel is a second process, which imports everything again: that takes longer than the cells of
most notebooks. What a cell shows, prints and raises becomes its outputs, as with a kernel. Warnings
and other texts on stderr do not: they depend on the machine and name its folders, so they go to the
log of the job. There is no input, and an output that is shown cannot be cleared or updated.

Source: "Extending papermill" in papermill's manual; for the parts of the shell that are replaced,
ipykernel's `zmqshell`.
"""

import contextlib
import io
import logging
import tempfile
from types import ModuleType
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_output
from papermill.engines import Engine, papermill_engines
from traitlets import Type
from traitlets.config import Config

NAME = "in-process"

log = logging.getLogger(__name__)


class Results(DisplayHook):
    """The value of a cell's last line, as an output of the cell."""

    shell: Any

    def write_output_prompt(self) -> None:
        """Nothing: the number is in the output."""

    def write_format_data(
        self, data: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> None:
        count = self.prompt_count
        self.shell.put("execute_result", data=data, metadata=metadata, execution_count=count)

    def finish_displayhook(self) -> None:
        """Nothing: there is no line to end."""
        self._is_active = False


class Displays(DisplayPublisher):
    """What `display` shows, as an output of the cell."""

    shell: Any

    def publish(self, data: dict[str, Any], metadata: Any = None, *_: Any, **options: Any) -> None:
        self.shell.put("display_data", data=data, metadata=metadata)


class Shell(InteractiveShell):
    """IPython without a terminal; `outputs` are those of the cell that runs."""

    displayhook_class = Type(Results)
    display_pub_class = Type(Displays)
    outputs: list[Any]

    def put(self, kind: str, **content: Any) -> None:
        self.outputs.append(new_output(kind, **content))

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        self.put("error", ename=etype.__name__, evalue=str(evalue), traceback=stb)


class Stream(io.TextIOBase):
    """A file whose text becomes output of the cell that runs."""

    def __init__(self, shell: Shell):
        self.shell = shell

    def write(self, text: str) -> int:
        last = self.shell.outputs[-1] if self.shell.outputs else {}
        if last.get("output_type") == "stream":
            last["text"] += text
        else:
            self.shell.put("stream", name="stdout", text=text)
        return len(text)


class InProcess(Engine):
    """Runs the cells one after the other, up to the first that fails."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        with _shell() as shell:
            for number, cell in enumerate(nb_man.nb.cells):
                if cell.cell_type != "code":
                    continue
                log.info("cell %d of %d", number + 1, len(nb_man.nb.cells))
                nb_man.cell_start(cell, number)
                shell.outputs = cell.outputs
                done = shell.run_cell(cell.source, store_history=True)
                cell.execution_count = done.execution_count
                if not done.success:
                    nb_man.cell_exception(cell, number)
                    break
                nb_man.cell_complete(cell, number)


papermill_engines.register(NAME, InProcess)


@contextlib.contextmanager
def _shell() -> Any:
    """A shell without history and without the user's own configuration."""
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        shell = Shell.instance(
            config=Config({"HistoryManager": {"enabled": False}}),
            ipython_dir=folder,
            user_module=ModuleType("notebook"),
        )
        try:
            with contextlib.redirect_stdout(Stream(shell)):
                yield shell
        finally:
            Shell.clear_instance()
