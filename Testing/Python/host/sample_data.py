"""The SampleData module: registered sources are kept in slicer.modules.sampleDataSources as in Slicer."""

import types

import slicer


class SampleDataSource:
    """One registered sample."""

    def __init__(
        self,
        sampleName=None,
        sampleDescription=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        checksums=None,
        loadFiles=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFileProperties=None,
    ):
        self.sampleName = sampleName
        self.sampleDescription = sampleDescription
        self.uris = _listed(uris)
        self.fileNames = _listed(fileNames)
        self.nodeNames = _listed(nodeNames)
        self.checksums = _listed(checksums)
        self.loadFiles = _listed(loadFiles)
        self.loadFileTypes = _listed(loadFileTypes)
        self.loadFileProperties = dict(loadFileProperties or {})
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        lengths = {len(self.uris), len(self.fileNames), len(self.nodeNames)}
        if customDownloader is None and len(lengths) != 1:
            raise ValueError(f"All fields of sample data source {sampleName!r} must have the same length: {lengths}")

    def __eq__(self, other):
        return str(vars(self)) == str(vars(other))

    __hash__ = None


def _listed(value):
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


class SampleDataLogic:
    """Registers and loads samples."""

    def __init__(self, logMessage=None):
        self.logMessage = logMessage or (lambda message, level=None: None)

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
        loadFileType=None,
    ):
        if loadFileType is not None and loadFileTypes is not None:
            raise ValueError("loadFileType and loadFileTypes cannot be specified at the same time")
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes or loadFileType,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
            customDownloader=customDownloader,
        )
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if source not in sources:
            sources.append(source)

    @staticmethod
    def isSampleDataSourceRegistered(category, sampleDataSource):
        return sampleDataSource in slicer.modules.sampleDataSources.get(category, [])

    @staticmethod
    def sourceForSampleName(sampleName):
        for sources in slicer.modules.sampleDataSources.values():
            for source in sources:
                if source.sampleName == sampleName:
                    return source
        return None

    def downloadFromSource(self, source):
        """Run a source's own downloader; other sources need the network, which tests have not."""
        if source.customDownloader is None:
            raise RuntimeError(f"Sample {source.sampleName!r} needs the network")
        return source.customDownloader(source)

    def downloadSample(self, sampleName):
        source = self.sourceForSampleName(sampleName)
        if source is None:
            raise RuntimeError(f"No sample is registered under the name {sampleName!r}")
        result = self.downloadFromSource(source)
        return result[0] if isinstance(result, (list, tuple)) and len(result) == 1 else result


def downloadSample(sampleName):
    return SampleDataLogic().downloadSample(sampleName)


def sources(category):
    """Registered sources of a category, for tests."""
    return list(slicer.modules.sampleDataSources.get(category, []))


def build():
    """Make the module ``SampleData``."""
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataSource, module.SampleDataLogic = SampleDataSource, SampleDataLogic
    module.downloadSample = downloadSample
    return module
