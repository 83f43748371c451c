"""``ondevice.caching``: where the cache is."""

from __future__ import annotations

from ondevice import caching


def test_the_cache_is_where_the_system_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv(caching.CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(caching.platform, "system", lambda: "Linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert caching.cache_directory() == tmp_path / "ondevice"
    monkeypatch.setattr(caching.platform, "system", lambda: "Darwin")
    assert caching.cache_directory().parts[-3:] == ("Library", "Caches", "ondevice")


def test_a_variable_moves_it(monkeypatch, tmp_path):
    monkeypatch.setenv(caching.CACHE_VARIABLE, str(tmp_path / "mine"))
    assert caching.cache_directory() == tmp_path / "mine"
