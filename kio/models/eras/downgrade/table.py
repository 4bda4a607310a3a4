"""What tf.keras 2 does not have: classes, functions and arguments of Keras 3.

An argument that it does not know is left out at the value that Keras 3 has by default.

Spec: constructors of Keras 3.15.1 against those of TensorFlow 2.12.1, 2.15.1 and tf_keras 2.21.
"""

from __future__ import annotations

_LAYERS = """
AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D
AdaptiveMaxPooling3D AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization FlaxLayer
GroupQueryAttention GroupedQueryAttention JaxLayer Lambda MaxNumBoundingBoxes MelSpectrogram MixUp Pipeline
RMSNormalization RandAugment RandomColorDegeneration RandomColorJitter RandomElasticTransform RandomErasing
RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomSaturation
RandomSharpness RandomShear ReversibleEmbedding STFTSpectrogram Solarization SpectralNormalization TFSMLayer
TorchModuleWrapper
"""
_IMAGES = """
CenterCrop RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom
Resizing ZeroPadding1D
"""
_ACTIVATIONS = "elu exponential gelu linear relu selu sigmoid softmax softplus softsign swish tanh"

# Layers of kio's that are tf.keras 2's own under the same name, with the same arguments.
_OWN = """
Add AdditiveAttention Attention Average BatchNormalization Bidirectional Concatenate Conv1D Conv1DTranspose Conv2D
Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D
DepthwiseConv1D DepthwiseConv2D Flatten Functional GRU Identity LSTM LayerNormalization Maximum Minimum
MultiHeadAttention Multiply Normalization Permute RNN Rescaling Reshape SeparableConv1D SeparableConv2D SimpleRNN
Softmax Subtract TimeDistributed
"""
OWN = {f"kio>{name}": name for name in _OWN.split()}

# By room; a class of another room of the same name may exist.
MISSING: dict[str, frozenset[str]] = {
    "layers": frozenset(_LAYERS.split()),
    "losses": frozenset(
        ["CTC", "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy", "Circle", "Dice", "Tversky"]
    ),
    "metrics": frozenset(["ConcordanceCorrelation", "F1Score", "FBetaScore", "PearsonCorrelation", "R2Score"]),
    "optimizers": frozenset(
        ["Adafactor", "Lamb", "LossScaleOptimizer", "MultiOptimizer", "Muon", "OptimizerMap", "ScheduleFreeAdamW"]
    ),
    "initializers": frozenset({"STFT", "STFTInitializer"}),
}

# Arguments that tf.keras 2 does not know in any class, with their values in Keras 3 that change nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "input_axes": (None,),
    "output_axes": (None,),
    "antialias": (False,),
    "autocast": (True,),
    "bounding_box_format": (None,),
    "flash_attention": (None, False),
    "gptq_unpacked_column_size": (None,),
    "lora_alpha": (None,),
    "lora_rank": (None,),
    "optional": (False,),
    "pad_to_aspect_ratio": (False,),
    "quantization_config": (None,),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99,),
    "rms_scaling": (False,),
    "sliding_window": (None,),
    "use_cudnn": ("auto",),
    "use_gate": (False,),
    "zero_output_for_mask": (False,),
    # tf_keras has them, TensorFlow up to 2.15 does not.
    "robust_masking": (False,),
    "softmax_robust_masking": (False,),
    "gradient_accumulation_steps": (None,),
    "loss_scale_factor": (None,),
    "from_sorted_ids": (False,),
}
# The same for arguments that some classes do have.
NEUTRAL_OF: dict[tuple[str, str], tuple[object, ...]] = {
    **{(name, "seed"): (None,) for name in ("MultiHeadAttention", "Attention", "AdditiveAttention")},
    **{(f"ConvLSTM{n}D", "seed"): (None,) for n in (1, 2, 3)},
    **{(name, "seed"): (None,) for name in ("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell")},
    **{(name, "data_format"): ("channels_last",) for name in _IMAGES.split()},
    ("Attention", "score_mode"): ("dot",),  # known there, with this default
    ("BatchNormalization", "masked"): (True,),
    ("BatchNormalization", "synchronized"): (False,),
    ("RandomContrast", "value_range"): ([0, 255],),
    ("SparseCategoricalCrossentropy", "axis"): (-1,),
    ("SparseCategoricalCrossentropy", "ignore_class"): (None,),
    ("Embedding", "weights"): (None,),
    ("CosineDecay", "warmup_target"): (None,),
    ("CosineDecay", "warmup_steps"): (0,),
}
# Arguments by another name.
RENAMED: dict[tuple[str, str], str] = {
    ("InputLayer", "batch_shape"): "batch_input_shape",
    ("LeakyReLU", "negative_slope"): "alpha",
}

# Activations that mean the same; swish is what both call silu.
ACTIVATIONS = frozenset(_ACTIVATIONS.split())
OTHER_NAMES = {"silu": "swish"}
