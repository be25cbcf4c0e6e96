"""What must not come through, and what must not come out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys

import pytest
from fastapi.testclient import TestClient

from mnas.board import Address, create_app
from mnas.errors import SettingsError
from mnas.views import RunView

TOKEN = "a-token-of-256-bits"
COOKIE = f"mnas-board-{hashlib.sha256(TOKEN.encode()).hexdigest()[:8]}"
PARAMETERS = ("/api/runs/{}", "/api/runs/{}/trials", "/api/runs/0/trials/{}", "/api/runs/0/references/{}",
              "/api/runs/0/trials/{}/model.onnx", "/api/runs/{}/trials.csv", "/{}", "/page/{}")  # fmt: skip
WAYS_OUT = (
    "../run.toml", "..%2frun.toml", "%2e%2e%2frun.toml", "..%5crun.toml", "....//run.toml", "%00", "0%00",
    "..;/run.toml", "%252e%252e%252frun.toml", "/etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd",
)  # fmt: skip
FOREIGN = (
    "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8642", "", "10.0.0.7", "[::2]",
    "127.0.0.1@evil.example", "evil.example:127.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("path", PARAMETERS)
def test_no_parameter_leads_out_of_the_run(client, path):
    for way in WAYS_OUT:
        answer = client.get(path.format(way))
        assert answer.status_code in (404, 422), way
        assert "[run]" not in answer.text
        assert "root:" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_everything_is_only_read(client, method):
    answer = client.request(method, "/api/runs")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_head_is_answered_without_a_body(client):
    for path in ("/", "/api/runs", "/api/runs/0/trials.csv"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == client.get(path).headers["content-type"]
    assert client.head("/api/runs/9").status_code == 404


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_name_is_refused(client, host):
    """DNS rebinding: a page's own name that resolves to this machine."""
    answer = client.get("/api/runs", headers={"host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8642", "localhost", "LOCALHOST:9000", "[::1]:8642"])
def test_our_own_names_are_answered(client, host):
    assert client.get("/api/runs", headers={"host": host}).status_code == 200


def test_beyond_the_loopback_addresses_and_the_own_name_are_answered(client_of, mixed_run):
    client = client_of(mixed_run, hosts=Address("0.0.0.0", token=TOKEN).hosts, token=TOKEN)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/runs", headers={"host": "192.168.1.7:8642", **bearer}).status_code == 200
    assert client.get("/api/runs", headers={"host": "evil.example:8642", **bearer}).status_code == 403


def test_pages_of_other_sites_get_nothing(client):
    """An image or a script of ours in a foreign page: browsers send it without asking us first."""
    for mode in ("no-cors", "cors", "navigate"):
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode}
        assert client.get("/api/runs", headers=headers).status_code == 403
        other_port = {**headers, "sec-fetch-site": "same-site"}
        assert client.get("/api/runs", headers=other_port).status_code == 403
    assert client.get("/", headers={**headers, "sec-fetch-mode": "navigate"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/runs/9", "/docs", "/nothing", "/page.css"])
def test_every_answer_has_the_headers(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


class TestToken:
    @pytest.fixture
    def guarded(self, client_of, mixed_run):
        return client_of(mixed_run, token=TOKEN)

    def test_without_it_nothing_is_told(self, guarded):
        for path in ("/", "/api/runs", "/api/runs/0/trials", "/docs", "/openapi.json", "/page.css", "/nothing"):
            answer = guarded.get(path)
            assert answer.status_code == 401
            assert set(answer.json()) == {"detail"}

    @pytest.mark.parametrize("wrong", ["", "a-token-of-256-bit", f"{TOKEN}x", TOKEN.upper(), "é", "x" * 3000])
    def test_a_wrong_one_is_refused(self, guarded, wrong):
        assert guarded.get("/api/runs", params={"token": wrong}).status_code == 401
        bearer = f"Bearer {wrong}".encode()
        assert guarded.get("/api/runs", headers={"authorization": bearer}).status_code == 401
        guarded.cookies.set(COOKIE, wrong.encode().hex() if "é" in wrong else wrong)
        assert guarded.get("/api/runs").status_code == 401

    def test_the_printed_address_sets_a_cookie_and_leaves_the_token_out(self, guarded):
        answer = guarded.get("/", params={"token": TOKEN})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        assert answer.headers["set-cookie"].startswith(f"{COOKIE}={TOKEN}; HttpOnly; SameSite=Lax")
        assert guarded.get("/").status_code == 200
        assert guarded.get("/api/runs").status_code == 200

    def test_odd_cookies_of_other_pages_of_the_host_are_no_hindrance(self, guarded):
        cookies = f'a"b={{}}; session=x=y==; {COOKIE}={TOKEN}; =;;'
        assert guarded.get("/api/runs", headers={"cookie": cookies}).status_code == 200
        assert guarded.get("/api/runs", headers={"cookie": f"mnas-board-other={TOKEN}"}).status_code == 401

    def test_programs_send_it_as_a_bearer(self, guarded):
        assert guarded.get("/api/runs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200

    @pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "/%0d%0aset-cookie:x=1"])
    def test_it_leads_to_no_other_site(self, guarded, path):
        answer = guarded.get(f"http://127.0.0.1:8642{path}", params={"token": TOKEN})
        assert answer.headers.get("location", "/") == "/"
        assert "x=1" not in answer.headers.get("set-cookie", "")

    def test_it_is_compared_in_constant_time(self, guarded, monkeypatch):
        """Through hmac.compare_digest and through nothing else."""
        import hmac

        asked = []
        real = hmac.compare_digest
        monkeypatch.setattr("hmac.compare_digest", lambda a, b: asked.append((a, b)) or real(a, b))
        guarded.get("/api/runs", params={"token": "wrong"})
        assert asked == [(b"wrong", TOKEN.encode())]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_loopback_asks_for_no_token(host):
    assert Address.at(host, 8642).token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "board.example"])
def test_others_do_and_each_time_for_another(host):
    one, two = Address.at(host, 8642), Address.at(host, 8642)
    assert len(one.token) >= 43  # 256 bits in base64
    assert one.token != two.token
    assert one.token in one.url
    assert one.token not in repr(one)


def test_long_addresses_are_refused(client):
    assert client.get(f"/api/runs?x={'a' * 5_000}").status_code == 414
    assert client.get(f"/api/runs/{'a' * 5_000}").status_code == 414


def test_a_query_of_ten_megabytes_is_refused_unread(client):
    """Straight at the application, since clients do not send it."""
    scope = {
        "type": "http", "method": "GET", "path": "/api/runs", "raw_path": b"/api/runs", "headers": [],
        "query_string": b"token=" + b"a" * 10_000_000, "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    sent: list[dict[str, object]] = []

    async def send(message):
        sent.append(message)

    asyncio.run(client.app(scope, None, send))
    assert sent[0]["status"] == 414


def test_script_in_a_name_stays_text(client, client_of, mixed_run):
    evil = "<script>alert(1)</script>\u2028'\"&"
    settings = (mixed_run / "run.toml").read_text(encoding="utf-8")
    assert 'name = "search"' in settings
    escaped = evil.replace('"', '\\"')
    (mixed_run / "run.toml").write_text(settings.replace('name = "search"', f'name = "{escaped}"'), encoding="utf-8")
    answer = client.get("/api/runs/0")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["name"] == evil
    name = client.get("/api/runs/0/trials.csv").headers["content-disposition"]
    assert name == 'attachment; filename="script-alert-1-script.csv"'
    assert json.loads(client.get("/api/runs").text)["runs"][0]["name"] == evil


def test_a_link_out_of_the_folder_is_not_followed(client, mixed_run, tmp_path):
    """A run folder that somebody sent."""
    secret = tmp_path / "secret"
    secret.write_text("a private key")
    best = client.get("/api/runs/0").json()["best"]
    network = client.get(f"/api/runs/0/trials/{best}").json()
    (mixed_run / "final").mkdir()
    (mixed_run / "final" / f"{network['architecture_id']}.onnx").symlink_to(secret)
    answer = client.get(f"/api/runs/0/trials/{best}/model.onnx")
    assert answer.headers["mnas-weights"] == "untrained"
    assert b"private" not in answer.content


def test_a_bug_of_ours_tells_nothing_and_has_the_headers(client, client_of, mixed_run, monkeypatch):
    def broken(view: RunView) -> None:
        raise ZeroDivisionError("at /home/someone/secret.py")

    monkeypatch.setattr(RunView, "search", broken)
    client = TestClient(create_app([mixed_run]), base_url="http://127.0.0.1", raise_server_exceptions=False)
    answer = client.get("/api/runs/0/search")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "mnas.board._app", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(SettingsError, match=r"pip install 'mnas\[board\]'"):
        create_app([])


def test_a_port_in_use_is_one_sentence():
    import socket

    from mnas.board import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1 port .* --port"):
            serve([], Address(port=taken.getsockname()[1]))
