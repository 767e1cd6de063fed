"""AI Block Research takes language models apart; see README.md.

Nothing is imported here, and no module of the package imports from here: importing the package
costs nothing, and the fingerprints of jobs do not follow `__init__.py`.
"""


def __getattr__(name: str) -> str:
    """The version of the installed package, looked up on demand."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ai-block-research")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
