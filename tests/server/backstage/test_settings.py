"""The user's settings: what they say goes before defaults, and after the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.base import Mistake
from server import cli
from server.backstage.settings import Settings, read_settings
from server.score.folders import config_file, folders
from server.stage import Wish

ANY = {"tempo": lambda value: value, "midi": lambda value: value}


def test_without_a_file_there_are_none_unless_it_was_asked_for(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "none.toml", ANY) == Settings()
    with pytest.raises(Mistake, match="no such file"):
        read_settings(tmp_path / "none.toml", ANY, asked=True)


def test_what_is_wrong_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[play]\ntemp = 3\n[mqtt]\nnotes = 1\n")
    with pytest.raises(Mistake) as caught:
        read_settings(path, ANY)
    assert [str(each).partition(": ")[2] for each in caught.value.each] == [  # type: ignore[attr-defined]
        "play.temp, line 2: nothing has this name here; did you mean 'tempo'?",
        "mqtt.notes, line 4: expected true or false, got 1",
    ]


def test_files_of_the_broker_lie_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[mqtt]\nbroker = "here"\npassword_file = "secret"\n')
    assert read_settings(path, ANY).mqtt["password_file"] == tmp_path / "secret"


def test_folders_are_the_platform_s_and_the_variable_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMPONIUM_CONFIG", str(tmp_path / "mine.toml"))
    assert config_file() == folders()["settings"] == tmp_path / "mine.toml"
    assert (folders()["shipped"] / "scenes").is_dir()


def played(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[Wish, float]:
    """What a command line would play: its wish, and the scene's tempo."""
    found = []

    def perform(scene, wish, *rest) -> int:  # type: ignore[no-untyped-def]
        found.append((wish, scene.tempo))
        return 0

    monkeypatch.setattr("server.cli.play.perform", perform)
    monkeypatch.setattr("sys.argv", ["componium", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == (0 if found else 2)
    if not found:
        raise Mistake("", "nothing was played")
    return found[0]


def test_the_command_line_goes_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[play]\ntempo = 77\nosc = "127.0.0.1:9000"\nlan = true\n'
        '[mqtt]\nbroker = "mqtt://10.0.0.5/hall"\nnotes = true\n'
    )
    wish, tempo = played(monkeypatch, "--config", str(path), "play", "blues")
    assert (tempo, wish.osc, wish.lan) == (77, ("127.0.0.1:9000",), True)
    assert wish.mqtt is not None and wish.mqtt.notes and wish.mqtt.name == "hall"
    words = ("--config", str(path), "play", "blues", "--tempo", "88", "--mqtt", "none")
    wish, tempo = played(monkeypatch, *words)
    assert (tempo, wish.mqtt) == (88, None)
    monkeypatch.setenv("COMPONIUM_CONFIG", str(path))
    assert played(monkeypatch, "play", "blues")[1] == 77


@pytest.mark.parametrize("line", ['tempo = "fast"', "tempo = 5", "tempo = [1]", "lan = 'perhaps'"])
def test_a_value_that_the_command_line_would_refuse_is_refused(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[play]\n{line}\n")
    with pytest.raises(Mistake, match="nothing was played"):
        played(monkeypatch, "--config", str(path), "play", "blues")
    assert f"play.{line.split()[0]}, line 2" in capsys.readouterr().err


def test_a_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPONIUM_MQTT_USER", "me")
    monkeypatch.setenv("COMPONIUM_MQTT_PASSWORD", "secret")
    wish, _ = played(monkeypatch, "play", "blues", "--mqtt", "localhost/hall")
    assert wish.mqtt is not None
    assert (wish.mqtt.user, wish.mqtt.password) == ("me", "secret")
