"""Looks at pages in a real Chromium: python tests/browser.py PAGE.html ... ; pictures go to browser/ beside the pages.

At every width, light and dark, and on A4: nothing is wider than the screen, every figure is drawn, every text can be
read, tables sort by keyboard, no message on the console, nothing is fetched. Exit code 1: a page that fails one.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

WIDTHS, SCHEMES = (320, 900, 1400), ("light", "dark")
A4 = (8.27, 11.69)  # inch
LOOK = r"""(() => {
  const READABLE = 4.5;  // contrast of text: WCAG 2.2, criterion 1.4.3
  const light = c => c.match(/[\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c; } return "rgb(255, 255, 255)"; };
  const contrast = e => { const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  const all = names => [...document.querySelectorAll(names)], page = document.documentElement;
  return {beyond: page.scrollWidth - page.clientWidth,
    hidden: all("figure div > svg, figure img")
      .filter(e => e.getBoundingClientRect().height < 50 || e.naturalWidth === 0).length,
    pale: all("h1, h2, p, dt, dd, th, td, caption, figcaption")
      .filter(e => e.textContent.trim() && contrast(e) < READABLE).map(e => e.textContent).slice(0, 3)};
})()"""
FOCUS = """(() => { const b = document.querySelectorAll("th button")[%d]; if (b) b.focus(); return !!b; })()"""
ORDER = """(() => { const b = document.activeElement, head = b.closest("th"), body = b.closest("table").tBodies[0],
  cells = [...body.rows].map(r => r.cells[head.cellIndex].textContent), down = head.ariaSort === "descending",
  wanted = [...cells].sort((x, y) => compare(x, y, down)); return {sort: head.ariaSort, cells, wanted}; })()"""


class Chromium:
    """A headless browser that is spoken to over two pipes."""

    def __init__(self, program: str, profile: str):
        (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}"], pass_fds=(3, 4), stderr=subprocess.DEVNULL,
            preexec_fn=lambda: [os.dup2(fd, target) for fd, target in zip(theirs, (3, 4), strict=True)],
        )  # fmt: skip
        for fd in (theirs_in, theirs_out, *theirs):
            os.close(fd)
        self.to, self.come, self.count, self.events = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb"), 0, []
        self.session = {}
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = {"sessionId": self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params, **self.session}
        self.to.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.count:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self) -> dict:
        text = bytearray()
        while (byte := self.come.read(1)) not in (b"\0", b""):
            text += byte
        return json.loads(text)

    def open(self, path: Path) -> None:
        self.events = []
        self("Page.navigate", url=path.resolve().as_uri())
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self._read())

    def evaluate(self, code: str):
        return self("Runtime.evaluate", expression=code, returnByValue=True)["result"].get("value")

    def press(self, key: str, code: int, text: str) -> None:
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if kind == "keyDown" else {}
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def complaints(self) -> list[str]:
        """What was said on the console, thrown, or fetched."""
        told = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        said = [json.dumps(e["params"])[:200] for e in self.events if e["method"] in told]
        urls = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return said + [url[:80] for url in urls if not url.startswith(("file:", "data:"))]


def look(browser: Chromium, width: int, scheme: str, path: Path, folder: Path) -> list[str]:
    """Faults of one page at one width in one scheme."""
    browser("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(path)
    seen = browser.evaluate(LOOK)
    faults = [f"{what}: {value}" for what, value in seen.items() if value]
    shot = browser("Page.captureScreenshot", captureBeyondViewport=True)["data"]
    (folder / f"{path.stem}_{width}_{scheme}.png").write_bytes(base64.b64decode(shot))
    return faults + browser.complaints()


def sort(browser: Chromium, path: Path) -> tuple[int, list[str]]:
    """How many headers there are to sort by, and those that do not, by Enter and then by the space bar."""
    browser.open(path)
    count, faults = 0, []
    while browser.evaluate(FOCUS % count):
        for key, code, text, wanted in (("Enter", 13, "\r", "ascending"), (" ", 32, " ", "descending")):
            browser.press(key, code, text)
            found = browser.evaluate(ORDER)
            if found["sort"] != wanted or found["cells"] != found["wanted"]:
                faults.append(f"header {count} does not sort: {found}")
        count += 1
    return count, faults + browser.complaints()


def on_paper(browser: Chromium, path: Path, folder: Path) -> list[str]:
    """Faults on A4, which is printed into the folder."""
    browser(
        "Emulation.setDeviceMetricsOverride", width=658, height=900, deviceScaleFactor=1, mobile=False
    )  # A4 less margins
    browser("Emulation.setEmulatedMedia", media="print")
    browser.open(path)
    faults = [f"A4, {what}: {value}" for what, value in browser.evaluate(LOOK).items() if value]
    printed = browser("Page.printToPDF", paperWidth=A4[0], paperHeight=A4[1], preferCSSPageSize=True)["data"]
    (folder / f"{path.stem}.pdf").write_bytes(base64.b64decode(printed))
    browser("Emulation.setEmulatedMedia", media="")
    return faults


def main(pages: list[Path]) -> int:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None or not pages:
        print("no Chromium: apt-get install chromium" if pages else __doc__)
        return 2
    bad = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Chromium(program, profile)
        for path in pages:
            folder = path.parent / "browser"
            folder.mkdir(exist_ok=True)
            count, faults = sort(browser, path)
            for width, scheme in product(WIDTHS, SCHEMES):
                faults += [f"{width} px, {scheme}: {fault}" for fault in look(browser, width, scheme, path, folder)]
            faults += on_paper(browser, path, folder)
            bad += bool(faults)
            print("\n  ".join([f"{path}: {count} columns sort, " + ("FAULTS" if faults else "good"), *faults]))
        browser("Browser.close")
        browser.process.wait(10)
    print(f"{len(pages) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
