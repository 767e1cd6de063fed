# In which order shards come and go if config keeps no weights.
import functools

from blockresearch.run import low_disk


def weights_file(path):
    """A downloaded file, which goes as soon as nothing reads it any more where config says so."""
    return path if config["keep_weights"] else temp(path)


def measured_before(wildcards):
    """What has to be made before a file may come, so that few shards lie on the disk at once."""
    made = [] if config["keep_weights"] else low_disk_order().get(wildcards.key, [])
    paths = [f"{config['results']}/{path}" for path in made]
    # This is an order and says nothing about the file: that it has changed is no reason to download.
    [file], _ = rules.download.rule.expand_output(dict(wildcards.items()))
    if workflow.persistence.input(file) not in (None, sorted(paths)):
        workflow.persistence.cleanup_metadata(file)
    return list(map(ancient, paths))


@functools.cache
def low_disk_order():
    """What each shard waits for, once all models are looked up: until then Snakemake deletes nothing."""
    jobs = []
    for model in MODELS:
        known = checkpoints.resolve_model.get(model=model).output
        jobs += low_disk.readers(
            model, read_json(known.manifest), read_json(known.plan)
        )
    try:
        return low_disk.waits(jobs, config["shards_on_disk"])
    except ValueError as error:
        raise WorkflowError(str(error))
