"""What the rules use of Snakemake, and how they call the scripts."""

import re

from tests.conftest import ROOT

FILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
TEXT = "".join(path.read_text() for path in FILES)
CODE = re.sub(r"^ *#.*", "", TEXT, flags=re.MULTILINE)

# All that is used of Snakemake's objects and modules: each is in its manual.
DOCUMENTED = {
    "checkpoints.resolve_model.get",
    "snakemake.exceptions.WorkflowError",
    "snakemake.utils.min_version",
    "workflow.cores",
}


def test_only_documented_doors_of_snakemake_are_used():
    objects = r"(?<![\w./<])(?:workflow|rules|checkpoints|dag|persistence|storage)(?:\.\w+)+"
    used = set(re.findall(objects, re.sub(r'"[^"\n]*"', '""', CODE)))
    for module, names in re.findall(r"^ *from (snakemake[\w.]*) import (.+)", CODE, re.M):
        used |= {f"{module}.{name.strip()}" for name in names.split(",")}
    assert used == DOCUMENTED
    assert not re.search(r"^ *import snakemake", CODE, re.M)


def test_a_shell_line_uses_items_of_its_own_rule_only():
    """Otherwise it fails in a workflow that imports this one as a module."""
    own = {"input", "output", "params", "wildcards", "threads", "resources", "log"}
    for shell in re.findall(r"\n    shell:\n((?: {8}.*\n)+)", TEXT):
        assert set(re.findall(r"(?<!\{)\{(\w+)", shell)) <= own, shell


def test_rules_and_scripts_have_the_same_names():
    called = set(re.findall(r'program=program\("(\w+)"\)', TEXT))
    scripts = {path.stem for path in (ROOT / "workflow/scripts").glob("[a-z]*.py")}
    # Results are deleted by hand only.
    scripts.remove("remove_model")
    assert called == scripts <= set(re.findall(r"^(?:rule|checkpoint) (\w+):", TEXT, re.M))


def test_common_is_a_page_of_functions_that_only_read():
    text = (ROOT / "workflow/rules/common.smk").read_text()
    assert text.count("\n") <= 150
    assert not re.search(r"\b(open|write_\w+|unlink|environ|signal|print|shell)\(", text)


def test_scripts_leave_the_search_path_alone():
    for path in (ROOT / "workflow/scripts").glob("*.py"):
        assert "sys.path" not in path.read_text(), path.name
    assert not list((ROOT / "workflow").rglob("__init__.py"))


def test_no_rule_puts_a_text_into_a_shell_unquoted():
    """Quoted already by flags and command, or limited by wildcard_constraints."""
    flags = ("args", "companions", "later", "mode", "program", "space")
    safe = {"threads", *(f"params.{name}" for name in flags)}
    safe |= {
        f"wildcards.{name}"
        for name in ("batch", "group", "piece", "key", "notebook", "part", "shard")
    }
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        shells = re.findall(r"\n    shell:\n((?: {8}.*\n)+)", path.read_text())
        for shell in shells:
            assert set(re.findall(r"\{([\w.\[\]]+)\}", shell)) <= safe, (path.name, shell)


def test_nothing_in_the_program_runs_what_it_reads():
    words = r"pickle|torch\.load|yaml\.load\(|allow_pickle|trust_remote_code|\beval\(|\bexec\("
    words += r"|shell=True|os\.system|mmap|zipfile|tarfile|marshal"
    code = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py"), *FILES]
    found = {
        (path.name, word)
        for path in [*code, *(ROOT / "notebooks").glob("*.ipynb")]
        for word in re.findall(words, path.read_text(encoding="utf-8"))
    }
    assert found == {("reader.py", "pickle")}, "a sentence there refuses such files"


def test_rules_that_request_a_gpu_pass_the_device():
    """Where a job runs is no reason to run it again."""
    rules = {text.partition(":")[0]: text for text in re.split(r"\n(?:rule|checkpoint) ", TEXT)}
    on_gpu = {name for name, text in rules.items() if "gpu=1 if RUN.on_gpu else 0" in text}
    assert on_gpu >= {"measure_shard", "circuits_part", "circuits", "directions"}
    for name in on_gpu:
        assert 'device=uncompared(lambda wildcards: config["device"])' in rules[name], name
        assert "--device {params.device:q}" in rules[name], name
