"""The processes of one training: how they were started, what they share, what they say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phasegan import processes
from phasegan.errors import InputError
from phasegan.processes import ALONE, Launch, Processes, Votes, first_host, joined, launched
from phasegan.training.parts import divide

CPU = torch.device("cpu")

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "2",
    "SLURM_STEP_NODELIST": "gpu[07-09,12],login",
    "SLURM_JOB_ID": "4711",
}


# --- how a process was started --------------------------------------------------------


def test_torchrun_says_which_process_this_is():
    assert launched(TORCHRUN) == Launch(3, 4, 1, "env://")


def test_srun_says_which_process_this_is_and_the_job_names_a_port():
    rank, world, local, method = launched(SLURM)
    assert (rank, world, local) == (5, 8, 2)
    host, port = method.removeprefix("tcp://").split(":")
    assert host == "gpu07"
    assert 1024 < int(port) < 65536
    assert launched(SLURM | {"SLURM_PROCID": "0"}).method == method
    assert launched(SLURM | {"SLURM_JOB_ID": "4712"}).method != method


@given(st.integers(0, 999_999_999))
def test_every_job_has_a_port(job):
    method = launched(SLURM | {"SLURM_JOB_ID": str(job)}).method
    assert 1024 < int(method.rpartition(":")[2]) < 65536


def test_a_place_that_is_named_comes_before_that_of_the_job():
    named = SLURM | {"MASTER_ADDR": "login", "MASTER_PORT": "1234"}
    assert launched(named).method == "tcp://login:1234"
    assert launched(SLURM | {"MASTER_PORT": "1234"}).method == "tcp://gpu07:1234"


def test_torchrun_inside_a_slurm_step_counts():
    assert launched(SLURM | TORCHRUN) == launched(TORCHRUN)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PATH": "/bin"},
        {name: value for name, value in SLURM.items() if name != "SLURM_STEP_NUM_TASKS"},
        SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
        TORCHRUN | {"WORLD_SIZE": ""},
    ],
    ids=["nothing", "others", "batch step", "one task", "one process", "empty"],
)
def test_a_process_without_others_is_alone(environment, monkeypatch):
    assert launched(environment) is None
    for name in {*TORCHRUN, *SLURM}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with joined(CPU) as (found, device):
        assert found is ALONE
        assert device == CPU
    assert processes.is_main()


def named(value):
    """Return the name of a case: a variable, or who sets the environment."""
    return value if isinstance(value, str) else "torchrun" if "RANK" in value else "srun"


GARBAGE = ["two", "-1", "1.5", "0x2", " 1", "1\n", "", "9" * 40]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        *((TORCHRUN, name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")),
        *((SLURM, name) for name in SLURM if name != "SLURM_STEP_NODELIST"),
        (SLURM, "MASTER_PORT"),
    ],
    ids=named,
)
def test_garbage_is_one_line_that_names_the_variable(environment, name):
    for value in GARBAGE:
        if value == "" and name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "MASTER_PORT"):
            continue
        with pytest.raises(InputError, match=rf"^{name} = .*unset it") as caught:
            launched(environment | {name: value})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        *((TORCHRUN, name) for name in TORCHRUN if name != "WORLD_SIZE"),
        *((SLURM, name) for name in SLURM if name != "SLURM_STEP_NUM_TASKS"),
    ],
    ids=named,
)
def test_a_missing_variable_is_one_line_that_names_it(environment, name):
    rest = {key: value for key, value in environment.items() if key != name}
    with pytest.raises(InputError, match=name) as caught:
        launched(rest)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "environment",
    [
        TORCHRUN | {"RANK": "4"},
        TORCHRUN | {"LOCAL_RANK": "4"},
        TORCHRUN | {"WORLD_SIZE": "1"},
        SLURM | {"SLURM_PROCID": "8"},
        SLURM | {"SLURM_LOCALID": "8"},
    ],
)
def test_an_environment_that_contradicts_itself_is_refused(environment):
    with pytest.raises(InputError, match="contradicts itself"):
        launched(environment)


def test_nobody_is_left_without_a_voice_by_a_broken_environment(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert not processes.is_main()
    monkeypatch.setenv("RANK", "0")
    assert processes.is_main()
    monkeypatch.setenv("RANK", "three")
    assert processes.is_main()
    with pytest.raises(InputError, match="RANK = 'three'"), joined(CPU):
        pass


def test_several_processes_need_a_device_that_can_send(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="not on mps"), joined(torch.device("mps")):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = r"process 1 .* no GPU, there are 1; start 1"
    with pytest.raises(InputError, match=message), joined(torch.device("cuda")):
        pass


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu[07-09,12],login", "gpu07"),
        ("node3", "node3"),
        ("node3,node7", "node3"),
        ("a-[001-100]", "a-001"),
        ("rack1-node[3,5]", "rack1-node3"),
        ("node[5,7-9]-ib,login", "node5-ib"),
        ("rack[0-3]_blade[10-41],login", "rack0_blade10"),
        ("login,gpu[07-09]", "login"),
        ("a.example.org", "a.example.org"),
    ],
)
def test_the_first_host_of_a_list(nodes, first):
    assert first_host(nodes) == first


@pytest.mark.parametrize("nodes", ["", ",a"])
def test_a_list_without_a_first_host_is_refused(nodes):
    with pytest.raises(InputError, match="set MASTER_ADDR"):
        first_host(nodes)


# --- what each takes ------------------------------------------------------------------


@given(total=st.integers(0, 200), count=st.integers(1, 17))
def test_shares_are_a_partition_in_order_of_alike_sizes(total, count):
    shares = [Processes(rank, count).share(total) for rank in range(count)]
    assert [i for share in shares for i in range(total)[share]] == list(range(total))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)  # who has nothing is never the main process


@given(
    total=st.integers(1, 80),
    count=st.integers(1, 9),
    most=st.one_of(st.none(), st.integers(1, 90)),
)
def test_parts_of_all_processes_are_the_batch(total, count, most):
    found = [divide(total, Processes(rank, count), most) for rank in range(count)]
    parts = [part for own in found for part in own]
    assert [i for part in parts for i in range(total)[part.rows]] == list(range(total))
    assert all(part.total == total and part.stop > part.start for part in parts)
    assert sum(part.share for part in parts) == pytest.approx(1.0)
    for rank, own in enumerate(found):
        share = Processes(rank, count).share(total)
        sizes = [part.stop - part.start for part in own]
        assert sum(sizes) == share.stop - share.start
        if most is None:
            assert len(own) == bool(sizes)
        else:
            assert all(size <= most for size in sizes)
            assert len(own) == -(-sum(sizes) // most)  # no more parts than it takes
        assert not sizes or max(sizes) - min(sizes) <= 1


# --- alone ----------------------------------------------------------------------------


def test_alone_everything_is_as_it_is():
    values = [torch.arange(6.0).reshape(2, 3), torch.ones(())]
    before = [value.clone() for value in values]
    assert ALONE.main
    ALONE.add_up(values)
    ALONE.copy(values)
    ALONE.wait()
    assert ALONE.gather(values[0], 2) is values[0]
    assert ALONE.largest(values[0]) is values[0]
    assert ALONE.from_main(lambda: 7) == ALONE.after_main(lambda: 7) == 7
    assert ALONE.share(5) == slice(0, 5)
    assert all(torch.equal(*pair) for pair in zip(values, before, strict=True))


@pytest.mark.parametrize("votes", [Votes(), ALONE.votes(), Processes(1, 3).silenced().votes()])
def test_alone_a_vote_is_its_own_answer_at_once(votes):
    assert [votes.cast(value) for value in (0, 15, 0, 1000)] == [0, 15, 0, 1000]
    assert votes.settle() == 0


def test_a_silenced_process_has_its_share_and_sends_nothing():
    silent = Processes(1, 3).silenced()
    value = torch.ones(2)
    silent.add_up([value])
    silent.copy([value])
    assert value.tolist() == [1, 1]
    assert silent.gather(torch.ones(2, 4), 7).shape == (7, 4)
    assert silent.largest(value) is value
    assert silent.from_main(lambda: "own") == silent.after_main(lambda: "own") == "own"
    assert (silent.rank, silent.count, silent.main) == (1, 3, False)
    assert silent.share(7) == Processes(1, 3).share(7)
