"""A real headless Chromium, which must have nothing to complain about."""

import re
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from demo import wait_for

PAGE_S_MAX = 30


class Browser:
    """One window; every page that is looked at is kept as a picture."""

    def __init__(self, base, pictures, width=1440, height=1000, dark=False):
        self.base, self.pictures = base, Path(pictures)
        self.pictures.mkdir(parents=True, exist_ok=True)
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            f"--window-size={width},{height}",
            f"--user-data-dir={self.pictures / 'profile'}",
        ]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self._driver.set_page_load_timeout(PAGE_S_MAX)
        if dark:
            self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        self._shot = 0

    def close(self):
        self._driver.quit()

    def open(self, path):
        self._driver.get(self.base + path)

    @property
    def path(self):
        return self._driver.current_url.removeprefix(self.base)

    @property
    def text(self):
        return self._driver.find_element(By.TAG_NAME, "main").text

    @property
    def whole_text(self):
        """With what stands around the page."""
        return self._driver.find_element(By.TAG_NAME, "body").text

    def links(self):
        """What the navigation of a tenant offers."""
        return [link.text for link in self._driver.find_elements(By.CSS_SELECTOR, "nav a")]

    def fill(self, **values):
        for name, value in values.items():
            [found] = [one for one in self._driver.find_elements(By.NAME, name) if one.get_attribute("type") not in ("hidden", "radio")] or [None]
            if found is None:
                self._driver.find_element(By.CSS_SELECTOR, f"input[name={name}][value='{value}']").click()
            elif found.tag_name == "select":
                Select(found).select_by_visible_text(value)
            else:
                found.clear()
                found.send_keys(value)

    def press(self, label):
        """Presses the visible button of this name, and waits for the page that comes."""
        buttons = self._driver.find_elements(By.TAG_NAME, "button")
        button = next(one for one in buttons if one.is_displayed() and one.text.strip() == label and one.get_attribute("tabindex") != "-1")
        self._leave(button)

    def follow(self, label):
        link = next(one for one in self._driver.find_elements(By.TAG_NAME, "a") if one.is_displayed() and one.text.strip() == label)
        self._leave(link)

    def _leave(self, element):
        old = self._driver.find_element(By.TAG_NAME, "html").id
        element.click()
        wait_for("the next page", lambda: self._is_other(old), PAGE_S_MAX)

    def _is_other(self, old):
        # Between two pages there may be no element at all.
        found = self._driver.find_elements(By.TAG_NAME, "html")
        return bool(found) and found[0].id != old and self._driver.execute_script("return document.readyState") == "complete"

    def until(self, words):
        """Waits until the page says so, by itself or after it was loaded again."""

        def says():
            try:
                return re.search(words, self.text)
            except WebDriverException:
                # The page was put together anew meanwhile.
                return None

        wait_for(f"`{words}` on {self.path}", says, PAGE_S_MAX, pause_s=0.2)

    def seen(self, name, refused=False):
        """Keeps a picture, and looks whether anything is wrong with the page. Of a page that is itself a refusal Chromium tells the status."""
        self._shot += 1
        self._driver.save_screenshot(str(self.pictures / f"{self._shot:02}-{name}.png"))
        wide = self._driver.execute_script("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, f"{self.path} is wider than the window"
        complaints = [entry["message"] for entry in self._driver.get_log("browser")]
        if refused:
            assert len(complaints) == 1 and "the server responded with a status of 40" in complaints[0], complaints
        else:
            assert not complaints, f"{self.path}: {complaints}"
