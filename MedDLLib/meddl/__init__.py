"""MedDL: segmentation, registration and super-resolution of medical volumes with deep learning.

    import meddl
    head = meddl.load("head.nii.gz")
    result = meddl.segment(head, model="brain")

Importing this package loads neither torch nor SimpleITK; they come with the first call that needs them. Where torch is
not loaded by then, and the program's environment does not choose how its threads wait (OMP_WAIT_POLICY), they wait
briefly: see `meddl.core.thread_waiting`.
"""

import importlib
import os
import sys
from typing import Any

from meddl.core import old_names
from meddl.core.thread_waiting import wait_briefly

__version__ = "0.2.0"

_HOMES = {
    "load": "meddl.io",
    "save": "meddl.io",
    "save_segmentation": "meddl.io",
    "load_segmentation": "meddl.io",
    "load_transform": "meddl.results",
    "segment": "meddl.segmentation",
    "segment_series": "meddl.segmentation",
    "segment_many": "meddl.jobs.segment_many",
    "register": "meddl.registration",
    "register_series": "meddl.registration",
    "register_many": "meddl.jobs.register_many",
    "build_template": "meddl.registration",
    "super_resolve": "meddl.superres",
    "super_resolve_many": "meddl.jobs.super_resolve_many",
    "denoise_series": "meddl.series.denoise",
    "denoise_frames": "meddl.series.denoise",
    "smooth_labels": "meddl.series.labels",
    "inpaint": "meddl.inpainting.inpaint",
    "synthesize_contrast": "meddl.contrast_synthesis.synthesize",
    "complete_channels": "meddl.contrast_synthesis.channels",
    "compare": "meddl.comparison",
    "change": "meddl.longitudinal.change",
    "match_intensities": "meddl.measures.intensity_matching",
    "view": "meddl.pictures.sheet",
    "train": "meddl.training.supervised.train",
    "train_superres": "meddl.training.superres.train",
    "train_classifier": "meddl.training.supervised.classification.train",
    "train_landmarks": "meddl.training.supervised.landmarks.train",
    "segment_rest": "meddl.active_learning.rest",
    "start_federation": "meddl.training.federated",
    "contribute": "meddl.training.federated",
    "merge_contributions": "meddl.training.federated",
    "export_model": "meddl.models.store.export",
    "shrink_model": "meddl.compression.shrink",
    "segment_with_uncertainty": "meddl.uncertainty.segmentation",
    "register_with_uncertainty": "meddl.uncertainty.registration",
    "super_resolve_with_uncertainty": "meddl.uncertainty.superres",
    "explain": "meddl.explanation.explain",
    "prepare": "meddl.preparation.prepare",
    "deidentify": "meddl.deidentification",
    "info": "meddl.recognition.info",
    "recognize": "meddl.recognition.recognize",
    "find_landmarks": "meddl.landmarks.find",
    "classify": "meddl.classification.classify",
    "segment_from_paint": "meddl.painting.segment",
    "Volume": "meddl.spatial.volume",
    "Grid": "meddl.spatial.grid",
    "Segment": "meddl.results",
    "Segmentation": "meddl.results",
    "Registration": "meddl.results",
    "SeriesRegistration": "meddl.results",
    "Template": "meddl.results",
    "SuperResolution": "meddl.results",
    "SeriesDenoising": "meddl.results",
    "Inpainting": "meddl.results",
    "ContrastSynthesis": "meddl.results",
    "Uncertainty": "meddl.results",
    "Explanation": "meddl.results",
    "Recognition": "meddl.recognition.result",
    "Landmarks": "meddl.landmarks.result",
    "Classification": "meddl.classification.result",
    "DeidentifiedFile": "meddl.deidentification",
    "SegmentConfig": "meddl.core.config",
    "RegisterConfig": "meddl.core.config",
    "SuperResolveConfig": "meddl.core.config",
    "DenoiseSeriesConfig": "meddl.series.config",
    "InpaintConfig": "meddl.inpainting.config",
    "TrainConfig": "meddl.training.config",
    "SuperResTrainConfig": "meddl.training.config",
    "ClassifierTrainConfig": "meddl.training.config",
    "LandmarkTrainConfig": "meddl.training.config",
    "UncertaintyConfig": "meddl.uncertainty.config",
    "ExplainConfig": "meddl.explanation.config",
    "ChangeConfig": "meddl.longitudinal.config",
    "ShrinkConfig": "meddl.compression.config",
    "PaintConfig": "meddl.painting.config",
    "MedDLError": "meddl.core.errors",
    "Cancelled": "meddl.core.errors",
}

__all__ = list(_HOMES)

old_names.install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        if "torch" not in sys.modules:
            wait_briefly(os.environ)
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'meddl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
