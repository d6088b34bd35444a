"""The mixture of histograms learns what tissues look like."""

import torch

from meddl.segmentation.atlas.mixture import BINS, bias_gain, fit_mixture, histograms, to_bins


def two_tissues(noise=0.05):
    generator = torch.Generator().manual_seed(0)
    truth = torch.zeros((20, 20, 20), dtype=torch.long)
    truth[10:] = 1
    image = torch.tensor([0.3, 0.7])[truth] + noise * torch.randn(truth.shape, generator=generator)
    return truth, image.clamp(0, 1)


def test_histograms_are_probabilities_and_nowhere_zero():
    truth, image = two_tissues()
    table = histograms(torch.stack([truth == 0, truth == 1]).float(), to_bins(image))
    assert table.shape == (2, BINS)
    assert torch.isfinite(table).all()
    torch.testing.assert_close(table.exp().sum(dim=1), torch.ones(2))


def test_a_misplaced_edge_moves_to_the_one_in_the_image():
    truth, image = two_tissues()
    edge = (torch.arange(20) - 6.5).reshape(-1, 1, 1).expand(truth.shape) / 2
    prior = torch.stack([-edge, edge]).log_softmax(dim=0)
    bins = to_bins(image)
    posterior, _ = fit_mixture(prior, bins, histograms(prior.exp(), bins), 3)
    assert (posterior.argmax(dim=0) == truth).float().mean() > 0.99
    assert (prior.argmax(dim=0) == truth).float().mean() < 0.9


def test_a_tissue_without_a_voxel_does_no_harm():
    truth, image = two_tissues()
    prior = torch.stack([(truth == 0) + 1e-6, (truth == 1) + 1e-6, torch.zeros(truth.shape) + 1e-12]).log()
    bins = to_bins(image)
    posterior, table = fit_mixture(prior, bins, histograms(prior.exp(), bins), 3)
    assert torch.isfinite(posterior).all()
    assert torch.isfinite(table).all()
    assert (posterior.argmax(dim=0) == truth).all()


def test_a_smooth_factor_is_taken_out():
    truth, image = two_tissues(noise=0.0)
    mixed = torch.where((torch.arange(20) % 4 < 2).reshape(1, 1, -1), image, 0.5)
    field = torch.linspace(-0.5, 0.5, 20).exp().reshape(1, -1, 1)
    image = mixed * field * 0.5
    flat = image * bias_gain(image, torch.ones(truth.shape), 8.0)
    before = (mixed * field)[0].std() / (mixed * field)[0].mean()
    assert flat[0].std() / flat[0].mean() < before
