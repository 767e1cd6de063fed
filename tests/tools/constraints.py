"""Print the pins of everything installed in this environment, for constraints.txt."""

from importlib.metadata import distributions

# torch on a GPU machine brings CUDA packages along; a lock must not pull them onto others.
LEFT_OUT = ("nvidia-", "triton", "cuda-", "pip", "setuptools", "wheel")

HEAD = """\
# Versions of everything the requirements bring along, for the same environment everywhere.
# Made by: make constraints
"""


def main() -> None:
    pins = {
        name: distribution.version.partition("+")[0]
        for distribution in distributions()
        if not (name := distribution.metadata["Name"]).lower().startswith(LEFT_OUT)
    }
    print(HEAD, end="")
    for name in sorted(pins, key=str.lower):
        print(f"{name}=={pins[name]}")


if __name__ == "__main__":
    main()
