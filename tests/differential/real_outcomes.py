"""What becomes of each real legacy file: everything is equal or loaded but for these.

``equal``: outputs are the reference's.  ``loaded``: there is no reference.
"""

# Path: error class and a part of its message.
REFUSED = {
    "h5_whole/CyberZHG+keras-bert__test_bert_fit.h5": ("UnknownClassError", "TokenEmbedding"),
    "h5_whole/KonduitAI+dl4j-test-resources__deepfm.h5": ("UnsafeError", "bytecode of a lambda"),
    "h5_whole/KonduitAI+dl4j-test-resources__model_lambda.h5": ("UnsafeError", "bytecode of a lambda"),
    "h5_whole/KonduitAI+dl4j-test-resources__sequential_lambda.h5": ("UnsafeError", "bytecode of a lambda"),
}

# They load; there are no outputs to compare with.
WITHOUT_REFERENCE = (
    "keras_zip/AniruthAnanth+SpectroscopyAnalysis__autoencoder.keras",
    "keras_zip/AniruthAnanth+SpectroscopyAnalysis__schmegma.keras",
    "keras_zip/Ashutosh27ind+ner-lstm-iob2__model.keras",
    "keras_zip/Keithsel+Pyzzle__model.keras",
    "h5_whole/KonduitAI+dl4j-test-resources__cnn_tf_model.h5",
    "h5_whole/KonduitAI+dl4j-test-resources__lstm_tf_model.h5",
    "h5_whole/KonduitAI+dl4j-test-resources__simple_lstm_tf_keras_1_model.h5",
)
