"""The environments that the benchmarks' peers run in: made, found, and called with the threads that were asked for."""

import sys

import pytest
from places import BENCHMARKS


@pytest.fixture(scope="module")
def peers():
    sys.path.insert(0, str(BENCHMARKS))
    import peer_environments

    yield peer_environments
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.slow
def test_an_engine_is_there_once_its_environment_holds_its_module(peers, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEDDL_PEERS", str(tmp_path / "peers"))
    monkeypatch.setattr(sys, "argv", ["peers", "--make", "--python", sys.executable, "one"])
    engines = {"one": peers.Engine("one", (), "pip"), "two": peers.Engine("two", (), "not_there*")}
    assert peers.installed(engines["one"]) is None
    assert peers.main(engines, "") == 0
    python = peers.installed(engines["one"])
    assert str(python) in capsys.readouterr().out
    assert peers.call([str(python), "-c", "import sys; print(sys.prefix)"], 1).strip() == str(tmp_path / "peers/one")
    monkeypatch.setattr(sys, "argv", ["peers"])
    assert peers.main(engines, "") == 0
    assert capsys.readouterr().out.split() == ["one", str(python), "two", "not", "installed"]


def test_a_name_that_no_engine_has_is_refused(peers, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["peers", "three"])
    with pytest.raises(SystemExit):
        peers.main({"one": peers.Engine("one", (), "pip")}, "")
    assert "three: not of one" in capsys.readouterr().err


def test_a_program_gets_its_threads_and_no_gpu(peers):
    code = "import os; print(os.environ['OMP_NUM_THREADS'], repr(os.environ['CUDA_VISIBLE_DEVICES']), os.environ['A'])"
    assert peers.call([sys.executable, "-c", code], 3, more={"A": "b"}).split() == ["3", "''", "b"]


def test_a_program_that_fails_says_why(peers):
    with pytest.raises(RuntimeError, match="no such brain"):
        peers.call([sys.executable, "-c", "raise SystemExit('no such brain')"], 1)
    with pytest.raises(RuntimeError, match="exit status 3"):
        peers.call([sys.executable, "-c", "raise SystemExit(3)"], 1)
    with pytest.raises(RuntimeError, match=r"longer than 0\.5 s"):
        peers.call([sys.executable, "-c", "import time; time.sleep(60)"], 1, timeout_s=0.5)


def test_every_engine_is_listed_under_its_own_name(peers):
    import models_peers
    import register_peers
    import superres_peers

    for engines in (register_peers.ENGINES, models_peers.KINDS, superres_peers.ENGINES):
        assert engines and all(name == engine.name for name, engine in engines.items())
