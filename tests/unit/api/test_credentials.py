"""The file with the keys: what it may look like, who may read it, and that a change of it counts at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.api import credentials
from supervisor.api.actions import Access
from supervisor.api.credentials import CredentialsFile, Profile
from supervisor.errors import ConfigError

SECRET = "not-for-anybodys-eyes"
ADA = f"[ada]\naws_access_key_id = AKIDADA\naws_secret_access_key = {SECRET}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    path.touch(0o600)
    return path


def test_profiles_by_key() -> None:
    text = ADA + (
        "# what aws configure writes\n[default]\naws_access_key_id=AKIDBOB\naws_secret_access_key=a=b%c;d\n"
        "aws_session_token = ignored\nregion = local\nsupervisor_access = read\n"
    )
    assert credentials.parse("file", text) == {
        "AKIDADA": Profile("ada", "AKIDADA", SECRET, Access.WRITE),
        "AKIDBOB": Profile("default", "AKIDBOB", "a=b%c;d", Access.READ),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no profile"),
        (f"aws_secret_access_key = {SECRET}\n", "line 1: the name of a profile must come first"),
        (ADA + ADA, r"line 4: \[ada\] stands there twice"),
        (ADA + f"aws_secret_access_key = {SECRET}\n", r"line 4: \[ada\] has aws_secret_access_key twice"),
        (ADA + SECRET, r"line 4 is neither \[profile\] nor key = value"),
        (f"[ada]\naws_secret_access_key = {SECRET}\n", r"\[ada\] has no aws_access_key_id"),
        ("[ada]\naws_access_key_id = A\naws_secret_access_key =\n", r"\[ada\] has no aws_secret_access_key"),
        (ADA + ADA.replace("[ada]", "[bob]"), r"\[ada\] and \[bob\] have the same access key id"),
        (ADA + "supervisor_access = root", r'supervisor_access of \[ada\] must be "read" or "write"'),
        ("[DEFAULT]\naws_access_key_id = A\n", r"\[DEFAULT\] has no aws_secret_access_key"),
    ],
)
def test_what_is_wrong_is_told_without_secrets(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        credentials.parse("file", text)
    assert "the credentials file" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_others_at_the_keys(file: Path, mode: int) -> None:
    file.write_text(ADA)
    assert credentials.load(str(file))
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"its mode 0{mode:o} lets others at the keys; chmod 0600"):
        credentials.load(str(file))


def test_it_must_be_ours(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(ADA)
    if os.geteuid() == 0:
        os.chown(file, 65000, -1)  # root may read it, and must not trust it
    monkeypatch.setattr(os, "geteuid", lambda: 65001)
    with pytest.raises(ConfigError, match="it belongs to user"):
        credentials.load(str(file))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory; see credentials_file in"):
        credentials.load(str(tmp_path / "missing"))


def test_a_change_counts_at_once(file: Path) -> None:
    keys = CredentialsFile(str(file))
    file.write_text(ADA)
    assert keys.profiles().keys() == {"AKIDADA"}
    file.write_text(ADA.replace("AKIDADA", "AKIDTWO"))
    assert keys.profiles().keys() == {"AKIDTWO"}
    other = file.with_name("other")
    other.touch(0o600)
    other.write_text(ADA)
    other.replace(file)
    assert keys.profiles().keys() == {"AKIDADA"}
    file.chmod(0o644)
    assert not keys.profiles()
    file.chmod(0o600)
    assert keys.profiles()
    file.unlink()
    assert not keys.profiles()


def test_no_change_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = CredentialsFile(str(file))
    file.write_text(ADA)
    first = keys.profiles()
    monkeypatch.setattr(credentials, "load", lambda _: pytest.fail("it was read again"))
    assert keys.profiles() is first
