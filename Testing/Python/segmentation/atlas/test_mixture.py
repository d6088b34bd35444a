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


def fluids(ventricle_mean):
    """Histograms of white matter, fluid around the brain and a ventricle a seventh of which is white matter, the
    fluids sharing theirs or not; and bins of the two fluids' intensities."""
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([0.8, 0.2, ventricle_mean]).repeat_interleave(torch.tensor([4000, 2000, 300]))
    image = (means + 0.03 * torch.randn(len(means), generator=generator)).clamp(0, 1)
    tissue = torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([4000, 2000, 300]))
    weights = torch.stack([tissue == number for number in range(3)]).float()
    weights[2, :100], weights[0, :100] = 0.5, 0.5  # unsure white matter
    apart, shared = (histograms(weights, to_bins(image), csf) for csf in ((), (1, 2)))
    return apart.exp(), shared.exp(), to_bins(torch.tensor([0.2, ventricle_mean, 0.8]))


def test_a_ventricle_like_the_csf_around_the_brain_shares_its_histogram():
    apart, shared, (csf, _, white) = fluids(ventricle_mean=0.22)
    torch.testing.assert_close(shared[1], shared[2], atol=0.01, rtol=0)
    assert shared[2, white] < apart[2, white] / 4
    assert shared[2, white] < shared[1, white]
    assert shared[2, csf] > 0.05
    torch.testing.assert_close(shared[0], apart[0])
    torch.testing.assert_close(shared.sum(dim=1), torch.ones(3))


def test_a_ventricle_unlike_the_csf_around_the_brain_keeps_its_histogram():
    apart, shared, (csf, ventricle, _) = fluids(ventricle_mean=0.5)
    torch.testing.assert_close(shared, apart)
    assert shared[2, ventricle] > 100 * shared[2, csf]


def test_tissues_without_a_voxel_share_a_histogram_without_harm():
    _, image = two_tissues()
    weights = torch.zeros((3, *image.shape))
    weights[0] = 1
    table = histograms(weights, to_bins(image), (1, 2))
    assert torch.isfinite(table).all()
    torch.testing.assert_close(table.exp().sum(dim=1), torch.ones(3))
