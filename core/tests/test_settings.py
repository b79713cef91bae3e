"""Settings come from three places, and each mistake in them is one error that shows no value."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import keyring
import platformdirs
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from qasid.errors import PluginError, ProviderNotFound, SettingsError
from qasid.settings import (
    FILE_NAME,
    Options,
    accounts,
    config_paths,
    configured,
    resolve,
    state_folder,
)
from qasid.values import Money

KEY: Final = "hush-hush"
pytestmark = pytest.mark.usefixtures("home")


class MemoryKeyring(KeyringBackend):
    """A keyring that nobody else sees, and that can be locked."""

    priority = 1
    locked = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked(KEY)
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.fixture
def home(tmp_path: Path, distributions: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory and a config directory without any settings."""
    for variable in [name for name in os.environ if name.startswith("QASID_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    """It takes the place of the machine's own."""
    before = keyring.get_keyring()
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def write(text: str, path: Path | None = None, mode: int = 0o600) -> Path:
    """A ``qasid.toml``, the nearer one unless told."""
    path = path or Path(FILE_NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refused(name: str = "fine", /, **arguments: Any) -> SettingsError:
    """The one error that those settings lead to."""
    with pytest.raises(SettingsError) as caught:
        resolve(name, arguments)
    return caught.value


def told(error: SettingsError) -> str:
    """Everything that a reader or a log could see of it."""
    notes = "".join(getattr(error, "__notes__", []))
    return f"{error}{error!r}{vars(error)}{notes}{''.join(traceback.format_exception_only(error))}"


# Where they come from.


def test_an_account_without_a_file_has_the_name_of_its_provider() -> None:
    """And defaults for all that is not given."""
    found = resolve("fine", {"api_key": KEY})
    assert ("fine", "fine") == (found.account, found.provider_name)
    assert (KEY, "https://fine.example/v1") == (found.provider.api_key, found.provider.base_url)
    assert Options() == found.options


def test_arguments_go_before_the_environment_and_that_before_the_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Field by field."""
    write("[accounts.fine]\napi_key = 'file'\nsender = 'file'\nword = 'f1'\nmax_open = 7")
    write("[accounts.fine]\ndomain = 'far'", home / "config" / "qasid" / FILE_NAME)
    monkeypatch.setenv("QASID_FINE_API_KEY", "environment")
    monkeypatch.setenv("QASID_FINE_SENDER", "environment")
    found = resolve("fine", {"api_key": "argument"})
    provider = found.provider
    assert ("argument", "environment", "f1") == (provider.api_key, provider.sender, provider.word)
    assert (7, None) == (found.options.max_open, provider.domain)


def test_a_file_in_the_users_config_directory_is_read(home: Path) -> None:
    """Where the nearer one does not have that account."""
    write("[accounts.fine]\napi_key = 'near'")
    far = write(
        "[accounts.work]\nprovider = 'fine'\napi_key = 'far'", home / "config/qasid/qasid.toml"
    )
    assert "far" == resolve("work").provider.api_key
    assert ["fine", "work"] == [*accounts()]
    assert (Path(FILE_NAME), far) == config_paths()


def test_accounts_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one provider do not share anything."""
    write("[accounts.work]\nprovider = 'fine'\n[accounts.at-home]\nprovider = 'fine'")
    monkeypatch.setenv("QASID_WORK_API_KEY", "one")
    monkeypatch.setenv("QASID_AT_HOME_API_KEY", "two")
    found = [resolve("work"), resolve("at-home")]
    assert ["one", "two"] == [one.provider.api_key for one in found]
    assert [("work", "fine"), ("at-home", "fine")] == [(o.account, o.provider_name) for o in found]


def test_a_name_that_begins_another_does_not_take_its_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of `sms` and `sms_arab` each has its own."""
    write("[accounts.sms]\nprovider = 'fine'\n[accounts.sms_arab]\nprovider = 'fine'")
    monkeypatch.setenv("QASID_SMS_API_KEY", "one")
    monkeypatch.setenv("QASID_SMS_ARAB_API_KEY", "two")
    found = [resolve("sms"), resolve("sms_arab")]
    assert ["one", "two"] == [one.provider.api_key for one in found]


def test_configured_accounts_are_those_of_files_and_of_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each once, those of files first; a variable of a longer name is not one of a shorter."""
    assert [] == configured()
    write("[accounts.work]\nprovider = 'fine'\n[accounts.fine_two]\nprovider = 'fine'")
    monkeypatch.setenv("QASID_FINE_TWO_API_KEY", KEY)
    assert ["work", "fine_two"] == configured()
    monkeypatch.setenv("QASID_FINE_API_KEY", KEY)
    assert ["work", "fine_two", "fine"] == configured()


def test_a_provider_that_is_not_installed_is_not_found() -> None:
    """The error lists the accounts that there are."""
    with pytest.raises(ProviderNotFound, match=r"\(accounts in qasid\.toml: none\)$"):
        resolve("unheard-of")
    write("[accounts.work]\nprovider = 'unheard-of'")
    with pytest.raises(ProviderNotFound, match=r"'unheard-of'.*\(accounts in qasid\.toml: work\)$"):
        resolve("work")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("clashing", "'clashing' is broken: a field has the name of an option"),
        ("untold", "'untold' is broken: the type of a field cannot be told: name 'timedelta'"),
        ("raises", "'raises' of fixture-broken 1.0 "),
    ],
)
def test_a_provider_whose_fields_cannot_be_settings_is_broken(name: str, problem: str) -> None:
    """That is no mistake of the user's."""
    with pytest.raises(PluginError) as caught:
        resolve(name)
    assert str(caught.value).startswith(problem)


# From texts to types.


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("retries", "7", 7),
        ("price", "0.25", 0.25),
        ("strict", "No", False),
        ("strict", " true ", True),
        ("lifetime", "90", timedelta(seconds=90)),
        ("channel", "voice", "voice"),
        ("domain", "example", "example"),
        ("sender", "12", "12"),
    ],
)
def test_a_variable_becomes_the_type_of_its_field(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str, expected: object
) -> None:
    """As every text does."""
    monkeypatch.setenv(f"QASID_FINE_{field.upper()}", text)
    assert expected == getattr(resolve("fine", {"api_key": KEY}).provider, field)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("price", 1, 1.0),
        ("lifetime", 90, timedelta(seconds=90)),
        ("lifetime", 0.5, timedelta(seconds=0.5)),
        ("lifetime", timedelta(1), timedelta(1)),
        ("domain", None, None),
        ("strict", False, False),
        ("extras", ("a",), ("a",)),
    ],
)
def test_an_argument_may_have_its_type_already(field: str, value: object, expected: object) -> None:
    """Or one that stands for it."""
    found = getattr(resolve("fine", {"api_key": KEY, field: value}).provider, field)
    assert (expected, type(expected)) == (found, type(found))


def test_options_are_settings_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every account."""
    monkeypatch.setenv("QASID_FINE_MAX_SPEND", "5.00 USD")
    found = resolve("fine", {"api_key": KEY, "timeout": 2, "max_open": 0}).options
    assert (Money("5.00", "USD"), 2.0, 0) == (found.max_spend, found.timeout, found.max_open)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("sender", 7, "is not a text"),
        ("sender", None, "is not a text"),
        ("domain", 7, "is not a text"),
        ("api_key", 123456, "is not a text"),
        ("retries", "many", "is not a whole number"),
        ("retries", 2.5, "is not a whole number"),
        ("retries", True, "is not a whole number"),
        ("price", True, "is not a number"),
        ("price", [], "is not a number"),
        ("price", 10**400, "is not a number"),
        ("strict", "perhaps", "is not true or false"),
        ("strict", 1, "is not true or false"),
        ("lifetime", "long", "is not a number of seconds"),
        ("lifetime", True, "is not a number of seconds"),
        ("lifetime", float("inf"), "is not a number of seconds"),
        ("channel", "pigeon", "choose one of: sms, voice"),
        ("timeout", None, "is not a number"),
        ("max_open", True, "is not a whole number"),
        ("max_spend", "five", "is not an amount and a currency"),
        ("max_spend", 5, "is not an amount and a currency"),
    ],
)
def test_a_wrong_type_is_refused(field: str, value: object, words: str) -> None:
    """It says which type is right, and not what was given."""
    error = refused(**{"api_key": KEY, field: value})
    assert ("fine", field) == (error.account, error.field)
    assert words in {error.problem, error.remedy}
    assert f"account 'fine', field {field!r}: is " in str(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("connect_timeout", -1.5),
        ("max_body", 0),
        ("pool_size", -2),
        ("max_wait", -1),
        ("max_open", -1),
        ("max_per_day", "-1"),
        ("word", "letters"),
    ],
)
def test_what_is_out_of_range_is_refused(field: str, value: object) -> None:
    """Naming the field, not the value."""
    error = refused(**{"api_key": KEY, field: value})
    assert (field, "give a value that fits") == (error.field, error.remedy)
    assert f"account 'fine', field {field!r}: is out of range; {error.remedy}" == str(error)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://fine.example", "must begin with https:// (http:// only to this machine)"),
        ("https://user@fine.example", "must be an address such as https://api.example.com/v1"),
        ("", "must be an address such as https://api.example.com/v1"),
    ],
)
def test_an_unsafe_address_is_refused(address: str, problem: str) -> None:
    """Before a secret is sent there."""
    error = refused(api_key=KEY, base_url=address)
    assert ("base_url", True) == (error.field, problem in str(error))


def test_a_fault_between_two_fields_names_none() -> None:
    """As it may be in either; what the provider says of it is kept."""
    error = refused(api_key=KEY, retries=2, second=2)
    assert ("?", True) == (error.field, "second is another number than retries" in str(error))


def test_what_a_provider_says_of_a_secret_is_not_shown() -> None:
    """Not even where its own check puts it into words."""
    error = refused(api_key=KEY, sender=KEY)
    assert ("?", False) == (error.field, KEY in told(error))


# What is unknown, missing, or not as it should be.


def test_a_missing_secret_says_how_to_give_it() -> None:
    """By variable or by argument, with the account's name."""
    write("[accounts.at-home]\nprovider = 'fine'")
    error = refused("at-home")
    expected = (
        "account 'at-home', field 'api_key': is missing;"
        " set the variable QASID_AT_HOME_API_KEY or pass api_key="
    )
    assert expected == str(error)


@pytest.mark.parametrize("place", ["arguments", "variable", "file"])
@pytest.mark.parametrize(
    ("misspelt", "remedy"),
    [("api_kee", "did you mean 'api_key'?"), ("zzz", "known: api_key, base_url, ")],
)
def test_an_unknown_field_is_refused_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch, place: str, misspelt: str, remedy: str
) -> None:
    """It says where, and which was meant or which there are."""
    arguments: dict[str, Any] = {}
    if place == "arguments":
        arguments = {misspelt: KEY}
    elif place == "variable":
        monkeypatch.setenv(f"QASID_FINE_{misspelt.upper()}", KEY)
    else:
        write(f"[accounts.fine]\n{misspelt} = '{KEY}'")
    where = {"arguments": "the arguments", "file": FILE_NAME}
    expected = where.get(place, f"the variable QASID_FINE_{misspelt.upper()}")
    error = refused(**arguments)
    assert (misspelt, True) == (error.field, error.remedy.startswith(remedy))
    assert (True, False) == (f"is unknown (in {expected})" in str(error), KEY in told(error))


def test_an_unknown_table_is_refused() -> None:
    """It is most often the one that was meant, misspelt."""
    write("[account.work]\nprovider = 'fine'")
    error = refused("work")
    assert (FILE_NAME, "account") == (error.account, error.field)
    assert "did you mean 'accounts'?" == error.remedy


@pytest.mark.parametrize("text", ["accounts = 7", "accounts = []", "[accounts]\nwork = 7"])
def test_accounts_are_a_table_of_tables(text: str) -> None:
    """And nothing else."""
    write(text)
    error = refused()
    assert ("accounts", "write [accounts.NAME]") == (error.field, error.remedy)


def test_a_provider_is_named_by_a_text() -> None:
    """And by nothing else."""
    write("[accounts.work]\nprovider = 7")
    error = refused("work")
    assert ("work", "provider", 'write provider = "NAME"') == (
        error.account,
        error.field,
        error.remedy,
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [(f"[accounts.fine]\napi_key = {KEY}", "at line 2, column 11"), ("[accounts", "at ")],
)
def test_a_file_that_is_not_toml_is_refused(text: str, where: str) -> None:
    """With the place of the fault, and nothing of the text."""
    write(text)
    error = refused()
    assert (FILE_NAME, True) == (error.account, f"is not TOML ({where}" in str(error))
    assert KEY not in told(error)


def test_a_file_that_cannot_be_read_is_refused() -> None:
    """As where it is a directory, or no text."""
    Path(FILE_NAME).mkdir()
    assert "cannot be read (IsADirectoryError)" in str(refused())
    Path(FILE_NAME).rmdir()
    Path(FILE_NAME).write_bytes(b"\xff")
    assert "cannot be read (UnicodeDecodeError)" in str(refused())


def test_a_config_directory_that_is_none_holds_no_settings(home: Path) -> None:
    """A file stands in its place."""
    (home / "config").write_text("")
    assert {} == accounts()


# Secrets.


def test_a_literal_secret_in_a_file_that_all_can_read_is_refused() -> None:
    """With the command that mends it; without a secret in it the file may be open."""
    path = write(f"[accounts.fine]\napi_key = '{KEY}'", mode=0o644)
    error = refused()
    assert ("api_key", f"run: chmod 600 {path}") == (error.field, error.remedy)
    write("[accounts.fine]\nsender = 'Acme'", mode=0o644)
    assert "Acme" == resolve("fine", {"api_key": KEY}).provider.sender


def test_a_secret_may_be_in_a_variable_of_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """By reference, from a file that all can read or from an argument."""
    monkeypatch.setenv("VAULT_KEY", KEY)
    write('[accounts.fine]\napi_key = { env = "VAULT_KEY" }', mode=0o644)
    assert KEY == resolve("fine").provider.api_key
    assert KEY == resolve("fine", {"api_key": {"env": "VAULT_KEY"}}).provider.api_key


def test_any_field_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes the type of its field."""
    monkeypatch.setenv("PATIENCE", "2.5")
    found = resolve("fine", {"api_key": KEY, "timeout": {"env": "PATIENCE"}})
    assert 2.5 == found.options.timeout


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_may_be_in_a_file(tmp_path: Path, end: str) -> None:
    """Which may end with a line end."""
    path = write(KEY + end, tmp_path / "key")
    assert KEY == resolve("fine", {"api_key": {"file": str(path)}}).provider.api_key


def test_a_file_may_be_named_from_the_users_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a tilde."""
    monkeypatch.setenv("HOME", str(home))
    write(KEY, home / "key")
    assert KEY == resolve("fine", {"api_key": {"file": "~/key"}}).provider.api_key


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_a_secret_file_that_all_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    """With the command that mends it."""
    path = write(KEY, tmp_path / "key", mode)
    error = refused(api_key={"file": str(path)})
    assert ("api_key", f"run: chmod 600 {path}") == (error.field, error.remedy)


@pytest.mark.parametrize("path", ["absent", ".", "~nobody-of-that-name/key", "a\0b"])
def test_a_secret_file_that_cannot_be_read_is_refused(path: str) -> None:
    """Naming the file and the kind of fault."""
    error = refused(api_key={"file": path})
    assert ("api_key", "name a readable text file") == (error.field, error.remedy)


def test_a_secret_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """And nothing of it is shown."""
    path = tmp_path / "key"
    path.write_bytes(KEY.encode() + b"\xff")
    error = refused(api_key={"file": str(path)})
    assert (True, False) == ("(UnicodeDecodeError)" in str(error), KEY in told(error))


def test_a_secret_may_be_in_the_keyring(memory_keyring: MemoryKeyring) -> None:
    """By service and user; the service may hold a slash."""
    memory_keyring.set_password("qasid/work", "me", KEY)
    assert KEY == resolve("fine", {"api_key": {"keyring": "qasid/work/me"}}).provider.api_key


def test_a_dangling_reference_is_refused(memory_keyring: MemoryKeyring) -> None:
    """Saying what is not there and where to put it."""
    variable = refused(api_key={"env": "ABSENT"})
    entry = refused(api_key={"keyring": "qasid/me"})
    assert "the variable ABSENT is not set; set ABSENT" in str(variable)
    assert "the keyring has no 'qasid/me'; store it there" in str(entry)


def test_a_locked_keyring_is_a_settings_error(memory_keyring: MemoryKeyring) -> None:
    """Without what it says."""
    memory_keyring.locked = True
    error = refused(api_key={"keyring": "qasid/me"})
    assert (True, False) == ("the keyring failed (KeyringLocked)" in str(error), KEY in told(error))


def test_without_the_keyring_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that is missing."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    error = refused(api_key={"keyring": "qasid/me"})
    assert 'run: pip install "qasid[keyring]"' == error.remedy


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"vault": KEY},
        {"env": 7},
        {"env": "A", "file": "b"},
        {"file": "a", "mode": "r"},
        {"keyring": "no-slash"},
        {"keyring": "a/b", "more": True},
    ],
    ids=str,
)
def test_what_is_no_reference_is_refused(reference: dict[str, Any]) -> None:
    """Showing the three that there are, and nothing of what was given."""
    error = refused(api_key=reference)
    assert ("api_key", True) == (error.field, "{ env = " in error.remedy)
    assert KEY not in told(error)


@pytest.mark.parametrize("place", ["arguments", "variable", "file", "reference"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [("", "is empty"), (f"{KEY}\t{KEY}", "holds a control character, such as a line end")],
)
def test_an_unusable_secret_is_refused_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch, place: str, value: str, problem: str
) -> None:
    """And is not shown."""
    arguments: dict[str, Any] = {"arguments": {"api_key": value}}.get(place, {})
    if place == "variable":
        monkeypatch.setenv("QASID_FINE_API_KEY", value)
    elif place == "file":
        write(f"[accounts.fine]\napi_key = '{value}'")
    elif place == "reference":
        monkeypatch.setenv("VAULT_KEY", value)
        arguments = {"api_key": {"env": "VAULT_KEY"}}
    error = refused(**arguments)
    assert ("api_key", True, False) == (error.field, problem in str(error), KEY in told(error))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=6) | st.text("ab\n\t\0\\'\"\u200c", min_size=6))
@example("such as\n")
@example("'\"\\\n\r\t\0")
def test_whatever_text_a_secret_is_it_is_taken_or_not_shown(value: str) -> None:
    """Neither as it is nor as `repr` writes it."""
    try:
        found = resolve("fine", {"api_key": value}).provider
    except SettingsError as error:
        shown = told(error)
        assert (False, False) == (value in shown, repr(value)[1:-1] in shown)
    else:
        assert (value, False) == (found.api_key, value in repr(found))


@pytest.mark.parametrize("value", [4711471147, 4711.4711, [KEY], {KEY: KEY}], ids=repr)
def test_what_was_given_by_another_type_is_not_shown_either(value: object) -> None:
    """A number may be a secret as well."""
    error = refused(api_key=value)
    assert (False, False) == (KEY in told(error), "4711" in told(error))


@pytest.mark.parametrize("variable", [None, "", "/", "/a b/ü/", "relative", "~/x", " "])
@pytest.mark.parametrize("home_folder", [None, "", "/", "/root/", "/home/x", "relative"])
@pytest.mark.parametrize("android", [None, "/system"])
def test_the_users_folders_are_those_that_platformdirs_tells(
    variable: str | None,
    home_folder: str | None,
    android: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the environment says, and whether platformdirs had to be asked or not."""
    given = {
        "XDG_CONFIG_HOME": variable,
        "XDG_STATE_HOME": variable,
        "HOME": home_folder,
        "ANDROID_ROOT": android,
        "QASID_STATE_DIR": None,
    }
    for name, value in given.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert Path(platformdirs.user_config_dir("qasid"), FILE_NAME) == config_paths()[1]
    assert Path(platformdirs.user_state_dir("qasid")) == state_folder()
