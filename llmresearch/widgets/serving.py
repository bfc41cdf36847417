"""Voila for the two pages that people touch, on loopback, with nothing fetched from elsewhere."""

import errno
import os
import socket
import sys
from pathlib import Path

from tornado.web import RedirectHandler
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.contentshandler import VoilaContentsHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.treehandler import TornadoVoilaTreeHandler

from .. import root
from ..records import LlmResearchError

PAGES = ("calculator", "dashboard")
RENDER = "/voila/render"
TEMPLATES = Path(__file__).parent / "jupyter"
NOT_FOR_VOILA = ("nbdime-jupyterlab", "@voila-dashboards/jupyterlab-preview")
"""Extensions of JupyterLab that fail in Voila's page for want of an editor; its own parts cannot be told by name."""
OURS = ("--Voila.ip=127.0.0.1", "--template=llmresearch", "--VoilaConfiguration.allow_template_override=NO")
SETTINGS = {"VoilaConfiguration": {"extension_denylist": list(NOT_FOR_VOILA)}}


class ServingError(LlmResearchError):
    """Pages that cannot be served."""


class Page(TornadoVoilaHandler):
    """Voila's page with the cookie without which its farewell is refused, and the kernel of each visit would stay."""

    async def get(self, *path, **named):
        self.xsrf_token  # sets the cookie
        await super().get(*path, **named)


class Served(Voila):
    """A Voila that renders PAGES only: another notebook of the folder would start to measure when visited."""

    def init_handlers(self):
        lists = TornadoVoilaTreeHandler, VoilaContentsHandler
        kept = [handler for handler in super().init_handlers() if handler[1] not in lists]
        pages = rf"{RENDER}/((?:{'|'.join(PAGES)})\.ipynb)"
        named = [(pages, Page, *h[2:]) if h[1] is TornadoVoilaHandler else h for h in kept]
        return [*named, ("/", RedirectHandler, {"url": f"{RENDER}/{PAGES[0]}.ipynb", "permanent": False})]


    def listen(self):
        """Serves until it is stopped; says first where the pages are, or raises ServingError for a port that is held."""
        check(self.ip, self.port)
        for page in PAGES:
            print(f"{page}: http://{self.ip}:{self.port}{RENDER}/{page}.ipynb", flush=True)
        super().listen()


def check(ip, port):
    """Nothing where a server can listen at `port`; raises ServingError in one sentence where it cannot."""
    wanted = f"port: {port} of {ip}"
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((ip, port))
            tried.listen()
    except OverflowError:
        raise ServingError(f"{wanted} is no port; give one between 1024 and 65535.") from None
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise ServingError(f"{wanted} {why}; end what holds it, or name another with --port (make calculator PORT=9000).") from None


def serve(arguments=None):
    """Serves the pages until it is stopped; `arguments` are Voila's own and come after ours."""
    folders = [str(TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(folders)
    asked = [*OURS, str(root() / "notebooks"), *(sys.argv[1:] if arguments is None else arguments)]
    try:
        Served.launch_instance(asked, config=Config(SETTINGS))
    except ServingError as error:
        sys.exit(str(error))
