"""The profile's file: written whole, read whole, refused otherwise."""

from __future__ import annotations

import json

import pytest

from mnas.errors import SettingsError, StopError
from mnas.profiles import read_profile, write_profile


def test_a_profile_survives_its_file(profile, profile_file):
    again = read_profile(profile_file())
    assert again == profile
    assert again.version == profile.version


def test_the_version_tells_profiles_apart(profile, profile_file):
    assert read_profile(profile_file(factor=1.001)).version != profile.version


def test_a_truncated_file_is_refused_by_name(profile_file):
    path = profile_file()
    path.write_text(path.read_text()[:-500])
    with pytest.raises(StopError, match=r"some\.profile is damaged.*mnas profile"):
        read_profile(path)


def test_a_changed_number_is_noticed(profile_file):
    path = profile_file()
    document = json.loads(path.read_text())
    shape = next(iter(document["profile"]["layers_ms"]))
    document["profile"]["layers_ms"][shape] += 1e-9
    path.write_text(json.dumps(document))
    with pytest.raises(StopError, match=r"some\.profile is damaged.*checksum"):
        read_profile(path)


def test_a_later_format_is_refused(profile_file):
    path = profile_file()
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(StopError, match=r"some\.profile has format 2.*reads format 1"):
        read_profile(path)


@pytest.mark.parametrize("content", ["[]", '{"layers": 3}'])
def test_other_json_is_no_profile(tmp_path, content):
    (tmp_path / "a.profile").write_text(content)
    with pytest.raises(SettingsError, match=r"a\.profile is JSON, but no latency profile"):
        read_profile(tmp_path / "a.profile")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.profile").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(StopError, match=r"a\.profile is damaged"):
        read_profile(tmp_path / "a.profile")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read the profile .*none\.profile"):
        read_profile(tmp_path / "none.profile")


def test_an_unfinished_write_leaves_the_old_profile(profile, profile_file, monkeypatch):
    path = profile_file()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        write_profile(path, profile)
    assert read_profile(path) == profile
