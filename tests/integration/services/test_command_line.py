"""`python -m tools.services`, with the two servers that start at once."""

import re
import signal
import socket
from pathlib import Path

from tests.integration.services.second_set import SecondSet
from tools.services.ports import HOST, is_taken
from tools.services.probes import listens

PAIR = ("redis", "memcached")
ONLY = ("--only", ",".join(PAIR))


def test_up_says_where_each_server_is(second_set: SecondSet) -> None:
    code, said = second_set.do("up", *PAIR)

    assert code == 0, said
    assert re.search(rf"^redis +ready in \d+\.\d s on {HOST}:{second_set.port('redis')}$", said, re.MULTILINE)
    assert all(listens(second_set.port(name)) for name in PAIR)


def test_up_twice_leaves_the_first_as_they_are(second_set: SecondSet) -> None:
    second_set.do("up", *PAIR)
    first = second_set.do("status", *PAIR)

    code, said = second_set.do("up", *PAIR)

    assert (code, said.count("answers already")) == (0, 2)
    assert second_set.do("status", *PAIR) == first


def test_two_ups_at_once_start_each_server_once(second_set: SecondSet) -> None:
    both = [second_set.begin("up", *PAIR) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sum(each.count("ready in") for each in said) == 2


def test_down_leaves_no_port_and_no_folder(second_set: SecondSet) -> None:
    second_set.do("up", *PAIR)
    assert second_set.folder.exists()

    code, said = second_set.do("down")

    assert code == 0, said
    assert not any(is_taken(second_set.port(name)) for name in PAIR)
    assert not second_set.folder.exists()


def test_down_of_nothing_is_no_failure(second_set: SecondSet) -> None:
    code, said = second_set.do("down", "redis")

    assert (code, said.split()) == (0, ["redis", "is", "not", "running"])


def test_status_says_what_is_down(second_set: SecondSet) -> None:
    second_set.do("up", "redis")

    code, said = second_set.do("status", *PAIR)

    assert code == 1
    assert re.fullmatch(r"redis +up on \S+, process \d+\nmemcached +down\n", said)


def test_run_gives_the_exit_code_and_leaves_nothing(second_set: SecondSet) -> None:
    redis = second_set.port("redis")
    connects = f"import socket, sys; socket.create_connection(('{HOST}', {redis})); print('done'); sys.exit(3)"

    code, said = second_set.do("run", *ONLY, "--", "python3", "-c", connects)

    assert code == 3
    assert said.splitlines()[-1] == "done", "what the command says is the last to be seen"
    assert not is_taken(redis)
    assert not second_set.folder.exists()


def test_run_leaves_alone_what_was_up(second_set: SecondSet) -> None:
    second_set.do("up", "redis")

    code, _ = second_set.do("run", *ONLY, "--", "true")

    assert code == 0
    assert [listens(second_set.port(name)) for name in PAIR] == [True, False]


def test_of_two_runs_the_last_stops_the_servers(second_set: SecondSet, tmp_path: Path) -> None:
    waits = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    with second_set.begin("run", *ONLY, "--", "sh", "-c", f"touch {tmp_path}/here; {waits}") as first:
        wait_for = f"until [ -e {tmp_path}/here ]; do sleep 0.02; done"
        second_set.do("run", *ONLY, "--", "sh", "-c", wait_for)
        after_one = [listens(second_set.port(name)) for name in PAIR]
        (tmp_path / "go").touch()
        first.communicate(timeout=60)

    assert after_one == [True, True]
    assert not second_set.folder.exists()


def test_run_hands_on_sigterm_and_tidies_up(second_set: SecondSet, tmp_path: Path) -> None:
    command = f"trap 'exit 7' TERM; touch {tmp_path}/here; while :; do sleep 0.02; done"
    with second_set.begin("run", *ONLY, "--", "sh", "-c", command) as process:
        second_set.do("run", *ONLY, "--", "sh", "-c", f"until [ -e {tmp_path}/here ]; do sleep 0.02; done")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 7
    assert not second_set.folder.exists()


def test_a_port_that_somebody_has_is_said_with_who_it_is(second_set: SecondSet) -> None:
    with socket.create_server((HOST, second_set.port("redis"))):
        code, said = second_set.do("up", *PAIR)

    assert code == 1
    assert re.search(rf"^redis +{HOST}:\d+ \(redis\) is taken by process \d+ \(\S+\)$", said, re.MULTILINE), said
    assert listens(second_set.port("memcached")), "the other one is up"
