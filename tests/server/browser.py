"""A headless browser, controlled over a pipe.  https://chromedevtools.github.io/devtools-protocol/"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from tempfile import TemporaryDirectory

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
#: it reads from 3 and writes to 4
_BEGIN = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page; what its console and its policy complain of is in `faults`."""

    def __init__(self):
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
        inner_in, self._out = os.pipe()
        self._in, inner_out = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        command = [CHROMIUM, *flags, f"--user-data-dir={self._folder.name}"]
        ends = [fcntl(descriptor, F_DUPFD, 10) for descriptor in (inner_in, inner_out)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, *map(str, ends), *command],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for descriptor in (inner_in, inner_out, *ends):
            os.close(descriptor)
        self._rest, self._number, self._session, self.faults = b"", 0, None, []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def _ask(self, method, **parameters):
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while (told := self._next()).get("id") != self._number:
            said = told.get("params", {})
            bad = said.get("entry", {}).get("level") in {"warning", "error"}
            if bad or told.get("method") == "Runtime.exceptionThrown":
                self.faults.append(said)
        assert "error" not in told, told
        return told["result"]

    def _next(self):
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 20)
            assert piece, "the browser ended"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def open(self, url, width=1200, *, dark=False):
        """Show a page, once it is all there."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def run(self, script):
        """The value of an expression in the page."""
        told = self._ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script):
        """Until an expression is true; half a minute or so at most."""
        for _ in range(300):
            if self.run(script):
                return
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}")

    def type(self, text):
        """Text, to whatever has the focus."""
        self._ask("Input.insertText", text=text)

    def press(self, key, code):
        """A key."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            asked = {"key": key, "windowsVirtualKeyCode": code}
            self._ask(
                "Input.dispatchKeyEvent", type=kind, **asked, **(text if kind == "keyDown" else {})
            )

    def picture(self, path):
        """The whole page, as PNG."""
        shot = self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        """End it."""
        with suppress(AssertionError, BrokenPipeError):
            self._ask("Browser.close")
        self._process.wait(30)
        os.close(self._out)
        os.close(self._in)
        self._folder.cleanup()
