"""slicer.app: the application object over QApplication."""

import atexit
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from . import layout_manager, main_window, module_manager
from .io_manager import CoreIOManager
from .pythonqt import declare_host_class
from .scene import SceneServices


@declare_host_class
class qSlicerCommandOptions(QtCore.QObject):
    """What Slicer was started with."""

    def __init__(self, no_main_window):
        super().__init__()
        self._no_main_window, self._testing = no_main_window, False

    noMainWindow = QtCore.Property(bool, lambda self: self._no_main_window)
    testingEnabled = QtCore.Property(bool, lambda self: self._testing)


@declare_host_class
class qSlicerApplication(QtWidgets.QApplication):
    """What scripts use of Slicer's application."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    CPP_SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    majorVersion, minorVersion = 5, 13
    revision = "31053"

    def __init__(self, views):
        super().__init__(["Slicer"])
        self._options = qSlicerCommandOptions(not views)
        self.setOrganizationName("MedDLTests")
        self.setApplicationName("Slicer")
        self.setApplicationVersion("5.13.0")
        self._folder = Path(tempfile.mkdtemp(prefix="meddl-host-"))
        for name in ("tmp", "settings", "cache"):
            (self._folder / name).mkdir()
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        for kind in (QtCore.QSettings.IniFormat, QtCore.QSettings.NativeFormat):
            QtCore.QSettings.setPath(kind, QtCore.QSettings.UserScope, str(self._folder / "settings"))
        self._services = SceneServices(self._folder / "tmp", self._folder / "cache", views)
        self._render_pauses = 0
        self._module_manager = module_manager.ModuleManager(self._services)
        self._layout_manager = layout_manager.LayoutManager(self._services) if views else None
        self._io_manager = CoreIOManager(self._services.scene, self._services.logics)
        self._main_window = None

    def make_main_window(self):
        """The window that slicer.util.mainWindow() finds."""
        self._main_window = main_window.qSlicerMainWindow(self._module_manager)

    # Scene and logics

    def mrmlScene(self):
        return self._services.scene

    def applicationLogic(self):
        return self._services.application_logic

    def mrmlApplicationLogic(self):
        return self._services.application_logic

    def services(self):
        return self._services

    def layoutManager(self):
        return self._layout_manager

    def moduleManager(self):
        return self._module_manager

    def coreIOManager(self):
        return self._io_manager

    def ioManager(self):
        return self._io_manager

    # Running

    def processEvents(self, *args):
        QtWidgets.QApplication.processEvents(*args)

    def pauseRender(self):
        self._render_pauses += 1

    def resumeRender(self):
        self._render_pauses = max(0, self._render_pauses - 1)

    def isRenderPaused(self):
        return self._render_pauses > 0

    def commandOptions(self):
        return self._options

    def testingEnabled(self):
        return self._options.testingEnabled

    def set_testing_enabled(self, enabled):
        """Switch Slicer's testing mode, in which message boxes are only logged."""
        self._options._testing = bool(enabled)

    def restart(self):
        raise RuntimeError("The application asked to be restarted")

    def translate(self, context, text):
        return text

    def mainWindow(self):
        return self._main_window

    # Settings and paths

    def settings(self):
        return QtCore.QSettings()

    userSettings = settings
    revisionUserSettings = settings

    def pythonConsole(self):
        return None

    def moduleDocumentationUrl(self, name):
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    @property
    def documentationBaseUrl(self):
        return "https://slicer.readthedocs.io/en/latest/"

    @property
    def temporaryPath(self):
        return str(self._folder / "tmp")

    @property
    def cachePath(self):
        return str(self._folder / "cache")

    @property
    def slicerHome(self):
        return str(self._folder)

    @property
    def os(self):
        return {"darwin": "macosx", "win32": "win"}.get(sys.platform, "linux")

    @property
    def arch(self):
        return {"x86_64": "amd64", "AMD64": "amd64"}.get(platform.machine(), platform.machine())

    @property
    def launcherExecutableFilePath(self):
        return sys.executable

    @property
    def extensionsInstallPath(self):
        return str(self._folder / "Extensions")


def _write_message(kind, context, text):
    """Qt's own messages go to standard error, without what only the offscreen platform says."""
    if "propagateSizeHints" not in text:
        sys.stderr.write(f"Qt: {text}\n")


def make(views=True):
    """Create the application once for this process, with its scene; `views`: with a layout manager and its views."""
    QtCore.qInstallMessageHandler(_write_message)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if QtWidgets.QApplication.instance() is not None:
        raise RuntimeError("A QApplication exists already; host.install() has to come first")
    application = qSlicerApplication(views)
    atexit.register(shutil.rmtree, application.slicerHome, ignore_errors=True)
    slicer.mrmlScene = application.mrmlScene()
    return application
