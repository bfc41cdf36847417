"""Voila for the two pages that people touch, on loopback, with nothing fetched from elsewhere."""

import os
import sys
from pathlib import Path

from tornado.web import RedirectHandler
from voila.app import Voila
from voila.tornado.contentshandler import VoilaContentsHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.treehandler import TornadoVoilaTreeHandler

from .. import root

PAGES = ("calculator", "dashboard")
RENDER = "/voila/render"
TEMPLATES = Path(__file__).parent / "jupyter"
NOT_FOR_VOILA = ("nbdime-jupyterlab", "@voila-dashboards/jupyterlab-preview")
"""Extensions of JupyterLab that fail in Voila's page for want of an editor; its own parts cannot be told by name."""
OURS = (
    "--Voila.ip=127.0.0.1", "--template=llmresearch", "--VoilaConfiguration.allow_template_override=NO",
    f"--VoilaConfiguration.extension_denylist={list(NOT_FOR_VOILA)}",
)  # fmt: skip


class Served(Voila):
    """A Voila that renders PAGES only: another notebook of the folder would start to measure when visited."""

    def init_handlers(self):
        lists = TornadoVoilaTreeHandler, VoilaContentsHandler
        kept = [handler for handler in super().init_handlers() if handler[1] not in lists]
        pages = rf"{RENDER}/((?:{'|'.join(PAGES)})\.ipynb)"
        named = [(pages, *h[1:]) if h[1] is TornadoVoilaHandler else h for h in kept]
        return [*named, ("/", RedirectHandler, {"url": f"{RENDER}/{PAGES[0]}.ipynb", "permanent": False})]


def serve(arguments=None):
    """Serves the pages until it is stopped; `arguments` are Voila's own and come after ours."""
    folders = [str(TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(folders)
    Served.launch_instance([*OURS, str(root() / "notebooks"), *(sys.argv[1:] if arguments is None else arguments)])
