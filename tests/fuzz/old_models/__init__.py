"""Random models of tf.keras, read by kio: what comes out, and what one step of training does.

    python -m tests.fuzz.old_models --seed 1 --count 300 --writer tf_keras --backends jax,torch
    python -m tests.fuzz.old_models --seed 1 --count 300 --writer /path/to/python   # one with TensorFlow 2.4 to 2.15
    python -m tests.fuzz.old_models --again FOLDER/0017                             # one case, kept by a run before

The writer runs in an interpreter of its own, which imports no kio (``generate``, ``building``,
``choices``).  Each case is a folder of three files: the recipe of the model as JSON, the model as
``.h5`` or ``.keras``, and an archive of arrays: inputs, outputs, and for most models one batch
of training with the loss and all weights before and after.  A reader (``compare``) runs once for
each backend and says of each case one of

    equal      outputs agree to 2e-5 of the largest, loss and changed weights to 1e-3 of the largest change
    refused    a KioError; the reason is counted
    warned     wrong, but kio said so by name
    unstable   wrong, but the writer's own numbers change as much when its weights move by 1e-6
    unsaid     wrong, but the writer's own reading of its file is, too: the file does not say it
    WRONG      wrong in silence
    EXCEPTION  an exception that is not kio's

Failures are made small (``minimise``): calls, arguments and inputs are left out as long as the
same thing happens.  ``test_old_models`` runs a fixed seed within two minutes.
"""
