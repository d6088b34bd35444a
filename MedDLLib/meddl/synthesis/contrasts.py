"""Mean intensities of tissues in the contrasts that people know, on a scale of 0 (black) to 1.

Rough values read off ordinary images: they center the random means of a fraction of the training images, and
render the embedded sample. CT is as seen in a brain window.
"""

import numpy as np
from scipy import ndimage

CONTRASTS = ("T1", "T2", "FLAIR", "PD", "CT")
_COMPARED = (2, 41), (3, 42), (4, 43)  # labels of white matter, cortex, ventricles
_BRIGHTER, _SUPPRESSED, _AS_BRIGHT = 1.1, 0.6, 0.8  # of the other tissue's mean
_THICKEST = 0.9  # quantile of how much of the neighborhood has the same label

_MEANS = {  # T1, T2, FLAIR, PD, CT
    "air": (0.02, 0.02, 0.02, 0.02, 0.00),
    "soft tissue": (0.45, 0.22, 0.30, 0.50, 0.55),
    "skin and fat": (0.85, 0.60, 0.60, 0.75, 0.12),
    "bone": (0.10, 0.06, 0.08, 0.10, 1.00),
    "marrow": (0.65, 0.45, 0.45, 0.60, 0.85),
    "mucosa": (0.40, 0.60, 0.55, 0.65, 0.40),
    "eye": (0.22, 0.90, 0.20, 0.70, 0.35),
    "vessel": (0.35, 0.25, 0.30, 0.45, 0.52),
    "csf": (0.15, 0.90, 0.12, 0.60, 0.30),
    "choroid plexus": (0.30, 0.75, 0.35, 0.65, 0.42),
    "cortex": (0.48, 0.52, 0.58, 0.72, 0.50),
    "white matter": (0.74, 0.33, 0.45, 0.58, 0.44),
    "lesion": (0.50, 0.60, 0.78, 0.72, 0.41),
    "thalamus": (0.62, 0.42, 0.50, 0.66, 0.49),
    "striatum": (0.54, 0.45, 0.54, 0.70, 0.50),
    "pallidum": (0.66, 0.32, 0.44, 0.60, 0.50),
    "limbic": (0.50, 0.50, 0.60, 0.72, 0.48),
    "brain stem": (0.68, 0.38, 0.46, 0.60, 0.46),
    "cerebellar white matter": (0.72, 0.35, 0.45, 0.58, 0.45),
}
_LABELS = {
    "air": (0,), "soft tissue": (507,), "skin and fat": (511,), "bone": (515,), "marrow": (516,),
    "mucosa": (509, 530), "eye": (506, 508), "vessel": (30, 62, 502, 514),
    "csf": (4, 5, 14, 15, 24, 43, 44, 72, 137, 164), "choroid plexus": (136, 163),
    "cortex": (3, 8, 42, 47), "white matter": (2, 41, 85), "lesion": (25, 57),
    "thalamus": (10, 28, 49, 60), "striatum": (11, 12, 26, 50, 51, 58), "pallidum": (13, 52),
    "limbic": (17, 18, 53, 54), "brain stem": (16, 512), "cerebellar white matter": (7, 46),
}


def means_of(group: str) -> np.ndarray:
    """Mean of a group of tissues, such as "bone", by contrast, (contrasts,) float32."""
    return np.array(_MEANS[group], dtype=np.float32)


def tissue_means(table) -> np.ndarray:
    """Means by contrast and tissue of a `LabelTable`, (contrasts, tissues) float32; unknown labels as soft tissue."""
    group_of = {label: group for group, labels in _LABELS.items() for label in labels}
    means = np.zeros((len(CONTRASTS), int(table.tissues.max()) + 1), dtype=np.float32)
    for row in reversed(range(len(table.labels))):
        group = group_of.get(int(table.labels[row]), "soft tissue")
        means[:, table.tissues[row]] = _MEANS[group]
    return means


def means_by_label(contrast: str) -> dict[int, float]:
    """Means of a contrast by value of the label maps, and of the model `brain`."""
    column = CONTRASTS.index(contrast)
    return {label: _MEANS[group][column] for group, labels in _LABELS.items() for label in labels}


def contrast_of_image(image: np.ndarray, labels: np.ndarray) -> str | None:
    """The contrast of MR that an image of a head has, by how bright white matter, cortex and CSF of the ventricles are.

    In T1 white matter is brightest and CSF darkest, in T2 the other way round; in FLAIR and PD the cortex is brighter
    than white matter, and CSF dark in FLAIR, as bright as the brain in PD.

    Args:
        image: (I, J, K), 0 is black.
        labels: (I, J, K), values of the label maps. Voxels whose neighbors are alike count.

    Returns:
        None where they are those of no contrast, where two are too close to one another, or where one is not seen.
    """
    masks = [np.isin(labels, values) for values in _COMPARED]
    if not all(mask.any() for mask in masks):
        return None
    white, gray, csf = (max(_mean_inside(image, mask), 1e-6) for mask in masks)
    if white > _BRIGHTER * gray:
        return "T1" if gray > _BRIGHTER * csf else None
    if gray < _BRIGHTER * white:
        return None
    if csf > _BRIGHTER * gray:
        return "T2"
    if csf < _SUPPRESSED * white:
        return "FLAIR"
    return "PD" if _AS_BRIGHT * white < csf < gray else None


def _mean_inside(image: np.ndarray, mask: np.ndarray) -> float:
    """The mean where a mask is thickest."""
    around = ndimage.uniform_filter(mask.astype(np.float32), 3)
    return float(image[mask & (around >= np.quantile(around[mask], _THICKEST))].mean())
