"""What layers of TensorFlow's Keras do with masks: values and output masks of small models.

    python make.py FOLDER        under TF 2.12 to 2.15, or TF 2.16+ with tf_keras

writes the files that ``../old_layers/make.py`` describes; a case has in addition ``masks``: the mask
of each output of the model, or null.  Rows of the inputs are whole, padded at the end, in the middle,
at the beginning, and throughout.  Never imports kio.
"""

import sys
from pathlib import Path

import cases
from graphs import Maker, keras, tf

if __name__ == "__main__":
    maker = Maker()
    cases.make(maker)
    package = "tf_keras" if keras.__name__.startswith("tf_keras") else "tf"
    number = keras.__version__ if package == "tf_keras" else tf.__version__
    maker.write(Path(sys.argv[1]), f"{package}-{number}")
