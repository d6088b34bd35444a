"""Large images come from memory that was used before, and only from memory that nothing refers to anymore."""

import threading

import torch

from meddl.networks.cpu import buffer_pool
from meddl.networks.cpu.buffer_pool import empty, reuse

LARGE = (1, 32, 48, 48, 48)


def test_an_image_is_channels_last_and_aligned():
    with reuse():
        for shape in (LARGE, (2, 3, 5, 7, 9)):
            image = empty(shape)
            assert image.shape == shape
            assert image.dtype == torch.float32
            assert image.is_contiguous(memory_format=torch.channels_last_3d)
            assert image.data_ptr() % 64 == 0


def test_memory_is_used_again_when_nothing_refers_to_it():
    with reuse():
        first = empty(LARGE)
        place, view = first.data_ptr(), first[:, :1].permute(0, 2, 3, 4, 1)
        del first
        other = empty(LARGE)
        assert other.data_ptr() != place  # a view still lives
        del view
        assert empty(LARGE).data_ptr() == place


def test_images_that_live_never_share_memory():
    with reuse():
        images = []
        for n in range(12):
            images.append(empty((1, 32 + n % 3, 48, 48, 48)).fill_(n))
            if n % 4 == 3:
                del images[-3]
        assert all((image == image[0, 0, 0, 0, 0]).all() for image in images)
        assert len({float(image[0, 0, 0, 0, 0]) for image in images}) == len(images)


def test_a_much_smaller_image_does_not_hold_a_large_block():
    with reuse():
        first = empty(LARGE)
        place = first.data_ptr()
        del first
        assert empty((1, 16, 48, 48, 48)).data_ptr() == place  # its half
        larger = empty((1, 80, 48, 48, 48))
        place = larger.data_ptr()
        del larger
        assert empty(LARGE).data_ptr() != place  # two fifths of it


def test_blocks_of_other_sizes_go_back_before_and_after_a_very_large_image(monkeypatch):
    monkeypatch.setattr(buffer_pool, "_VERY_LARGE", 1 << 23)
    with reuse():
        gone = [empty(LARGE), empty(LARGE)]
        del gone
        assert len(buffer_pool._blocks.get().free) == 2
        small = empty(LARGE)
        large = empty((1, 80, 48, 48, 48))
        del small
        assert not buffer_pool._blocks.get().free
        del large
        assert [len(block) for block in buffer_pool._blocks.get().free] == [80 * 48**3]
        empty(LARGE)
        assert [len(block) for block in buffer_pool._blocks.get().free] == [32 * 48**3]


def test_at_the_end_nothing_is_kept_and_images_live_on():
    with reuse():
        image, gone = empty(LARGE).fill_(3), empty(LARGE)
        blocks = buffer_pool._blocks.get()
        with reuse():
            assert buffer_pool._blocks.get() is blocks
        del gone
        assert len(blocks.free) == 1
    assert buffer_pool._blocks.get() is None
    assert not blocks.free
    assert (image == 3).all()


def test_threads_do_not_share_blocks():
    found = []
    with reuse():
        thread = threading.Thread(target=lambda: found.append(buffer_pool._blocks.get()))
        thread.start()
        thread.join()
    assert found == [None]
