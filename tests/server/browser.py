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
#: the browser reads from descriptor 3 and writes to 4
_LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page of a browser; `faults` lists warnings and errors of its console."""

    def __init__(self):
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
        inner_in, self._out = os.pipe()
        self._in, inner_out = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        command = [CHROMIUM, *flags, f"--user-data-dir={self._folder.name}"]
        descriptors = [fcntl(descriptor, F_DUPFD, 10) for descriptor in (inner_in, inner_out)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *map(str, descriptors), *command],
            pass_fds=descriptors,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for descriptor in (inner_in, inner_out, *descriptors):
            os.close(descriptor)
        self._rest, self._number, self._session, self.faults = b"", 0, None, []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def _send(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (reply := self._next()).get("id") != self._number:
            details = reply.get("params", {})
            is_warning = details.get("entry", {}).get("level") in {"warning", "error"}
            if is_warning or reply.get("method") == "Runtime.exceptionThrown":
                self.faults.append(details)
        assert "error" not in reply, reply
        return reply["result"]

    def _next(self):
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 20)
            assert piece, "the browser ended"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def open(self, url, width=1200, *, dark=False):
        """Open a page and wait until it is loaded."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def run(self, script):
        """Return the value of an expression in the page."""
        reply = self._send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def wait(self, script):
        """Wait until an expression is true, for about 30 seconds at most."""
        for _ in range(300):
            if self.run(script):
                return
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}")

    def type(self, text):
        """Type text into the focused element."""
        self._send("Input.insertText", text=text)

    def press(self, key, code):
        """Press a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            message = {"key": key, "windowsVirtualKeyCode": code}
            self._send(
                "Input.dispatchKeyEvent",
                type=kind,
                **message,
                **(text if kind == "keyDown" else {}),
            )

    def picture(self, path):
        """Write a PNG screenshot of the whole page."""
        screenshot = self._send("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(screenshot["data"]))

    def close(self):
        """Close the browser."""
        with suppress(AssertionError, BrokenPipeError):
            self._send("Browser.close")
        self._process.wait(30)
        os.close(self._out)
        os.close(self._in)
        self._folder.cleanup()
