"""The Sample Data module: what is registered, how it is downloaded into the cache and loaded, the buttons.

Behavior after Slicer's Modules/Scripted/SampleData/SampleData.py. Slicer's own samples are not here: they need the
network.
"""

import logging
import os
import urllib.parse
import urllib.request
import uuid

import ctk
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import computeChecksum, extractAlgoAndDigest

_LISTS = ("uris", "fileNames", "nodeNames", "checksums", "loadFiles", "loadFileTypes")


def downloadFromURL(uris=None, fileNames=None, nodeNames=None, checksums=None, loadFiles=None, customDownloader=None,
                    loadFileTypes=None, loadFileProperties={}):  # noqa: B006  as Slicer has it
    """Download and load what has no registered source."""
    return SampleDataLogic().downloadFromURL(uris, fileNames, nodeNames, checksums, loadFiles, customDownloader,
                                             loadFileTypes, loadFileProperties)


def downloadSample(sampleName):
    """Load a registered sample; the first of its nodes."""
    return SampleDataLogic().downloadSamples(sampleName)[0]


def downloadSamples(sampleName):
    """Load a registered sample; all of its nodes."""
    return SampleDataLogic().downloadSamples(sampleName)


class SampleData(ScriptedLoadableModule):
    """The module's entry."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Sample Data")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        _of_modules("sampleDataSources")


class SampleDataSource:
    """One registered sample: lists of one length, one entry a file."""

    def __init__(self, sampleName=None, sampleDescription=None, uris=None, fileNames=None, nodeNames=None,
                 checksums=None, loadFiles=None, customDownloader=None, thumbnailFileName=None, loadFileTypes=None,
                 loadFileProperties=None, loadFileType=None):
        loadFileTypes = _file_types(loadFileTypes, loadFileType)
        if isinstance(uris, (list, tuple)):
            absent = [None] * len(uris)
            loadFileTypes = [loadFileTypes] * len(uris) if isinstance(loadFileTypes, (str, type(None))) else (
                loadFileTypes)
            nodeNames = absent if nodeNames is None else nodeNames
            loadFiles = absent if loadFiles is None else loadFiles
            checksums = absent if checksums is None else checksums
        elif isinstance(uris, str):
            uris, fileNames, nodeNames, loadFiles, loadFileTypes, checksums = (
                [uris], [fileNames], [nodeNames], [loadFiles], [loadFileTypes], [checksums])
        self.sampleName = sampleName
        self.sampleDescription = sampleName if sampleDescription is None else sampleDescription
        self.uris, self.fileNames, self.nodeNames = uris, fileNames, nodeNames
        self.checksums, self.loadFiles, self.loadFileTypes = checksums, loadFiles, loadFileTypes
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileProperties = {} if loadFileProperties is None else loadFileProperties
        lengths = {name: len(getattr(self, name)) for name in _LISTS}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"A sample's lists are of one length; got {lengths}")

    def __str__(self):
        values = (self.sampleName, self.sampleDescription, self.thumbnailFileName, self.loadFileProperties,
                  self.customDownloader, *(getattr(self, name)[index] for index in range(len(self.uris))
                                           for name in _LISTS))
        return "\n".join("%s" % value for value in values)  # noqa: UP031  a tuple is refused, as by Slicer

    def __eq__(self, other):
        return str(self) == str(other)

    __hash__ = None


class SampleDataWidget(ScriptedLoadableModuleWidget):
    """A button for each sample, grouped by category."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = SampleDataLogic()
        self.categoryLayout = qt.QVBoxLayout()
        self.layout.addLayout(self.categoryLayout)
        self.setCategoriesFromSampleDataSources(self.categoryLayout, slicer.modules.sampleDataSources, self.logic)

    @staticmethod
    def setCategoriesFromSampleDataSources(categoryLayout, dataSources, logic):
        """Fill the layout with a box for each category. A custom downloader serves the button, and nothing else."""
        while categoryLayout.count() > 0:
            box = categoryLayout.takeAt(0).widget()
            box.setParent(None)
            box.deleteLater()
        for category in sorted(dataSources):
            box = ctk.ctkCollapsibleGroupBox(categoryLayout.parentWidget())
            categoryLayout.addWidget(box)
            box.title = logic.categoryTitle(category)
            inside = qt.QVBoxLayout(box)
            for source in dataSources[category]:
                button = qt.QToolButton()
                button.setText(source.sampleDescription or source.nodeNames[0])
                button.name = f"{source.sampleName}PushButton"
                if source.thumbnailFileName and os.path.exists(source.thumbnailFileName):
                    button.setIcon(qt.QIcon(source.thumbnailFileName))
                inside.addWidget(button)
                load = source.customDownloader or logic.downloadFromSource
                button.connect("clicked()", lambda source=source, load=load: load(source))


class SampleDataLogic:
    """Registers, downloads and loads samples."""

    def __init__(self, logMessage=None):
        if logMessage:
            self.logMessage = logMessage
        self.builtInCategoryName = "General"
        self.developmentCategoryName = "Development"
        self.downloadPercent = 0

    # Registration

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        """Give a category a title."""
        _of_modules("sampleDataSourceCategories").setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None,
                                       customDownloader=None, thumbnailFileName=None, loadFileTypes=None,
                                       loadFiles=None, loadFileProperties={},  # noqa: B006  as Slicer has it
                                       checksums=None, loadFileType=None):
        """Add a sample to a category, unless an equal one is in it."""
        loadFileTypes = _file_types(loadFileTypes, loadFileType)
        sources = _of_modules("sampleDataSources").setdefault(category, [])
        source = SampleDataSource(
            sampleName=sampleName, uris=uris, fileNames=fileNames, nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName, loadFileTypes=loadFileTypes, loadFiles=loadFiles,
            loadFileProperties=loadFileProperties, checksums=checksums, customDownloader=customDownloader)
        if not SampleDataLogic.isSampleDataSourceRegistered(category, source):
            sources.append(source)

    @staticmethod
    def categoryTitle(category):
        """The title of a category, its name where it has none."""
        return getattr(slicer.modules, "sampleDataSourceCategories", {}).get(category, {}).get("title", category)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        """The samples of a category; without one, all by category."""
        sources = _of_modules("sampleDataSources")
        return sources if category is None else sources.get(category, [])

    @staticmethod
    def isSampleDataSourceRegistered(category, sampleDataSource):
        """Whether an equal sample is in the category."""
        sources = _of_modules("sampleDataSources")
        if not isinstance(sampleDataSource, SampleDataSource):
            raise TypeError(f"A SampleDataSource is expected, not {type(sampleDataSource)}")
        return sampleDataSource in sources.get(category, [])

    @staticmethod
    def registerUrlRewriteRule(name, rewriteFunction):
        """Let a function change addresses before they are downloaded from."""
        if not callable(rewriteFunction):
            raise TypeError(f"A function is expected, not {type(rewriteFunction)}")
        _of_modules("sampleDataUrlRewriteRules")[name] = rewriteFunction

    @staticmethod
    def rewriteUrl(url):
        """The address after all rules."""
        for rule in getattr(slicer.modules, "sampleDataUrlRewriteRules", {}).values():
            url = rule(url)
        return url

    def sourceForSampleName(self, sampleName):
        """The first sample of this name, or None."""
        return next((source for sources in slicer.modules.sampleDataSources.values() for source in sources
                     if source.sampleName == sampleName), None)

    def categoryForSource(self, a_source):
        """The first category with an equal sample, or None."""
        return next((category for category, sources in slicer.modules.sampleDataSources.items()
                     if a_source in sources), None)

    # Download

    def downloadSample(self, sampleName):
        """Load a registered sample; the first of its nodes. IndexError where there is none."""
        return self.downloadSamples(sampleName)[0]

    def downloadSamples(self, sampleName):
        """Load a registered sample; all of its nodes, none where it is not registered."""
        source = self.sourceForSampleName(sampleName)
        return self.downloadFromSource(source) if source else []

    def downloadFromURL(self, uris=None, fileNames=None, nodeNames=None, checksums=None, loadFiles=None,
                        customDownloader=None, loadFileTypes=None, loadFileProperties={},  # noqa: B006
                        forceDownload=False):
        """Download and load what has no registered source."""
        source = SampleDataSource(
            uris=uris, fileNames=fileNames, nodeNames=nodeNames, loadFiles=loadFiles, loadFileTypes=loadFileTypes,
            loadFileProperties=loadFileProperties, checksums=checksums, customDownloader=customDownloader)
        return self.downloadFromSource(source, forceDownload=forceDownload)

    def downloadFromSource(self, source, maximumAttemptsCount=3, forceDownload=False):
        """Download and load a sample's files, its custom downloader left aside; nodes, or paths where none is loaded.

        What fails is tried again, and then missing in the list.
        """
        results, paths = [], []
        unnamed = all(name is None for name in source.nodeNames)
        for uri, fileName, nodeName, checksum, loadFile, fileType in zip(
                source.uris, source.fileNames, source.nodeNames, source.checksums, source.loadFiles,
                source.loadFileTypes, strict=False):
            base, ending = os.path.splitext(os.path.basename(
                urllib.parse.urlparse(uri).path if fileName is None else fileName))
            if nodeName is None and loadFile is not False and unnamed:
                nodeName = base
            if fileName is None:
                fileName = f"{nodeName or base}-{uuid.uuid4().hex}{ending}"
            if fileType is None and nodeName is None:
                fileType = {".mrml": "SceneFile", ".mrb": "SceneFile", ".zip": "ZipFile"}.get(ending.lower())
            for _attempt in range(maximumAttemptsCount):
                try:
                    path = self.downloadFileIntoCache(uri, fileName, checksum, forceDownload=forceDownload)
                except ValueError:
                    self.logMessage("Download failed", logging.ERROR)
                    continue
                if fileType not in ("ZipFile", "SceneFile") and not nodeName:
                    paths.append(path)
                    break
                loaded = self._loaded(path, nodeName, loadFile, fileType, source.loadFileProperties.copy())
                if loaded:
                    results.append(loaded)
                    break
                self.logMessage("Load failed", logging.ERROR)
                if os.path.exists(path):
                    os.remove(path)
        return results or paths

    def _loaded(self, path, nodeName, loadFile, fileType, properties):
        """What a downloaded file gives: a node, a path, or None where it cannot be loaded."""
        if fileType == "ZipFile" and loadFile is not False:
            folder = os.path.join(os.path.dirname(path), os.path.splitext(os.path.basename(path))[0])
            os.makedirs(folder, exist_ok=True)
            return folder if slicer.util.extractArchive(path, folder) else None
        if loadFile is False or (fileType == "SceneFile" and not loadFile):
            return path
        if fileType == "SceneFile":
            return path if self.loadScene(path, properties) else None
        return self.loadNode(path, nodeName, fileType, properties)

    def downloadSourceIntoCache(self, source):
        """Download a sample's files without loading them; their paths."""
        return [self.downloadFileIntoCache(*file) for file in zip(source.uris, source.fileNames, source.checksums,
                                                                  strict=False)]

    def downloadFileIntoCache(self, uri, name, checksum=None, forceDownload=False):
        """`downloadFile` into the scene's cache folder."""
        folder = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
        if not os.access(folder, os.W_OK):
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError:
                self.logMessage(f"{folder} cannot be made", logging.ERROR)
        return self.downloadFile(uri, folder, name, checksum, forceDownload=forceDownload)

    def downloadFile(self, uri, destFolderPath, name, checksum=None, forceDownload=False):
        """The path of a file, downloaded unless it is there with the right checksum.

        A download with a wrong checksum is removed again, its path returned all the same. ValueError where nothing
        came.
        """
        uri = self.rewriteUrl(uri)
        path = f"{destFolderPath}/{name}"
        algorithm, digest = extractAlgoAndDigest(checksum)
        present = not forceDownload and os.path.exists(path) and os.stat(path).st_size > 0
        if not present:
            try:
                urllib.request.urlretrieve(uri, path, self.reportHook)
            except OSError as error:
                raise ValueError(f"{uri} could not be downloaded to {path}") from error
        if algorithm is not None and computeChecksum(algorithm, path) != digest:
            os.remove(path)
            if present:
                return self.downloadFile(uri, destFolderPath, name, checksum)
        return path

    def reportHook(self, blocksSoFar, blockSize, totalSize):
        """Progress of a download."""
        self.downloadPercent = min(int(100 * blocksSoFar * blockSize / totalSize), 100)

    def loadScene(self, uri, fileProperties={}):  # noqa: B006  as Slicer has it
        """Load a scene; whether it worked."""
        return self.loadNode(uri, None, "SceneFile", fileProperties) is not None

    def loadNode(self, uri, name, fileType=None, fileProperties={}):  # noqa: B006  as Slicer has it
        """Load a file: its first node, without storage node; the scene where it names none; None where it failed."""
        fileProperties["fileName"] = uri
        if name:
            fileProperties["name"] = name
        manager = slicer.app.coreIOManager()
        loaded = vtk.vtkCollection()
        worked = manager.loadNodes(fileType or manager.fileType(uri), fileProperties, loaded)
        if not worked and loaded.GetNumberOfItems() == 0:
            return None
        for index in range(loaded.GetNumberOfItems()):
            node = loaded.GetItemAsObject(index)
            storage = node.GetStorageNode() if node.IsA("vtkMRMLStorableNode") else None
            if storage:
                slicer.mrmlScene.RemoveNode(storage)
                node.SetAndObserveStorageNodeID(None)
        return loaded.GetItemAsObject(0) or slicer.mrmlScene

    def logMessage(self, message, logLevel=logging.DEBUG):
        """Into the log; the module's panel gives another function."""
        logging.log(logLevel, message)


def _file_types(types, oldName):
    """The file types, given under one of two names."""
    if types is not None and oldName is not None:
        raise ValueError("loadFileType and loadFileTypes cannot be given at the same time")
    return oldName if types is None else types


def _of_modules(name):
    """A dictionary of slicer.modules, made at its first use."""
    if not hasattr(slicer.modules, name):
        setattr(slicer.modules, name, {})
    return getattr(slicer.modules, name)
