"""From a live model to what is written.

For each layout of ``kio.mapping`` a module of the same name, with

    fill(made, model, tree, version, skipped, *, whole) -> list[Stored]
        enters variables and their names; refuses what the file has no place for, and what would be lost
    describe(made, model, objects, version, *, compiled)
        enters configuration and metadata of a whole model
    OF_TF_KERAS
        whether tf.keras 2 reads such files: whether it may be named as ``compat``

where ``made`` is the Contents to fill; ``version`` the Keras whose readers the file is for; ``skipped`` what is left
out on purpose; ``objects`` all that the tree has; ``compiled`` whether the optimizer is written.
"""
