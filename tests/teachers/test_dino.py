import torch

from ovs3d.teachers.dino import Dino
from tests.teachers.fakes import FakeDino, picture


def test_native_tokens_are_kept():
    image = picture(240, 320)
    features = Dino(FakeDino()).extract(image)
    assert features.shape == (1, 30, 40, 6)
    tokens = torch.nn.functional.normalize(FakeDino().encode_patches(image[None]), dim=1)
    torch.testing.assert_close(features, tokens.permute(0, 2, 3, 1))


def test_a_large_image_is_shrunk_to_the_limit():
    features = Dino(FakeDino()).extract(picture(1080, 1440))
    assert features.shape == (1, 30, 40, 6)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(1, 30, 40))
    assert Dino(FakeDino(), max_cells=300).extract(picture(240, 320)).shape == (1, 15, 20, 6)
