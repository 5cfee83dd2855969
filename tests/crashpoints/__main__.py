"""python -m crashpoints"""

from crashpoints.command import main

if __name__ == "__main__":
    main()
