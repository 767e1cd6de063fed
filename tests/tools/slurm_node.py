"""A real Slurm of one node on the loopback address, for as long as a `with` block lasts.

    with SlurmNode(folder) as slurm:
        slurm.queue()

Debian's munged, slurmctld and slurmd, started as root without systemd, cgroups or an accounting
database. `missing()` says what this machine lacks.
"""

import os
import shutil
import socket
import stat
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

# The job's own srun looks nowhere else: the plugin takes SLURM_CONF out of its environment.
CONFIGURATION = Path("/etc/slurm/slurm.conf")
DEVICES = CONFIGURATION.with_name("gres.conf")
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")

TEMPLATE = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
# A finished job's state is asked of squeue, which forgets it after this time.
MinJobAge=3600
ReturnToService=2
KillWait=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=1:00:00 DefaultTime=10 State=UP
"""

# Two devices that only Slurm takes for GPUs: it books them and says to each job which is its own.
GPUS = "Name=gpu File={folder}/gpu[0-1]\n"


def missing() -> str:
    """Why no Slurm can be started here, one sentence; empty where one can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "a Slurm for the test can only be started as root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install --no-install-recommends slurm-wlm munge"
    if CONFIGURATION.exists() or DEVICES.exists():
        return f"{CONFIGURATION.parent} is another Slurm's and left alone"
    if find_spec("snakemake_executor_plugin_slurm") is None:
        return "no snakemake-executor-plugin-slurm: pip install -r requirements-cluster.txt"
    return ""


class SlurmNode:
    """The three daemons, their folder, and what they know of jobs."""

    def __init__(self, folder: Path, cpus: int = 2) -> None:
        self.folder, self.cpus = folder, cpus
        self.host = socket.gethostname().partition(".")[0]
        self._started_munge = False

    def __enter__(self) -> "SlurmNode":
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        text = TEMPLATE.format(
            host=self.host,
            folder=self.folder,
            ports=[_free_port(), _free_port()],
            cpus=self.cpus,
            memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 2**22,
        )
        for gpu in ("gpu0", "gpu1"):
            os.mknod(self.folder / gpu, stat.S_IFCHR | 0o600, os.stat("/dev/null").st_rdev)
        CONFIGURATION.parent.mkdir(exist_ok=True)
        for place, content in (
            (CONFIGURATION, text),
            (DEVICES, GPUS.format(folder=self.folder)),
        ):
            own = self.folder / place.name
            own.write_text(content)
            # A link that a killed test left behind points nowhere, once its folder is gone.
            place.unlink(missing_ok=True)
            place.symlink_to(own)
        try:
            self._start_munge()
            subprocess.run(["slurmctld", "-i"], check=True)
            subprocess.run(["slurmd"], check=True)
            _wait(lambda: self._ask("sinfo", "-h", "-o", "%T") == "idle", 30, "no idle node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for job in self.queue():
                self._ask("scancel", job)
        except RuntimeError:  # it never came up
            pass
        for name in ("slurmd", "slurmctld"):
            _stop(self.folder / f"{name}.pid", name)
        if self._started_munge:
            _stop(Path("/run/munge/munged.pid"), "munged")
        # A configuration without a controller makes every start of Snakemake wait for ten seconds.
        CONFIGURATION.unlink(missing_ok=True)
        DEVICES.unlink(missing_ok=True)

    def queue(self) -> list[str]:
        """Jobs that are waiting or running."""
        states = "PENDING,RUNNING,COMPLETING,CONFIGURING"
        return self._ask("squeue", "-h", "-o", "%A", "-t", states).split()

    def jobs(self) -> list[dict[str, str]]:
        """All jobs since the start in the order they came, with comment (their rule), state, mem
        and gpus.

        `mem` and `gpus` are what was asked for, as Slurm writes it (600M, gres:gpu:1).
        """
        form = "JobID:|,Comment:|,State:|,MinMemory:|,tres-per-job:|"
        text = self._ask("squeue", "-h", "-t", "all", "-S", "i", "-O", form)
        names = ("job", "comment", "state", "mem", "gpus")
        return [
            dict(zip(names, line.split("|")[: len(names)], strict=True))
            for line in text.splitlines()
        ]

    def _ask(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _start_munge(self) -> None:
        if subprocess.run("munge -n | unmunge", shell=True, capture_output=True).returncode == 0:
            return
        key = Path("/etc/munge/munge.key")
        if not key.exists():
            subprocess.run(["mungekey", "--create"], check=True)
        shutil.chown(key, "munge", "munge")
        for folder, mode in (("/run", 0o755), ("/var/lib", 0o711), ("/var/log", 0o700)):
            place = Path(folder, "munge")
            place.mkdir(exist_ok=True)
            shutil.chown(place, "munge", "munge")
            place.chmod(mode)
        for stale in MUNGE_SOCKET.parent.glob("munge.socket.2*"):
            stale.unlink()
        subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=True)
        self._started_munge = True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(reached, seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if reached():
                return
        except RuntimeError as error:
            otherwise = str(error)
        if time.monotonic() > end:
            raise RuntimeError(otherwise)
        time.sleep(0.1)


def _stop(pid_file: Path, name: str) -> None:
    """End the process of a pid file, if it still is that program."""
    if not pid_file.exists() or not (pid := pid_file.read_text().strip()):
        return
    process = Path("/proc", pid)
    signals = iter((15, *[0] * 100, 9))
    while (process / "comm").exists() and (process / "comm").read_text().strip() == name:
        os.kill(int(pid), next(signals, 9))
        time.sleep(0.1)
    pid_file.unlink(missing_ok=True)
