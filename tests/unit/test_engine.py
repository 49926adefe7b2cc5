"""Asking an engine: over its socket, over TCP with the docker SDK, and what is said where it does not answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gdkreg.engines import detect, names
from gdkreg.engines.api import Api, EngineError
from tests.fakes import FakeHost
from tests.servers import Answer, Asked, serving

DOCKER = {"Server": "Docker/20.10.24 (linux)"}
PODMAN = {"Server": "Libpod/4.3.1 (linux)"}
INFO = {"OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "ServerVersion": "20.10.24", "SecurityOptions": []}
VERSION = {"Version": "4.3.1", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}


def host_of(url: str) -> FakeHost:
    return FakeHost(env={"DOCKER_HOST": url})


def engine(headers: dict[str, str]) -> Callable[[Asked], Answer]:
    """Answers /info and /version, below a version of the API too."""

    def answer(asked: Asked) -> Answer:
        return Answer(200, VERSION if asked.path.endswith("/version") else INFO, headers)

    return answer


def no_client() -> None:
    raise AssertionError("the SDK is not wanted here")


def test_docker_tells_all_in_one_answer(tmp_path: Path) -> None:
    with serving(engine(DOCKER), tmp_path / "s") as told:
        found, api = detect.find(host_of(told.url))
    assert api is not None
    assert (found.kind, found.version, found.answers, found.local) == ("docker", "20.10.24", True, True)
    assert [asked.path for asked in told.asked] == ["/info"]


def test_podman_is_asked_what_it_is(tmp_path: Path) -> None:
    with serving(engine(PODMAN), tmp_path / "s") as told:
        found, _ = detect.find(host_of(told.url))
    assert (found.kind, found.version) == ("podman", "4.3.1")
    assert [asked.path for asked in told.asked] == ["/info", "/version"]


def test_an_engine_on_another_machine_is_asked_by_the_sdk() -> None:
    with serving(engine({})) as told:
        found, client = detect.detect(host_of(told.url.replace("http://", "tcp://")))
    assert client is not None
    assert found.version == "4.3.1"
    assert client.api.timeout == detect.WORK_WITHIN == 60
    assert {"/info", "/version"} <= {asked.path for asked in told.asked}
    assert not detect.Engine("remote", found.endpoint).local


@pytest.mark.parametrize("body", [["a list"], "a word"])
def test_what_is_no_engine(tmp_path: Path, body: object) -> None:
    for answer in (Answer(200, body), Answer(200, body, DOCKER)):
        with serving(lambda asked, answer=answer: answer, tmp_path / f"s{len(answer.headers)}") as told:  # type: ignore[misc]
            found, api = detect.find(host_of(told.url))
        assert api is None
        assert found.why == f"no engine answers at {told.url}: it is something else"


def test_podman_without_a_version_is_no_engine(tmp_path: Path) -> None:
    with serving(lambda asked: Answer(200, INFO if asked.path == "/info" else ["?"], PODMAN), tmp_path / "s") as told:
        found, api = detect.find(host_of(told.url))
    assert (found.kind, api) == ("none", None)
    assert found.why.endswith("it is something else")


def test_an_engine_that_says_no(tmp_path: Path) -> None:
    said = {"message": "driver failed programming external connectivity on endpoint x: port is already allocated"}
    answers = {
        "/message": Answer(500, said),
        "/words": Answer(503, b"w" * 400),
        "/list": Answer(400, ["?"]),
        "/empty": Answer(404, {}),
        "/page": Answer(200, b"<html>"),
        "/none": Answer(204),
        "/same": Answer(304),
        "/good": Answer(200, {"a": 1}),
    }
    with serving(lambda asked: answers[urlsplit(asked.path).path], tmp_path / "s") as told:
        api = Api(told.url, no_client)
        assert api.call("GET", "/good") == {"a": 1}
        assert api.call("GET", "/none") is api.call("POST", "/same") is None
        found = {}
        for path in ("/message", "/words", "/list", "/empty", "/page"):
            with pytest.raises(EngineError) as error:
                api.call("POST", path)
            found[path] = (error.value.status, error.value.why)
    assert found["/message"] == (500, "x: port is already allocated")
    assert found["/words"] == (503, "w" * 300)
    assert found["/list"] == (400, "POST /list answered 400")
    assert found["/empty"] == (404, "POST /empty answered 404")
    assert found["/page"] == (200, "POST /page answered what is no JSON")


def test_what_an_engine_is_sent(tmp_path: Path) -> None:
    with serving(lambda asked: Answer(200, {}, DOCKER), tmp_path / "s") as told:
        api = Api(told.url, no_client)
        api.call("POST", "/containers/create", query={"name": "x"}, body={"Image": "registry:2"})
        assert api.server == DOCKER["Server"]
        api.call("GET", "/containers/json", query={"all": 1, "filters": {"label": ["gdkreg"]}})
        api.call("POST", "/containers/x/start")
    create, listing, start = told.asked
    assert (create.method, create.path, json.loads(create.body)) == ("POST", "/containers/create?name=x", {"Image": "registry:2"})
    assert create.headers["content-type"] == "application/json"
    query = parse_qs(urlsplit(listing.path).query)
    assert query["all"] == ["1"]
    assert json.loads(query["filters"][0]) == {"label": ["gdkreg"]}
    assert (start.path, start.body) == ("/containers/x/start", b"")
    assert "content-type" not in start.headers


def test_an_engine_elsewhere_is_sent_the_same() -> None:
    with serving(lambda asked: Answer(200, VERSION if asked.path.endswith("/version") else [], PODMAN)) as told:
        at = detect.Endpoint(told.url.replace("http://", "tcp://"), "DOCKER_HOST")
        api = Api(at.url, lambda: detect.connect(at, FakeHost().platform))
        assert api.call("POST", "/containers/create", query={"name": "x"}, body={"Image": "registry:2"}) == []
    assert told.asked[-1].path == "/containers/create?name=x"
    assert json.loads(told.asked[-1].body) == {"Image": "registry:2"}


def test_why_nothing_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(url: str) -> str:
        found, api = detect.find(host_of(url))
        assert (found.kind, api) == ("none", None)
        assert found.why.startswith(f"no engine answers at {url}: ")
        return found.why.removeprefix(f"no engine answers at {url}: ")

    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "bound"))
        assert why(f"unix://{tmp_path}/bound") == "connection refused; is it running?"
    assert why(f"unix://{tmp_path}/gone") == "there is no such socket"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        with monkeypatch.context() as soon:
            soon.setattr(detect, "ANSWER_WITHIN", 0.05)
            assert why(f"unix://{tmp_path}/mute") == "no answer within 0.05 s; does it hang?"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert why(f"tcp://127.0.0.1:{free.getsockname()[1]}") == "connection refused; is it running?"
    with serving(lambda asked: Answer(500, b"x" * 200), tmp_path / "s") as told:
        assert why(told.url) == "x" * 160
    monkeypatch.setattr(Api, "call", lambda *_, **__: (_ for _ in ()).throw(EngineError("[Errno 13] Permission denied")))
    assert why("unix:///x") == "permission denied; are you in the group docker?"


def test_a_named_docker_tls_folder_is_used(tmp_path: Path) -> None:
    """The SDK refuses a pair that is not there: so the folder that is meant is seen."""
    from docker.errors import DockerException

    env = {"DOCKER_HOST": "tcp://10.0.0.1:2376", "DOCKER_TLS_VERIFY": "1"}
    at = detect.Endpoint("tcp://127.0.0.1:1", "DOCKER_HOST")
    with pytest.raises(DockerException, match="TLS"):
        detect.connect(at, FakeHost(env={**env, "DOCKER_CERT_PATH": str(tmp_path)}).platform)
    # A context's endpoint, or no DOCKER_TLS_VERIFY, has none of this: what fails is the connection.
    for place, words in ((at, {}), (detect.Endpoint(at.url, "context x"), env)):
        with pytest.raises(DockerException, match=r"(?i)refused"):
            detect.connect(place, FakeHost(env=words).platform)


def test_a_default_socket_that_is_a_dead_link_hides_no_living_one() -> None:
    host = FakeHost(home="/home/dev", env={"XDG_RUNTIME_DIR": "/run/user/7"})
    host.link("/var/run/docker.sock", "/home/dev/.docker/run/gone.sock")
    host.put("/run/user/7/podman/podman.sock", "")
    assert detect.endpoint(host).url == "unix:///run/user/7/podman/podman.sock"
    host.put("/home/dev/.docker/run/gone.sock", "")
    assert detect.endpoint(host).url == "unix:///var/run/docker.sock"
    plain = FakeHost(uid=1000, home="/home/dev")
    plain.put("/run/user/1000/docker.sock", "")
    assert detect.endpoint(plain).url == "unix:///run/user/1000/docker.sock"


def test_a_docker_configuration_that_may_not_be_read_is_done_without() -> None:
    """`sudo docker login` leaves it root's, and docker itself goes on with the default socket."""
    host = FakeHost(home="/home/dev")
    host.put("/home/dev/.docker/config.json", '{"currentContext": "remote"}')
    host.unreadable.add(Path("/home/dev/.docker/config.json"))
    assert detect.endpoint(host) == detect.Endpoint("unix:///var/run/docker.sock", detect.DEFAULT)


def test_the_default_context_is_the_default_socket() -> None:
    host = FakeHost(env={"DOCKER_CONTEXT": "default"})
    assert detect.endpoint(host).source == "default socket"
    listed = FakeHost(home="/home/dev", env={"DOCKER_CONFIG": "/cfg"})
    listed.put("/cfg/config.json", json.dumps(["no object"]))
    assert detect.endpoint(listed).source == "default socket"
    listed.put("/cfg/config.json", json.dumps({"currentContext": "far"}))
    assert detect.endpoint(listed).source == "context far"


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.naps += 1


def test_a_new_name_is_waited_for_as_long_as_go_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(names, "time", clock)
    answers = iter(["dial tcp: lookup registry.test on 1.1.1.1", "no such host", "good", "never asked"])
    assert names.patiently(lambda: next(answers), str) == "good"
    assert clock.naps == 2
    for text in ("no such host", "lookup x"):
        begun, naps = clock.now, clock.naps
        assert names.patiently(lambda text=text: text, str) == text  # type: ignore[misc]
        assert 5 < clock.now - begun < 7, "Go's resolver remembers for 5 s; nobody waits much longer"
        assert clock.naps - naps > 10
    naps = clock.naps
    assert names.patiently(lambda: "connection refused", str) == "connection refused"
    assert clock.naps == naps
