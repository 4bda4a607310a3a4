"""What Keras 3 learned when: classes, activations, and arguments with the value that changes nothing.

A version here is the first of the releases looked at (3.0.0, 3.0.5, 3.3.3, 3.4.1, 3.6.0, 3.9.2, 3.10.0, 3.11.3,
3.13.2, 3.14.1, 3.15.1) that has it; the real first one may be a little older.

Spec: signatures of the constructors in each release; tests/models/make_eras.py prints these tables.
"""

from __future__ import annotations

from typing import Any

Version = tuple[int, int, int]

CLASSES: dict[Version, str] = {
    (3, 0, 5): """
        AlphaDropout CTC DTypePolicy
    """,
    (3, 3, 3): """
        AbsMaxQuantizer Dice FlaxLayer FloatDTypePolicy JaxLayer MelSpectrogram QuantizedDTypePolicy
        QuantizedFloat8DTypePolicy Tversky
    """,
    (3, 4, 1): """
        DTypePolicyMap
    """,
    (3, 6, 0): """
        AutoContrast Lamb Pipeline Solarization
    """,
    (3, 9, 2): """
        AugMix Circle ConcordanceCorrelation CutMix Equalization MaxNumBoundingBoxes MixUp PearsonCorrelation
        RMSNormalization RandAugment RandomColorDegeneration RandomColorJitter RandomErasing RandomGaussianBlur
        RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomSaturation RandomSharpness
        RandomShear STFT STFTSpectrogram
    """,
    (3, 10, 0): """
        CategoricalGeneralizedCrossEntropy Muon RandomElasticTransform
    """,
    (3, 13, 2): """
        AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
        AdaptiveMaxPooling2D AdaptiveMaxPooling3D Float8QuantizationConfig GPTQConfig GPTQDTypePolicy
        Int4QuantizationConfig Int8QuantizationConfig ReversibleEmbedding
    """,
    (3, 14, 1): """
        AWQConfig AWQDTypePolicy ContrastLimitedAdaptiveHistogramEqualization Int4DTypePolicy ScheduleFreeAdamW
    """,
    (3, 15, 1): """
        MultiOptimizer OptimizerMap
    """,
}

ACTIVATIONS: dict[Version, str] = {
    (3, 0, 5): """
        hard_silu hard_swish
    """,
    (3, 9, 2): """
        celu glu hard_shrink hard_tanh log_sigmoid soft_shrink sparse_plus sparsemax squareplus tanh_shrink threshold
    """,
    (3, 10, 0): """
        sparse_sigmoid
    """,
}

# (argument, the value at which it changes nothing, since, of which classes)
ARGUMENTS: tuple[tuple[str, Any, Version, str], ...] = (
    ("gradient_accumulation_steps", None, (3, 0, 5), """
        Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lion LossScaleOptimizer Nadam Optimizer RMSprop SGD
    """),
    ("lora_rank", None, (3, 0, 5), """
        Dense EinsumDense Embedding
    """),
    ("fill_mode", "constant", (3, 3, 3), """
        Resizing
    """),
    ("fill_value", 0.0, (3, 3, 3), """
        Resizing
    """),
    ("lora_rank", None, (3, 3, 3), """
        Conv1D Conv2D Conv3D
    """),
    ("pad_to_aspect_ratio", False, (3, 3, 3), """
        Resizing
    """),
    ("sparse", False, (3, 3, 3), """
        CategoryEncoding
    """),
    ("use_cudnn", "auto", (3, 3, 3), """
        GRU LSTM
    """),
    ("weights", None, (3, 3, 3), """
        Embedding
    """),
    ("axis", None, (3, 4, 1), """
        Dice
    """),
    ("dtype", None, (3, 4, 1), """
        BinaryFocalCrossentropy CTC CategoricalFocalCrossentropy Dice Huber LogCosh Tversky
    """),
    ("optional", False, (3, 4, 1), """
        InputLayer
    """),
    ("seed", None, (3, 4, 1), """
        MultiHeadAttention
    """),
    ("source_name", None, (3, 4, 1), """
        QuantizedDTypePolicy QuantizedFloat8DTypePolicy
    """),
    ("bounding_box_format", None, (3, 6, 0), """
        CenterCrop RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom
        Resizing
    """),
    ("data_format", None, (3, 6, 0), """
        RandomBrightness RandomContrast RandomFlip ZeroPadding1D
    """),
    ("factor", None, (3, 6, 0), """
        CenterCrop RandomCrop RandomFlip RandomTranslation RandomZoom Resizing
    """),
    ("antialias", False, (3, 9, 2), """
        Resizing
    """),
    ("axis", None, (3, 9, 2), """
        Tversky
    """),
    ("flash_attention", None, (3, 9, 2), """
        GroupQueryAttention MultiHeadAttention
    """),
    ("from_sorted_ids", False, (3, 9, 2), """
        SparseTopKCategoricalAccuracy
    """),
    ("ragged", None, (3, 9, 2), """
        InputLayer
    """),
    ("seed", None, (3, 9, 2), """
        GroupQueryAttention
    """),
    ("value_range", [0, 255], (3, 9, 2), """
        RandomContrast
    """),
    ("lora_alpha", None, (3, 10, 0), """
        Conv1D Conv2D Conv3D Dense EinsumDense Embedding
    """),
    ("output_shape", None, (3, 10, 0), """
        TorchModuleWrapper
    """),
    ("adam_weight_decay", 0.004, (3, 13, 2), """
        Muon
    """),
    ("gptq_unpacked_column_size", None, (3, 13, 2), """
        EinsumDense
    """),
    ("quantization_config", None, (3, 13, 2), """
        Dense EinsumDense Embedding
    """),
    ("rms_rate", 0.2, (3, 13, 2), """
        Muon
    """),
    ("block_size", 128, (3, 14, 1), """
        Int4QuantizationConfig
    """),
    ("ignore_class", None, (3, 14, 1), """
        SparseCategoricalCrossentropy
    """),
    ("native_serialization_platforms", None, (3, 14, 1), """
        FlaxLayer JaxLayer
    """),
    ("oov_method", "floormod", (3, 14, 1), """
        IntegerLookup StringLookup
    """),
    ("renorm", False, (3, 14, 1), """
        BatchNormalization
    """),
    ("renorm_clipping", None, (3, 14, 1), """
        BatchNormalization
    """),
    ("renorm_momentum", 0.99, (3, 14, 1), """
        BatchNormalization
    """),
    ("salt", None, (3, 14, 1), """
        IntegerLookup StringLookup
    """),
    ("use_gate", False, (3, 14, 1), """
        GroupQueryAttention MultiHeadAttention
    """),
    ("input_axes", None, (3, 15, 1), """
        GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform VarianceScaling
    """),
    ("output_axes", None, (3, 15, 1), """
        GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform VarianceScaling
    """),
    ("sliding_window", None, (3, 15, 1), """
        GroupQueryAttention MultiHeadAttention
    """),
)  # fmt: skip


def _since(table: dict[Version, str]) -> dict[str, Version]:
    return {name: version for version, names in table.items() for name in names.split()}


CLASS_SINCE = _since(CLASSES)
ACTIVATION_SINCE = _since(ACTIVATIONS)


def _by_class() -> dict[str, list[tuple[str, Any, Version]]]:
    found: dict[str, list[tuple[str, Any, Version]]] = {}
    for key, neutral, since, names in ARGUMENTS:
        for name in names.split():
            found.setdefault(name, []).append((key, neutral, since))
    return found


ARGUMENTS_OF = _by_class()
