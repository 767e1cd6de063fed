import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as arrow_fs
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from blockresearch.store.add import add
from blockresearch.store.partitions import MODELS, StoreError
from blockresearch.store.query import ask, connect, models
from tests.tools.hub_server import HubServer
from tests.tools.results_folder import results_folder

MANUAL = Path(__file__).parents[3] / "docs" / "store.md"


@pytest.fixture(scope="module")
def store(analyzed, tmp_path_factory):
    """Two models with the same weights."""
    folder = tmp_path_factory.mktemp("store")
    results = [
        results_folder(folder / "results", analyzed[0], f"Org--{name}", commit=name * 40)
        for name in "ab"
    ]
    add(results, folder / "store")
    return folder / "store"


def count(store, table="matrices"):
    """Rows of each model."""
    found = ask(connect(str(store)), f"select model, count(*) n from {table} group by 1 order by 1")
    return dict(zip(*found.to_pydict().values(), strict=True))


def test_views_have_the_rows_of_all_models(store, analyzed):
    rows = len(analyzed[0].matrices)
    assert count(store) == {"Org--a@aaaaaaaaaaaa": rows, "Org--b@bbbbbbbbbbbb": rows}


def test_singular_values_are_rows(store, analyzed):
    spectra = analyzed[0].spectra["singular_values"].dropna()
    assert set(count(store, "singular_values").values()) == {sum(map(len, spectra))}


def test_older_tables_lack_columns(store, analyzed, tmp_path):
    """A model that was added before a column existed has no values in it."""
    folder = results_folder(tmp_path / "results", analyzed[0], "Org--c", commit="c" * 40)
    path = folder / "params.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("later", pa.array([1.0] * len(table))), path)
    [_, added] = add([tmp_path / "results/Org--c"] * 2, tmp_path / "store")
    add(
        [results_folder(tmp_path / "old", analyzed[0], "Org--d", commit="d" * 40)],
        tmp_path / "store",
    )
    found = ask(
        connect(str(tmp_path / "store")), "select model, sum(later) s from params group by 1"
    )
    values = dict(zip(*found.to_pydict().values(), strict=True))
    assert values[added.key] == len(table) and values["Org--d@dddddddddddd"] is None


def test_a_list_without_schemas_is_refused(store, tmp_path):
    made = tmp_path / MODELS
    table = pq.read_table(store / MODELS)
    pq.write_table(table.drop(["schemas"]), made)
    with pytest.raises(StoreError, match="has no schemas for Org--a@aaaaaaaaaaaa: add this model"):
        connect(str(tmp_path))


QUESTIONS = re.findall(r"```sql\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_of_the_manual_are_answered(store, question):
    assert ask(connect(str(store)), question).num_columns


def test_the_manual_has_its_questions():
    assert len(QUESTIONS) >= 5


def test_s3_is_read_without_an_extension(store, monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        remote = arrow_fs.S3FileSystem(
            endpoint_override=f"http://{host}:{port}", allow_bucket_creation=True
        )
        remote.create_dir("bucket")
        arrow_fs.copy_files(str(store), "bucket/store", destination_filesystem=remote)
        assert count("s3://bucket/store/") == count(store)
    finally:
        server.stop()


def test_https_is_read_by_ranges(store):
    """The server counts requests for ranges: a query reads columns, not files."""
    ranges = []

    @web.middleware
    async def counted(request, handler):
        ranges.append(request.headers.get("Range"))
        return await handler(request)

    application = web.Application(middlewares=[counted])
    application.router.add_static("/", store)
    loop, ready, address = asyncio.new_event_loop(), threading.Event(), []

    def serve():
        asyncio.set_event_loop(loop)
        runner = web.AppRunner(application, access_log=None)
        loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        loop.run_until_complete(site.start())
        address.append(runner.addresses[0])
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        assert count("http://{}:{}".format(*address[0])) == count(store)
        assert any(ranges)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def test_a_dataset_of_the_hub_is_read(store, tmp_path):
    """In a process, because the client reads the address of the hub when it is imported."""
    shutil.copytree(store, tmp_path / "org/store")
    asked = "select model, count(*) n from matrices group by 1"
    words = ["store", "sql", asked, "--store", "hf://datasets/org/store", "--json"]
    with HubServer(tmp_path) as hub:
        done = subprocess.run(
            [sys.executable, "-m", "blockresearch.command.main", *words],
            env=os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert {row["model"]: row["n"] for row in json.loads(done.stdout)} == count(store)
    assert any("/resolve/" in each.path and each.range for each in hub.requests)
    # One of its two partitions, for the columns.
    unasked = {each.path for each in hub.requests if "coverage" in each.path}
    assert len({path.rpartition("model=")[2][:6] for path in unasked}) == 1


@pytest.mark.parametrize(
    "path", ["../secret.parquet", "/etc/passwd", "a/schema=1/model=../data.parquet"]
)
def test_paths_of_strangers_stay_in_the_store(store, path, tmp_path):
    table = models(str(store)).slice(0, 1)
    place = table.column_names.index("files")
    planted = table.set_column(place, "files", pa.array([[path]], pa.list_(pa.string())))
    planted = planted.set_column(place + 1, "schemas", pa.array([["0"]], pa.list_(pa.string())))
    pq.write_table(planted, tmp_path / MODELS)
    with pytest.raises(StoreError, match="not a partition"):
        connect(str(tmp_path))


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("select nope from matrices", "nope"),
        ("select", "cannot answer"),
        ("selec 1", "syntax error"),
    ],
)
def test_wrong_sql_has_one_sentence(store, question, message):
    with pytest.raises(StoreError, match=message) as caught:
        ask(connect(str(store)), question)
    assert "\n" not in str(caught.value)


def test_an_answer_can_be_written_to_a_file(store, tmp_path):
    ask(connect(str(store)), f"copy (select 1 as one) to '{tmp_path}/answer.csv'")
    assert (tmp_path / "answer.csv").read_text() == "one\n1\n"


def test_a_missing_store_says_what_makes_one(tmp_path):
    with pytest.raises(StoreError, match="store add"):
        connect(str(tmp_path))
