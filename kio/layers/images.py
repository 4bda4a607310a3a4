"""Layers for images that Keras 3 dropped, or whose outputs depend on its backend."""

from __future__ import annotations

from typing import Any

import keras

from kio.ops.resize import METHODS, resized


def _fitting(height: int, width: int, target: tuple[int, int]) -> tuple[slice, slice]:
    """The largest part in the middle with the shape of the target."""
    h = min(height, int(float(width * target[0]) / target[1])) or 1
    w = min(width, int(float(height * target[1]) / target[0])) or 1
    top, left = int(float(height - h) / 2), int(float(width - w) / 2)
    return slice(top, top + h), slice(left, left + w)


class _Resized(keras.layers.Layer):  # type: ignore[misc]
    """What resizes its images with TensorFlow's kernels."""

    def __init__(self, interpolation: str = "bilinear", data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        if interpolation not in METHODS:
            raise ValueError(
                f"{type(self).__name__}: expected one of {', '.join(sorted(METHODS))}, found {interpolation!r}"
            )
        self.interpolation = interpolation
        self.data_format = data_format or keras.config.image_data_format()

    @property
    def first(self) -> bool:
        return self.data_format == "channels_first"

    def target(self, height: int, width: int) -> tuple[int, int]:
        """The size of the outputs."""
        raise NotImplementedError

    def prepared(self, images: Any) -> Any:
        return images

    def call(self, images: Any) -> Any:
        axes = (-2, -1) if self.first else (-3, -2)
        size = self.target(*(images.shape[axis] for axis in axes))
        made = resized(self.prepared(images), size, self.interpolation, first=self.first)
        return keras.ops.cast(made, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = list(input_shape)
        axes = (-2, -1) if self.first else (-3, -2)
        size = self.target(*(shape[axis] for axis in axes))
        for axis, n in zip(axes, size, strict=True):
            shape[axis] = n
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation, "data_format": self.data_format}


@keras.saving.register_keras_serializable("kio", "Resizing")
class Resizing(_Resized):
    """``keras.layers.Resizing`` with every interpolation of TensorFlow 2, alike on all backends.

    Args:
        height, width: Of the outputs.
        interpolation: One of ``kio.ops.resize.METHODS``.
        crop_to_aspect_ratio: Cut the images to the target's shape first.
        options: As of ``keras.layers.Layer``; ``data_format``.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(interpolation, **options)
        self.height, self.width, self.crop_to_aspect_ratio = height, width, crop_to_aspect_ratio

    def target(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def prepared(self, images: Any) -> Any:
        if not self.crop_to_aspect_ratio:
            return images
        axes = (-2, -1) if self.first else (-3, -2)
        rows, columns = _fitting(images.shape[axes[0]], images.shape[axes[1]], (self.height, self.width))
        return images[..., rows, columns] if self.first else images[..., rows, columns, :]

    def get_config(self) -> dict[str, Any]:
        own = {"height": self.height, "width": self.width, "crop_to_aspect_ratio": self.crop_to_aspect_ratio}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("kio", "UpSampling2D")
class UpSampling2D(_Resized):
    """``keras.layers.UpSampling2D`` with every interpolation of TensorFlow 2, alike on all backends."""

    def __init__(self, size: Any = 2, interpolation: str = "nearest", **options: Any) -> None:
        super().__init__(interpolation, **options)
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def target(self, height: int, width: int) -> tuple[int, int]:
        return height * self.size[0], width * self.size[1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("kio", "RandomCrop")
class RandomCrop(keras.layers.RandomCrop):  # type: ignore[misc]
    """As in tf.keras: outside training the middle of the image is cut out and resized.

    Keras 3 hands the image through as it is.
    """

    def call(self, inputs: Any, training: bool = True) -> Any:
        if training:
            return super().call(inputs, training=True)
        first = self.data_format == "channels_first"
        axes = (-2, -1) if first else (-3, -2)
        rows, columns = _fitting(inputs.shape[axes[0]], inputs.shape[axes[1]], (self.height, self.width))
        part = inputs[..., rows, columns] if first else inputs[..., rows, columns, :]
        return keras.ops.cast(resized(part, (self.height, self.width), first=first), self.compute_dtype)


class _RandomSide(keras.layers.Layer):  # type: ignore[misc]
    """What changes the height or the width of images at random while training."""

    def __init__(self, factor: Any, interpolation: str = "bilinear", seed: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.factor, self.interpolation, self.seed = factor, interpolation, seed

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            # Every batch would have a shape of its own, which Keras 3's compiled steps cannot have.
            raise NotImplementedError(
                f"{type(self).__name__} {self.name}: expected inference, found training; Keras 3 has no layer that "
                "changes the size of images at random: take it out of the model, or call it with training=False"
            )
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"factor": self.factor, "interpolation": self.interpolation, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("kio", "RandomHeight")
class RandomHeight(_RandomSide):
    """tf.keras's ``RandomHeight``, for inference: images pass as they are."""


@keras.saving.register_keras_serializable("kio", "RandomWidth")
class RandomWidth(_RandomSide):
    """tf.keras's ``RandomWidth``, for inference: images pass as they are."""
