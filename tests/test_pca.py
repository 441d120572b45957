"""Features as colours."""

import torch

from ovs3d.pca import PrincipalColours


def test_the_first_channel_follows_the_widest_direction():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1000, 8, generator=generator) * torch.tensor([9.0, 1.0, 4.0, 0.1, 0.1, 0.1, 0.1, 0.1]) + 5.0
    colours = PrincipalColours.fit(features)(features)
    assert colours.shape == (1000, 3) and colours.min() == 0.0 and colours.max() == 1.0
    for channel, axis in enumerate((0, 2, 1)):
        correlation = torch.corrcoef(torch.stack([colours[:, channel], features[:, axis]]))[0, 1]
        assert correlation > 0.95  # Positive: the sign is that of the greatest entry.


def test_equal_features_have_a_colour():
    features = torch.ones(10, 5)
    assert torch.isfinite(PrincipalColours.fit(features)(features)).all()


def test_colours_do_not_depend_on_the_order():
    features = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    shuffled = features[torch.randperm(200, generator=torch.Generator().manual_seed(2))]
    torch.testing.assert_close(PrincipalColours.fit(features)(features), PrincipalColours.fit(shuffled)(features))
