import torch

from nrray.models.fuse_conv_bn import fuse_conv_bn


class Block(torch.nn.Module):
    """A convolution that two layers read, and one that only its normalization reads."""

    def __init__(self, *, is_shared: bool) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3, bias=False)
        self.normalization = torch.nn.BatchNorm2d(4)
        self.is_shared = is_shared
        torch.nn.init.uniform_(self.normalization.running_mean, -1, 1)
        torch.nn.init.uniform_(self.normalization.running_var, 0.5, 2)
        torch.nn.init.uniform_(self.normalization.weight, 0.5, 2)
        self.eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        convolved = self.convolution(pixels)
        normalized = self.normalization(convolved)
        return normalized + convolved if self.is_shared else normalized


def num_normalizations(module: torch.nn.Module) -> int:
    return sum(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())


def test_a_fused_module_returns_the_same_without_normalization() -> None:
    torch.manual_seed(0)
    block, pixels = Block(is_shared=False), torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        expected = block(pixels)
        found = fuse_conv_bn(block, lambda module: module(pixels))
    assert num_normalizations(found) == 0
    assert num_normalizations(block) == 1
    torch.testing.assert_close(found(pixels), expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_that_something_else_reads_too_is_left_alone() -> None:
    torch.manual_seed(0)
    block, pixels = Block(is_shared=True), torch.rand(2, 3, 9, 9)
    assert fuse_conv_bn(block, lambda module: module(pixels)) is block


def test_a_module_that_is_kept_is_the_same_and_all_others_are_fused() -> None:
    torch.manual_seed(0)
    first, second = Block(is_shared=False), Block(is_shared=False)
    second.convolution = torch.nn.Conv2d(4, 4, 3, bias=False)
    chain, pixels = torch.nn.Sequential(first, second).eval(), torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        expected = chain(pixels)
        found = fuse_conv_bn(chain, lambda module: module(pixels), kept=[second])
    assert [num_normalizations(block) for block in found] == [0, 1]
    assert found[1].state_dict().keys() == second.state_dict().keys()
    torch.testing.assert_close(found[1].convolution.weight, second.convolution.weight, rtol=0, atol=0)
    torch.testing.assert_close(found(pixels), expected, rtol=1e-4, atol=1e-5)
    assert fuse_conv_bn(chain, lambda module: module(pixels), kept=[chain]) is chain


def test_a_module_without_normalization_comes_back_itself() -> None:
    module = torch.nn.Conv2d(3, 4, 3)
    assert fuse_conv_bn(module, lambda _: torch.zeros(1)) is module
