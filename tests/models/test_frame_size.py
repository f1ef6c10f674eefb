"""Frames that processors are made for: of the videos' aspect where that can be, of a fixed size where not."""

from types import SimpleNamespace

import pytest

from nrray.models.frame_size import FrameSize, frame_pattern, smaller

HD = FrameSize(width_px=1280, height_px=720)


def pattern(source=HD, *, patch_px=None, image_px=None, **settings):
    return frame_pattern(SimpleNamespace(**settings), source, patch_px=patch_px, image_px=image_px)


@pytest.mark.parametrize(
    ("settings", "expected", "keeps_aspect"),
    [
        ({"patch_size": 14, "merge_size": 2, "size": {"shortest_edge": 3136, "longest_edge": 602112}}, (1260, 728), True),
        ({"do_center_crop": True, "crop_size": {"height": 336, "width": 336}, "size": {"shortest_edge": 336}}, (336, 336), False),
        ({"size": {"height": 384, "width": 384}}, (384, 384), False),
        ({"size": {"longest_edge": 512}}, (512, 288), True),
        ({"size": {"shortest_edge": 224}}, (224, 224), False),
        ({"size": {"height": 1024, "width": 1024}}, (720, 720), False),  # the processor enlarges as well
        ({"do_resize": False, "size": {"shortest_edge": 224}, "image_px": 1024}, (1024, 1024), False),
    ],
)  # fmt: skip
def test_frames_are_as_the_processor_is_made_for(settings, expected, keeps_aspect):
    found = pattern(**settings)
    assert (found.size.width_px, found.size.height_px) == expected
    assert found.keeps_aspect is keeps_aspect
    assert found.is_exact is (settings.get("do_resize") is False)
    assert found.size.width_px % found.step_px == found.size.height_px % found.step_px == 0


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize(
    "source", [HD, FrameSize(width_px=320, height_px=240), FrameSize(width_px=1080, height_px=1920)]
)
def test_smaller_frames_have_no_more_pixels_than_asked_and_about_the_same_aspect(source, share):
    found = pattern(source, patch_size=14, merge_size=2, size={})
    size = smaller(found, found.size, share=share)
    assert size.width_px % 28 == size.height_px % 28 == 0
    assert size.pixels <= max(found.size.pixels * share * 1.001, 28 * 28)
    if size.pixels > 20 * 28 * 28:
        assert size.aspect == pytest.approx(source.aspect, rel=0.2)
