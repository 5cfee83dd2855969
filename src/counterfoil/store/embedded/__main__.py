"""`python -m counterfoil.store.embedded dump|restore --data DIR [--binaries DIR] FILE`."""

import argparse
import sys
from pathlib import Path

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store.embedded import default_data, dump, restore


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m counterfoil.store.embedded", description=__doc__)
    parser.add_argument("verb", choices=("dump", "restore"))
    parser.add_argument("--data", type=Path, default=default_data(), help="the data folder")
    parser.add_argument(
        "--binaries", type=Path, help="dump: the programs of the version that wrote the folder"
    )
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    try:
        if asked.verb == "dump":
            dump(asked.data, asked.file, binaries=asked.binaries)
        else:
            restore(asked.data, asked.file)
    except ConfigurationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
