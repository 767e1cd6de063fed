"""The order of downloads keeps the bound for every order in which jobs may run."""

import random

import pytest

from blockresearch.run.low_disk import Reader, waits


def some_jobs(seed: int) -> list[Reader]:
    """Jobs of a model: one or more for each shard, some with companions in other shards."""
    choose = random.Random(seed)
    shards = [f"{number}" for number in range(choose.randint(1, 12))]
    jobs = [Reader("embedding", tuple(choose.sample(shards, min(2, len(shards)))))]
    for shard in shards:
        for part in range(choose.randint(1, 3)):
            others = choose.sample(shards, 1) if choose.random() < 0.2 else []
            jobs.append(Reader(f"{shard}-{part}", tuple(dict.fromkeys([shard, *others]))))
    return jobs


def most_on_disk(jobs: list[Reader], slots: int, seed: int) -> int:
    """Start whatever may start, in random order, until all is done: the most shards at once."""
    choose, order = random.Random(seed), waits(jobs, slots)
    waiting, here, gone, made = set(order), set(), set(), set()
    most = 0
    while len(made) < len(jobs):
        downloads = [("download", key) for key in waiting if made.issuperset(order[key])]
        ready = [("job", job) for job in jobs if job.makes not in made and here >= set(job.keys)]
        assert downloads or ready, "nothing can start any more"
        kind, what = choose.choice(sorted(downloads + ready, key=str))
        if kind == "download":
            waiting.remove(what)
            here.add(what)
            most = max(most, len(here))
        else:
            made.add(what.makes)
            gone = {k for k in here if all(j.makes in made for j in jobs if k in j.keys)}
            here -= gone
    return most


@pytest.mark.parametrize("seed", range(50))
def test_shards_stay_within_slots_and_move_on(seed):
    jobs = some_jobs(seed)
    for slots in range(1, 7):
        try:
            most = most_on_disk(jobs, slots, seed)
        except ValueError as error:
            needed = int(str(error).rpartition("set it to ")[2].split()[0])
            assert slots < needed and waits(jobs, needed)
        else:
            assert most <= slots


def test_the_order_bounds_no_more_than_it_must():
    jobs = [Reader(f"{number}", (f"{number}",)) for number in range(6)]
    assert most_on_disk(jobs, 3, 0) == 3
    assert waits(jobs, 3)["2"] == [] and waits(jobs, 3)["3"] == ["0"]
