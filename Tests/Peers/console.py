"""Looks at the console in a headless Chromium: pictures of each page, and axe's findings.

    pip install selenium; pip install --no-deps axe-playwright-python   # and Chromium with its driver
    python Tests/Peers/console.py --url http://127.0.0.1:8080 --key "$(rowcast keys create looker)" --out pictures

Each page is taken wide, on a tablet and narrow, light and dark. The run fails where axe finds something serious, where a page
breaks its policy or its script fails, where a page is wider than its window, or where it asks another host.
console_scene.sql makes something to look at.
"""

import argparse
import base64
import importlib.util
import json
import pathlib
import re
import sys

from selenium import webdriver
from selenium.webdriver.common.by import By

SIZES = {"wide": (1280, 900), "tablet": (768, 1024), "narrow": (390, 844)}
PAGES = {
    "overview": "/", "scorer": "/console/scorers/churn", "models": "/console/models", "model": "/console/models/churn",
    "jobs": "/console/jobs", "failures": "/console/failures", "drift": "/console/drift?scorer=churn",
    "workers": "/console/workers", "try": "/console/try", "try-model": "/console/try/churn",
    "try-categories": "/console/try/frame", "ask": "/console/ask/help", "ask-image": "/console/ask/read-digits",
    "absent": "/console/scorers/none",
}


def browser(chromium, driver, scheme, size):
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--force-color-profile=srgb"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600})
    return chrome


def axe_source(given):
    if given:
        return pathlib.Path(given).read_text()
    # Found, not imported: the package would want a browser of its own.
    spec = importlib.util.find_spec("axe_playwright_python")
    return (pathlib.Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text()


class Look:
    def __init__(self, arguments):
        self.url, self.out = arguments.url.rstrip("/"), pathlib.Path(arguments.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.axe = axe_source(arguments.axe)
        self.findings, self.problems = {}, []

    def judge(self, chrome, name):
        """axe's findings of the page, what the browser complained of, and whether it fits its window."""
        # The page's policy lets no script in but its own; the browser's own door is open.
        chrome.execute_script(self.axe)
        report = chrome.execute_async_script("axe.run(document).then(arguments[arguments.length - 1])")
        for found in report["violations"]:
            where = self.findings.setdefault((found["impact"], found["id"], found["help"]), [])
            where.append(f"{name}: {found['nodes'][0]['target']} {found['nodes'][0]['html'][:160]}")
        width, window = chrome.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        if width > window:
            self.problems.append(f"{name}: {width} pixels wide in a window of {window}")
        for line in chrome.get_log("browser"):
            expected = re.search(r"status of (400|401|403|404|422)", line["message"])
            if line["level"] in ("SEVERE", "WARNING") and not expected:
                self.problems.append(f"{name}: {line['message'][:300]}")
        for line in chrome.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                if not address.startswith((self.url, "data:", "chrome:", "about:")):
                    self.problems.append(f"{name}: asks {address}")

    def take(self, chrome, name, window):
        self.judge(chrome, name)
        height = chrome.execute_script("return document.documentElement.scrollHeight")
        size = {"x": 0, "y": 0, "width": window[0], "height": min(height, 6000), "scale": 1}
        picture = chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": size})
        (self.out / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    def run(self, arguments, scheme, size):
        window = SIZES[size]
        chrome = browser(arguments.chromium, arguments.driver, scheme, window)
        try:
            def named(page):
                return f"{page}-{size}-{scheme}"

            chrome.get(self.url + "/")
            self.take(chrome, named("sign-in"), window)
            chrome.find_element(By.ID, "key").send_keys("rck_no_key")
            chrome.find_element(By.CSS_SELECTOR, "main button").click()
            self.take(chrome, named("sign-in-refused"), window)
            chrome.find_element(By.ID, "key").send_keys(arguments.key)
            chrome.find_element(By.CSS_SELECTOR, "main button").click()
            for page, path in PAGES.items():
                if arguments.only and page not in arguments.only.split(","):
                    continue
                chrome.get(self.url + path)
                chrome.implicitly_wait(1)
                if page == "scorer":
                    for details in chrome.find_elements(By.TAG_NAME, "summary"):
                        details.click()
                self.take(chrome, named(page), window)
                if page == "try-model":
                    self.attempt(chrome, "f", ["12", "39.9", "3", "1"], window, named("try-model-result"))
                if page == "ask":
                    self.attempt(chrome, "question", ["I forgot my password, can you help me?"], window,
                                 named("ask-result"))
                if page == "ask-image" and arguments.image:
                    chrome.find_element(By.ID, "image").send_keys(str(pathlib.Path(arguments.image).resolve()))
                    self.attempt(chrome, None, [], window, named("ask-image-result"))
        finally:
            chrome.quit()

    def attempt(self, chrome, field, values, window, name):
        chrome.implicitly_wait(10)
        for place, value in enumerate(values):
            element = chrome.find_element(By.ID, field if field == "question" else f"{field}{place}")
            element.send_keys(value)
        chrome.find_element(By.CSS_SELECTOR, "form[data-attempt] button").click()
        chrome.find_element(By.CSS_SELECTOR, "#result table, #result .problem")
        self.take(chrome, name, window)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--out", default="pictures")
    parser.add_argument("--only", help="Names of pages, with commas between them.")
    parser.add_argument("--image", help="A file for the page that wants an image.")
    parser.add_argument("--axe", help="axe.min.js; by default that of axe-playwright-python.")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--driver", default="/usr/bin/chromedriver")
    arguments = parser.parse_args()
    look = Look(arguments)
    for size in SIZES:
        for scheme in ("light", "dark"):
            look.run(arguments, scheme, size)
    for (impact, name, words), places in sorted(look.findings.items(), key=str):
        print(f"{impact}: {name}: {words}; {len(places)} pages, first {places[0]}")
    for problem in dict.fromkeys(look.problems):
        print(problem)
    serious = [key for key in look.findings if key[0] in ("serious", "critical")]
    print(f"axe: {len(look.findings)} kinds of findings, {len(serious)} serious; {len(look.problems)} other problems")
    sys.exit(1 if serious or look.problems else 0)


if __name__ == "__main__":
    main()
