"""How a process was started, told by its environment."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phasegan.distributed import SINGLE_PROCESS, process_group
from phasegan.errors import InputError
from phasegan.launcher import Launch, first_host, is_main, read_launch

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


def test_torchrun_says_which_process_this_is():
    assert read_launch(TORCHRUN) == Launch(3, 4, 1, "env://")


def test_srun_says_which_process_this_is_and_the_job_names_a_port():
    rank, world, local, method = read_launch(SLURM)
    assert (rank, world, local) == (5, 8, 2)
    host, port = method.removeprefix("tcp://").split(":")
    assert host == "gpu07"
    assert 1024 < int(port) < 65536
    assert read_launch(SLURM | {"SLURM_PROCID": "0"}).method == method
    assert read_launch(SLURM | {"SLURM_JOB_ID": "4712"}).method != method


@given(st.integers(0, 999_999_999))
def test_every_job_has_a_port(job):
    method = read_launch(SLURM | {"SLURM_JOB_ID": str(job)}).method
    assert 1024 < int(method.rpartition(":")[2]) < 65536


def test_a_place_that_is_named_comes_before_that_of_the_job():
    named = SLURM | {"MASTER_ADDR": "login", "MASTER_PORT": "1234"}
    assert read_launch(named).method == "tcp://login:1234"
    assert read_launch(SLURM | {"MASTER_PORT": "1234"}).method == "tcp://gpu07:1234"


def test_torchrun_inside_a_slurm_step_counts():
    assert read_launch(SLURM | TORCHRUN) == read_launch(TORCHRUN)


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
    assert read_launch(environment) is None
    for name in {*TORCHRUN, *SLURM}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with process_group(CPU) as (found, device):
        assert found is SINGLE_PROCESS
        assert device == CPU
    assert is_main()


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
            read_launch(environment | {name: value})
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
        read_launch(rest)
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
        read_launch(environment)


def test_nobody_is_left_without_a_voice_by_a_broken_environment(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert not is_main()
    monkeypatch.setenv("RANK", "0")
    assert is_main()
    monkeypatch.setenv("RANK", "three")
    assert is_main()
    with pytest.raises(InputError, match="RANK = 'three'"), process_group(CPU):
        pass


def test_several_processes_need_a_device_that_can_send(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="not on mps"), process_group(torch.device("mps")):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = r"process 1 .* no GPU, there are 1; start 1"
    with pytest.raises(InputError, match=message), process_group(torch.device("cuda")):
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
