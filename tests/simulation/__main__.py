"""python -m simulation"""

from simulation.command import main

main()
