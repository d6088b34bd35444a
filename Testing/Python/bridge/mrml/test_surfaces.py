"""Surfaces enclose their labels, face outward and lie in the wished space."""

import numpy as np
import pytest
from bridge_scene import centered, turned

from meddl.core.errors import Cancelled
from meddl_slicer.mrml.surfaces import label_surfaces

SHAPE = (40, 44, 36)


def ball(radius=12.0, center=(20.0, 22.0, 18.0)):
    places = np.indices(SHAPE).reshape(3, -1).T
    inside = ((places - center) ** 2).sum(axis=1) < radius**2
    return np.asfortranarray(inside.reshape(SHAPE).astype(np.uint8) * 7)


def enclosed_mm3(surface):
    a, b, c = (surface.points[surface.triangles[:, k]].astype(float) for k in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


@pytest.mark.parametrize("directions", [np.eye(3), np.diag([-1.0, 1, 1]), turned(33)[:3, :3] @ np.diag([1, 0.5, 2.0])],
                         ids=["straight", "left-handed", "oblique anisotropic"])
def test_the_surface_of_a_ball_encloses_its_volume_around_its_center(directions):
    affine = centered(directions, SHAPE)
    surface = label_surfaces(ball(), affine, [7])[7]
    assert enclosed_mm3(surface) == pytest.approx(4 / 3 * np.pi * 12**3 * abs(np.linalg.det(directions)), rel=0.05)
    center = affine[:3, :3] @ (20, 22, 18) + affine[:3, 3]
    assert np.allclose(surface.points.mean(axis=0), center, atol=0.5)


@pytest.mark.parametrize("directions", [np.eye(3), np.diag([1.0, 1, -1])], ids=["straight", "left-handed"])
def test_normals_point_outward_and_have_length_one(directions):
    affine = centered(directions, SHAPE)
    surface = label_surfaces(ball(), affine, [7])[7]
    center = affine[:3, :3] @ (20, 22, 18) + affine[:3, 3]
    outward = surface.points - center
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    assert np.allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-5)
    assert ((outward * surface.normals).sum(axis=1) > 0.8).all()


def test_the_mesh_is_closed():
    surface = label_surfaces(ball(), np.eye(4), [7])[7]
    edges = np.sort(surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    assert (counts == 2).all()


def test_a_label_at_the_border_of_the_grid_is_closed_too():
    labels = np.ones((6, 6, 6), np.uint8)
    surface = label_surfaces(labels, np.eye(4), [1])[1]
    assert enclosed_mm3(surface) > 0


def test_absent_labels_are_left_out():
    assert set(label_surfaces(ball(), np.eye(4), [1, 7, 300])) == {7}


def test_cancel_goes_through():
    def stop(fraction, message):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        label_surfaces(ball(), np.eye(4), [7], stop)
