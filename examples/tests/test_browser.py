"""The example applications in Chromium: `nox -s browser`. Where there is none, this fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from .sites import APPLICATIONS, Site, opened

NUMBER: Final = "+989121112233"
PATIENCE: Final = 30  # seconds
#: The first is Debian's. Root can start it without its sandbox only; it sees our own pages alone.
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
SWITCHES: Final = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own. Nothing is looked for on the network."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    assert program, f"none of {', '.join(BROWSERS)} is installed"
    assert driver, "chromedriver is not installed"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(switch)
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


def submit(browser: webdriver.Chrome, text: str | None = None) -> None:
    """Type into the input that has the focus, and press the first button; wait for what comes."""
    if text is not None:
        browser.switch_to.active_element.send_keys(text)
    button = browser.find_element(By.TAG_NAME, "button")
    button.click()
    WebDriverWait(browser, PATIENCE).until(lambda _: gone(button))


def gone(element: object) -> bool:
    from selenium.common.exceptions import WebDriverException

    try:
        element.is_enabled()  # type: ignore[attr-defined]
    except WebDriverException:
        return True
    return False


def text_of(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_person_logs_in_and_out(name: str, browser: webdriver.Chrome, tmp_path: Path) -> None:
    """The fields have the focus, so that one types, presses, types, presses, and is in."""
    with opened(name, tmp_path) as site:
        browser.get(site.url)
        submit(browser, NUMBER)
        assert NUMBER in text_of(browser)
        check_code_field(browser)
        log_in(browser, site)
        submit(browser)
        assert browser.current_url == f"{site.url}/login"
        browser.back()
        assert "You are logged in" not in text_of(browser)


def check_code_field(browser: webdriver.Chrome) -> None:
    """The browser itself knows the field for what it is."""
    field = browser.switch_to.active_element
    assert field.get_property("autocomplete") == "one-time-code"
    assert field.get_property("inputMode") == "numeric"


def log_in(browser: webdriver.Chrome, site: Site) -> None:
    code = site.phones.code(NUMBER)
    submit(browser, f"{(int(code) + 1) % 1_000_000:06}")
    assert "This code is not right" in text_of(browser)
    submit(browser, code)
    assert f"You are logged in as {NUMBER}." in text_of(browser)
